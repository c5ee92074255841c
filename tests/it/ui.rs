//! `certwright ui`: what the page shows, in a real browser, and who may ask for it.
#![allow(clippy::disallowed_methods, reason = "these are the test's own connections")]

mod pictures;

use std::process::Stdio;
use std::time::Duration;

use crate::common::chromium::{Chromium, Tab};
use crate::common::faults::{issuing, path, ready_behind_proxy, refusal, steady};
use crate::common::program::{command, kubeconfig_of, kubeconfig_through};
use crate::common::{SOON, certificate, issued, of_issuer, shop};
use anyhow::{Context, Result, ensure};
use certwright_api::Certificate;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Proxy, TestNamespace};
use certwright_runtime::clock;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const DESKTOP: (u32, u32) = (1280, 900);
/// Nothing in the dialog moves any more.
const STATUS_IS_READ: &str = "document.querySelector('dialog pre').textContent.length > 100";

/// The program, which serves the page until this is dropped.
struct Served {
    url: String,
    _process: Child,
}

impl Served {
    async fn start(ns: &TestNamespace, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::from(command(ns, &[&["ui"], arguments].concat()));
        let command =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("no stdout")?).lines();
        let url = timeout(SOON, lines.next_line()).await??.context("it ends without a URL")?;
        Ok(Self { url, _process: process })
    }

    /// The URL without the token, and the token.
    fn parts(&self) -> Result<(&str, &str)> {
        self.url.split_once("/#").context("no token")
    }
}

#[tokio::test]
async fn a_failure_is_shown_at_once_in_the_words_of_the_ca_and_is_mended_from_the_page() -> Result<()> {
    TestNamespace::with("ui", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let words = "CAA <img src=x onerror=hacked=1><script>hacked=1</script> forbids \"it\"";
        let problem = json!({ "type": "urn:ietf:params:acme:error:caa", "detail": words });
        proxy.script(move |request| match request.path.as_str() {
            path::NEW_ORDER => refusal(403, &problem),
            _ => Action::Pass,
        });
        let served = Served::start(ns, &["--allow-actions"]).await?;
        let chromium = Chromium::start().await?;
        let tab = chromium.open(&served.url, DESKTOP, false).await?;
        tab.shows("Nothing fails, and nothing waits for you.").await?;
        tab.until("document.querySelector('#live').textContent === 'Live'").await?;
        assert_eq!(
            tab.value("location.href").await?,
            format!("{}/", served.parts()?.0),
            "the token does not stay there"
        );

        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let failed = async {
            issuing(ns, "web", "CAA").await?;
            anyhow::Ok(clock::instant())
        };
        let shown = async {
            tab.shows(&format!("CAA 1 Certificate of Issuer {}/ca", ns.name)).await?;
            anyhow::Ok(clock::instant())
        };
        let (failed, shown) = tokio::try_join!(failed, shown)?;
        let after = shown.saturating_duration_since(failed);
        ensure!(after < Duration::from_secs(2), "it is shown {after:?} later");
        tab.shows(words).await?;
        tab.shows("Add a CAA record that allows this CA").await?;
        tab.shows("next: retries in ").await?;
        tab.until("document.title === '(1) Certwright'").await?;

        // By keyboard alone: to the search, to the row, open it, and what it says is what `certwright status` says.
        for key in ["/", "w", "e", "b"] {
            tab.press(key).await?;
        }
        tab.until("document.querySelector('#certificates .count').textContent === '1 Certificate match'")
            .await?;
        tab.value("document.querySelector('#certificates tbody button').focus()").await?;
        tab.press("Enter").await?;
        tab.until("document.querySelector('dialog').open").await?;
        tab.shows("Failures 1 in a row").await?;
        tab.shows("EVENT TYPE REASON MESSAGE").await?;
        let elements = "document.querySelectorAll('img[src=x], body script').length";
        assert_eq!(
            tab.value(&format!("[typeof hacked, {elements}]")).await?,
            json!(["undefined", 0]),
            "text is text"
        );

        proxy.pass();
        tab.click("dialog .action").await?;
        tab.shows("Requested.").await?;
        issued(ns, "web").await?;
        tab.until("document.querySelector('dialog .state').textContent.includes('Ready')").await?;
        tab.press("Escape").await?;
        tab.until("!document.querySelector('dialog').open").await?;
        tab.shows("No problems in this selection.").await?;

        // The name of an issuer leads to no other object.
        let elsewhere = format!("../../certificate/{}/web", ns.name);
        ns.apply(&of_issuer(&elsewhere, &certificate("trap", &["b.example.com"], ""))).await?;
        let requested = async || anyhow::Ok(ns.get("certificate/web").await?.context("no web")?["metadata"].clone());
        let before = requested().await?;
        tab.value("document.querySelector('#filters').reset()").await?;
        tab.until(&rows(&["trap", "web"])).await?;
        let trap = "[...document.querySelectorAll('#certificates tbody button')].find((one) => one.textContent === 'trap')";
        tab.value(&format!("{trap}.click()")).await?;
        tab.until(STATUS_IS_READ).await?;
        tab.click("dialog .facts button.link").await?;
        tab.shows(&format!("Issuer {}/{elsewhere}", ns.name)).await?;
        tab.until("document.querySelector('dialog pre').textContent === 'there is no such object'").await?;
        tab.click("dialog .action").await?;
        tab.shows("Failed: there is no such object").await?;
        assert_eq!(requested().await?["annotations"], before["annotations"], "web is left alone");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_click_counts_whatever_changes_between_press_and_release() -> Result<()> {
    TestNamespace::with("ui", async |ns| {
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let served = Served::start(ns, &[]).await?;
        // Only the page in front is drawn, so each has a browser.
        let (chromium, another) = (Chromium::start().await?, Chromium::start().await?);
        let tab = chromium.open(&served.url, DESKTOP, false).await?;
        let other = another.open(&served.url, DESKTOP, false).await?;
        for tab in [&tab, &other] {
            tab.until(&rows(&["web"])).await?;
        }
        tab.value("document.querySelector('#certificates tbody button').click()").await?;
        tab.until("document.querySelector('dialog dd').textContent === 'a.example.com'").await?;
        tab.until(STATUS_IS_READ).await?;

        // What is under the mouse would be replaced, since the names change.
        let place = tab.press_mouse("dialog .facts button.link").await?;
        ns.apply(&certificate("web", &["b.example.com"], "")).await?;
        other
            .until("document.querySelector('#certificates tbody').textContent.includes('b.example.com')")
            .await?;
        tab.value("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
            .await?;
        tab.release_mouse(&place).await?;
        tab.until("document.querySelector('dialog h2').textContent.startsWith('Issuer')").await?;
        // And the change is shown.
        tab.until("document.querySelector('#certificates tbody').textContent.includes('b.example.com')").await
    })
    .await
}

#[tokio::test]
async fn the_page_survives_an_absence_of_the_api_server() -> Result<()> {
    TestNamespace::with("ui", async |ns| {
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        let kubeconfig = kubeconfig_through(ns, &proxy)?;
        let file = kubeconfig.path().to_string_lossy().into_owned();
        let served = Served::start(ns, &["--kubeconfig", &file]).await?;
        let chromium = Chromium::start().await?;
        let tab = chromium.open(&served.url, DESKTOP, false).await?;
        for name in ["gone", "stays"] {
            ns.apply(&certificate(name, &["a.example.com"], "")).await?;
        }
        tab.until(&rows(&["gone", "stays"])).await?;

        proxy.go_away();
        tab.shows("Certificates cannot be watched, and may have changed:").await?;
        tab.until("document.querySelector('#live').textContent === 'Not up to date'").await?;
        ns.delete_object("certificate/gone").await?;
        ns.apply(&certificate("new", &["a.example.com"], "")).await?;
        proxy.pass();
        tab.until(&rows(&["new", "stays"])).await?;
        tab.until("document.querySelector('#live').textContent === 'Live'").await?;
        tab.until("!document.querySelector('#faults').textContent").await?;

        drop(served);
        tab.shows("certwright ui does not answer.").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_user_may_not_read_is_told() -> Result<()> {
    TestNamespace::with("ui", async |ns| {
        ns.wait("serviceaccount/default", SOON, |_| true).await?;
        let kubeconfig = kubeconfig_of(ns, "default").await?;
        let file = kubeconfig.path().to_string_lossy().into_owned();
        let served = Served::start(ns, &["--kubeconfig", &file]).await?;
        let chromium = Chromium::start().await?;
        let tab = chromium.open(&served.url, DESKTOP, false).await?;
        for kinds in ["Certificates", "Issuers", "ClusterIssuers"] {
            tab.shows(&format!("You may not read {kinds}: ")).await?;
        }
        tab.shows(&format!("User \"system:serviceaccount:{}:default\" cannot list resource", ns.name)).await
    })
    .await
}

/// Whether exactly these Certificates are in the table.
fn rows(names: &[&str]) -> String {
    let names = json!(names);
    let shown = "[...document.querySelectorAll('#certificates tbody th')].map((th) => th.textContent).sort()";
    format!("JSON.stringify({shown}) === JSON.stringify({names})")
}

#[tokio::test]
async fn nobody_but_the_page_gets_an_answer_and_without_a_flag_nothing_can_be_changed() -> Result<()> {
    TestNamespace::with("ui", async |ns| {
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let served = Served::start(ns, &[]).await?;
        let (server, token) = served.parts()?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let get = async |path: &str, headers: &[(&str, &str)]| {
            let request = http.get(format!("{server}{path}"));
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            anyhow::Ok(request.send().await?)
        };
        let right = format!("Bearer {token}");
        let page = get("/", &[]).await?;
        let policy = page.headers()["content-security-policy"].to_str()?;
        ensure!(page.status() == 200 && policy.contains("default-src 'none'; script-src 'self'"), "{page:?}");
        ensure!(!page.text().await?.contains(&ns.name), "what needs no token is the same for everyone");

        let status = format!("/api/status/certificate/{}/web", ns.name);
        for path in ["/api/about", "/api/live", "/api/handbook", &status] {
            assert_eq!(get(path, &[]).await?.status(), 401, "{path}");
            assert_eq!(get(path, &[("authorization", "Bearer wrong")]).await?.status(), 401, "{path}");
            let rebound = [("authorization", &*right), ("host", "evil.example")];
            assert_eq!(get(path, &rebound).await?.status(), 421, "{path}");
            let other = [("authorization", &*right), ("origin", "http://evil.example")];
            assert_eq!(get(path, &other).await?.status(), 403, "{path}");
        }
        let screen = get(&status, &[("authorization", &right)]).await?.text().await?;
        ensure!(screen.starts_with(&format!("Certificate {}/web is not", ns.name)), "{screen}");
        assert_eq!(
            get(&status.replace("/web", "/nobody"), &[("authorization", &right)]).await?.status(),
            404
        );

        let renew = format!("{server}/api/request/certificate/{}/web", ns.name);
        let refused = http.post(renew).header("authorization", &right).send().await?;
        assert_eq!(refused.status(), 403);
        ensure!(refused.text().await?.contains("--allow-actions"));
        let web = ns.get("certificate/web").await?.context("it is gone")?;
        ensure!(web["metadata"]["annotations"].is_null(), "it is not changed: {web}");
        let port = server.rsplit(':').next().context("no port")?;
        let second = command(ns, &["ui", "--port", port]).stdin(Stdio::null()).output()?;
        ensure!(second.status.code() == Some(1), "{second:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ten_thousand_certificates_are_shown_and_searched_without_delay() -> Result<()> {
    const MANY: usize = 10_000;
    TestNamespace::with("ui", async |ns| {
        let version = ns.api::<Certificate>().list(&ListParams::default()).await?.metadata.resource_version;
        let now = clock::now();
        let items: Vec<Value> = (0..MANY).map(|number| shop::at_rest(&ns.name, number, now)).collect();
        let list = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "CertificateList",
            "metadata": { "resourceVersion": version }, "items": items,
        })
        .to_string();
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        proxy.script(move |request| match request.path.contains("/certificates?") && !request.path.contains("watch=") {
            true => {
                let headers = vec![("content-type", "application/json".to_owned())];
                Action::Respond { status: 200, headers, body: list.clone() }
            }
            false => Action::Pass,
        });
        let kubeconfig = kubeconfig_through(ns, &proxy)?;
        let file = kubeconfig.path().to_string_lossy().into_owned();
        let served = Served::start(ns, &["--kubeconfig", &file]).await?;
        let chromium = Chromium::start().await?;
        let first = chromium.open(&served.url, DESKTOP, false).await?;
        let all = "document.querySelector('#certificates .count').textContent === '10,000 Certificates'";
        first.until(all).await?;

        let begun = clock::instant();
        let tab = chromium.open(&served.url, DESKTOP, false).await?;
        tab.until(all).await?;
        let opened = clock::instant().saturating_duration_since(begun);
        let search = async |text: &str| {
            let text = json!(text);
            let typed = format!(
                "(() => {{ const [box, begun] = [document.querySelector('#text'), performance.now()]; box.value = {text}; \
                 box.dispatchEvent(new Event('input', {{ bubbles: true }})); document.body.offsetHeight; \
                 return performance.now() - begun }})()"
            );
            anyhow::Ok(tab.value(&typed).await?.as_f64().context("no time")?)
        };
        let (few, none) = (search("rest-4711").await?, search("").await?);
        println!("opened in {opened:?}, searched in {few:.0} ms, all shown again in {none:.0} ms");
        ensure!(opened < Duration::from_secs(5), "opened in {opened:?}");
        ensure!(few < 1000.0 && none < 1000.0, "searched in {few} ms and {none} ms");
        // The watch goes on from the list.
        ns.apply(&certificate("one-more", &["a.example.com"], "")).await?;
        tab.until("document.querySelector('#certificates .count').textContent === '10,001 Certificates'").await?;
        Ok(())
    })
    .await
}

/// What is wider than the window, and cannot be scrolled to.
async fn too_wide(tab: &Tab<'_>) -> Result<Value> {
    tab.value(
        "[...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && \
         !element.closest('pre, .heard, thead, .skip')).map((element) => `${element.localName}.${element.className}: \
         ${element.textContent.slice(0, 40)}`)",
    )
    .await
}
