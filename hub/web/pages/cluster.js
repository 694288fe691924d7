// How is one cluster?

import { errorList, facts, h, table, tag } from "../dom.js";
import * as words from "../words.js";

export function cluster({ fleet, name }) {
  const body = h("div");
  let shown;
  const draw = () => {
    const one = fleet.clusters.get(name);
    const apps = fleet.appsOf(name).sort((a, b) => a.status.app.localeCompare(b.status.app));
    const key = JSON.stringify([one, apps]);
    if (key === shown) return;
    shown = key;
    body.replaceChildren(...(one ? view(one, apps) : [h("p", {}, `No cluster ${name} has enrolled.`)]));
  };
  draw();
  return { title: name, element: h("div", {}, h("h1", {}, `Cluster ${name}`), body), end: fleet.follow(draw) };
}

function view(one, apps) {
  const status = one.status ?? {};
  const labels = Object.entries(status.labels ?? {}).map(([key, value]) => h("span", { class: "tag" }, `${key}=${value}`));
  return [
    facts([
      ["Connection", tag(words.connection(one.connection))],
      ["Last heard", words.ago(one.lastSeen)],
      ["Labels", labels.length ? h("span", {}, labels.flatMap((label) => [label, " "])) : undefined],
      ["Kubernetes", status.kubernetesVersion],
      ["Agent", status.agentVersion],
      ["Leader", status.leader],
      ["Repository", status.repository],
      ["Head", status.headRevision && h("code", {}, words.short(status.headRevision))],
      ["Fetched", words.ago(status.fetchedAt)],
      ["Certificate ends", one.certificateExpiresAt],
      ["Revoked", words.ago(one.revokedAt)],
    ]),
    errorList(status.errors),
    h("h2", {}, "Apps"),
    table(`${apps.length} apps`, ["App", "Sync", "Health", "Revision", "Since", "Why"], apps.map((app) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `#/apps/${app.status.app}?cluster=${one.name}` }, app.status.app)),
      h("td", {}, tag(words.sync(app.status.sync))),
      h("td", {}, tag(words.health(app.status.health))),
      h("td", { class: "rev" }, words.short(app.status.revision)),
      h("td", {}, words.ago(app.status.since)),
      h("td", { class: "wide" }, app.status.message ?? "")))),
  ].flat();
}
