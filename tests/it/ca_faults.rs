//! A CA that is down, slow, broken or wrong, at any step: in the end there is one valid certificate, or none and the Secret is
//! unchanged.

mod orders;
mod slow;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::faults::{
    answered, change_json, issuing, path, ready_behind_proxy, refusal, requests_to, steady, time,
};
use crate::common::{SOON, base64, certificate, condition, issued, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Operator, OperatorBuilder, Pebble, Proxy, TestNamespace};
use certwright_pki::{Chain, PrivateKey};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::sync::Notify;

#[tokio::test]
async fn a_ca_that_goes_down_at_any_step_and_comes_back_has_made_one_certificate_of_one_order() -> Result<()>
{
    TestNamespace::with("outage", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let steps = walk(ns, &pebble, "calm", Fault::None).await?.len();
        let walks = stream::iter(0..steps)
            .map(|step| walk(ns, &pebble, format!("down-{step}"), Fault::DownFrom(step)))
            .buffered(3);
        let walks: Vec<Vec<Seen>> = walks.try_collect().await?;
        let broken: BTreeSet<&str> =
            walks.iter().flatten().filter(|seen| seen.status == DROPPED).map(|seen| seen.operation).collect();
        assert_eq!(broken, BTreeSet::from(OPERATIONS), "the CA was down at every operation");
        for (step, seen) in walks.iter().enumerate() {
            let accepted = |operation: &str| {
                seen.iter().filter(|seen| seen.operation == operation && seen.status < 300).count()
            };
            assert_eq!(accepted(path::NEW_ORDER), 1, "down from request {step}: the same order went on");
            assert_eq!(accepted(path::FINALIZE), 1, "down from request {step}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_that_is_lost_at_any_step_leads_to_no_second_certificate() -> Result<()> {
    TestNamespace::with("lost", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let steps = walk(ns, &pebble, "calm", Fault::None).await?.len();
        let walks = stream::iter(0..steps)
            .map(|step| walk(ns, &pebble, format!("lost-{step}"), Fault::AnswerLost(step)))
            .buffered(3);
        let walks: Vec<Vec<Seen>> = walks.try_collect().await?;
        for (step, seen) in walks.iter().enumerate() {
            let lost = seen.iter().find(|seen| seen.status == DROPPED).map(|seen| seen.operation);
            // The lost one had reached the CA.
            let accepted = |operation: &str| {
                let reached = |seen: &&Seen| seen.status < 300 || seen.status == DROPPED;
                seen.iter().filter(|seen| seen.operation == operation).filter(reached).count()
            };
            let orders = if lost == Some(path::NEW_ORDER) { 2 } else { 1 };
            assert_eq!(accepted(path::NEW_ORDER), orders, "answer {step} to {lost:?} lost");
            assert_eq!(accepted(path::FINALIZE), 1, "answer {step} to {lost:?} lost");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_stumbles_is_told_in_words_and_its_order_goes_on_afterwards() -> Result<()> {
    TestNamespace::with("stumbles", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let page = || Action::Respond {
            status: 503,
            headers: vec![("content-type", "text/html".to_owned())],
            body: "<html><style>p{}</style><h1>Service Unavailable</h1><p>Request 4711</p></html>".to_owned(),
        };
        let no_json =
            || Action::Respond { status: 200, headers: Vec::new(), body: "<b>Maintenance</b>".to_owned() };
        type Case = (&'static str, &'static str, fn() -> Action, &'static str, &'static str);
        let cases: [Case; 4] = [
            ("page", path::NEW_ORDER, page, "CAUnavailable", "answered HTTP 503 (text/html)"),
            ("cut", path::AUTHORIZATION, || Action::CutBody, "CAUnavailable", "it is incomplete"),
            ("nonsense", path::ORDER, no_json, "CAUnavailable", "200 without a media type, not JSON"),
            (
                "internal",
                path::FINALIZE,
                || refusal(500, &json!({"type": INTERNAL, "detail": "out of disk"})),
                "ServerInternal",
                "out of disk",
            ),
        ];
        let all = cases.map(|(name, path, action, reason, words)| {
            stumble(ns, &pebble, name, path, action, reason, words)
        });
        futures::future::try_join_all(all).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_hangs_holds_up_nobody_else() -> Result<()> {
    TestNamespace::with("hangs", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let operator = quick_to_retry(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        ns.apply(&of_issuer("other", &issuer(&pebble.directory_url, &pebble.ca_pem, ""))).await?;
        let (hung, hangs) = (AtomicBool::new(false), Arc::new(Notify::new()));
        let first = hangs.clone();
        proxy.script(move |request| match request.path.as_str() {
            path::NEW_ORDER if !hung.swap(true, Ordering::SeqCst) => {
                first.notify_one();
                Action::Hang
            }
            _ => Action::Pass,
        });
        ns.apply(&certificate("hangs", &["hangs.test"], "")).await?;
        tokio::time::timeout(SOON, hangs.notified()).await.context("nothing was ordered")?;
        ns.apply(&certificate("same-account", &["same.test"], "")).await?;
        ns.apply(&of_issuer("other", &certificate("other-account", &["other.test"], ""))).await?;
        issued(ns, "same-account").await?;
        issued(ns, "other-account").await?;
        let orders = requests_to(&proxy, path::NEW_ORDER);
        ensure!(orders[0].status.is_none(), "the first order still hangs: {orders:?}");
        // The operator waits for five seconds for the CA before it ends, and the order continues afterwards.
        let took = operator.terminate().await?;
        ensure!((5..9).contains(&took.as_secs()), "it took {took:?} to end");
        operator.restart().await?;
        issued(ns, "hangs").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_and_used_as_soon_as_it_is() -> Result<()> {
    TestNamespace::with("tls", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let (_, foreign) = foreign_ca()?;
        let bundle = |pem: &str| json!({"spec": {"acme": {"caBundle": base64(pem)}}});

        ns.apply(&issuer(&pebble.directory_url, &foreign, "")).await?;
        let refused = |object: &Value| {
            condition(object, "Ready").is_some_and(|(status, reason, message)| {
                status == "False" && reason == "CAUnavailable" && message.contains("TLS")
            })
        };
        ns.wait("issuer/ca", SOON, refused).await?;
        ns.patch("issuer/ca", bundle(&pebble.ca_pem)).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;

        ns.patch("issuer/ca", bundle(&foreign)).await?;
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let (_, message) = issuing(ns, "web", "CAUnavailable").await?;
        ensure!(message.contains("TLS"), "{message}");
        ns.patch("issuer/ca", bundle(&pebble.ca_pem)).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_refuses_nine_nonces_in_ten_issues_all_the_same() -> Result<()> {
    TestNamespace::with("nonces", async |ns| {
        let pebble = Pebble::builder().nonce_reject_percent(90).start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        ns.apply(&certificate("web", &["a.test", "b.test"], "")).await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        let refused =
            proxy.requests().iter().filter(|r| r.status.is_some_and(|status| status == 400)).count();
        ensure!(refused > 20, "only {refused} nonces were refused");
        assert_eq!(answered(&proxy, path::NEW_ORDER, 201), 1);
        Ok(())
    })
    .await
}

/// The status that a proxy records for a request whose answer was dropped.
const DROPPED: u16 = 499;
const INTERNAL: &str = "urn:ietf:params:acme:error:serverInternal";
const OPERATIONS: [&str; 10] = [
    path::DIRECTORY,
    path::NEW_NONCE,
    path::NEW_ACCOUNT,
    path::NEW_ORDER,
    path::ORDER,
    path::AUTHORIZATION,
    path::CHALLENGE,
    path::FINALIZE,
    path::CERTIFICATE,
    path::RENEWAL_INFO,
];

fn quick_to_retry(ns: &TestNamespace) -> OperatorBuilder<'_> {
    Operator::builder(ns).argument("--backoff-first", "1s")
}

#[derive(Clone, Copy)]
enum Fault {
    None,
    /// No request from this one on reaches the CA, until a condition reports that.
    DownFrom(usize),
    /// The answer to this request is lost.
    AnswerLost(usize),
}

/// A request between the operator and the CA.
struct Seen {
    operation: &'static str,
    status: u16,
}

/// From a new Issuer to a certificate, with a fault; returns the requests to the CA.
async fn walk(
    ns: &TestNamespace,
    pebble: &Pebble,
    name: impl Into<String>,
    fault: Fault,
) -> Result<Vec<Seen>> {
    let name = name.into();
    let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
    proxy.script(move |request| match fault {
        Fault::DownFrom(step) if request.index >= step => Action::Drop,
        Fault::AnswerLost(step) if request.index == step => Action::PassThenDrop,
        _ => Action::Pass,
    });
    let directory = format!("{}{}", proxy.url, path::DIRECTORY);
    ns.apply(&of_issuer(&name, &issuer(&directory, &pebble.ca_pem, ""))).await?;
    ns.apply(&of_issuer(&name, &certificate(&name, &[&format!("{name}.test")], ""))).await?;
    if matches!(fault, Fault::DownFrom(_)) {
        let (issuer, certificate) = (format!("issuer/{name}"), format!("certificate/{name}"));
        let told = |type_: &'static str| {
            move |object: &Value| {
                let (status, reason, _) = condition(object, type_).unwrap_or_default();
                status == "False" && ["CAUnavailable", "Issued"].contains(&reason.as_str())
            }
        };
        tokio::select! {
            told = ns.wait(&issuer, SOON, told("Ready")) => told?,
            told = ns.wait(&certificate, SOON, told("Issuing")) => told?,
        };
        proxy.pass();
    }
    let issued = issued(ns, &name).await.with_context(|| name.clone())?;
    assert_eq!(issued["status"]["revision"], 1, "{name}");
    let operation = |path: &str| OPERATIONS.into_iter().find(|operation| path.starts_with(operation));
    let seen = proxy.requests().into_iter().map(|record| {
        let operation =
            operation(&record.path).with_context(|| format!("an unknown path {}", record.path))?;
        Ok(Seen { operation, status: record.status.context("no answer")?.as_u16() })
    });
    seen.collect()
}

/// The CA fails at `path` until a condition reports that; then the same order must continue.
async fn stumble(
    ns: &TestNamespace,
    pebble: &Pebble,
    name: &str,
    path: &'static str,
    action: fn() -> Action,
    reason: &str,
    words: &str,
) -> Result<()> {
    let proxy = ready_behind_proxy(ns, pebble, name).await?;
    proxy.script(move |request| if request.path.starts_with(path) { action() } else { Action::Pass });
    ns.apply(&of_issuer(name, &certificate(name, &[&format!("{name}.test")], ""))).await?;
    let (stumbled, message) = issuing(ns, name, reason).await?;
    ensure!(message.contains(words), "{name}: {message}");
    ensure!(!message.contains('<'), "{name}: no markup: {message}");
    let order = stumbled["status"]["order"]["url"].as_str();
    ensure!(order.is_some() != (path == path::NEW_ORDER), "{name}: the order is kept: {order:?}");
    proxy.pass();
    issued(ns, name).await?;
    assert_eq!(answered(&proxy, path::NEW_ORDER, 201), 1, "{name}: the same order went on");
    assert_eq!(answered(&proxy, path::FINALIZE, 200), 1, "{name}");
    Ok(())
}

/// A CA that nobody trusts, and its certificate in PEM.
fn foreign_ca() -> Result<(CertifiedIssuer<'static, KeyPair>, String)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Foreign CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let pem = ca.pem();
    Ok((ca, pem))
}
