//! The account key is changed at the CA: on demand, by age, with the spec; whatever the CA answers, one key is kept, and it
//! is the one that the CA knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::crash::{Killer, Run, When, walk};
use crate::common::dns::{Ground, http_request};
use crate::common::faults::{change_json, event, requests_to, steady};
use crate::common::{CLUSTER_ISSUERS, SOON, certificate, condition, http01, issued, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_acme::{Account, Registration, Server, ServerConfig, Trust, jwk_thumbprint};
use certwright_cluster::proxy::{Action, RequestInfo};
use certwright_cluster::{Operator, Pebble, PebbleBuilder, Proxy, Reply, ScriptedProvider, TestNamespace};
use certwright_pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Paths of Pebble's ACME interface.
const KEY_CHANGE: &str = "/rollover-account-key";
const NEW_ACCOUNT: &str = "/sign-me-up";
const NEW_ORDER: &str = "/order-plz";
const DIRECTORY: &str = "/dir";
/// An operator that tries again after a second what it would after hours.
const IMPATIENT: [(&str, &str); 2] = [("--backoff-first", "1s"), ("--backoff-longest", "1s")];

#[tokio::test]
async fn a_human_has_the_key_changed_by_annotation() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let (before, old) = (acme(ns).await?, key(ns).await?);
        // What the Secret holds when the CA is asked.
        let stored = Arc::new(Mutex::new(Vec::new()));
        let (seen, namespace) = (stored.clone(), ns.name.clone());
        ca.proxy.script(move |request| {
            if request.path == KEY_CHANGE {
                let next = read_at_once(&namespace, "tls.key.next");
                seen.lock().push(next);
            }
            Action::Pass
        });
        ask_for_rollover(ns, "1").await?;
        let after = rolled_over(ns, &before).await?;
        let new = key(ns).await?;
        let stored = stored.lock().clone();
        assert_eq!(stored.len(), 1);
        let stored = PrivateKey::from_pem(stored[0].as_bytes())?;
        assert_eq!(jwk_thumbprint(&stored), jwk_thumbprint(&new), "it is stored before the CA hears of it");

        assert_eq!(after["uri"], before["uri"]);
        assert_eq!(after["keyThumbprint"], jwk_thumbprint(&new));
        assert_eq!(after["observedRolloverRequest"], "1");
        assert_eq!(ca.account_of(&new).await?, after["uri"].as_str().map(path));
        assert_eq!(ca.account_of(&old).await?, None, "the old key is of no use any more");
        let secret = ns.api::<Secret>().get("ca-account-key").await?;
        assert_eq!(Vec::from_iter(secret.data.iter().flatten().map(|(key, _)| key.as_str())), ["tls.key"]);
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_KEY_THUMBPRINT], jwk_thumbprint(&new));
        let issuer = ns.get("issuer/ca").await?.context("no Issuer")?;
        let (status, reason, message) = condition(&issuer, "KeyRollover").context("no condition")?;
        assert_eq!((status.as_str(), reason.as_str()), ("True", "KeyRolledOver"));
        assert_eq!(
            message,
            format!("The account key was changed; the thumbprint of the new one is {}", jwk_thumbprint(&new))
        );
        assert_eq!(event(ns, "ca", "KeyRolledOver").await?, ("Normal".to_owned(), message));
        let metrics = operator.metrics().await?;
        ensure!(
            metrics.contains(r#"certwright_account_key_rollovers_total{result="succeeded"} 1"#),
            "{metrics}"
        );

        // The same value asks for nothing more, also after a restart.
        operator.restart().await?;
        issue(ns, "web").await?;
        assert_eq!(acme(ns).await?, after);
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1);
        ask_for_rollover(ns, "2").await?;
        rolled_over(ns, &after).await?;
        issue(ns, "again").await
    })
    .await
}

#[tokio::test]
async fn an_issuer_that_is_applied_with_the_annotation_asks_for_nothing() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let yaml = ca
            .issuer("")
            .replace("name: ca }", "name: ca, annotations: { certwright.dev/rollover-account-key: a } }");
        ns.apply(&yaml).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        issue(ns, "web").await?;
        assert_eq!(acme(ns).await?["observedRolloverRequest"], "a");
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_is_too_old_is_changed() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let yaml = |interval: &str| ca.issuer(&format!("    accountKey: {{ rolloverInterval: {interval} }}\n"));
        ns.apply(&yaml("2160h")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let before = acme(ns).await?;
        let created: jiff::Timestamp = before["keyCreated"].as_str().context("no time")?.parse()?;
        let next: jiff::Timestamp = before["nextKeyRollover"].as_str().context("no time")?.parse()?;
        assert_eq!(next.duration_since(created), jiff::SignedDuration::from_hours(2160));
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 0);

        let long_ago = json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_KEY_CREATED): "2026-01-01T00:00:00Z" } } });
        ns.patch("secret/ca-account-key", long_ago).await?;
        ns.apply(&yaml("2161h")).await?;
        let after = rolled_over(ns, &before).await?;
        let created: jiff::Timestamp = after["keyCreated"].as_str().context("no time")?.parse()?;
        let next = |acme: &Value| acme["nextKeyRollover"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let planned = |issuer: &Value| {
            next(&issuer["status"]["acme"]) == created.checked_add(jiff::SignedDuration::from_hours(2161)).ok()
        };
        ns.wait("issuer/ca", SOON, planned).await?;
        issue(ns, "web").await
    })
    .await
}

#[tokio::test]
async fn another_kind_of_key_in_the_spec_changes_the_key_and_back() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let yaml = |key: &str| {
            ca.issuer(&format!(
                "    privateKeySecretRef: {{ name: mine, key: account.pem }}\n    accountKey: {{ {key} }}\n"
            ))
        };
        ns.apply(&yaml("algorithm: ECDSA")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let uri = acme(ns).await?["uri"].clone();
        for (spec, kind) in [
            ("algorithm: RSA, size: 2048", "RSA 2048"),
            ("algorithm: ECDSA, size: 384", "ECDSA P-384"),
            ("algorithm: ECDSA", "ECDSA P-256"),
        ] {
            let before = acme(ns).await?;
            ns.apply(&yaml(spec)).await?;
            let after = rolled_over(ns, &before).await?;
            assert_eq!((&after["keyAlgorithm"], &after["uri"]), (&json!(kind), &uri));
            issue(ns, &kind.to_lowercase().replace(' ', "-")).await?;
            let data = ns.api::<Secret>().get("mine").await?.data.context("no data")?;
            assert_eq!(Vec::from_iter(data.keys()), ["account.pem"]);
            assert_eq!(PrivateKey::from_pem(&data["account.pem"].0)?.algorithm().to_string(), kind);
        }
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_of_the_users_is_changed_when_asked_for_and_not_for_its_kind() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let pem = include_str!("../fixtures/account-rsa-pkcs1.pem");
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" }, "stringData": { "tls.key": pem },
        });
        ns.apply(&secret.to_string()).await?;
        ca.ready(ns, "    privateKeySecretRef: { name: mine }\n    accountKey: { algorithm: ECDSA }\n").await?;
        issue(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 0);
        let before = acme(ns).await?;
        assert_eq!(before["keyAlgorithm"], "RSA 2048");
        ask_for_rollover(ns, "now").await?;
        let after = rolled_over(ns, &before).await?;
        assert_eq!(after["keyAlgorithm"], "ECDSA P-256");
        let secret = ns.api::<Secret>().get("mine").await?;
        ensure!(secret.labels().is_empty(), "it stays the user's: {:?}", secret.labels());
        issue(ns, "again").await
    })
    .await
}

#[tokio::test]
async fn an_order_under_way_goes_on_with_the_new_key() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
        // The record is not seen until the key is another.
        provider.script(|_| Reply::Lie);
        ground.solve_by(ns, http_request(&provider.url, json!({}))).await?;
        ns.apply(&certificate("web", &["*.a.test"], "")).await?;
        let recorded = |object: &Value| object["status"]["dnsRecords"][0]["keyAuthorization"].is_string();
        let waits = |object: &Value| {
            recorded(object)
                && condition(object, "Issuing")
                    .is_some_and(|(_, reason, _)| reason == "WaitingForPropagation")
        };
        let web = ns.wait("certificate/web", SOON, waits).await?;
        ensure!(web["status"]["order"].is_object(), "{}", web["status"]);
        let before = acme(ns).await?;
        ask_for_rollover(ns, "1").await?;
        provider.fulfill();
        // Challenges that are presented are waited for, but not for long.
        let after = wait_rolled_over(ns, &before, SOON * 3).await?;
        let web = issued(ns, "web").await?;
        ensure!(web["status"]["dnsRecords"].is_null(), "nothing is left: {}", web["status"]);
        let thumbprint = after["keyThumbprint"].as_str().context("no thumbprint")?;
        let presented: Vec<String> = provider
            .requests()
            .iter()
            .filter(|request| !request.is_cleanup)
            .map(|request| request.body["value"].to_string())
            .collect();
        ensure!(presented.first() != presented.last(), "another value for {thumbprint}: {presented:?}");
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_under_way_over_http_goes_on_with_the_new_key() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).argument("--http01-self-check-timeout", "10m").start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        let name = http01::host(ns, "web");
        let held = http01::hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let order = http01::presented(ns, "web").await?["status"]["order"]["url"].clone();
        ask_for_rollover(ns, "1").await?;
        wait_rolled_over(ns, &before, SOON * 3).await?;
        held.let_go().await?;
        issued(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, NEW_ORDER).len(), 1, "{order}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_lost_answer_leads_to_the_key_that_the_ca_knows() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let operator = ca.impatient(ns).await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        // The CA changes the key; then it says neither so nor anything else.
        let deaf = Arc::new(AtomicBool::new(false));
        let hears = deaf.clone();
        ca.proxy.script(move |request| match request.path.as_str() {
            KEY_CHANGE => {
                hears.store(true, Ordering::SeqCst);
                Action::PassThenDrop
            }
            NEW_ACCOUNT if hears.load(Ordering::SeqCst) => oops(500),
            _ => Action::Pass,
        });
        ask_for_rollover(ns, "1").await?;
        ns.wait_condition("issuer/ca", "Ready", "False", SOON).await?;
        // Nothing is signed with a key that may be the wrong one.
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let waits = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "IssuerNotReady")
        };
        ns.wait("certificate/web", SOON, waits).await?;
        operator.restart().await?;
        ca.proxy.pass();
        let after = rolled_over(ns, &before).await?;
        assert_eq!(ca.account_of(&key(ns).await?).await?, after["uri"].as_str().map(path));
        issued(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, NEW_ORDER).len(), 1);
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1, "it was changed once");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_another_account_has_is_not_taken_for_ours() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        let directory = ca.pebble.directory_url.clone();
        let (namespace, ca_pem) = (ns.name.clone(), ca.pebble.ca_pem.clone());
        // Somebody else registers the very key just before the CA hears of the change.
        ca.proxy.script(move |request| {
            if request.path == KEY_CHANGE {
                let pem = read_at_once(&namespace, "tls.key.next");
                let (directory, ca_pem) = (directory.clone(), ca_pem.clone());
                let _ = std::thread::spawn(move || register_at_once(&directory, &ca_pem, &pem)).join();
            }
            Action::Pass
        });
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "KeyChangeRefused").await?;
        ensure!(message.contains("is that of another account"), "{message}");
        let issuer = ns.get("issuer/ca").await?.context("no Issuer")?;
        assert_eq!(condition(&issuer, "Ready").context("no condition")?.0, "True");
        assert_eq!(issuer["status"]["acme"]["keyThumbprint"], before["keyThumbprint"]);
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"], "that key is of no use");
        issue(ns, "web").await?;

        ca.proxy.pass();
        ask_for_rollover(ns, "2").await?;
        rolled_over(ns, &before).await?;
        issue(ns, "again").await
    })
    .await
}

#[tokio::test]
async fn a_ca_that_says_yes_and_keeps_the_key_is_found_out() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        ca.proxy.script(|request| match request.path.as_str() {
            KEY_CHANGE => Action::Respond { status: 200, headers: Vec::new(), body: "{}".to_owned() },
            _ => Action::Pass,
        });
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "KeyChangeRefused").await?;
        assert_eq!(
            message,
            "The account key was not changed: the CA reported success, but kept the old key. The account keeps its present key"
        );
        assert_eq!(acme(ns).await?["keyThumbprint"], before["keyThumbprint"]);
        issue(ns, "web").await
    })
    .await
}

#[tokio::test]
async fn a_ca_that_does_not_change_keys_is_left_in_peace_and_issuing_goes_on() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        let problem = |status: u16, detail: &str| Action::Respond {
            status,
            headers: vec![("content-type", "application/problem+json".to_owned())],
            body: json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": detail }).to_string(),
        };
        let html = |status: u16| Action::Respond {
            status,
            headers: vec![("content-type", "text/html".to_owned())],
            body: "<html><body>Nothing here</body></html>".to_owned(),
        };
        type Answer = Box<dyn Fn() -> Action + Send + Sync>;
        let answers: [(&str, Answer, &str, &str); 6] = [
            ("404", Box::new(move || html(404)), "KeyChangeNotOffered", "answered HTTP 404 (text/html)"),
            (
                "501",
                Box::new(move || problem(501, "Not built")),
                "KeyChangeNotOffered",
                "Not built (urn:ietf",
            ),
            (
                "409",
                Box::new(move || problem(409, "Key is taken")),
                "KeyChangeRefused",
                "Key is taken (urn:ietf",
            ),
            ("500", Box::new(move || oops(500)), "CAUnavailable", "Oops (urn:ietf"),
            ("502", Box::new(move || html(502)), "CAUnavailable", "answered HTTP 502 (text/html)"),
            ("drop", Box::new(|| Action::Drop), "CAUnavailable", "cannot reach"),
        ];
        for (name, answer, reason, words) in answers {
            ca.proxy.forget();
            ca.proxy.script(move |request| if request.path == KEY_CHANGE { answer() } else { Action::Pass });
            ask_for_rollover(ns, name).await?;
            let said = |issuer: &Value| {
                condition(issuer, "KeyRollover")
                    .is_some_and(|(_, found, message)| found == reason && message.contains(words))
            };
            let issuer = ns.wait("issuer/ca", SOON, said).await.with_context(|| name.to_owned())?;
            let (_, _, message) = condition(&issuer, "KeyRollover").context("no condition")?;
            ensure!(message.ends_with("The account keeps its present key"), "{message}");
            assert_eq!(condition(&issuer, "Ready").context("no condition")?.0, "True", "{name}");
            let acme = &issuer["status"]["acme"];
            assert_eq!(acme["keyThumbprint"], before["keyThumbprint"], "{name}");
            let failed: jiff::Timestamp =
                acme["failedKeyRollover"]["time"].as_str().context("no time")?.parse()?;
            let again: jiff::Timestamp = acme["nextKeyRollover"].as_str().context("no time")?.parse()?;
            ensure!(again.duration_since(failed) >= jiff::SignedDuration::from_hours(1), "{name}: {acme}");
            issue(ns, &format!("after-{name}")).await?;
            assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1, "{name}");
        }
        // It is not tried again before its time, nor after a restart.
        operator.restart().await?;
        issue(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1);

        // Who does not want it any more is not told of it any more.
        let none = json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_ROLLOVER): null } } });
        ns.patch("issuer/ca", none).await?;
        let quiet = |issuer: &Value| {
            condition(issuer, "KeyRollover").is_none()
                && issuer["status"]["acme"]["nextKeyRollover"].is_null()
        };
        ns.wait("issuer/ca", SOON, quiet).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_directory_without_key_change_is_said_so() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ca.proxy.script(|request| match request.path.as_str() {
            DIRECTORY => change_json(|directory| {
                directory.as_object_mut().map(|directory| directory.remove("keyChange"));
            }),
            _ => Action::Pass,
        });
        ca.ready(ns, "").await?;
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "KeyChangeNotOffered").await?;
        let expected = format!(
            "The account key was not changed: the CA at {} does not support key changes: its directory has no keyChange",
            ca.directory()
        );
        ensure!(message.starts_with(&expected), "{message}");
        assert_eq!(event(ns, "ca", "KeyChangeNotOffered").await?, ("Warning".to_owned(), message));
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"], "no key is made for nothing");
        issue(ns, "web").await
    })
    .await
}

#[tokio::test]
async fn issuers_that_share_a_key_follow_each_other() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        ns.apply(&of_issuer("twin", &ca.issuer(shared))).await?;
        ns.wait_condition("issuer/twin", "Ready", "True", SOON).await?;
        let before = acme(ns).await?;
        let registrations = || registrations(&ca.proxy);
        assert_eq!(registrations(), 1, "one account");
        ask_for_rollover(ns, "1").await?;
        let after = rolled_over(ns, &before).await?;
        let follows = |issuer: &Value| {
            let acme = &issuer["status"]["acme"];
            acme["keyThumbprint"] == after["keyThumbprint"]
                && acme["lastKeyRollover"] == after["lastKeyRollover"]
        };
        let twin = ns.wait("issuer/twin", SOON, follows).await?;
        assert_eq!(twin["status"]["acme"]["uri"], before["uri"]);
        assert_eq!(condition(&twin, "Ready").context("no condition")?.0, "True");
        assert_eq!(condition(&twin, "KeyRollover").context("no condition")?.1, "KeyRolledOver");
        for name in ["ca", "twin"] {
            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
            issued(ns, name).await?;
        }
        assert_eq!((registrations(), requests_to(&ca.proxy, KEY_CHANGE).len()), (1, 1));

        // They would go on and on if each had it its way.
        ns.apply(&ca.issuer(&format!("{shared}    accountKey: {{ algorithm: RSA, size: 2048 }}\n"))).await?;
        ns.wait("issuer/ca", SOON, |issuer| issuer["status"]["acme"]["keyAlgorithm"] == "RSA 2048").await?;
        ns.apply(&of_issuer(
            "twin",
            &ca.issuer(&format!("{shared}    accountKey: {{ algorithm: ECDSA }}\n")),
        ))
        .await?;
        let refused = |issuer: &Value| {
            condition(issuer, "KeyRollover").is_some_and(|(_, reason, _)| reason == "AccountKeyShared")
        };
        let twin = ns.wait("issuer/twin", SOON, refused).await?;
        let (_, _, message) = condition(&twin, "KeyRollover").context("no condition")?;
        ensure!(message.contains("Issuer ca uses the key in Secret shared as well"), "{message}");
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn issuers_that_share_a_key_pause_together() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        ns.apply(&of_issuer("twin", &ca.issuer(shared))).await?;
        ns.wait_condition("issuer/twin", "Ready", "True", SOON).await?;
        ca.proxy.script(|request| match request.path.as_str() {
            NEW_ORDER => Action::Respond {
                status: 429,
                headers: vec![
                    ("content-type", "application/problem+json".to_owned()),
                    ("retry-after", "600".to_owned()),
                ],
                body: json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "Too many" })
                    .to_string(),
            },
            _ => Action::Pass,
        });
        ns.apply(&certificate("one", &[&host(ns, "one")], "")).await?;
        let limited = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "RateLimited")
        };
        ns.wait("certificate/one", SOON, limited).await?;
        ns.apply(&of_issuer("twin", &certificate("two", &[&host(ns, "two")], ""))).await?;
        let two = ns.wait("certificate/two", SOON, limited).await?;
        let (_, _, message) = condition(&two, "Issuing").context("no condition")?;
        ensure!(message.contains("the CA asked this account to pause"), "{message}");
        assert_eq!(requests_to(&ca.proxy, NEW_ORDER).len(), 1, "the other one does not even ask");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_is_used_at_two_cas_is_not_changed_at_one_of_them() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let (ca, other) = (Ca::start(ns, steady()).await?, Ca::start(ns, steady()).await?);
        let _operator = Operator::builder(ns).start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        ns.apply(&of_issuer("other", &other.issuer(shared))).await?;
        ns.wait_condition("issuer/other", "Ready", "True", SOON).await?;
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "AccountKeyShared").await?;
        ensure!(
            message.contains(&format!(
                "Issuer other also uses the key in Secret shared, at {}",
                other.directory()
            )),
            "{message}"
        );
        for name in ["ca", "other"] {
            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
            issued(ns, name).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cluster_issuer_and_an_issuer_in_the_operators_namespace_share_an_account() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).argument("--cluster-issuers", "true").start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        let name = ns.name.clone();
        let outcome = async {
            let yaml = of_issuer(&name, &ca.issuer(shared));
            ns.apply(&yaml.replace("kind: Issuer", "kind: ClusterIssuer")).await?;
            let target = format!("clusterissuer/{name}");
            ns.wait_condition(&target, "Ready", "True", SOON).await?;
            let before = acme(ns).await?;
            let request =
                json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_ROLLOVER): "1" } } });
            ns.patch(&target, request).await?;
            let after = rolled_over(ns, &before).await?;
            let follows =
                |issuer: &Value| issuer["status"]["acme"]["keyThumbprint"] == after["keyThumbprint"];
            ns.wait(&target, SOON, follows).await?;
            issue(ns, "web").await?;
            assert_eq!((registrations(&ca.proxy), requests_to(&ca.proxy, KEY_CHANGE).len()), (1, 1));
            anyhow::Ok(())
        }
        .await;
        let _ = ns.delete_object(&format!("clusterissuer/{name}")).await;
        outcome
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_a_rollover_leaves_the_key_that_the_ca_knows() -> Result<()> {
    walk(3, |point| crash(point, When::Answered)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_of_a_rollover_leaves_the_key_that_the_ca_knows() -> Result<()> {
    walk(3, |point| crash(point, When::NotSent)).await
}

/// One rollover, and a certificate with the new key, with a crash at the write `point`.
async fn crash(point: usize, when: When) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("rollover", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let ca = Ca { pebble, proxy };
        let api_server = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, is_key_change);
        [&ca.proxy, &api_server].into_iter().for_each(|proxy| killer.stand_at(proxy));
        let builder = IMPATIENT
            .iter()
            .fold(Operator::builder(ns), |builder, (name, value)| builder.argument(name, value));
        let operator = builder.api_server(&api_server.url).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        killer.arm(&operator)?;
        ask_for_rollover(ns, "1").await?;
        let done = async {
            rolled_over(ns, &before).await?;
            issue(ns, "web").await
        };
        killer.until(done, &operator).await?;
        let after = rolled_over(ns, &before).await?;
        assert_eq!(after["uri"], before["uri"]);
        let key = key(ns).await?;
        assert_eq!(after["keyThumbprint"], jwk_thumbprint(&key));
        assert_eq!(ca.account_of(&key).await?, after["uri"].as_str().map(path));
        issue(ns, "web").await?;
        let done = |issuer: &Value| {
            let acme = &issuer["status"]["acme"];
            acme["observedRolloverRequest"] == "1"
                && condition(issuer, "KeyRollover").is_some_and(|(is, ..)| is == "True")
        };
        let issuer = ns.wait("issuer/ca", SOON, done).await?;
        assert_eq!(issuer["status"]["acme"]["keyThumbprint"], after["keyThumbprint"], "it is changed once");
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"]);
        assert_eq!(registrations(&ca.proxy), 1);
        run = Some(killer.run());
        Ok(())
    })
    .await?;
    run.context("the rollover did not end")
}

fn is_key_change(request: &RequestInfo) -> bool {
    request.path == KEY_CHANGE
}

/// A Pebble with a proxy before it.
struct Ca {
    pebble: Pebble,
    proxy: Proxy,
}

impl Ca {
    async fn start(ns: &TestNamespace, pebble: PebbleBuilder) -> Result<Self> {
        let pebble = pebble.start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        Ok(Self { pebble, proxy })
    }

    fn directory(&self) -> String {
        format!("{}{DIRECTORY}", self.proxy.url)
    }

    fn issuer(&self, more: &str) -> String {
        issuer(&self.directory(), &self.pebble.ca_pem, more)
    }

    /// Applies the Issuer `ca`, and waits until it is ready.
    async fn ready(&self, ns: &TestNamespace, more: &str) -> Result<()> {
        ns.apply(&self.issuer(more)).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(())
    }

    async fn impatient(&self, ns: &TestNamespace) -> Result<Operator> {
        IMPATIENT
            .iter()
            .fold(Operator::builder(ns), |builder, (name, value)| builder.argument(name, value))
            .start()
            .await
    }

    /// The path of the account that the CA has for a key. The proxy does not hear of this.
    async fn account_of(&self, key: &PrivateKey) -> Result<Option<String>> {
        let server = server(&self.pebble.directory_url, &self.pebble.ca_pem)?;
        let found = Account::look_up(&server, key.clone()).await?;
        Ok(found.map(|found| path(found.account.url())))
    }
}

/// The path of a URL.
fn path(url: &str) -> String {
    url.splitn(4, '/').last().unwrap_or_default().to_owned()
}

fn server(directory: &str, ca_pem: &str) -> Result<Server> {
    let trust = Trust::Bundle(ca_pem.as_bytes().to_vec());
    Ok(Server::new(ServerConfig { trust, ..ServerConfig::new(directory, certwright::runtime::clock::now) })?)
}

/// Registers a key, from a script that cannot wait.
fn register_at_once(directory: &str, ca_pem: &str, pem: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let key = PrivateKey::from_pem(pem.as_bytes())?;
        Account::register(&server(directory, ca_pem)?, key, &Registration::default()).await?;
        Ok(())
    })
}

/// How many accounts were registered.
fn registrations(proxy: &Proxy) -> usize {
    requests_to(proxy, NEW_ACCOUNT)
        .iter()
        .filter(|record| record.status.is_some_and(|status| status == 201))
        .count()
}

async fn ask_for_rollover(ns: &TestNamespace, value: &str) -> Result<()> {
    let request = json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_ROLLOVER): value } } });
    ns.patch("issuer/ca", request).await?;
    Ok(())
}

/// `status.acme` of the Issuer `ca`.
async fn acme(ns: &TestNamespace) -> Result<Value> {
    Ok(ns.get("issuer/ca").await?.context("no Issuer")?["status"]["acme"].clone())
}

/// Waits until the Issuer `ca` has another key than `before`, and returns its `status.acme`.
async fn rolled_over(ns: &TestNamespace, before: &Value) -> Result<Value> {
    wait_rolled_over(ns, before, SOON).await
}

async fn wait_rolled_over(ns: &TestNamespace, before: &Value, bound: std::time::Duration) -> Result<Value> {
    let changed = |issuer: &Value| {
        issuer["status"]["acme"]["keyThumbprint"] != before["keyThumbprint"]
            && condition(issuer, "Ready").is_some_and(|(status, ..)| status == "True")
    };
    Ok(ns.wait("issuer/ca", bound, changed).await?["status"]["acme"].clone())
}

/// Waits until the Issuer `ca` says for this reason that its key was not changed, and returns the message.
async fn not_rolled_over(ns: &TestNamespace, reason: &str) -> Result<String> {
    let said = |issuer: &Value| {
        condition(issuer, "KeyRollover").filter(|(status, found, _)| status == "False" && found == reason)
    };
    let issuer = ns.wait("issuer/ca", SOON, |issuer| said(issuer).is_some()).await?;
    Ok(said(&issuer).context("no condition")?.2)
}

/// The account key in the Secret `ca-account-key`.
async fn key(ns: &TestNamespace) -> Result<PrivateKey> {
    let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
    Ok(PrivateKey::from_pem(&data["tls.key"].0)?)
}

/// Has a certificate issued.
async fn issue(ns: &TestNamespace, name: &str) -> Result<()> {
    ns.apply(&certificate(name, &[&host(ns, name)], "")).await?;
    issued(ns, name).await?;
    Ok(())
}

/// A name of the test's own.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}

fn oops(status: u16) -> Action {
    Action::Respond {
        status,
        headers: vec![("content-type", "application/problem+json".to_owned())],
        body: json!({ "type": "urn:ietf:params:acme:error:serverInternal", "detail": "Oops" }).to_string(),
    }
}

/// Reads a key of the account key Secret by `kubectl`, which needs no runtime: a proxy's script cannot wait.
fn read_at_once(namespace: &str, key: &str) -> String {
    let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
    let output = std::process::Command::new("kubectl")
        .args(["get", "secret", "ca-account-key", "--namespace", namespace, "--output", &template])
        .output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
