//! A real Chromium, driven by ChromeDriver (W3C WebDriver).

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use muster_tests::process::{Launch, Program};
use muster_tests::scratch::Scratch;
use muster_tests::{ports, skip, wait};
use serde_json::{Value, json};

use super::http;

/// A page that a busy machine draws.
const DEADLINE: Duration = Duration::from_secs(60);

/// A browser with one window. Dropping it ends it.
pub(super) struct Browser {
    driver: SocketAddr,
    session: String,
    _program: Program,
    _profile: Scratch,
}

impl Browser {
    /// Starts one, or a named skip.
    pub(super) async fn start() -> Option<Browser> {
        let driver = skip::program("chromedriver")?;
        let chromium = skip::program("chromium")?;
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let mut program =
            Launch::command(driver).arg(format!("--port={}", address.port())).quiet().start().unwrap();
        program.wait_for_port(address, DEADLINE).await.unwrap();
        let profile = Scratch::new("browser").unwrap();
        let mut arguments: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = http::send(address, ("POST", "/session"), &[], &capabilities.to_string()).await.json();
        let session = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Some(Browser { driver: address, session, _program: program, _profile: profile })
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let mut answer = http::send(self.driver, ("POST", &path), &[], &body.to_string()).await.json();
        assert!(answer["value"].get("error").is_none(), "{path}: {answer}");
        answer["value"].take()
    }

    /// Goes to an address.
    pub(super) async fn go(&self, address: &str) {
        self.ask("/url", json!({ "url": address })).await;
    }

    /// Runs JavaScript in the page; `arguments` in it are those given here.
    pub(super) async fn run(&self, script: &str, arguments: &[&str]) -> Value {
        self.ask("/execute/sync", json!({ "script": script, "args": arguments })).await
    }

    /// The same for a script that answers by calling the last of its `arguments`.
    pub(super) async fn run_async(&self, script: &str, arguments: &[&str]) -> Value {
        self.ask("/execute/async", json!({ "script": script, "args": arguments })).await
    }

    /// Keeps a picture of the page, where `MUSTER_SCREENSHOTS` names a directory.
    pub(super) async fn picture(&self, name: &str) {
        let Some(directory) = std::env::var_os("MUSTER_SCREENSHOTS") else { return };
        let path = format!("/session/{}/screenshot", self.session);
        let answer = http::send(self.driver, ("GET", &path), &[], "").await.json();
        let image = answer["value"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap();
        std::fs::write(Path::new(&directory).join(format!("{name}.png")), image).unwrap();
    }

    /// The text a person sees.
    pub(super) async fn text(&self) -> String {
        self.run("return document.body.innerText", &[]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows all these texts.
    pub(super) async fn shows(&self, texts: &[&str]) {
        wait::until(&format!("the page to show {texts:?}"), DEADLINE, async || {
            let text = self.text().await;
            if texts.iter().all(|part| text.contains(part)) { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// Clicks the button of this accessible name, once it is there.
    pub(super) async fn click(&self, name: &str) {
        let script = "const found = [...document.querySelectorAll('button, a')].find((one) => \
                      (one.getAttribute('aria-label') ?? one.textContent) === arguments[0] && one.offsetParent); \
                      found?.click(); return found !== undefined";
        wait::until(&format!("a button {name:?}"), DEADLINE, async || {
            self.run(script, &[name]).await == json!(true)
        })
        .await;
    }

    /// Types into the field of this id.
    pub(super) async fn fill(&self, id: &str, text: &str) {
        let script = "const field = document.getElementById(arguments[0]); field.value = arguments[1]; \
                      field.dispatchEvent(new Event('input', { bubbles: true }))";
        wait::until(&format!("a field {id:?}"), DEADLINE, async || {
            self.run("return document.getElementById(arguments[0]) !== null", &[id]).await == json!(true)
        })
        .await;
        self.run(script, &[id, text]).await;
    }

    /// What the browser complained of, violations of the content security policy among them, without refusals of the
    /// hub, which it tells too.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.ask("/se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().cloned().unwrap_or_default().into_iter();
        lines
            .filter_map(|line| line["message"].as_str().map(str::to_owned))
            .filter(|line| !line.contains("the server responded with a status of 40"))
            .collect()
    }
}
