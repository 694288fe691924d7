// How are elements made? Text is always text: nothing is ever parsed as HTML.

import { ago } from "./words.js";

export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value") element.value = value;
    else if (key === "checked") element.checked = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Sets text or an attribute only where it is another, so that a screen reader is not told twice.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function tag(word) {
  return h("span", { class: `tag ${word.look}` }, `${word.sign} ${word.text}`);
}

export function table(caption, heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows)));
}

export function errorList(errors) {
  if (!errors?.length) return [];
  return [h("h2", {}, "Errors"), h("ul", { class: "log card" }, errors.map((error) => h("li", {},
    error.place ? h("code", {}, error.place) : "", " ", error.message, " ", h("span", { class: "soft" }, ago(error.since)))))];
}

export function facts(pairs) {
  return h("dl", { class: "facts card" },
    pairs.filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
