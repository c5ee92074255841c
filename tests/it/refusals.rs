//! What a CA says when it rejects a request, and what happens next.

mod rate_limits;

use crate::common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::common::faults::{
    change_json, event, issuing, path, payload, ready_behind_proxy, refusal, requests_to, steady, time,
};
use crate::common::{SOON, certificate, issued, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use certwright_runtime::clock;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

#[tokio::test]
async fn a_problem_and_its_subproblems_reach_condition_and_event_word_for_word() -> Result<()> {
    TestNamespace::with("words", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.as_str() {
            path::NEW_ORDER => refusal(
                403,
                &json!({
                    "type": "urn:ietf:params:acme:error:compound",
                    "detail": "Two of the names were rejected",
                    "subproblems": [
                        {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA at \"a\" forbids it",
                         "identifier": {"type": "dns", "value": "a.example.com"}},
                        {"type": "https://ca.example/errors/NOT_IN_CONTRACT", "detail": "no contract: 50 % of 2",
                         "identifier": {"type": "dns", "value": "b.example.com"}},
                    ],
                }),
            ),
            _ => Action::Pass,
        });
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        let (failed, message) = issuing(ns, "web", "Compound").await?;
        let (event_type, note) = event(ns, "web", "Compound").await?;
        for words in [
            "Two of the names were rejected (urn:ietf:params:acme:error:compound)",
            "a.example.com: CAA at \"a\" forbids it (urn:ietf:params:acme:error:caa)",
            "b.example.com: no contract: 50 % of 2 (https://ca.example/errors/NOT_IN_CONTRACT)",
        ] {
            ensure!(message.contains(words), "the condition lacks {words:?}: {message}");
            ensure!(note.contains(words), "the event lacks {words:?}: {note}");
        }
        assert_eq!(event_type, "Warning");
        let (ready, _, because) = common::condition(&failed, "Ready").context("no condition Ready")?;
        assert_eq!(ready, "False");
        assert!(because.contains("CAA at \"a\" forbids it"), "Ready says why, too: {because}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_that_fails_is_told_from_those_that_do_not_and_nothing_is_left_of_the_order() -> Result<()> {
    TestNamespace::with("one-fails", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--http01-self-check-timeout", "1s").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let [good, bad, pending] = ["good", "bad", "pending"].map(|name| format!("{name}.{}.test", ns.name));
        ns.cluster.dns()?.set_a(&bad, &[NOBODY]).await?;
        let given_up = Arc::new(Mutex::new(Vec::new()));
        let (seen, stays_pending) = (given_up.clone(), pending.clone());
        proxy.script(move |request| {
            if !request.path.starts_with(path::AUTHORIZATION) {
                return Action::Pass;
            }
            if payload(request)["status"] == "deactivated" {
                seen.lock().unwrap().push(request.path.clone());
                return Action::Pass;
            }
            let stays_pending = stays_pending.clone();
            change_json(move |authorization| {
                if authorization["identifier"]["value"] == stays_pending.as_str() {
                    authorization["status"] = json!("pending");
                }
            })
        });
        ns.apply(&certificate("web", &[&good, &bad, &pending], "")).await?;
        let presented =
            |object: &Value| object["status"]["challenges"].as_array().is_some_and(|all| all.len() == 3);
        let before = ns.wait("certificate/web", SOON, presented).await?;
        let (failed, message) = issuing(ns, "web", "Connection").await?;

        ensure!(message.contains(&format!("{bad}: ")), "the name that failed is told: {message}");
        ensure!(
            message.contains("urn:ietf:params:acme:error:connection"),
            "so is what the CA said: {message}"
        );
        ensure!(!message.contains(&good) && !message.contains(&pending), "the others are not: {message}");
        assert_eq!(failed["status"]["order"], Value::Null, "the order is of no more use");
        assert_eq!(failed["status"]["challenges"], Value::Null);
        assert_eq!(ns.api::<Ingress>().list(&Default::default()).await?.items.len(), 0);
        assert_eq!(ns.api::<Service>().list(&Default::default()).await?.items.len(), 0);
        let challenges = before["status"]["challenges"].as_array().context("no challenges")?;
        let of_pending = challenges.iter().find(|challenge| challenge["name"] == pending.as_str());
        let authorization = of_pending.and_then(|challenge| challenge["authorization"].as_str());
        let expected = authorization.and_then(|url| url.strip_prefix(&proxy.url)).context("no URL")?;
        assert_eq!(*given_up.lock().unwrap(), [expected], "what is pending is given up, and nothing else");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_that_is_not_allowed_is_tried_again_after_an_hour_or_at_once_when_the_spec_changes()
-> Result<()> {
    TestNamespace::with("not-allowed", async |ns| {
        let pebble = steady().blocked_domain("blocked.test").start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.starts_with(path::FINALIZE) {
            true => refusal(403, &problem("caa", "CAA forbids it")),
            false => Action::Pass,
        });
        let cases = [
            ("rejected", "www.blocked.test", "RejectedIdentifier", "rejectedIdentifier"),
            ("caa", "www.caa.test", "CAA", "CAA forbids it"),
        ];
        for (name, host, reason, words) in cases {
            ns.apply(&certificate(name, &[host], "")).await?;
            let (failed, message) = issuing(ns, name, reason).await?;
            ensure!(message.contains(words), "{name}: {message}");
            let wait = time(&failed, "nextAttemptTime")?.duration_since(time(&failed, "lastFailureTime")?);
            ensure!(wait >= SignedDuration::from_hours(1), "{name} waits only {wait:#}");
            assert_eq!(failed["status"]["order"], Value::Null, "{name}: the order is of no more use");
        }
        proxy.pass();
        for (name, other) in [("rejected", "www.allowed.test"), ("caa", "www2.caa.test")] {
            ns.patch(&format!("certificate/{name}"), json!({"spec": {"dnsNames": [other]}})).await?;
            let issued = issued(ns, name).await?;
            assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null, "{name} starts afresh");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_wait_doubles_with_each_failure_and_success_ends_it() -> Result<()> {
    TestNamespace::with("backoff", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.as_str() {
            path::NEW_ORDER => refusal(400, &problem("malformed", "what is this?")),
            _ => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        for (attempts, least) in [(1, 1), (2, 2), (3, 4)] {
            let failed = ns
                .wait("certificate/web", SOON, |object| {
                    object["status"]["failedIssuanceAttempts"] == attempts
                })
                .await?;
            let wait = time(&failed, "nextAttemptTime")?.duration_since(time(&failed, "lastFailureTime")?);
            let bounds = SignedDuration::from_secs(least)..=SignedDuration::from_secs(least * 5 / 4 + 2);
            ensure!(bounds.contains(&wait), "after {attempts} failures it waits {wait:#}, not {bounds:?}");
        }
        proxy.pass();
        let issued = issued(ns, "web").await?;
        for field in ["failedIssuanceAttempts", "lastFailureTime", "nextAttemptTime"] {
            assert_eq!(issued["status"][field], Value::Null, "{field}");
        }
        let orders = requests_to(&proxy, path::NEW_ORDER);
        assert_eq!(orders.len(), 4);
        for (pair, least) in orders.windows(2).zip([1, 2, 4]) {
            let pause = pair[1].at - pair[0].at;
            ensure!(pause >= Duration::from_secs(least), "{pause:?} between two orders, not {least} s");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn when_no_solver_fits_the_condition_lists_what_the_ca_offers() -> Result<()> {
    TestNamespace::with("no-solver", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.starts_with(path::AUTHORIZATION) {
            true => change_json(|authorization| {
                let challenge = |typ: &str| json!({"type": typ, "url": "https://ca.test/c", "status": "pending", "token": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"});
                let offered = ["dns-01", "tls-alpn-01", "sectigo-email-01"].map(challenge);
                authorization["challenges"] = offered.to_vec().into();
            }),
            false => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let (waits, message) = issuing(ns, "web", "NoSolver").await?;
        ensure!(message.contains("web.test: the CA offers dns-01, tls-alpn-01, sectigo-email-01"), "{message}");
        ensure!(message.contains("http-01"), "what the issuer has: {message}");
        ensure!(!waits["status"]["order"].is_null(), "the order is kept: a human may prove control by hand");
        assert_eq!(waits["status"]["failedIssuanceAttempts"], Value::Null);
        assert_eq!(requests_to(&proxy, path::CHALLENGE).len(), 0, "no challenge was answered");
        assert_eq!(ns.api::<Ingress>().list(&Default::default()).await?.items.len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_solver_that_is_added_is_used_for_the_order_that_waits_for_it() -> Result<()> {
    TestNamespace::with("solver-added", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let directory = format!("{}{}", proxy.url, path::DIRECTORY);
        let selector = "solvers: [{ selector: { dnsNames: [other.test] }, http01:";
        ns.apply(&issuer(&directory, &pebble.ca_pem, "").replace("solvers: [{ http01:", selector)).await?;
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let (waits, message) = issuing(ns, "web", "NoSolver").await?;
        ensure!(message.contains("web.test: no solver of the issuer matches this name"), "{message}");
        let order = waits["status"]["order"]["url"].clone();
        ns.apply(&issuer(&directory, &pebble.ca_pem, "")).await?;
        issued(ns, "web").await?;
        ensure!(order.is_string());
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 1, "it is the same order");
        Ok(())
    })
    .await
}

/// An address where nothing listens on port 80.
const NOBODY: &str = "127.80.1.1";

fn problem(code: &str, detail: &str) -> Value {
    json!({"type": format!("urn:ietf:params:acme:error:{code}"), "detail": detail})
}

/// The sum of the metrics whose line contains both texts.
fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines
        .filter(|line| line.contains("_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
