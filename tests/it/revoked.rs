//! A CA revokes certificates without being asked by the operator, which finds them on its revocation list.

use std::net::TcpListener;
use std::time::Duration;

use crate::common::faults::event;
use crate::common::{SOON, certificate, condition, issuer, revision, stays_as_it_is, tls};
use anyhow::{Context, Result, ensure};
use certwright_acme::{Server, ServerConfig, Trust};
use certwright_cluster::{ADDRESS, Operator, StepCa, TestNamespace};
use certwright_runtime::clock;
use jiff::SignedDuration;
use rcgen::RevocationReason;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY_COMPROMISE: u8 = 1;
const NEVER: &str = ", rotationPolicy: Never";

#[tokio::test]
async fn a_certificate_that_was_revoked_elsewhere_is_replaced_with_a_new_key() -> Result<()> {
    TestNamespace::with("revoked", async |ns| {
        let ca = StepCa::start_with_revocation_list(&ns.cluster, str::to_owned).await?;
        let operator = operator(ns).await?;
        ns.apply(&issuer(&ca.directory_url, &ca.root_pem, "")).await?;
        ns.apply(&certificate("web", &["a.example.com"], "").replace("ECDSA", &format!("ECDSA{NEVER}")))
            .await?;
        let first = revision(ns, "web", 1).await?;
        assert_eq!(first["status"]["revocationListURL"], ca.revocation_list_url);
        ns.apply(&certificate("other", &["b.example.com"], "")).await?;
        revision(ns, "other", 1).await?;
        let (old, other) = (tls(ns, "web-tls").await?, tls(ns, "other-tls").await?);
        checked(&operator, "succeeded", 2).await?;
        stays_as_it_is(ns, "web", Duration::from_secs(3)).await?;

        revoke(&ca, &old, KEY_COMPROMISE).await?;
        let second = revision(ns, "web", 2).await?;
        let new = tls(ns, "web-tls").await?;
        assert!(new.key_pem != old.key_pem, "the key is used again");
        let serial = old.chain.leaf().serial_number.clone();
        let revoked = &second["status"]["revoked"];
        assert_eq!((&revoked["serialNumber"], &revoked["reason"]), (&json!(serial), &json!("keyCompromise")));
        assert_eq!(revoked["listURL"], ca.revocation_list_url);
        assert_eq!(condition(&second, "Revoked"), None, "the new one is not revoked");
        let (kind, note) = event(ns, "web", "RevokedByCA").await?;
        assert_eq!(kind, "Warning");
        assert!(note.starts_with(&format!("The CA revoked the certificate {serial} at ")), "{note}");
        assert!(
            note.contains("gives the reason keyCompromise. Another one, with a new private key,"),
            "{note}"
        );
        let metrics = operator.metrics().await?;
        ensure!(metrics.contains("certwright_revocations_by_ca_total 1\n"), "{metrics}");
        ensure!(!metrics.contains("certwright_certificate_revoked{"), "{metrics}");
        assert_eq!(tls(ns, "other-tls").await?.key_pem, other.key_pem, "the other one is not touched");
        stays_as_it_is(ns, "web", Duration::from_secs(5)).await
    })
    .await
}

#[tokio::test]
async fn with_report_the_certificate_stays_and_the_condition_until_it_is_renewed() -> Result<()> {
    TestNamespace::with("revoked", async |ns| {
        let ca = StepCa::start_with_revocation_list(&ns.cluster, str::to_owned).await?;
        let operator = operator(ns).await?;
        ns.apply(&issuer(&ca.directory_url, &ca.root_pem, "")).await?;
        ns.apply(&certificate("web", &["a.example.com"], "  revocation: { onRevoked: Report }\n")).await?;
        revision(ns, "web", 1).await?;
        let old = tls(ns, "web-tls").await?;
        revoke(&ca, &old, 5).await?;
        let web = ns.wait("certificate/web", SOON, is_revoked).await?;
        let (status, reason, message) = condition(&web, "Revoked").context("no condition")?;
        assert_eq!((status.as_str(), reason.as_str()), ("True", "CessationOfOperation"));
        assert!(message.contains("It is not replaced, because revocation.onRevoked is Report"), "{message}");
        assert_eq!(condition(&web, "Ready").context("no condition")?.0, "True");
        let of_metric = format!("certwright_certificate_revoked{{namespace=\"{}\",name=\"web\"}} 1", ns.name);
        ensure!(operator.metrics().await?.contains(&of_metric), "{of_metric}");
        stays_as_it_is(ns, "web", Duration::from_secs(4)).await?;
        // The status is all that survives.
        operator.restart().await?;
        checked(&operator, "succeeded", 2).await?;
        stays_as_it_is(ns, "web", Duration::from_secs(2)).await?;
        assert_eq!(tls(ns, "web-tls").await?.key_pem, old.key_pem);
        ensure!(
            operator.metrics().await?.contains("certwright_revocations_by_ca_total 0\n"),
            "counted again"
        );

        ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}}))
            .await?;
        let web = revision(ns, "web", 2).await?;
        assert_eq!(condition(&web, "Revoked"), None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_operator_has_revoked_itself_is_not_reported() -> Result<()> {
    TestNamespace::with("revoked", async |ns| {
        let ca = StepCa::start_with_revocation_list(&ns.cluster, str::to_owned).await?;
        let operator = operator(ns).await?;
        ns.apply(&issuer(&ca.directory_url, &ca.root_pem, "")).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        ns.patch(
            "certificate/web",
            json!({"metadata": {"annotations": {"certwright.dev/revoke": "superseded"}}}),
        )
        .await?;
        let web = revision(ns, "web", 2).await?;
        checked(&operator, "succeeded", 3).await?;
        stays_as_it_is(ns, "web", Duration::from_secs(3)).await?;
        assert_eq!(web["status"]["revoked"], Value::Null);
        ensure!(operator.metrics().await?.contains("certwright_revocations_by_ca_total 0\n"), "counted");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_list_that_cannot_be_believed_changes_nothing() -> Result<()> {
    TestNamespace::with("revoked", async |ns| {
        let server = MockServer::builder().listener(TcpListener::bind((ADDRESS, 0))?).start().await;
        let url = format!("{}/crl", server.uri());
        let ca = StepCa::start_with_revocation_list(&ns.cluster, |_| url.clone()).await?;
        let stranger = StepCa::start(&ns.cluster).await?;
        ns.apply(&issuer(&ca.directory_url, &ca.root_pem, "")).await?;
        let now = clock::now();
        let hours = |hours| now + SignedDuration::from_hours(hours);
        {
            let _operator = operator(ns).await?;
            ns.apply(&certificate("web", &["a.example.com"], "")).await?;
            revision(ns, "web", 1).await?;
        }
        let serial = tls(ns, "web-tls").await?.chain.leaf().serial_number.clone();
        let list = |ca: &StepCa, made, replaced| {
            ca.revocation_list(&serial, RevocationReason::KeyCompromise, (made, replaced))
        };
        let good = list(&ca, hours(-1), hours(24))?;
        let answers = [
            ("not signed", ResponseTemplate::new(200).set_body_bytes(list(&stranger, hours(-1), hours(24))?)),
            ("out of date", ResponseTemplate::new(200).set_body_bytes(list(&ca, hours(-48), hours(-24))?)),
            ("from the future", ResponseTemplate::new(200).set_body_bytes(list(&ca, hours(24), hours(48))?)),
            ("not a DER-encoded CRL", ResponseTemplate::new(200).set_body_bytes(&good[..good.len() - 1])),
            ("not a DER-encoded CRL", ResponseTemplate::new(200).set_body_string("<html>maintenance</html>")),
            ("larger than 8 MiB", ResponseTemplate::new(200).set_body_bytes(vec![0x30; 9 << 20])),
            ("answered HTTP 503", ResponseTemplate::new(503)),
            ("more than 3 times", ResponseTemplate::new(302).insert_header("location", "/crl")),
            (
                "egress rules forbid",
                ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1/crl"),
            ),
            ("URL is not valid", ResponseTemplate::new(302).insert_header("location", "file:///etc/passwd")),
        ];
        for (said, answer) in answers {
            server.reset().await;
            Mock::given(path("/crl")).respond_with(answer).mount(&server).await;
            let operator = operator(ns).await?;
            let is_said =
                || operator.logs().iter().any(|line| line.contains("revocation list") && line.contains(said));
            ensure!(until(is_said).await, "no word of {said:?}");
            stays_as_it_is(ns, "web", Duration::from_secs(1)).await?;
        }
        // Nothing of the kind, as the last but not least.
        server.reset().await;
        let redirect = ResponseTemplate::new(302).insert_header("location", "/elsewhere");
        Mock::given(path("/crl")).respond_with(redirect).mount(&server).await;
        Mock::given(path("/elsewhere"))
            .respond_with(ResponseTemplate::new(200).set_body_bytes(good))
            .mount(&server)
            .await;
        let _operator = operator(ns).await?;
        revision(ns, "web", 2).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_that_never_answers_delays_no_other_list_and_no_issuance() -> Result<()> {
    TestNamespace::with("revoked", async |ns| {
        let server = MockServer::builder().listener(TcpListener::bind((ADDRESS, 0))?).start().await;
        let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
        Mock::given(path("/slow")).respond_with(slow).mount(&server).await;
        let url = format!("{}/slow", server.uri());
        let silent = StepCa::start_with_revocation_list(&ns.cluster, |_| url.clone()).await?;
        let ca = StepCa::start_with_revocation_list(&ns.cluster, str::to_owned).await?;
        let _operator = operator(ns).await?;
        ns.apply(&issuer(&silent.directory_url, &silent.root_pem, "")).await?;
        ns.apply(&certificate("slow", &["slow.example.com"], "")).await?;
        revision(ns, "slow", 1).await?;
        let other = issuer(&ca.directory_url, &ca.root_pem, "").replace("{ name: ca }", "{ name: other }");
        ns.apply(&other).await?;
        let web = certificate("web", &["a.example.com"], "");
        ns.apply(&web.replace("issuerRef: { name: ca }", "issuerRef: { name: other }")).await?;
        revision(ns, "web", 1).await?;
        revoke(&ca, &tls(ns, "web-tls").await?, KEY_COMPROMISE).await?;
        revision(ns, "web", 2).await?;
        Ok(())
    })
    .await
}

/// An operator that fetches lists every second.
async fn operator(ns: &TestNamespace) -> Result<Operator> {
    Operator::builder(ns).argument("--revocation-check-interval", "1s").start().await
}

/// Revokes a certificate with its own key, as somebody else may who has it.
async fn revoke(ca: &StepCa, tls: &crate::common::Tls, reason: u8) -> Result<()> {
    let trust = Trust::Bundle(ca.root_pem.clone().into_bytes());
    let server = Server::new(ServerConfig { trust, ..ServerConfig::new(&ca.directory_url, clock::now) })?;
    Ok(server.revoke_certificate_with_its_key(tls.key.clone(), &tls.chain.leaf().der, reason).await?)
}

fn is_revoked(object: &Value) -> bool {
    condition(object, "Revoked").is_some()
}

/// Waits until the operator has checked this many lists.
async fn checked(operator: &Operator, result: &str, least: u64) -> Result<()> {
    let name = format!("certwright_revocation_list_checks_total{{result=\"{result}\"}} ");
    for _ in 0..300 {
        let metrics = operator.metrics().await?;
        let found = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok());
        if found.unwrap_or_default() >= least {
            return Ok(());
        }
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await.unwrap_or(());
    }
    anyhow::bail!("not {least} lists were checked")
}

async fn until(done: impl Fn() -> bool) -> bool {
    for _ in 0..300 {
        if done() {
            return true;
        }
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await.unwrap_or(());
    }
    false
}
