// What happened, what was decided, and who asked for what?

import { call, mayAudit } from "../api.js";
import { h, table } from "../dom.js";
import * as words from "../words.js";

export function records({ fleet, who }) {
  const events = h("div");
  const decisions = h("div");
  const audit = h("div");
  let older = [];
  let isEnded = false;
  const draw = () => {
    const known = new Set(fleet.events.map((event) => event.id));
    const all = [...fleet.events, ...older.filter((event) => !known.has(event.id))]
      .sort((one, other) => (other.time ?? "").localeCompare(one.time ?? "")).slice(0, 100);
    events.replaceChildren(h("ul", { class: "log card" }, all.map((event) => h("li", {},
      h("span", { class: "soft" }, `${words.ago(event.time)} `), h("span", { class: "tag" }, words.kind(event.kind)), " ",
      h("a", { href: `#/clusters/${event.cluster}` }, event.cluster), event.app ? [" ", h("a", { href: `#/apps/${event.app}?cluster=${event.cluster}` }, event.app)] : "",
      ` ${event.message ?? ""}`))));
  };
  const fill = async (place, method, request, show) => {
    try {
      const answer = await call(method, request);
      if (!isEnded) place.replaceChildren(...show(answer));
    } catch (error) {
      if (!isEnded) place.replaceChildren(h("p", { class: "soft" }, error.message));
    }
  };
  fill(events, "FleetService/ListEvents", { limit: 100 }, (answer) => {
    older = answer.events ?? [];
    draw();
    return [...events.children];
  });
  fill(decisions, "PromotionService/ListDecisions", { limit: 50 }, decided);
  if (mayAudit(who)) fill(audit, "AuditService/ListAudit", { limit: 100 }, audited);
  const end = fleet.follow(draw);
  return {
    title: "History",
    element: h("div", {}, h("h1", {}, "History"), h("h2", {}, "Decisions"), decisions, h("h2", {}, "Events"), events,
      mayAudit(who) ? [h("h2", {}, "Audit"), audit] : ""),
    end: () => {
      isEnded = true;
      end();
    },
  };
}

function decided({ decisions = [] }) {
  if (!decisions.length) return [h("p", { class: "soft" }, "Nothing has been decided yet.")];
  return [table("Newest first", ["When", "Track", "Wave", "Action", "From", "To", "Reached", "By", "Because"], decisions.map((one) => h("tr", {},
    h("td", {}, words.ago(one.time)), h("td", {}, one.track), h("td", {}, one.wave), h("td", {}, one.action),
    h("td", { class: "rev" }, words.short(one.fromRevision)), h("td", { class: "rev" }, words.short(one.toRevision)),
    h("td", {}, one.reached ?? ""), h("td", {}, one.author || "hub"), h("td", { class: "wide" }, (one.evidence ?? []).join("; ")))))];
}

function audited({ rows = [] }) {
  return [table("Newest first", ["When", "Who", "From", "What", "Target", "Result", "Detail"], rows.map((row) => h("tr", {},
    h("td", {}, words.ago(row.time)), h("td", {}, row.actor), h("td", {}, row.source ?? ""), h("td", {}, row.action.replace("muster.v1.", "")),
    h("td", {}, row.target ?? ""), h("td", {}, row.result), h("td", { class: "wide" }, row.detail ?? ""))))];
}
