// How is one app, in each cluster it is in?

import { call } from "../api.js";
import { errorList, facts, h, table, tag } from "../dom.js";
import * as words from "../words.js";

const OBJECTS_MAX = 200;

export function app({ fleet, name, query }) {
  const cluster = query.get("cluster") ?? "";
  const body = h("div", {}, h("p", { class: "soft" }, "Loading…"));
  let seen;
  let isEnded = false;
  // The watch says that something changed; objects and drifts are asked for.
  const draw = async () => {
    const key = JSON.stringify(fleet.apps.filter((one) => one.status.app === name && (!cluster || one.cluster === cluster)));
    if (key === seen) return;
    seen = key;
    try {
      const [{ apps = [] }, { events = [] }] = await Promise.all([
        call("FleetService/GetApp", { name, cluster }),
        call("FleetService/ListEvents", { app: name, cluster, limit: 30 }),
      ]);
      if (isEnded || key !== seen) return;
      body.replaceChildren(...apps.flatMap((one) => view(one, apps.length === 1)), ...history(events));
    } catch (error) {
      seen = undefined;
      if (!isEnded) body.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
    }
  };
  draw();
  const end = fleet.follow(draw);
  const where = cluster ? [" in ", h("a", { href: `#/clusters/${cluster}` }, cluster)] : [];
  return {
    title: name,
    element: h("div", {}, h("h1", {}, `App ${name}`, where),
      cluster ? h("p", {}, h("a", { href: `#/apps/${name}` }, "In all clusters")) : "", body),
    end: () => {
      isEnded = true;
      end();
    },
  };
}

function view({ cluster, status }, isOnly) {
  const isBehind = status.wantedRevision && status.wantedRevision !== status.revision;
  const parts = [
    facts([
      ["State", h("span", {}, tag(words.sync(status.sync)), " ", tag(words.health(status.health)))],
      ["Why", status.message],
      ["Since", words.ago(status.since)],
      ["Revision", h("code", {}, status.revision ?? "none")],
      ["Wanted", isBehind ? h("code", {}, status.wantedRevision) : undefined],
      ["Path", status.path && h("code", {}, status.path)],
      ["Last sync", words.ago(status.syncedAt)],
      ["Objects", String(status.objectCount ?? 0)],
    ]),
    errorList(status.errors),
    drifts(status.drifts ?? []),
    objects(status, isOnly),
  ];
  if (isOnly) return parts.flat();
  const isWell = words.app({ connection: "CONNECTION_CONNECTED", status }).look === "good";
  return [h("details", isWell ? {} : { open: true },
    h("summary", {}, h("b", {}, cluster), " ", tag(words.sync(status.sync)), " ", tag(words.health(status.health))), ...parts.flat())];
}

function drifts(list) {
  if (!list.length) return [];
  const rows = list.flatMap((drift) => {
    const state = drift.correctedAt ? `put back ${words.ago(drift.correctedAt)}` : drift.heldUntil ? "held back: a fight" : "differs";
    const by = drift.fieldManager || "unknown";
    const row = (field, wanted, found) => h("tr", {},
      h("td", {}, words.object(drift.object)), h("td", { class: "wide" }, field),
      h("td", { class: "wide" }, wanted), h("td", { class: "wide" }, found),
      h("td", {}, by), h("td", {}, words.ago(drift.detectedAt)), h("td", { class: "wide" }, `${state} ${drift.advice ?? ""}`));
    if (drift.deleted) return [row("", "", "deleted")];
    return (drift.fields ?? []).map((field) => row(h("code", {}, field.path),
      h("code", {}, field.wanted || "absent"), h("code", {}, field.found || "absent")));
  });
  return [h("h2", {}, "Drift"),
    table("What somebody else changed", ["Object", "Field", "Git says", "Found", "By", "When", "State"], rows)];
}

function objects(status) {
  const list = (status.objects ?? []).slice(0, OBJECTS_MAX);
  if (!list.length) return [];
  return [h("h2", {}, "Objects"), table(`${list.length} of ${status.objectCount}, the worst first`,
    ["Object", "Sync", "Health", "Why"], list.map((one) => h("tr", {},
      h("th", { scope: "row" }, words.object(one.object)),
      h("td", {}, tag(words.sync(one.sync))),
      h("td", {}, one.health ? tag(words.health(one.health)) : ""),
      h("td", { class: "wide" }, one.message ?? ""))))];
}

function history(events) {
  if (!events.length) return [];
  return [h("h2", {}, "History"), h("ul", { class: "log card" }, events.map((event) => h("li", {},
    h("span", { class: "soft" }, `${words.ago(event.time)} `), h("span", { class: "tag" }, words.kind(event.kind)), " ",
    `${event.cluster}: ${event.message} `, event.revision ? h("code", {}, words.short(event.revision)) : "")))];
}
