// How do many clusters and apps fit on one page?
//
// A few make a table of clusters by apps. Many make a tile for each cluster, in groups, and a table of apps by groups.
// Elements are kept and changed in place, so that the focus stays and little is drawn.

import { h, setAttribute, setText } from "./dom.js";
import * as words from "./words.js";

const CELLS_MAX = 1500;
const GROUP_LABELS = ["env", "wave", "region"];

function paint(link, word, label) {
  setAttribute(link, "class", word.look);
  setText(link, word.sign);
  setAttribute(link, "aria-label", label);
  setAttribute(link, "title", label);
}

function matrix(clusters, apps, names) {
  const cells = new Map();
  const link = (key, href) => {
    const made = h("a", { href });
    cells.set(key, made);
    return made;
  };
  const rows = clusters.map((cluster) => h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `#/clusters/${cluster.name}` }, cluster.name)),
    h("td", {}, link(cluster.name, `#/clusters/${cluster.name}`)),
    names.map((name) => h("td", {}, apps.has(`${cluster.name}/${name}`)
      ? link(`${cluster.name}/${name}`, `#/apps/${name}?cluster=${cluster.name}`) : ""))));
  const element = h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Clusters and apps" },
    h("table", { class: "matrix" },
      h("caption", {}, "How each app fares in each cluster"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Cluster"), h("th", { scope: "col" }, "All"),
        names.map((name) => h("th", { scope: "col" }, h("a", { href: `#/apps/${name}` }, name))))),
      h("tbody", {}, rows)));
  return { element, cells };
}

function tiles(clusters) {
  const groups = grouped(clusters);
  const cells = new Map();
  const element = h("div", {}, [...groups].map(([group, members]) => [
    h("h2", {}, `${group} (${members.length})`),
    h("ul", { class: "tiles" }, members.map((cluster) => {
      const link = h("a", { href: `#/clusters/${cluster.name}` });
      cells.set(cluster.name, link);
      return h("li", {}, link);
    })),
  ]));
  return { element, cells };
}

function grouped(clusters) {
  const label = GROUP_LABELS.find((name) => clusters.some((cluster) => cluster.status?.labels?.[name]));
  const groups = new Map();
  for (const cluster of clusters) {
    const group = (label && cluster.status?.labels?.[label]) || "clusters";
    groups.set(group, [...(groups.get(group) ?? []), cluster]);
  }
  return new Map([...groups].sort(([one], [other]) => one.localeCompare(other)));
}

export class HeatMap {
  element = h("div");
  #shape;
  #cells;

  show(clusters, fleet) {
    const apps = new Map(clusters.flatMap(({ name }) => fleet.appsOf(name)).map((app) => [`${app.cluster}/${app.status.app}`, app]));
    const names = [...new Set([...apps.values()].map((app) => app.status.app))].sort();
    const isSmall = clusters.length * (names.length + 1) <= CELLS_MAX;
    const shape = JSON.stringify([isSmall, clusters.map((cluster) => [cluster.name, cluster.status?.labels?.env]),
      isSmall ? [names, [...apps.keys()].sort()] : []]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      const made = isSmall ? matrix(clusters, apps, names) : tiles(clusters);
      this.#cells = made.cells;
      this.element.replaceChildren(made.element);
    }
    for (const cluster of clusters) {
      const word = words.cluster(cluster, fleet.appsOf(cluster.name));
      paint(this.#cells.get(cluster.name), word, `${cluster.name}: ${word.text}`);
    }
    if (!isSmall) return;
    for (const [key, app] of apps) {
      const word = words.app(app);
      paint(this.#cells.get(key), word, `${app.status.app} in ${app.cluster}: ${word.text}`);
    }
  }
}
