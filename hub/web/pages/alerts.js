// What is wrong, who was told, and who does not want to hear of it?

import { call, mayDecide } from "../api.js";
import { byId, h, table, tag } from "../dom.js";
import * as words from "../words.js";

const AGAIN = 3000;
const HOURS = [["1", "1 hour"], ["4", "4 hours"], ["24", "1 day"], ["168", "1 week"]];

export function alerts({ fleet, who }) {
  const body = h("div", {}, h("p", { class: "soft" }, "Loading…"));
  let shown;
  let isEnded = false;
  const draw = async () => {
    let answer;
    try {
      const [{ alerts: all = [], receivers = [] }, { silences = [] }] = await Promise.all([
        call("AlertService/ListAlerts"), call("AlertService/ListSilences")]);
      answer = { all, receivers, silences };
    } catch (error) {
      answer = { all: [], receivers: [], silences: [], problem: error.message };
    }
    // Times are told as how long ago they were, so all is drawn anew once a minute as well.
    const key = JSON.stringify([answer, Math.floor(Date.now() / 60000)]);
    if (isEnded || key === shown) return;
    shown = key;
    body.replaceChildren(...view(answer, mayDecide(who), draw));
  };
  draw();
  const timer = setInterval(draw, AGAIN);
  const end = fleet.follow(draw);
  return {
    title: "Alerts",
    element: h("div", {}, h("h1", {}, "Alerts"), body),
    end: () => {
      isEnded = true;
      clearInterval(timer);
      end();
    },
  };
}

function view({ all, receivers, silences, problem }, may, redraw) {
  return [
    problem ? h("p", { class: "error", role: "alert" }, problem) : "",
    h("p", { class: "soft" }, receivers.length
      ? `Told to ${receivers.join(", ")}.` : "Nobody is told: the hub has no receivers of alerts."),
    all.length
      ? table("What is wrong, the worst first", ["Severity", "What", "Where", "Since", "State", "Why", may ? "Actions" : ""].filter(Boolean),
        all.map((alert) => row(alert, may, redraw)))
      : problem ? "" : h("p", { class: "card" }, "Nothing is wrong."),
    silences.length
      ? table("Silences", ["Alerts", "Ends", "By", "Reason", may ? "Actions" : ""].filter(Boolean),
        silences.map((silence) => h("tr", {},
          h("td", {}, meaning(silence)), h("td", {}, words.time(silence.endsAt)), h("td", {}, silence.author),
          h("td", { class: "wide" }, silence.reason),
          may ? h("td", {}, h("button", {
            type: "button", "aria-label": `End the silence of ${meaning(silence)}`,
            onclick: () => call("AlertService/EndSilence", { id: silence.id }).then(redraw, redraw),
          }, "End")) : "")))
      : "",
  ];
}

function row(alert, may, redraw) {
  return h("tr", {},
    h("td", {}, tag(words.severity(alert.severity))),
    h("td", {}, alert.kind),
    h("td", {}, where(alert)),
    h("td", {}, words.ago(alert.startedAt)),
    h("td", {}, tag(words.alert(alert))),
    h("td", { class: "wide" }, alert.cause ?? ""),
    may ? h("td", {}, alert.silence ? "" : h("button", {
      type: "button", "aria-label": `Silence ${alert.kind} of ${place(alert)}`, onclick: () => ask(alert, redraw),
    }, "Silence")) : "");
}

function place({ cluster, app, wave, track }) {
  if (wave) return `${track} in ${wave}`;
  if (app) return `${app} in ${cluster}`;
  return cluster ?? "the fleet repository";
}

function where(alert) {
  if (alert.wave) return h("a", { href: "#/waves" }, place(alert));
  if (alert.app) return h("a", { href: `#/apps/${alert.app}?cluster=${alert.cluster}` }, place(alert));
  return alert.cluster ? h("a", { href: `#/clusters/${alert.cluster}` }, alert.cluster) : place(alert);
}

function meaning(silence) {
  const given = ["kind", "cluster", "app", "wave"].filter((field) => silence[field]);
  return given.map((field) => `${field}: ${silence[field]}`).join(", ");
}

// A silence is for just this alert; wider ones are made with `muster silence`.
function ask(alert, redraw) {
  const dialog = byId("dialog");
  const reason = h("input", { id: "reason", autocomplete: "off", required: true });
  const hours = h("select", { id: "hours" }, HOURS.map(([value, label]) => h("option", { value }, label)));
  const problem = h("p", { class: "error", role: "alert" });
  const silence = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    const endsAt = new Date(Date.now() + Number(hours.value) * 3600000).toISOString();
    const { kind, cluster = "", app, wave = "", track } = alert;
    try {
      await call("AlertService/CreateSilence", { silence: { kind, cluster, app: app ?? track ?? "", wave, reason: reason.value, endsAt } });
      dialog.close();
      redraw();
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  dialog.replaceChildren(h("form", { onsubmit: silence },
    h("h2", { id: "dialog-title" }, `Silence ${alert.kind} of ${place(alert)}`),
    h("label", { for: "hours" }, "For", hours),
    h("label", { for: "reason" }, "Reason, for the audit log", reason),
    problem,
    h("p", { class: "actions" }, h("button", { class: "main" }, "Silence"),
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))));
  dialog.showModal();
}
