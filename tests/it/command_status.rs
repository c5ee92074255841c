//! `certwright status`: what is wrong, since when, what the CA said, what to do, and when it continues.

use crate::common::faults::{event, issuing, path, ready_behind_proxy, refusal, steady, time};
use crate::common::http01::{hold, host};
use crate::common::markdown::Page;
use crate::common::program::{Ran, certwright, command, run};
use crate::common::{SOON, certificate, condition, external_account, issued, issuer, mac_key, ready};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

#[tokio::test]
async fn a_certificate_that_is_ready_says_until_when_and_when_it_is_renewed() -> Result<()> {
    TestNamespace::with("status", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        issued(ns, "web").await?;
        let (_, note) = event(ns, "web", "Issued").await?;
        let ran = certwright(ns, &["status", "certificate", "web"]).await?.ended(0)?;
        let web = ns.get("certificate/web").await?.context("it is gone")?;
        let field = |name: &str| text(&web["status"][name]);
        let expected = [
            format!("Certificate {}/web is ready, since {} (… ago)", ns.name, since(&web, "Ready")?),
            String::new(),
            format!("Next          renews at {} (in …)", field("renewalTime")?),
            String::new(),
            "Names         a.example.com, b.example.com".to_owned(),
            format!("Issuer        Issuer {}/ca: ready", ns.name),
            "Secret        web-tls".to_owned(),
            format!("Expires       {} (in …)", field("notAfter")?),
            format!("Renewal       {} (in …)", field("renewalTime")?),
            format!("Serial        {}", field("serialNumber")?),
            String::new(),
            "EVENT TYPE REASON MESSAGE".to_owned(),
            format!("… ago Normal Issued {note}"),
        ];
        assert_shows(&ran, &expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_that_waits_says_for_what_with_its_challenges_and_what_to_do() -> Result<()> {
    TestNamespace::with("status", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let name = host(ns, "www");
        let _held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSelfCheck").await?;
        // Nothing listens at the address of the name, and the message says so.
        ensure!(message.contains("127.80.0.1:80 refused the connection"), "{message}");
        let ran = certwright(ns, &["status", "certificate", "web"]).await?.ended(3)?;
        let web = ns.get("certificate/web").await?.context("it is gone")?;
        assert_eq!(condition(&web, "Issuing").context("no condition")?.2, message, "the message is still the same");
        let order = &web["status"]["order"];
        let reason = text(&web["status"]["challenges"][0]["reason"])?;
        let expected = [
            format!("Certificate {}/web is not ready, since {} (… ago)", ns.name, since(&web, "Ready")?),
            String::new(),
            format!(
                "Waits for     WaitingForSelfCheck, in progress since {} (… ago) {message}",
                since(&web, "Issuing")?
            ),
            "Next          checks again at least every ten seconds, and tells the CA to validate if the self-check takes \
             too long"
                .to_owned(),
            what_to_do("challenges", "WaitingForSelfCheck")?,
            String::new(),
            format!("Names         {name}"),
            format!("Issuer        Issuer {}/ca: ready", ns.name),
            "Secret        web-tls".to_owned(),
            format!("Order         pending, placed {} (… ago); {}", text(&order["created"])?, text(&order["url"])?),
            String::new(),
            "CHALLENGE TYPE STATE WAITS FOR".to_owned(),
            format!("{name} http-01 pending {reason}"),
        ];
        assert_shows(&ran, &expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_that_the_ca_refuses_has_its_words_and_the_time_of_the_next_try() -> Result<()> {
    TestNamespace::with("status", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.as_str() {
            path::NEW_ORDER => refusal(
                403,
                &json!({"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it: 50 % of 2"}),
            ),
            _ => certwright_cluster::proxy::Action::Pass,
        });
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let (failed, message) = issuing(ns, "web", "CAA").await?;
        let words = "CAA forbids it: 50 % of 2 (urn:ietf:params:acme:error:caa)";
        ensure!(message.contains(words), "{message}");
        let (_, note) = event(ns, "web", "CAA").await?;
        ensure!(note.contains(words), "{note}");
        let (last, next) = (time(&failed, "lastFailureTime")?, time(&failed, "nextAttemptTime")?);
        let ran = certwright(ns, &["status", "certificate", "web"]).await?.ended(3)?;
        let expected = [
            format!("Certificate {}/web is not ready, since {} (… ago)", ns.name, since(&failed, "Ready")?),
            String::new(),
            format!("Problem       CAA, failed {last} (… ago) {message}"),
            format!("Next          retries at {next} (in …)"),
            "What to do    Add a CAA record that allows this CA, with the domain in the CA's documentation, to the zone that \
             the message names, or remove the records that forbid it. Then run `certwright renew NAME`, unless you have \
             changed its spec. More: certwright explain CAA"
                .to_owned(),
            String::new(),
            "Names         a.example.com".to_owned(),
            format!("Issuer        Issuer {}/ca: ready", ns.name),
            "Secret        web-tls".to_owned(),
            format!("Failures      1 in a row, last {last} (… ago)"),
            String::new(),
            "EVENT TYPE REASON MESSAGE".to_owned(),
            format!("… ago Warning CAA {note}"),
        ];
        assert_shows(&ran, &expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_with_a_broken_mac_key_is_told_by_itself_and_by_its_certificates() -> Result<()> {
    TestNamespace::with("status", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", "not*the*key")).await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, &external_account("kid-1"))).await?;
        let ca = ns.wait_condition("issuer/ca", "Ready", "False", SOON).await?;
        let (_, reason, why) = condition(&ca, "Ready").context("no condition")?;
        assert_eq!(reason, "InvalidMACKey");
        ensure!(why.contains("Secret eab") && !why.contains("not*the*key"), "{why}");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let (_, message) = issuing(ns, "web", "IssuerNotReady").await?;
        ensure!(message.contains(&why), "{message}");

        let written = ns.api::<Secret>().get("eab").await?.metadata.creation_timestamp.context("no time")?.0;
        let ran = certwright(ns, &["status", "issuer", "ca"]).await?.ended(3)?;
        let what_to_do = what_to_do("issuers", "InvalidMACKey")?;
        let expected = [
            format!("Issuer {}/ca is not ready, since {} (… ago)", ns.name, since(&ca, "Ready")?),
            String::new(),
            format!("Problem       InvalidMACKey {why}"),
            "Next          checks again at least once a minute".to_owned(),
            what_to_do.clone(),
            String::new(),
            format!("Server        {}", pebble.directory_url),
            format!(
                "Binding       key id kid-1, MAC key in Secret eab, written {written} (… ago); most CAs accept a MAC key once"
            ),
        ];
        assert_shows(&ran, &expected);

        let ran = certwright(ns, &["status", "certificate", "web"]).await?.ended(3)?;
        let web = ns.get("certificate/web").await?.context("it is gone")?;
        let expected = [
            format!("Certificate {}/web is not ready, since {} (… ago)", ns.name, since(&web, "Ready")?),
            String::new(),
            format!(
                "Waits for     IssuerNotReady, in progress since {} (… ago) {message}",
                since(&web, "Issuing")?
            ),
            "Next          continues as soon as the issuer is ready".to_owned(),
            self::what_to_do("orders", "IssuerNotReady")?,
            "Its issuer    checks again at least once a minute".to_owned(),
            what_to_do,
            String::new(),
            "Names         a.example.com".to_owned(),
            format!("Issuer        Issuer {}/ca: not ready", ns.name),
            "Secret        web-tls".to_owned(),
        ];
        assert_shows(&ran, &expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_does_not_exist_is_told_by_code_and_colours_are_for_terminals() -> Result<()> {
    TestNamespace::with("status", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        for kind in ["certificate", "issuer", "clusterissuer"] {
            let ran = certwright(ns, &["status", kind, "nobody"]).await?.ended(4)?;
            ensure!(ran.errors.contains("nobody does not exist") && ran.output.is_empty(), "{ran:?}");
        }
        let ran = certwright(ns, &["status", "issuer", "ca"]).await?.ended(0)?.says(&[
            "is ready, since ",
            "Account key   ECDSA P-256\n",
            "Account       https://",
        ])?;
        ensure!(!ran.output.contains('\x1b'), "colours in a pipe: {:?}", ran.output);
        let mut forced = command(ns, &["status", "issuer", "ca"]);
        forced.env("CLICOLOR_FORCE", "1");
        ensure!(run(forced).await?.output.contains("\x1b[32mready"), "a terminal has colours");
        let mut none = command(ns, &["status", "issuer", "ca"]);
        none.env("CLICOLOR_FORCE", "0").env("NO_COLOR", "1");
        ensure!(!run(none).await?.output.contains('\x1b'), "NO_COLOR");
        let mut lost = command(ns, &["status", "issuer", "ca", "--context", "nowhere"]);
        lost.env_remove("NO_COLOR");
        let lost = run(lost).await?.ended(1)?;
        ensure!(lost.errors.contains("check --kubeconfig and --context"), "{lost:?}");
        Ok(())
    })
    .await
}

/// Fails unless the output has exactly these lines. A wrapped line counts as one, several spaces count as one, and `…` replaces
/// all lengths of time, which change while the test runs.
fn assert_shows(ran: &Ran, expected: &[String]) {
    let mut lines: Vec<String> = Vec::new();
    for line in ran.output.lines() {
        match lines.last_mut() {
            // The text of a label is indented by 14 spaces.
            Some(last) if line.starts_with("              ") => last.extend([" ", line.trim()]),
            _ => lines.push(line.to_owned()),
        }
    }
    let plain = |lines: &[String]| lines.iter().map(|line| without_lengths(line)).collect::<Vec<_>>();
    assert_eq!(plain(&lines), plain(expected), "{}", ran.output);
}

/// A line with `…` instead of `4m1s` in `in 4m1s` and `4m1s ago`.
fn without_lengths(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_length = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_digit())
            && word.ends_with(['d', 'h', 'm', 's'])
            && word.chars().all(|letter| letter.is_ascii_digit() || "dhms".contains(letter))
    };
    let shown = words.iter().enumerate().map(|(index, word)| {
        let length = word.trim_matches(['(', ')', ';', ',', '.']);
        let before = index.checked_sub(1).and_then(|before| words.get(before));
        let is_away = before.is_some_and(|before| before.ends_with("in"))
            || words.get(index + 1).is_some_and(|after| after.starts_with("ago"));
        if is_length(length) && is_away { word.replace(length, "…") } else { (*word).to_owned() }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// What the output says for a reason: the first paragraph of its section in docs/troubleshooting-*.md, and where to read the rest.
fn what_to_do(page: &str, reason: &str) -> Result<String> {
    let page = Page::read(format!("docs/troubleshooting-{page}.md"))?;
    let (_, entry) = page.text.split_once(&format!("\n### `{reason}`\n\n")).context("no such entry")?;
    let entry = entry.split("\n#").next().unwrap_or_default().trim();
    let (first, rest) = entry.split_once("\n\n").unwrap_or((entry, ""));
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    // A link is shown as its text and its page.
    let mut text = String::new();
    for (index, part) in first.split('[').enumerate() {
        match part.split_once("](").and_then(|(label, part)| Some((label, part.split_once(')')?))) {
            Some((label, (target, after))) if index > 0 => {
                let page = target.split('#').next().unwrap_or_default();
                let page = if page.is_empty() { String::new() } else { format!(" (docs/{page})") };
                text.extend([label, &page, after]);
            }
            _ => text.push_str(part),
        }
    }
    ensure!(text.len() > 40, "the entry of {reason} says nothing: {text:?}");
    let more = if rest.is_empty() { String::new() } else { format!(" More: certwright explain {reason}") };
    Ok(format!("What to do    {text}{more}"))
}

/// Since when a condition of an object has had its status.
fn since(object: &Value, type_: &str) -> Result<String> {
    let conditions = object["status"]["conditions"].as_array().context("no conditions")?;
    let condition = conditions.iter().find(|condition| condition["type"] == type_).context("no condition")?;
    text(&condition["lastTransitionTime"])
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("no text: {value}"))?.to_owned())
}
