//! `certwright status`: what is wrong, since when, what the CA said, what to do, and when it goes on.

use crate::common;

use crate::common::faults::{issuing, path, ready_behind_proxy, refusal, steady, time};
use crate::common::http01::{hold, host};
use crate::common::program::{certwright, command, run};
use crate::common::{SOON, certificate, external_account, issued, issuer, mac_key, ready};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::json;

#[tokio::test]
async fn a_certificate_that_is_ready_says_until_when_and_when_it_is_renewed() -> Result<()> {
    TestNamespace::with("status", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        let web = issued(ns, "web").await?;
        let ran = certwright(ns, &["status", "certificate", "web"]).await?.ended(0)?;
        let renewal = web["status"]["renewalTime"].as_str().context("no renewalTime")?.to_owned();
        let until = web["status"]["notAfter"].as_str().context("no notAfter")?.to_owned();
        ran.says(&[
            &format!("Certificate {}/web is ready, since ", ns.name),
            &format!("Next          renews at {renewal} (in "),
            "Names         a.example.com, b.example.com\n",
            &format!("Issuer        Issuer {}/ca: ready\n", ns.name),
            "Secret        web-tls\n",
            &format!("Expires       {until} (in "),
        ])?;
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
        let waits = |object: &serde_json::Value| {
            common::condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "WaitingForSelfCheck")
        };
        let web = ns.wait("certificate/web", SOON, waits).await?;
        let (_, _, message) = common::condition(&web, "Issuing").context("no condition")?;
        let ran = certwright(ns, &["status", "certificate", "web"]).await?.ended(3)?;
        let first = message.split_whitespace().next().context("no message")?;
        ran.says(&[
            "is not ready, since ",
            "Waits for     WaitingForSelfCheck, under way since ",
            first,
            "Next          looks again at least every ten seconds",
            "What to do    The challenges are presented, and the operator does not see all answers yet.",
            "Order         pending, placed ",
            "CHALLENGE",
            &format!("{name}   http-01   pending"),
        ])?;
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
        let (failed, _) = issuing(ns, "web", "CAA").await?;
        let next = time(&failed, "nextAttemptTime")?;
        let ran = certwright(ns, &["status", "certificate", "web"]).await?.ended(3)?;
        let one_line = ran.output.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            one_line.contains("CAA forbids it: 50 % of 2 (urn:ietf:params:acme:error:caa)"),
            "{}",
            ran.output
        );
        ran.says(&[
            "Problem       CAA, failed ",
            &format!("Next          tries again at {next} (in "),
            "What to do    The Certificate asks for what it may not have",
            "Failures      1 in a row",
            "Warning   CAA",
        ])?;
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
        ns.wait_condition("issuer/ca", "Ready", "False", SOON).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        ns.wait_condition("certificate/web", "Ready", "False", SOON).await?;
        let what_to_do = "What to do    The MAC key is empty or not base64.";
        let issuer = certwright(ns, &["status", "issuer", "ca"]).await?.ended(3)?;
        issuer.says(&[
            &format!("Issuer {}/ca is not ready, since ", ns.name),
            "Problem       InvalidMACKey",
            "Next          looks again at least once a minute",
            what_to_do,
            "Bound to      key id kid-1, MAC key in Secret eab\n",
        ])?;
        let web = certwright(ns, &["status", "certificate", "web"]).await?.ended(3)?;
        web.says(&[
            "Waits for     IssuerNotReady",
            "Its issuer    looks again at least once a minute",
            what_to_do,
        ])?;
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
