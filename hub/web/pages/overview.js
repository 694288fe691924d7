// How is the whole fleet?

import { h, setText, tag } from "../dom.js";
import { HeatMap } from "../heatmap.js";
import * as words from "../words.js";

const PROBLEMS_MAX = 20;

function sum(name) {
  const count = h("b", {}, "0");
  return { element: h("li", {}, count, name), count };
}

export function overview({ fleet, query, setQuery }) {
  const sums = { clusters: sum("clusters"), unreachable: sum("unreachable"), apps: sum("apps"), synced: sum("synced"),
    healthy: sum("healthy"), problems: sum("with problems") };
  const text = h("input", { type: "search", id: "filter", value: query.get("q") ?? "", autocomplete: "off",
    oninput: () => setQuery({ q: text.value }) });
  const only = h("input", { type: "checkbox", id: "only", checked: query.get("only") === "problems",
    onchange: () => setQuery({ only: only.checked ? "problems" : "" }) });
  const map = new HeatMap();
  const problems = h("div");
  const nothing = h("p", { class: "soft", hidden: true }, "No cluster matches.");
  let shown;

  const draw = () => {
    const wanted = text.value.trim().toLowerCase();
    const { apps } = fleet;
    const matching = [...fleet.clusters.values()].filter((cluster) => matches(cluster, fleet, wanted));
    const clusters = matching
      .filter((cluster) => !only.checked || words.cluster(cluster, fleet.appsOf(cluster.name)).look !== "good")
      .sort((one, other) => one.name.localeCompare(other.name));
    const names = new Set(clusters.map((cluster) => cluster.name));
    const bad = apps.filter((app) => ["bad", "busy"].includes(words.app(app).look));
    setText(sums.clusters.count, String(fleet.clusters.size));
    const away = [...fleet.clusters.values()].filter((cluster) => cluster.connection === "CONNECTION_UNREACHABLE");
    setText(sums.unreachable.count, String(away.length));
    setText(sums.apps.count, String(apps.length));
    setText(sums.synced.count, String(apps.filter((app) => app.status.sync === "SYNC_STATUS_SYNCED").length));
    setText(sums.healthy.count, String(apps.filter((app) => app.status.health === "HEALTH_STATUS_HEALTHY").length));
    setText(sums.problems.count, String(bad.length));
    nothing.hidden = clusters.length > 0;
    map.show(clusters, fleet);
    const list = bad.filter((app) => names.has(app.cluster)).slice(0, PROBLEMS_MAX);
    const key = JSON.stringify(list.map((app) => [app.cluster, app.status]));
    if (key !== shown) {
      shown = key;
      problems.replaceChildren(...problemList(list, bad.length));
    }
  };
  draw();
  return {
    title: "Fleet",
    element: h("div", {}, h("h1", {}, "Fleet"),
      h("ul", { class: "sums" }, Object.values(sums).map((one) => one.element)),
      h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
        h("label", { for: "filter" }, "Clusters, apps or labels", text),
        h("label", { for: "only" }, only, " only with problems")),
      problems, nothing, map.element),
    redraw: draw,
    end: fleet.follow(draw),
  };
}

function matches(cluster, fleet, wanted) {
  if (!wanted) return true;
  const labels = Object.entries(cluster.status?.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return [cluster.name, ...labels].some((text) => text.toLowerCase().includes(wanted))
    || fleet.appsOf(cluster.name).some((app) => app.status.app.toLowerCase().includes(wanted));
}

function problemList(list, count) {
  if (!list.length) return [];
  const more = count > list.length ? `, ${list.length} of ${count} shown` : "";
  return [h("h2", {}, `What is not well${more}`),
    h("ul", { class: "log card" }, list.map((app) => h("li", {},
      tag(words.app(app)), " ",
      h("a", { href: `#/apps/${app.status.app}?cluster=${app.cluster}` }, `${app.status.app} in ${app.cluster}`), " ",
      app.status.message ?? "", " ", h("span", { class: "soft" }, words.ago(app.status.since)))))];
}
