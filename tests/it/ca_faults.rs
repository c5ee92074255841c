//! A CA that is down, slow, broken or wrong, at any step: one valid certificate in the end, or none and the Secret as it
//! was.

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
            // What was lost had reached the CA.
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
        // What waits for the CA does not keep it from ending, and goes on afterwards.
        let took = operator.terminate().await?;
        ensure!(took < Duration::from_secs(5), "it took {took:?} to end");
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

#[tokio::test]
async fn a_finalize_whose_answer_is_lost_is_not_taken_for_a_failure_when_the_ca_refuses_another() -> Result<()>
{
    TestNamespace::with("finalize", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let finalizes = Mutex::new(0);
        proxy.script(move |request| {
            let mut finalizes = finalizes.lock();
            if request.path.starts_with(path::FINALIZE) {
                *finalizes += 1;
                return if *finalizes == 1 { Action::PassThenDrop } else { Action::Pass };
            }
            // A replica of the CA lags: it does not know yet of what was done.
            if request.path.starts_with(path::ORDER) && *finalizes == 1 {
                return change_json(|order| order["status"] = json!("ready"));
            }
            Action::Pass
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let issued = issued(ns, "web").await?;
        let statuses: Vec<_> = requests_to(&proxy, path::FINALIZE).iter().filter_map(|r| r.status).collect();
        assert_eq!(statuses.first().map(|status| status.as_u16()), Some(DROPPED));
        assert_eq!(statuses.get(1).map(|status| status.as_u16()), Some(403), "the CA says orderNotReady");
        assert_eq!(answered(&proxy, path::FINALIZE, 200), 0, "one was accepted, and its answer was lost");
        assert_eq!(answered(&proxy, path::NEW_ORDER, 201), 1);
        assert_eq!(issued["status"]["revision"], 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_that_is_gone_is_ordered_anew_after_a_wait() -> Result<()> {
    TestNamespace::with("order-gone", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let empty = || Action::Respond { status: 404, headers: Vec::new(), body: String::new() };
        let expired = || change_json(|order| order["expires"] = json!("2026-01-01T00:00:00Z"));
        let foreign = || {
            let detail = "Account that authenticated the request does not own the specified order";
            refusal(401, &json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": detail}))
        };
        type Case = (&'static str, fn() -> Action, &'static str, &'static str);
        let cases: [Case; 3] = [
            ("gone", empty, "Failed", "HTTP 404"),
            ("expired", expired, "Failed", "expired"),
            ("foreign", foreign, "Unauthorized", "does not own"),
        ];
        let all =
            cases.map(|(name, action, reason, words)| lose_order(ns, &pebble, name, action, reason, words));
        futures::future::try_join_all(all).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_whose_private_key_is_lost_is_dropped_for_exactly_one_new_one() -> Result<()> {
    TestNamespace::with("key-lost", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.starts_with(path::CERTIFICATE) {
            true => Action::Drop,
            false => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let (stuck, _) = issuing(ns, "web", "CAUnavailable").await?;
        assert_eq!(stuck["status"]["order"]["state"], "valid");
        let key = stuck["status"]["nextPrivateKeySecretName"].as_str().context("no next key")?;
        ns.delete_object(&format!("secret/{key}")).await?;
        proxy.pass();
        issued(ns, "web").await?;
        assert_eq!(answered(&proxy, path::NEW_ORDER, 201), 2, "the order without a key, and one more");
        assert_eq!(answered(&proxy, path::FINALIZE, 200), 2);
        let data = ns.api::<Secret>().get("web-tls").await?.data.context("no data")?;
        Chain::parse_pem(&data["tls.crt"].0)?.leaf().check_key(&PrivateKey::from_pem(&data["tls.key"].0)?)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_refused_and_the_secret_left_as_it_is() -> Result<()> {
    TestNamespace::with("misfits", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).argument("--backoff-longest", "1s").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        // The key stays, so that certificates for it can be made here.
        let key = "  privateKey: { algorithm: ECDSA, encoding: PKCS8, rotationPolicy: Never }\n";
        let names = ["a.misfit.test", "b.misfit.test"];
        let yaml = certificate("web", &names, "").replace("  privateKey: { algorithm: ECDSA }\n", key);
        ns.apply(&yaml).await?;
        issued(ns, "web").await?;
        let before = ns.api::<Secret>().get("web-tls").await?;
        let data = before.data.clone().context("no data")?;
        let key = String::from_utf8(data["tls.key"].0.clone())?;
        let own = || KeyPair::from_pem(&key);

        let (now, past) = ((2026, 2036), (2020, 2021));
        let cases = [
            ("another key", chain(&KeyPair::generate()?, &names, now, true)?, "for another private key"),
            ("a name less", chain(&own()?, &names[..1], now, true)?, "the certificate lacks b.misfit.test"),
            ("expired", chain(&own()?, &names, past, true)?, "the certificate expired at 2021"),
            ("no chain", chain(&own()?, &names, now, false)?, "without its issuers"),
            ("no certificate", "no PEM at all".to_owned(), "it contains no certificate"),
        ];
        for (case, pem, words) in cases {
            proxy.script(move |request| match request.path.starts_with(path::CERTIFICATE) {
                true => {
                    let pem = pem.clone();
                    Action::ReplaceBody(Box::new(move |_| pem.into()))
                }
                false => Action::Pass,
            });
            ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/renew": case}}}))
                .await?;
            let told = |object: &Value| {
                condition(object, "Issuing").is_some_and(|(status, reason, message)| {
                    let reasons = ["CertificateRefused", "CAUnavailable"];
                    status == "False" && reasons.contains(&reason.as_str()) && message.contains(words)
                })
            };
            let refused = ns.wait("certificate/web", SOON, told).await.context(case)?;
            let (ready, ..) = condition(&refused, "Ready").context("no condition Ready")?;
            assert_eq!(ready, "True", "{case}: the certificate in the Secret is still good");
            let after = ns.api::<Secret>().get("web-tls").await?;
            assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "{case}");
        }
        proxy.pass();
        let renewed = |object: &Value| object["status"]["revision"] == 2;
        ns.wait("certificate/web", SOON, renewed).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn twenty_orders_that_stay_processing_hold_up_nobody_and_a_restart_goes_on_with_them() -> Result<()> {
    TestNamespace::with("processing", async |ns| {
        let pebble = steady().always_valid().start(&ns.cluster).await?;
        let operator = quick_to_retry(ns).argument("--orders-per-account", "2").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        ns.apply(&of_issuer("other", &issuer(&pebble.directory_url, &pebble.ca_pem, ""))).await?;
        proxy.script(stay_processing);
        let names: Vec<String> = (0..20).map(|number| format!("slow-{number}")).collect();
        for name in &names {
            ns.apply(&certificate(name, &[&format!("{name}.test")], "")).await?;
        }
        let mut urls = BTreeSet::new();
        for name in &names {
            let processing = |object: &Value| object["status"]["order"]["state"] == "processing";
            let slow = ns.wait(&format!("certificate/{name}"), SOON, processing).await?;
            urls.insert(slow["status"]["order"]["url"].as_str().context("no order")?.to_owned());
        }
        assert_eq!(urls.len(), 20);
        ns.apply(&certificate("same-account", &["quick.test"], "")).await?;
        issued(ns, "same-account").await.context("they hold no place")?;
        ns.apply(&of_issuer("other", &certificate("other-account", &["other.test"], ""))).await?;
        issued(ns, "other-account").await?;

        operator.kill9()?;
        proxy.forget();
        operator.restart().await?;
        let asked = || {
            let orders = requests_to(&proxy, path::ORDER);
            orders.into_iter().map(|record| format!("{}{}", proxy.url, record.path)).collect::<BTreeSet<_>>()
        };
        for url in &urls {
            let path = url.trim_start_matches(&proxy.url);
            proxy.wait_request(SOON, |record| record.path == path).await?;
        }
        assert_eq!(asked(), urls, "the restarted operator looks at the same orders");
        proxy.pass();
        operator.restart().await?;
        for name in &names {
            issued(ns, name).await?;
        }
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 0, "nothing was ordered anew");
        assert_eq!(requests_to(&proxy, path::FINALIZE).len(), 0, "nothing was finalized again");
        Ok(())
    })
    .await
}

/// What a proxy notes of a request whose answer did not go on.
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
    /// No request from this one on reaches the CA, until that is in a condition.
    DownFrom(usize),
    /// The answer to this request does not come.
    AnswerLost(usize),
}

/// A request as it was seen between operator and CA.
struct Seen {
    operation: &'static str,
    status: u16,
}

/// Goes from a new Issuer to a certificate, with a fault on the way; returns what was asked of the CA.
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

/// Has the CA stumble at `path` until a condition says so, and sees that the same order goes on.
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

/// Has the CA answer for the first order with `action`, and sees that another is placed, but not at once.
async fn lose_order(
    ns: &TestNamespace,
    pebble: &Pebble,
    name: &str,
    action: fn() -> Action,
    reason: &str,
    words: &str,
) -> Result<()> {
    let proxy = ready_behind_proxy(ns, pebble, name).await?;
    let first = Mutex::new(None);
    proxy.script(move |request: &RequestInfo| {
        if !request.path.starts_with(path::ORDER) {
            return Action::Pass;
        }
        let mut first = first.lock();
        let first = first.get_or_insert_with(|| request.path.clone());
        if *first == request.path { action() } else { Action::Pass }
    });
    ns.apply(&of_issuer(name, &certificate(name, &[&format!("{name}.test")], ""))).await?;
    let (failed, message) = issuing(ns, name, reason).await?;
    ensure!(message.contains(words), "{name}: {message}");
    assert_eq!(failed["status"]["order"], Value::Null, "{name}: the order is of no more use");
    assert_eq!(failed["status"]["failedIssuanceAttempts"], 1, "{name}");
    let wait = time(&failed, "nextAttemptTime")?.duration_since(time(&failed, "lastFailureTime")?);
    ensure!(wait >= jiff::SignedDuration::from_secs(1), "{name}: it waits {wait:#}");
    issued(ns, name).await?;
    let orders = requests_to(&proxy, path::NEW_ORDER);
    assert_eq!(orders.len(), 2, "{name}: exactly one more order");
    let lost = requests_to(&proxy, path::ORDER).first().context("no order was read")?.at;
    ensure!(orders[1].at - lost >= Duration::from_secs(1), "{name}: it came at once");
    Ok(())
}

/// Orders for names that begin with `slow` never get further than `processing`.
fn stay_processing(request: &RequestInfo) -> Action {
    if ![path::ORDER, path::FINALIZE].iter().any(|path| request.path.starts_with(path)) {
        return Action::Pass;
    }
    change_json(|order| {
        let name = order["identifiers"][0]["value"].as_str().unwrap_or_default();
        if name.starts_with("slow") && order["status"] == "valid" {
            order["status"] = json!("processing");
        }
    })
}

/// A certificate for `key` and `names`, valid from the beginning of one year to that of another, in PEM.
fn chain(key: &KeyPair, names: &[&str], (from, until): (i32, i32), with_chain: bool) -> Result<String> {
    let (ca, ca_pem) = foreign_ca()?;
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let leaf = params.signed_by(key, &ca)?.pem();
    Ok(if with_chain { leaf + &ca_pem } else { leaf })
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
