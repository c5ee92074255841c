//! `certwright renew`, `revoke`, `rollover` and `deactivate`: what users request, and what they are told while they wait.

use crate::common::faults::{issuing, path, ready_behind_proxy, refusal, steady};
use crate::common::http01::{hold, host};
use crate::common::overheard::ACCOUNT;
use crate::common::program::certwright;
use crate::common::{SOON, certificate, issued, ready, ready_through_proxy, revision};
use anyhow::{Context, Result, ensure};
use certwright_cluster::Pebble;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn a_renewal_is_asked_for_waited_for_and_recorded_as_ours() -> Result<()> {
    TestNamespace::with("renew", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        for name in ["web", "api"] {
            ns.apply(&certificate(name, &[&format!("{name}.example.com")], "")).await?;
            revision(ns, name, 1).await?;
        }
        let ran = certwright(ns, &["renew", "web", "--wait"]).await?.ended(0)?;
        ran.says(&[
            "certificate.certwright.dev/web: renewal requested\n",
            "web: done: renewed, valid until ",
        ])?;
        let web = revision(ns, "web", 2).await?;
        let managers = web["metadata"]["managedFields"].as_array().context("no managedFields")?;
        ensure!(managers.iter().any(|one| one["manager"] == "kubectl-certwright"), "{managers:?}");

        certwright(ns, &["renew", "--all", "--wait"]).await?.ended(0)?.says(&["web: done:", "api: done:"])?;
        revision(ns, "api", 2).await?;
        revision(ns, "web", 3).await?;
        ns.patch("certificate/api", json!({"metadata": {"labels": {"app": "api"}}})).await?;
        let ran = certwright(ns, &["renew", "-l", "app=api", "--wait"]).await?.ended(0)?;
        ensure!(!ran.output.contains("web"), "{ran:?}");
        let ran = certwright(ns, &["renew", "web", "nobody"]).await?.ended(4)?;
        ensure!(ran.output.contains("/web: renewal requested"), "the others are asked for: {ran:?}");
        certwright(ns, &["renew", "-l", "app=none"]).await?.ended(4)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_waits_is_told_what_happens_and_when_it_takes_too_long() -> Result<()> {
    TestNamespace::with("renew", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let name = host(ns, "www");
        let _held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let ran = certwright(ns, &["renew", "web", "--wait", "--timeout", "6s"]).await?.ended(124)?;
        ensure!(ran.errors.contains("web: WaitingForSelfCheck: "), "{ran:?}");
        ensure!(ran.errors.contains("web did not finish within --timeout"), "{ran:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_renewal_that_the_ca_refuses_is_a_failure_with_its_words_and_tried_again_when_asked() -> Result<()>
{
    TestNamespace::with("renew", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        proxy.script(|request| match request.path.as_str() {
            path::NEW_ORDER => {
                refusal(403, &json!({"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"}))
            }
            _ => Action::Pass,
        });
        let ran = certwright(ns, &["renew", "web", "--wait"]).await?.ended(3)?;
        ran.says(&["web: failed: CAA: ", "CAA forbids it (urn:ietf:params:acme:error:caa)"])?;
        issuing(ns, "web", "CAA").await?;
        // The operator waits for an hour, unless a renewal is requested.
        let again = certwright(ns, &["renew", "web", "--wait"]).await?.ended(3)?;
        again.says(&["web: failed: CAA: "])?;
        proxy.pass();
        let mended = certwright(ns, &["renew", "web", "--wait"]).await?.ended(0)?;
        mended.says(&["web: done: renewed"])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_revocation_is_confirmed_waited_for_and_can_be_asked_for_twice() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        certwright(ns, &["revoke", "web", "--reason", "boredom", "--yes"]).await?.ended(2)?;
        let ran = certwright(ns, &["revoke", "web", "--reason", "superseded"]).await?.ended(2)?;
        ensure!(ran.errors.contains("confirm it with --yes"), "{ran:?}");
        let web = ns.get("certificate/web").await?.context("gone")?;
        assert_eq!(web["metadata"]["annotations"], Value::Null, "nothing was asked for");

        let ask = ["revoke", "web", "--reason", "superseded", "--yes", "--wait"];
        let mut revoked = Vec::new();
        for next in [2, 3] {
            let ran =
                certwright(ns, &ask).await?.ended(0)?.says(&["is revoked; a replacement is ordered"])?;
            let web = revision(ns, "web", next).await?;
            let serial =
                web["status"]["revocation"]["last"]["serialNumber"].as_str().context("none")?.to_owned();
            ensure!(ran.output.contains(&format!("certificate {serial} is revoked")), "{ran:?}");
            revoked.push(serial);
        }
        ensure!(revoked[0] != revoked[1], "the second request is another: {revoked:?}");
        certwright(ns, &["revoke", "nobody", "--reason", "superseded", "--yes"]).await?.ended(4)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_key_is_changed_or_the_ca_says_why_not() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let before = ns.get("issuer/ca").await?.context("gone")?;
        let ran = certwright(ns, &["rollover", "issuer", "ca", "--wait"]).await?.ended(0)?;
        ran.says(&["issuer.certwright.dev/ca: account key rollover requested\n", "ca: done: the account key was rolled over"])?;
        let after = ns.get("issuer/ca").await?.context("gone")?;
        let thumbprint = |issuer: &Value| issuer["status"]["acme"]["keyThumbprint"].clone();
        ensure!(thumbprint(&before) != thumbprint(&after), "it is another key");

        proxy.script(|request| match request.path.contains("rollover") || request.path.contains("key-change") {
            true => refusal(403, &json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": "no other key for you"})),
            false => Action::Pass,
        });
        let ran = certwright(ns, &["rollover", "issuer", "ca", "--wait"]).await?.ended(3)?;
        ran.says(&["ca: failed: ", "no other key for you", "; next attempt at "])?;
        certwright(ns, &["rollover", "clusterissuer", "nobody"]).await?.ended(4)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_is_deactivated_once_that_is_confirmed_and_the_ca_agrees() -> Result<()> {
    TestNamespace::with("deactivate", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let issuer = ns.get("issuer/ca").await?.context("gone")?;
        let account = issuer["status"]["acme"]["uri"].as_str().context("no account")?;
        let ran = certwright(ns, &["deactivate", "issuer", "ca"]).await?.ended(2)?;
        ensure!(ran.errors.contains("a deactivation cannot be undone: confirm it with --yes"), "{ran:?}");
        let foreign = ["deactivate", "issuer", "ca", "--account", "https://ca.test/1", "--yes"];
        let ran = certwright(ns, &foreign).await?.ended(4)?;
        ensure!(ran.errors.contains("account https://ca.test/1 of Issuer"), "{ran:?}");
        certwright(ns, &["deactivate", "clusterissuer", "nobody", "--yes"]).await?.ended(4)?;
        let annotations = |issuer: Value| issuer["metadata"]["annotations"].clone();
        assert_eq!(
            annotations(ns.get("issuer/ca").await?.context("gone")?),
            Value::Null,
            "nothing was requested"
        );

        proxy.script(|request| match request.path.starts_with(ACCOUNT) {
            true => refusal(
                500,
                &json!({"type": "urn:ietf:params:acme:error:serverInternal", "detail": "out of disk"}),
            ),
            false => Action::Pass,
        });
        let ask = ["deactivate", "issuer", "ca", "--yes", "--wait"];
        let ran = certwright(ns, &ask).await?.ended(3)?;
        ran.says(&[
            "issuer.certwright.dev/ca: account deactivation requested\n",
            "ca: failed: ",
            "out of disk",
            "; next attempt at ",
        ])?;
        proxy.pass();
        let nothing = json!({ "metadata": { "annotations": { "certwright.dev/deactivate-account": null } } });
        ns.patch("issuer/ca", nothing).await?;
        ns.wait("issuer/ca", SOON, |issuer| issuer["status"]["deactivation"].is_null()).await?;
        let ran = certwright(ns, &ask).await?.ended(0)?;
        ran.says(&[&format!("ca: done: the account {account} is deactivated")])?;
        ns.wait_condition("issuer/ca", "Ready", "False", SOON).await?;
        Ok(())
    })
    .await
}
