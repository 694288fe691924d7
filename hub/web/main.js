// Which page is shown, and to whom?

import { logIn, logOut, whoAmI } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { Fleet } from "./fleet.js";
import { alerts } from "./pages/alerts.js";
import { app } from "./pages/app.js";
import { cluster } from "./pages/cluster.js";
import { overview } from "./pages/overview.js";
import { records } from "./pages/records.js";
import { waves } from "./pages/waves.js";

const PAGES = [["#/", "Fleet"], ["#/waves", "Waves"], ["#/alerts", "Alerts"], ["#/history", "History"]];

let who;
let page;
const fleet = new Fleet((isLive, refusal) => {
  const live = byId("live");
  live.classList.toggle("lost", !isLive);
  setText(live, isLive ? "live" : "connection lost, trying again");
  if (refusal?.code === "UNAUTHENTICATED") showLogin(refusal.message);
});

function place() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  return { path: path.split("/").slice(1).map(decodeURIComponent), query: new URLSearchParams(query) };
}

function route() {
  const { path: [first = "", name = ""], query } = place();
  const setQuery = (changes) => {
    const next = place().query;
    for (const [key, value] of Object.entries(changes)) {
      if (value) next.set(key, value);
      else next.delete(key);
    }
    // Without a navigation: the page draws itself.
    history.replaceState(undefined, "", `#/${next.size ? `?${next}` : ""}`);
    page.redraw?.();
  };
  const context = { fleet, who, name, query, setQuery };
  if (first === "clusters" && name) return cluster(context);
  if (first === "apps" && name) return app(context);
  if (first === "waves") return waves(context);
  if (first === "alerts") return alerts(context);
  if (first === "history") return records(context);
  return overview(context);
}

function show() {
  page?.end();
  page = route();
  document.title = `${page.title} · Muster`;
  byId("main").replaceChildren(page.element);
  const current = `#/${place().path[0] ?? ""}`;
  byId("nav").replaceChildren(...PAGES.map(([href, label]) => h("a", { href, "aria-current": href === current ? "page" : undefined }, label)));
}

function showLogin(problem = "") {
  fleet.stop();
  page?.end();
  page = undefined;
  who = undefined;
  byId("nav").hidden = true;
  byId("user").hidden = true;
  setText(byId("live"), "");
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const told = h("p", { class: "error", role: "alert" }, problem);
  const submit = async (event) => {
    event.preventDefault();
    setText(told, "");
    try {
      begin(await logIn(token.value));
    } catch (error) {
      setText(told, error.message);
      token.select();
    }
  };
  document.title = "Log in · Muster";
  byId("main").replaceChildren(h("form", { class: "login card", onsubmit: submit },
    h("h1", {}, "Log in"),
    // Where password managers look for whose token it is.
    h("input", { type: "text", autocomplete: "username", value: "muster", hidden: true }),
    h("label", { for: "token" }, "User token, or an ID token of your issuer"), token, told,
    h("button", { class: "main" }, "Log in"),
    h("p", { class: "soft" }, "An administrator makes tokens with ", h("code", {}, "muster-hub user-token"), ".")));
  token.focus();
}

function begin(answer) {
  who = answer;
  byId("nav").hidden = false;
  const user = byId("user");
  user.hidden = false;
  user.replaceChildren(h("span", {}, who.actor), h("button", { type: "button", onclick: async () => {
    await logOut().catch(() => undefined);
    showLogin();
  } }, "Log out"));
  setText(byId("live"), "connecting…");
  const first = fleet.follow(() => {
    first();
    show();
  });
  fleet.isComplete = false;
  fleet.start();
}

async function start() {
  // A link with a token, as the demo prints it. The token leaves the address at once.
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(undefined, "", "#/");
  try {
    begin(token ? await logIn(decodeURIComponent(token)) : await whoAmI());
  } catch (error) {
    showLogin(error.status === 401 && !token ? "" : error.message);
  }
}

addEventListener("hashchange", () => {
  if (!who || !fleet.isComplete) return;
  if (location.hash === "#main") return byId("main").focus();
  show();
  byId("main").focus();
});
// A page that the browser keeps for going back must not hold a stream open.
addEventListener("pagehide", () => fleet.stop());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && who) fleet.start();
});
start();
