//! An account is deactivated on request, or with its issuer, and stays deactivated.

mod deletion;

use std::sync::Arc;
use std::time::Duration;

use crate::common::accounts::{
    Ca, client_of, deactivate, deactivates, events, key_in, key_secret, not_ready, registered, uri,
};
use crate::common::overheard::{ACCOUNT, NEW_ACCOUNT, problem, refusal};
use crate::common::{SOON, certificate, condition, hang, issued, of_issuer};
use anyhow::{Context, Result};
use certwright_acme::Account;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, TestNamespace};
use certwright_runtime::clock::Stopwatch;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

const DEACTIVATE: &str = "    accountPolicy: { onDelete: Deactivate }\n";
/// A deletion waits for the CA at most this long.
const BRIEFLY: &str = "    accountPolicy: { onDelete: Deactivate, deactivationTimeout: 2s }\n";

#[tokio::test]
async fn an_account_that_is_deactivated_by_annotation_stays_so_whatever_happens() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        let yaml = ca.issuer("    privateKeySecretRef: { name: shared }\n");
        ns.apply(&yaml).await?;
        ns.apply(&of_issuer("other", &yaml)).await?;
        let account = uri(&registered(ns, "ca").await?);
        registered(ns, "other").await?;
        ns.apply(&certificate("before", &[&host(ns, "before")], "")).await?;
        issued(ns, "before").await?;

        ns.patch("issuer/ca", deactivate(&account)).await?;
        let message = not_ready(ns, "ca", "Deactivated").await?;
        assert!(message.contains(&account), "{message}");
        let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
        assert!(issuer["status"]["acme"]["deactivationTime"].is_string(), "{}", issuer["status"]);
        let asked = condition(&issuer, "AccountDeactivated").context("no condition")?;
        assert_eq!((asked.0.as_str(), asked.1.as_str()), ("True", "Deactivated"));
        assert!(ca.has_deactivated(key_in(ns, "shared", "tls.key").await?).await?, "the CA has done it");
        assert_eq!(
            events(ns, "Deactivated").await?,
            [format!("The CA has deactivated the account {account}")]
        );
        let secret = ns.api::<Secret>().get("shared").await?;
        assert!(
            secret.annotations().contains_key(certwright_api::ANNOTATION_ACCOUNT_DEACTIVATED),
            "{secret:?}"
        );
        not_ready(ns, "other", "Deactivated").await?;

        ns.apply(&certificate("after", &[&host(ns, "after")], "")).await?;
        waits_for_issuer(ns, "after").await?;
        ca.overheard.forget();
        operator.restart().await?;
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "email": "a@example.com" } } })).await?;
        not_ready(ns, "ca", "Deactivated").await?;
        for name in ["ca", "other"] {
            ns.delete_object(&format!("issuer/{name}")).await?;
            ns.wait_gone(&format!("issuer/{name}"), SOON).await?;
        }
        ns.apply(&yaml).await?;
        let message = not_ready(ns, "ca", "Deactivated").await?;
        assert!(message.contains(&account), "{message}");
        waits_for_issuer(ns, "after").await?;
        let said = ca.overheard.all();
        assert!(said.is_empty(), "the CA is not asked any more: {said:?}");
        let before = ns.get("certificate/before").await?.context("it is gone")?;
        assert_eq!(condition(&before, "Ready").context("no condition")?.0, "True", "what was issued stays");

        // The message says how to get a new account.
        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        ns.delete_object("secret/shared").await?;
        ns.apply(&yaml).await?;
        assert_ne!(uri(&registered(ns, "ca").await?), account);
        issued(ns, "after").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deactivated_account_whose_records_are_lost_is_not_registered_again() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let account = uri(&registered(ns, "ca").await?);
        let backup = ns.api::<Secret>().get("ca-account-key").await?;
        ns.patch("issuer/ca", deactivate(&account)).await?;
        not_ready(ns, "ca", "Deactivated").await?;

        // First only the Secret is lost, then everything except the key.
        ns.delete_object("secret/ca-account-key").await?;
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "preferredChain": "any" } } })).await?;
        not_ready(ns, "ca", "Deactivated").await?;
        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        let bare = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "ca-account-key" }, "data": backup.data,
        });
        ns.apply(&bare.to_string()).await?;
        ca.overheard.forget();
        ns.apply(&ca.issuer("")).await?;
        // Pebble rejects all requests about such an account; other CAs return it.
        let message = not_ready(ns, "ca", "Unauthorized").await?;
        assert!(message.contains("exists but is deactivated"), "{message}");
        let link = account.clone();
        ca.script(move |said| {
            let headers = vec![("content-type", "application/json".to_owned()), ("location", link.clone())];
            let body = json!({ "status": "deactivated" }).to_string();
            (said.path == NEW_ACCOUNT).then_some(Action::Respond { status: 200, headers, body })
        });
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "preferredChain": "any" } } })).await?;
        let message = not_ready(ns, "ca", "Deactivated").await?;
        assert!(message.contains(&account), "{message}");
        assert!(ca.overheard.registrations().is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_url_that_is_not_of_this_issuer_deactivates_nothing() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        ns.apply(&of_issuer("other", &ca.issuer(""))).await?;
        let account = uri(&registered(ns, "ca").await?);
        let others = uri(&registered(ns, "other").await?);
        for url in [others.as_str(), "now", "https://ca.example/account/1"] {
            ns.patch("issuer/ca", deactivate(url)).await?;
            let told = |issuer: &Value| {
                condition(issuer, "AccountDeactivated").is_some_and(|(status, reason, message)| {
                    status == "False"
                        && reason == "UnknownAccount"
                        && message.contains(url)
                        && message.contains(&account)
                })
            };
            let issuer = ns.wait("issuer/ca", SOON, told).await?;
            assert_eq!(condition(&issuer, "Ready").context("no condition")?.0, "True");
        }
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;
        assert!(ca.deactivations().is_empty());
        assert_eq!(events(ns, "UnknownAccount").await?.len(), 3, "one event each");
        ns.patch(
            "issuer/ca",
            json!({ "metadata": { "annotations": { "certwright.dev/deactivate-account": null } } }),
        )
        .await?;
        ns.wait("issuer/ca", SOON, |issuer| condition(issuer, "AccountDeactivated").is_none()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_agrees_and_does_nothing_is_not_believed() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).argument("--backoff-first", "100ms").start().await?;
        ns.apply(&ca.issuer("")).await?;
        let account = uri(&registered(ns, "ca").await?);
        for answer in [r#"{"status":"valid"}"#, "{}", ""] {
            ca.script(move |said| {
                let headers = vec![("content-type", "application/json".to_owned())];
                deactivates(said).then(|| Action::Respond { status: 200, headers, body: answer.to_owned() })
            });
            let before = ca.deactivations().len();
            ns.patch("issuer/ca", deactivate(&account)).await?;
            ca.proxy.wait_request(SOON, |_| ca.deactivations().len() > before).await?;
        }
        let told = |issuer: &Value| {
            condition(issuer, "AccountDeactivated").is_some_and(|(status, _, message)| {
                status == "False" && message.contains("the account is still valid")
            })
        };
        let issuer = ns.wait("issuer/ca", SOON, told).await?;
        assert_eq!(
            condition(&issuer, "Ready").context("no condition")?.0,
            "True",
            "it is used as long as it can be"
        );
        assert_eq!(issuer["status"]["deactivation"]["account"], account);

        // A CA that does it, but whose answer does not say so.
        ca.script(|said| deactivates(said).then(|| Action::ReplaceBody(Box::new(|_| "{}".into()))));
        not_ready(ns, "ca", "Deactivated").await?;
        let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
        assert!(issuer["status"]["deactivation"].is_null(), "{}", issuer["status"]);
        assert!(ca.has_deactivated(key_in(ns, "ca-account-key", "tls.key").await?).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deactivation_that_the_ca_refuses_is_said_in_its_words_and_tried_again_at_its_time() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let account = uri(&registered(ns, "ca").await?);
        ca.script(|said| {
            deactivates(said).then(|| problem(500, "urn:ietf:params:acme:error:serverInternal", "try tomorrow"))
        });
        ns.patch("issuer/ca", deactivate(&account)).await?;
        let told = |issuer: &Value| {
            condition(issuer, "AccountDeactivated").is_some_and(|(status, reason, message)| {
                status == "False"
                    && reason == "ServerInternal"
                    && message
                        == "Deactivating the account failed: try tomorrow (urn:ietf:params:acme:error:serverInternal). If \
                            this lasts for hours, look at the CA's status page, or ask its support"
            })
        };
        let issuer = ns.wait("issuer/ca", SOON, told).await?;
        assert!(issuer["status"]["deactivation"]["nextAttemptTime"].is_string(), "{}", issuer["status"]);
        operator.restart().await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;
        ns.patch("issuer/ca", json!({ "metadata": { "annotations": { "touched": "yes" } } })).await?;
        registered(ns, "ca").await?;
        assert_eq!(ca.deactivations().len(), 1, "not before its time");
        assert_eq!(events(ns, "ServerInternal").await?.len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_killed_just_when_the_ca_has_deactivated_the_account_knows_it_afterwards() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let account = uri(&registered(ns, "ca").await?);
        let killed = Arc::new(Notify::new());
        let (process, tell) = (operator.process(), killed.clone());
        ca.script(move |said| {
            let (process, tell) = (process.clone(), tell.clone());
            deactivates(said).then(|| {
                Action::PassThen(Box::new(move || {
                    let _ = process.kill9();
                    tell.notify_one();
                }))
            })
        });
        ns.patch("issuer/ca", deactivate(&account)).await?;
        tokio::time::timeout(SOON, killed.notified()).await.context("nothing was deactivated")?;
        ca.script(|_| None);
        operator.restart().await?;
        not_ready(ns, "ca", "Deactivated").await?;
        assert!(ca.overheard.registrations().len() == 1, "and it is not registered again");
        Ok(())
    })
    .await
}

/// Waits until a Certificate reports that its issuer's account is deactivated.
async fn waits_for_issuer(ns: &TestNamespace, name: &str) -> Result<()> {
    let waits = |object: &Value| {
        condition(object, "Issuing").is_some_and(|(_, reason, message)| {
            reason == "IssuerNotReady" && message.contains("is deactivated and cannot be used again")
        })
    };
    let object = ns.wait(&format!("certificate/{name}"), SOON, waits).await?;
    assert!(object["status"]["failedIssuanceAttempts"].is_null(), "to wait is not to fail: {object}");
    Ok(())
}

/// The URL of an account in the CA's own answers: it contains the host of the request.
fn at_pebble(ca: &Ca, url: &str) -> String {
    let host = ca.pebble.directory_url.trim_end_matches("/dir");
    url.replace(&ca.proxy.url, host)
}

/// A name that no other test uses.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}

/// In the CA's portal, for example. The check is made once a day, and on request.
#[tokio::test]
async fn an_account_that_ended_at_the_ca_is_noticed_by_the_daily_check() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let issuer = registered(ns, "ca").await?;
        let time = |field: &str| -> Result<Timestamp> {
            Ok(issuer["status"]["acme"][field].as_str().context("no time")?.parse()?)
        };
        let wait = time("nextCheckTime")?.duration_since(time("lastCheckTime")?);
        assert!((21..=24).contains(&wait.as_hours()), "{wait}");

        let retry = |value: &str| json!({ "metadata": { "annotations": { "certwright.dev/retry": value } } });
        ns.patch("issuer/ca", retry("1")).await?;
        let before = time("nextCheckTime")?;
        let checked = |issuer: &Value| {
            let next = issuer["status"]["acme"]["nextCheckTime"].as_str().and_then(|time| time.parse().ok());
            issuer["status"]["observedRetryRequest"] == "1"
                && next.is_some_and(|next: Timestamp| next >= before)
        };
        ns.wait("issuer/ca", SOON, checked).await?;
        let checks = ca.overheard.those(|said| said.path.starts_with(ACCOUNT) && said.payload.is_null());
        assert_eq!(checks.len(), 1, "the CA is asked about the account");

        let key = key_in(ns, "ca-account-key", "tls.key").await?;
        let found = Account::look_up(&client_of(&ca.pebble)?, key).await?.context("no account")?;
        found.account.deactivate().await?;
        ns.patch("issuer/ca", retry("2")).await?;
        let message = not_ready(ns, "ca", "Unauthorized").await?;
        assert!(message.contains("deactivated"), "{message}");
        Ok(())
    })
    .await
}
