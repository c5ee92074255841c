//! A real browser, which a test tells what to do. It speaks the DevTools protocol over a pipe: JSON, each message with a zero byte at
//! its end.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use certwright_cluster::packages;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::SOON;

type Answers = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A browser without windows. It ends when this is dropped.
pub struct Chromium {
    to: tokio::sync::Mutex<ChildStdin>,
    last: AtomicU64,
    answers: Answers,
    _process: Child,
    _profile: TempDir,
}

/// A page of it.
pub struct Tab<'a> {
    chromium: &'a Chromium,
    session: String,
}

impl Chromium {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let program = packages::find("chromium").context("chromium is missing. Run `make tools`")?;
        let profile = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "sh"]).arg(program);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
        ]);
        command.args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-proxy-server",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = pipes.spawn().context("cannot start chromium")?;
        let to = process.stdin.take().context("no stdin")?;
        let answers = Answers::default();
        tokio::spawn(read(process.stdout.take().context("no stdout")?, answers.clone()));
        let to = tokio::sync::Mutex::new(to);
        Ok(Self { to, last: AtomicU64::new(0), answers, _process: process, _profile: profile })
    }

    /// Opens a page in a window of this size.
    pub async fn open(&self, url: &str, (width, height): (u32, u32), dark: bool) -> Result<Tab<'_>> {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", attach).await?;
        let session = session["sessionId"].as_str().context("no session")?.to_owned();
        let tab = Tab { chromium: self, session };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        tab.call("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        tab.call("Emulation.setEmulatedMedia", features).await?;
        tab.call("Page.navigate", json!({ "url": url })).await?;
        Ok(tab)
    }

    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let (sender, receiver) = oneshot::channel();
        self.answers.lock().insert(id, sender);
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.lock().await.write_all(&bytes).await?;
        let answer = timeout(SOON, receiver).await.with_context(|| format!("{method} is not answered"))??;
        ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        Ok(answer["result"].clone())
    }
}

/// Hands each answer to whoever waits for it.
async fn read(from: ChildStdout, answers: Answers) -> Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let mut message = Vec::new();
        if from.read_until(0, &mut message).await? == 0 {
            return Ok(());
        }
        message.pop();
        let message: Value = serde_json::from_slice(&message)?;
        let sender = message["id"].as_u64().and_then(|id| answers.lock().remove(&id));
        if let Some(sender) = sender {
            drop(sender.send(message));
        }
    }
}

impl Tab<'_> {
    /// Sends a command about this page.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.chromium.call(Some(&self.session), method, params).await
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", params).await?;
        if !result["exceptionDetails"].is_null() {
            bail!("{expression}: {}", result["exceptionDetails"]);
        }
        Ok(result["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) -> Result<()> {
        let wait = format!(
            "new Promise((resolve) => {{ const look = () => {{ let found = false; try {{ found = {expression} }} catch {{}} \
             found ? resolve() : setTimeout(look, 20) }}; look() }})"
        );
        if self.value(&wait).await.is_err() {
            bail!("it never becomes true: {expression}\n{}", self.text().await?);
        }
        Ok(())
    }

    /// What the page shows.
    pub async fn text(&self) -> Result<String> {
        Ok(self.value("document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page shows this, wherever lines are broken.
    pub async fn shows(&self, words: &str) -> Result<()> {
        let words = json!(words);
        self.until(&format!("document.body.innerText.replace(/\\s+/g, ' ').includes({words})")).await
    }

    /// Clicks on the first element that this selects, as a mouse would.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let place = self.press_mouse(selector).await?;
        self.release_mouse(&place).await
    }

    /// Presses the mouse on the first element that this selects; returns where that is.
    pub async fn press_mouse(&self, selector: &str) -> Result<Value> {
        let of = json!(selector);
        let place = format!(
            "(() => {{ const found = document.querySelector({of}); found.scrollIntoView({{ block: 'center' }}); \
             const {{ x, y, width, height }} = found.getBoundingClientRect(); return [x + width / 2, y + height / 2] }})()"
        );
        let place = self.value(&place).await?;
        self.mouse("mousePressed", &place).await?;
        Ok(place)
    }

    /// Releases it there.
    pub async fn release_mouse(&self, place: &Value) -> Result<()> {
        self.mouse("mouseReleased", place).await
    }

    async fn mouse(&self, what: &str, place: &Value) -> Result<()> {
        let event = json!({ "type": what, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", event).await.map(drop)
    }

    /// Presses a key, such as `Enter` or `a`.
    pub async fn press(&self, key: &str) -> Result<()> {
        let text = match key {
            "Enter" => Some("\r"),
            key if key.chars().count() == 1 => Some(key),
            _ => None,
        };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut event = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event).await?;
        let event = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", event).await.map(drop)
    }

    /// A picture of what is in the window, in base64.
    pub async fn picture(&self) -> Result<String> {
        let picture = self
            .call("Page.captureScreenshot", json!({ "format": "png", "optimizeForSpeed": false }))
            .await?;
        Ok(picture["data"].as_str().context("no picture")?.to_owned())
    }
}
