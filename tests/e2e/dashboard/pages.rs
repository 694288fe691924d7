//! What a person sees and does in a real browser.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use muster_tests::fleet::{self, Fleet, Target};
use muster_tests::skip;
use serde_json::json;

use super::browser::Browser;

const WAVES: &str = "  waves:
  - {name: dev, clusters: {matchLabels: {env: dev}}}
  - {name: prod, clusters: {matchLabels: {env: prod}}, approval: {required: 1}}
";
const DEPLOYMENT: &str = "manifests/gitops-demo/deployment.yaml";

/// What a screen reader or a keyboard would stumble over. Empty where nothing is.
const OBSTACLES: &str = r#"
const problems = [];
const named = (one) => (one.getAttribute("aria-label") ?? one.textContent).trim() !== "" || one.querySelector("img[alt]:not([alt=''])");
for (const one of document.querySelectorAll("a, button")) if (!named(one)) problems.push("no name: " + one.outerHTML);
for (const one of document.querySelectorAll("input:not([hidden]), select, textarea"))
  if (!document.querySelector(`label[for="${one.id}"]`)) problems.push("no label: " + one.outerHTML);
for (const one of document.querySelectorAll("img")) if (!one.hasAttribute("alt")) problems.push("no alt: " + one.outerHTML);
for (const one of document.querySelectorAll("th")) if (!one.scope) problems.push("no scope: " + one.outerHTML);
for (const one of document.querySelectorAll("table")) if (!one.caption) problems.push("no caption: " + one.outerHTML.slice(0, 80));
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
if (new Set(ids).size !== ids.length) problems.push("ids twice: " + ids);
if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
if (document.querySelectorAll("main").length !== 1) problems.push("not one main");
if (!document.documentElement.lang) problems.push("no language");
if (document.documentElement.scrollWidth > innerWidth) problems.push("wider than the window");
const luminance = (color) => {
  const [r, g, b] = color.match(/[\d.]+/g).map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (one) => {
  for (let at = one; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)") return color;
  }
  return "rgb(255, 255, 255)";
};
for (const one of document.querySelectorAll("body *")) {
  const hasText = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  if (!hasText || !one.offsetParent) continue;
  const [light, dark] = [luminance(getComputedStyle(one).color), luminance(ground(one))].sort((a, b) => b - a);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(2)}: ${one.outerHTML.slice(0, 120)}`);
}
return problems;
"#;

pub(super) fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = fleet::example().unwrap();
    files.get_mut("muster.yaml").unwrap().extend(WAVES.bytes());
    files
}

#[tokio::test]
async fn a_person_logs_in_sees_the_fleet_change_and_approves_what_waits() {
    let Some(browser) = Browser::start().await else { return };
    let targets = Target::simulated(&["dev", "prod"]).await;
    let mut fleet = Fleet::start_promoting(&files()).await.unwrap();
    for target in &targets {
        fleet.join(&target.name, &target.kubeconfig).await.unwrap();
    }
    let viewer = fleet.hub.user("eve", "viewer").await.unwrap();
    let promoter = fleet.hub.user("pat", "promoter").await.unwrap();
    let page = format!("http://{}/", fleet.hub.dashboard());

    browser.go(&page).await;
    browser.fill("token", "muster-user.eve.wrong").await;
    browser.click("Log in").await;
    browser.shows(&["does not know the user token"]).await;
    browser.fill("token", &viewer).await;
    browser.click("Log in").await;
    browser.shows(&["user/eve", "live", "dev", "prod", "gitops-demo"]).await;
    clear_of_obstacles(&browser, "the overview").await;

    // Seen without loading anything again.
    browser.run("window.stays = true", &[]).await;
    browser.click("Waves").await;
    browser.shows(&["Awaiting approval", "Current"]).await;
    let buttons = browser.run("return document.querySelectorAll('main button').length", &[]).await;
    assert_eq!(buttons, json!(0), "a viewer decides nothing");
    clear_of_obstacles(&browser, "the waves").await;
    for (hash, text) in [
        ("#/clusters/dev", "Cluster dev"),
        ("#/apps/gitops-demo?cluster=dev", "Deployment gitops-demo/gitops-demo"),
        ("#/alerts", "ApprovalWaiting"),
        ("#/history", "synced"),
    ] {
        browser.run("location.hash = arguments[0]", &[hash]).await;
        browser.shows(&[text]).await;
        clear_of_obstacles(&browser, hash).await;
    }
    assert_eq!(browser.run("return window.stays", &[]).await, json!(true), "the page was loaded again");

    browser.click("Log out").await;
    browser.shows(&["User token"]).await;
    let answer = "return (await fetch('api/muster.v1.FleetService/ListClusters', { method: 'POST', body: '{}', \
                  headers: { 'content-type': 'application/json' } })).status";
    assert_eq!(browser.run(answer, &[]).await, json!(401), "the cookie is gone");

    // A link with a token logs in, and the token leaves the address.
    browser.go("about:blank").await;
    browser.go(&format!("{page}#token={promoter}")).await;
    browser.shows(&["user/pat", "live"]).await;
    assert_eq!(browser.run("return location.href", &[]).await, json!(format!("{page}#/")));
    browser.click("Waves").await;
    browser.click("Approve: gitops-demo in prod").await;
    browser.fill("reason", "seen in dev").await;
    browser.run("document.querySelector('#dialog button.main').click()", &[]).await;
    let current = "return [...document.querySelectorAll('.pipeline > li')].every((one) => one.textContent.includes('Current'))";
    muster_tests::wait::until("both waves to be current", muster_tests::fleet::DEADLINE, async || {
        if browser.run(current, &[]).await == json!(true) { Ok(()) } else { Err(browser.text().await) }
    })
    .await;
    browser.click("History").await;
    browser.shows(&["approve", "pat"]).await;

    // A revision that crashes is seen at once.
    let text = String::from_utf8(files().remove(DEPLOYMENT).unwrap()).unwrap();
    browser.click("Fleet").await;
    fleet.repository.commit(&[(DEPLOYMENT, text.replace("nginx:1.24", "nginx:fail"))], "Break it").unwrap();
    browser.shows(&["What is not well", "gitops-demo in dev", "CrashLoopBackOff"]).await;
    clear_of_obstacles(&browser, "the overview of a broken fleet").await;
    browser.click("Alerts").await;
    browser.shows(&["PromotionHalted", "gitops-demo in dev", "Firing", "Nobody is told"]).await;
    clear_of_obstacles(&browser, "the alerts").await;
    browser.click("Silence PromotionHalted of gitops-demo in dev").await;
    browser.fill("reason", "it is known").await;
    browser.run("document.querySelector('#dialog button.main').click()", &[]).await;
    browser
        .shows(&["Silenced", "user/pat", "it is known", "kind: PromotionHalted, app: gitops-demo, wave: dev"])
        .await;
    clear_of_obstacles(&browser, "the alerts with a silence").await;
    browser.click("Fleet").await;
    browser.fill("filter", "nothing like it").await;
    browser.shows(&["No cluster matches."]).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Fails with what a screen reader or a keyboard would stumble over, by our own rules and by those of axe.
pub(super) async fn clear_of_obstacles(browser: &Browser, page: &str) {
    assert_eq!(browser.run(OBSTACLES, &[]).await, json!([]), "{page}");
    let Some(axe) = axe() else { return };
    if browser.run("return typeof axe", &[]).await != json!("object") {
        browser.run(axe, &[]).await;
    }
    assert_eq!(browser.run_async(AXE, &[]).await, json!([]), "{page}, by axe");
}

/// What axe finds that is serious or worse.
const AXE: &str = r#"
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] }).then(
  ({ violations }) => done(violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`)),
  (error) => done(["axe failed: " + error]));
"#;

/// The text of axe-core, where `MUSTER_AXE` names its file; else a named skip.
fn axe() -> Option<&'static str> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    let read = || match std::env::var_os("MUSTER_AXE") {
        Some(file) => Some(std::fs::read_to_string(file).unwrap()),
        None => {
            skip::second_opinion("axe-core", "MUSTER_AXE names no file; tests/run fetches it with npm");
            None
        }
    };
    TEXT.get_or_init(read).as_deref()
}
