//! A real headless browser, controlled over the `WebDriver` protocol, if the machine has one.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::{Value, json};

/// A browser session.
pub struct Browser {
    driver: Child,
    client: Client,
    session: String,
}

impl Browser {
    /// Starts a browser. Returns none and prints the reason if chromedriver or Chromium is missing.
    pub fn start() -> Option<Self> {
        // rustls needs a crypto provider before a client is created, even for loopback
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(driver) = command.spawn() else {
            eprintln!("skipped: there is no chromedriver here");
            return None;
        };
        let root = format!("http://127.0.0.1:{port}");
        let client = Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        let mut browser = Self { driver, client, session: format!("{root}/session") };
        for _ in 0..100 {
            if browser.client.get(format!("{root}/status")).send().is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ]);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}}});
        let body = wanted.to_string();
        let answer = browser.client.post(&browser.session).body(body).send().unwrap();
        let answer: Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
        match answer["value"]["sessionId"].as_str() {
            Some(id) => {
                browser.session = format!("{root}/session/{id}");
                Some(browser)
            }
            None => {
                eprintln!("skipped: the browser does not start: {}", answer["value"]["message"]);
                None
            }
        }
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let url = format!("{}/{command}", self.session);
        let answer = self.client.post(url).body(body.to_string()).send().unwrap();
        let is_ok = answer.status().is_success();
        let mut answer: Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
        assert!(is_ok, "{command}: {answer}");
        answer["value"].take()
    }

    /// Opens a file at the given screen width, in light or dark mode.
    pub fn open(&self, page: &Path, width: u32, scheme: &str) {
        let cdp = |cmd: &str, params: Value| {
            self.post("goog/cdp/execute", &json!({"cmd": cmd, "params": params}));
        };
        let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1,
                            "mobile": width < 500});
        cdp("Emulation.setDeviceMetricsOverride", screen);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        cdp("Emulation.setEmulatedMedia", features);
        self.post("url", &json!({"url": format!("file://{}", page.display())}));
    }

    /// The value of a JavaScript expression in the page.
    pub fn value(&self, expression: &str) -> Value {
        let script = format!("return {expression}");
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The screen as a PNG.
    pub fn picture(&self) -> Vec<u8> {
        let cdp = |cmd: &str, params: Value| {
            self.post("goog/cdp/execute", &json!({"cmd": cmd, "params": params}))
        };
        cdp("Emulation.setScrollbarsHidden", json!({"hidden": true}));
        let answer = cdp("Page.captureScreenshot", json!({}));
        from_base64(answer["data"].as_str().unwrap())
    }

    /// The page's console messages, including refused requests.
    pub fn complaints(&self) -> Value {
        self.post("se/log", &json!({"type": "browser"}))
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter(|byte| *byte != b'=');
    let values: Vec<u32> =
        digits.map(|byte| DIGITS.iter().position(|it| *it == byte).unwrap() as u32).collect();
    let bytes = values.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.client.delete(&self.session).send();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
