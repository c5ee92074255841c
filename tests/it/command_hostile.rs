//! What others have written does not speak to the terminal, and who may nothing or reaches nothing is told why.

use anyhow::{Context, Result, ensure};
use certwright_api::{Certificate, Issuer};
use certwright_cluster::TestNamespace;
use certwright_text::is_invisible;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::PostParams;
use serde_json::json;

use crate::common::certificate;
use crate::common::program::{Ran, certwright, command, kubeconfig_of, run};
use crate::common::shop::{condition, create};
use crate::common::terminal::Terminal;

/// Clears the screen, sets the title of the window, begins a line that is not the program's, and reorders text.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\r\nCertificate evil is ready \u{202e}drawkcab\u{202c}\u{200b} \u{2028}done";

/// Commands that read, and with which code they end.
const READ: &[(&[&str], i32)] = &[
    (&["list"], 0),
    (&["list", "-o", "wide"], 0),
    (&["list", "-o", "json"], 0),
    (&["list", "--renewing"], 0),
    (&["status", "certificate/web", "certificate/new"], 3),
    (&["status", "issuer", "ca"], 3),
    (&["status", "issuer", "ca", "-o", "json"], 3),
    (&["inspect", "secret", "web-tls", "--offline"], 3),
];

/// Commands that write.
const WRITE: &[&[&str]] = &[&["renew", "web"], &["retry", "certificate/web"], &["retry", "issuer/ca"]];

#[tokio::test]
async fn texts_of_others_stay_texts() -> Result<()> {
    TestNamespace::with("evil", async |ns| {
        fill(ns).await?;
        for (arguments, code) in READ {
            let ran = certwright(ns, arguments).await?.ended(*code)?;
            harmless(&ran).with_context(|| format!("{arguments:?}"))?;
        }
        let ran = certwright(ns, &["list", "-o", "json"]).await?;
        ensure!(
            ran.output.contains("\\u001b[2J") && ran.output.contains("\\u202e"),
            "JSON keeps what is there"
        );
        for arguments in WRITE {
            harmless(&certwright(ns, arguments).await?.ended(0)?)?;
        }
        for size in [(24, 40), (50, 120)] {
            let mut terminal = Terminal::sized(ns, size, &["status", "certificate/new"])?;
            harmless_screen(&terminal.end().await?)?;
            let mut terminal = Terminal::sized(ns, size, &["list", "-o", "wide"])?;
            harmless_screen(&terminal.end().await?)?;
            let mut terminal = Terminal::sized(ns, size, &["top"])?;
            harmless_screen(&terminal.shows(&["2 Certificates", "web", "new"]).await?)?;
            terminal.press("\r").await?;
            harmless_screen(&terminal.shows(&["Problem"]).await?)?;
            terminal.resize(10, 30)?;
            // Keys that arrive together with the new size wait for the next one.
            harmless_screen(&terminal.shows(&["Esc back"]).await?)?;
            terminal.press("Gqq").await?;
            assert_eq!(terminal.ends().await?, (Some(0), true));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_nothing_or_reaches_nothing_is_told_why_at_once() -> Result<()> {
    TestNamespace::with("nothing", async |ns| {
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let kubeconfig = kubeconfig_of(ns, "default").await?;
        let nobody = kubeconfig.path().to_string_lossy().into_owned();
        // Nothing listens there.
        let nowhere = "https://127.0.0.1:9";
        let watches: &[(&[&str], i32)] = &[(&["list", "-w"], 1)];
        let reads = READ.iter().chain(watches).map(|(arguments, _)| *arguments);
        for arguments in reads.chain(WRITE.iter().copied()) {
            for (flag, value, words) in
                [("--kubeconfig", nobody.as_str(), "forbidden"), ("--server", nowhere, "refused")]
            {
                let ran = run(command(ns, &[arguments, &[flag, value]].concat())).await?.ended(1)?;
                ensure!(ran.output.is_empty(), "{arguments:?}: {ran:?}");
                ensure!(
                    ran.errors.starts_with("certwright: cannot ") && ran.errors.contains(words),
                    "{arguments:?}: {ran:?}"
                );
            }
        }
        for (flag, value, words) in
            [("--kubeconfig", nobody.as_str(), "is forbidden"), ("--server", nowhere, "Connection refused")]
        {
            let mut terminal = Terminal::sized(ns, (24, 250), &["top", flag, value])?;
            let seen = ["nothing could be read yet", "Certificates cannot be read: ", words];
            terminal.shows(&seen).await?;
            terminal.press("q").await?;
            assert_eq!(terminal.ends().await?, (Some(0), true));
        }
        Ok(())
    })
    .await
}

/// An Issuer, Certificates, a Secret and an event with texts that are not what they seem.
async fn fill(ns: &TestNamespace) -> Result<()> {
    let message = format!("{EVIL} {}", "long ".repeat(2000));
    let since = json!("2026-01-01T00:00:00Z");
    let of = |type_: &str, status: &str| condition(type_, status, "CAA", &message, since.clone());
    let issuer = json!({
        "metadata": { "name": "ca" },
        "spec": { "acme": { "server": "https://acme.example/dir", "solvers": [] } },
    });
    create::<Issuer>(ns, &issuer, &json!({ "conditions": [of("Ready", "False")] })).await?;
    let object = |name: &str| {
        json!({
            "metadata": { "name": name, "annotations": { "note": EVIL } },
            "spec": { "secretName": format!("{name}-tls"), "dnsNames": ["a.example.com"], "issuerRef": { "name": "ca" } },
        })
    };
    let failed = json!({
        "conditions": [of("Ready", "False"), of("Issuing", "False")], "failedIssuanceAttempts": 1,
        "lastFailureTime": since, "nextAttemptTime": since,
    });
    create::<Certificate>(ns, &object("web"), &failed).await?;
    let waits = json!({
        "conditions": [of("Ready", "False"), of("Issuing", "True")],
        "order": { "url": EVIL, "state": EVIL, "created": since, "account": "a" },
        "challenges": [{
            "name": EVIL, "type": "http-01", "state": EVIL, "token": "t", "url": "u", "authorization": "z", "reason": message,
        }],
    });
    create::<Certificate>(ns, &object("new"), &waits).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "web-tls", "annotations": { "certwright.dev/certificate-name": EVIL } },
        "stringData": { "tls.crt": EVIL, "tls.key": EVIL },
    });
    ns.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    let uid = ns.get("certificate/new").await?.context("it is gone")?["metadata"]["uid"].clone();
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "evil" }, "type": "Warning", "reason": EVIL,
        "message": EVIL.repeat(5), "firstTimestamp": since, "lastTimestamp": since,
        "involvedObject": {
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate", "name": "new", "namespace": ns.name, "uid": uid,
        },
    });
    ns.api::<Event>().create(&PostParams::default(), &serde_json::from_value(event)?).await?;
    Ok(())
}

/// Fails if the output controls a terminal, or has something invisible in it.
fn harmless(ran: &Ran) -> Result<()> {
    for text in [&ran.output, &ran.errors] {
        harmless_screen(text)?;
        let speaks = |character: &char| character.is_control() && *character != '\n';
        let found: Vec<char> = text.chars().filter(|one| speaks(one) || is_invisible(*one)).collect();
        ensure!(found.is_empty(), "{found:?} in {text}");
    }
    Ok(())
}

/// Fails if a line is not the program's.
fn harmless_screen(text: &str) -> Result<()> {
    ensure!(!text.lines().any(|line| line.starts_with("Certificate evil is ready")), "{text}");
    ensure!(!text.chars().any(is_invisible), "{text}");
    Ok(())
}
