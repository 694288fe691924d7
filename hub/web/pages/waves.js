// Where does each revision stand, what does it wait for, and what does somebody want to do about it?

import { call, mayDecide } from "../api.js";
import { byId, h, tag } from "../dom.js";
import * as words from "../words.js";

const AGAIN = 3000;

// Which decisions make sense in which state of a stage.
function verbs({ state, candidateRevision, revision }) {
  const list = [];
  if (state === "STAGE_STATE_AWAITING_APPROVAL") list.push(["Approve", "APPROVE", true], ["Reject", "REJECT"]);
  if (candidateRevision && ["STAGE_STATE_WAITING", "STAGE_STATE_SOAKING", "STAGE_STATE_CURRENT"].includes(state)) list.push(["Promote now", "PROMOTE"]);
  if (state === "STAGE_STATE_PAUSED") list.push(["Resume", "RESUME", true]);
  else if (state !== "STAGE_STATE_EMPTY") list.push(["Pause", "PAUSE"]);
  if (revision && state !== "STAGE_STATE_EMPTY") list.push(["Roll back", "ROLLBACK"]);
  return list;
}

export function waves({ fleet, who }) {
  const body = h("div", {}, h("p", { class: "soft" }, "Loading…"));
  let shown;
  let isEnded = false;
  const draw = async () => {
    let answer;
    try {
      answer = await call("PromotionService/GetWaves");
    } catch (error) {
      answer = { problems: [error.message] };
    }
    const key = JSON.stringify({ ...answer, fetchedAt: "" });
    if (isEnded || key === shown) return;
    shown = key;
    body.replaceChildren(...view(answer, mayDecide(who), draw));
  };
  draw();
  const timer = setInterval(draw, AGAIN);
  const end = fleet.follow(draw);
  return {
    title: "Waves",
    element: h("div", {}, h("h1", {}, "Waves"), body),
    end: () => {
      isEnded = true;
      clearInterval(timer);
      end();
    },
  };
}

function view({ waves: names = [], tracks = [], headRevision, problems = [], mismatches = [] }, may, redraw) {
  return [
    ...problems.map((problem) => h("p", { class: "error", role: "alert" }, problem)),
    headRevision ? h("p", { class: "soft" }, `${names.length} waves; head of the branch `, h("code", {}, words.short(headRevision))) : "",
    ...tracks.map((track) => h("section", { class: "track", "aria-label": `Track ${track.track}` },
      h("h2", {}, track.track),
      h("ol", { class: "pipeline" }, (track.stages ?? []).map((stage) => card(track.track, stage, may, redraw))))),
    mismatches.length
      ? h("section", {}, h("h2", {}, "Git and hub see different clusters"),
        h("ul", { class: "log card" }, mismatches.map((one) => h("li", {}, `${one.cluster}: ${one.what}`))))
      : "",
  ];
}

function card(track, stage, may, redraw) {
  const word = words.stage(stage.state);
  return h("li", { class: `card is-${word.look}` },
    h("h3", {}, stage.wave, tag(word)),
    h("p", {}, "Runs ", stage.revision ? h("code", {}, words.short(stage.revision)) : "nothing"),
    stage.candidateRevision ? h("p", {}, "Next ", h("code", {}, words.short(stage.candidateRevision))) : "",
    stage.clusters ? h("p", { class: "soft" }, `${stage.reached ?? 0} of ${stage.clusters} to have it, ${stage.well ?? 0} well`) : "",
    h("p", {}, stage.detail ?? ""),
    may ? h("p", { class: "actions" }, verbs(stage).map(([label, verb, isMain]) => h("button", {
      type: "button", class: isMain ? "main" : undefined, "aria-label": `${label}: ${track} in ${stage.wave}`,
      onclick: () => ask(label, verb, track, stage, redraw),
    }, label))) : "");
}

// A decision is a commit that names its author, so it is asked for twice and may have a reason.
function ask(label, verb, track, stage, redraw) {
  const dialog = byId("dialog");
  const reason = h("input", { id: "reason", autocomplete: "off" });
  const problem = h("p", { class: "error", role: "alert" });
  const decide = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      const revision = verb === "APPROVE" || verb === "REJECT" ? stage.candidateRevision : "";
      await call("PromotionService/Decide", { verb: `DECISION_VERB_${verb}`, track, wave: stage.wave, revision, reason: reason.value });
      dialog.close();
      redraw();
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  dialog.replaceChildren(h("form", { onsubmit: decide },
    h("h2", { id: "dialog-title" }, `${label}: ${track} in ${stage.wave}`),
    stage.candidateRevision ? h("p", {}, "Next ", h("code", {}, stage.candidateRevision)) : "",
    stage.revision ? h("p", {}, "Runs ", h("code", {}, stage.revision)) : "",
    h("label", { for: "reason" }, "Reason, for the history", reason),
    problem,
    h("p", { class: "actions" }, h("button", { class: "main" }, label),
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))));
  dialog.showModal();
}
