//! The CA suggests when to renew a certificate (RFC 9773), and learns which certificate an order replaces.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::faults::path::RENEWAL_INFO;
use crate::common::overheard::{NEW_ORDER, Overheard, problem};
use crate::common::{SOON, certificate, count, issuer, ready_through_proxy, revision, stays_as_it_is, tls};
use anyhow::{Context, Result};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, PebbleBuilder, Proxy, TestNamespace};
use certwright_runtime::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_certificate_is_renewed_in_the_time_that_the_ca_suggests() -> Result<()> {
    TestNamespace::with("ari", async |ns| {
        let (_pebble, proxy, operator) = ready_through_proxy(ns, ninety_days(), "").await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let issued = revision(ns, "web", 1).await?;
        let ari = ari(&issued);
        let id = tls(ns, "web-tls").await?.chain.leaf().certificate_id.clone().context("no id")?;
        assert_eq!(ari["certificateID"], id);
        assert_eq!(ari["checkInterval"], "21600s", "Pebble's Retry-After: {ari:#}");
        let (start, end) = (&ari["suggestedWindow"]["start"], &ari["suggestedWindow"]["end"]);
        let renewal = renewal_time(&issued)?;
        assert!(time(start)? <= renewal && renewal <= time(end)?, "{issued:#}");
        assert_eq!(ari["selectedTime"], issued["status"]["renewalTime"]);
        assert_eq!(count(&proxy, &format!("{RENEWAL_INFO}{id}")), 1, "it was asked for this one, once");

        // Neither a restart nor a change of the Certificate is a reason to ask again, or to select another time.
        operator.restart().await?;
        ns.patch("certificate/web", json!({"spec": {"secretTemplate": {"labels": {"team": "a"}}}})).await?;
        ns.wait("secret/web-tls", SOON, |secret| secret["metadata"]["labels"]["team"] == "a").await?;
        let seen = |object: &Value| object["status"]["conditions"][0]["observedGeneration"] == 2;
        ns.wait("certificate/web", SOON, seen).await?;
        stays_as_it_is(ns, "web", Duration::from_secs(3)).await?;
        let after = ns.get("certificate/web").await?.context("the Certificate is gone")?;
        assert_eq!(after["status"]["acme"], issued["status"]["acme"]);
        assert_eq!(count(&proxy, RENEWAL_INFO), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_window_in_the_past_renews_at_once_and_the_order_names_what_it_replaces() -> Result<()> {
    TestNamespace::with("ari", async |ns| {
        let ca = Ca::start(ns, ninety_days(), |asked| match asked {
            0 => suggests(-2 * DAY, -DAY, r#", "explanationURL": "https://ca.example/why""#),
            _ => Action::Pass,
        });
        let ca = ca.await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let second = revision(ns, "web", 2).await?;
        assert_eq!(ari(&second)["earlyRenewals"], 1, "{second:#}");
        assert!(renewal_time(&second)? > from_now(50 * DAY), "{second:#}");
        stays_as_it_is(ns, "web", Duration::from_secs(3)).await?;
        let orders = ca.orders();
        assert_eq!(orders.len(), 2, "{orders:#?}");
        assert_eq!(orders[0]["replaces"], Value::Null);
        assert_eq!(orders[1]["replaces"], ca.first_asked()?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_wants_every_certificate_replaced_at_once_gets_ever_fewer_orders() -> Result<()> {
    TestNamespace::with("ari", async |ns| {
        let ca = Ca::start(ns, ninety_days(), |_| {
            suggests(-2 * DAY, -DAY, r#", "explanationURL": "https://ca.example/why""#)
        });
        let ca = ca.await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let second = revision(ns, "web", 2).await?;
        let next = renewal_time(&second)?;
        assert!(from_now(7000) < next && next <= from_now(7200), "after two hours: {second:#}");
        assert_eq!(ari(&second)["explanationURL"], "https://ca.example/why");
        ca.operator.restart().await?;
        stays_as_it_is(ns, "web", Duration::from_secs(3)).await?;
        assert_eq!(ca.orders().len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_that_is_of_no_use_leaves_it_to_the_lifetime() -> Result<()> {
    TestNamespace::with("ari", async |ns| {
        let useless = |asked: usize| match asked {
            0 => suggests(2 * DAY, DAY, ""),
            1 => suggests(-60 * DAY, 60 * DAY, ""),
            2 => suggests(100 * DAY, 101 * DAY, ""),
            3 => answer(200, r#"{"suggestedWindow": "soon"}"#),
            4 => answer(200, "<html>maintenance</html>"),
            5 => problem(404, "urn:ietf:params:acme:error:malformed", "no such certificate"),
            // It may be over in a moment, and is not reported before it has happened three times.
            6 => answer(500, "<html>oops</html>"),
            _ => Action::Drop,
        };
        let _ca = Ca::start(ns, ninety_days(), useless).await?;
        let said = [
            Some("the window that the CA suggests ends at "),
            Some("is longer than half of the lifetime"),
            Some("after the certificate expires"),
            Some("does not conform to RFC 9773: a field has the wrong type"),
            Some("does not conform to RFC 9773: 200 without a media type, not JSON"),
            Some("no such certificate"),
            None,
            None,
        ];
        for (index, said) in said.into_iter().enumerate() {
            let name = format!("web{index}");
            ns.apply(&certificate(&name, &[&format!("{name}.example.com")], "")).await?;
            let issued = revision(ns, &name, 1).await?;
            let renewal = renewal_time(&issued)?;
            assert!(from_now(50 * DAY) < renewal && renewal < from_now(60 * DAY), "{issued:#}");
            match said {
                Some(said) => {
                    let error = ari(&issued)["lastError"].as_str().unwrap_or_default().to_owned();
                    assert!(error.contains(said), "{error}");
                }
                None => assert_eq!(issued["status"]["acme"], Value::Null, "{issued:#}"),
            }
        }
        for index in 0..8 {
            stays_as_it_is(ns, &format!("web{index}"), Duration::from_millis(500)).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_does_not_take_what_is_replaced_gets_the_order_without_it() -> Result<()> {
    TestNamespace::with("ari", async |ns| {
        let ca = Ca::start(ns, ninety_days(), |_| Action::Pass).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        let refusals = [
            (409, "urn:ietf:params:acme:error:alreadyReplaced"),
            (403, "urn:ietf:params:acme:error:unauthorized"),
            (500, "urn:ietf:params:acme:error:serverInternal"),
        ];
        for (index, (status, typ)) in refusals.into_iter().enumerate() {
            ca.heard.forget();
            ca.heard.script(&ca.proxy, move |said| match said.payload["replaces"].is_string() {
                true => problem(status, typ, "it was replaced before"),
                false => Action::Pass,
            });
            let request = format!("request {index}");
            ns.patch(
                "certificate/web",
                json!({"metadata": {"annotations": {"certwright.dev/renew": request}}}),
            )
            .await?;
            let renewed = revision(ns, "web", 2 + i64::try_from(index)?).await?;
            assert_eq!(renewed["status"]["failedIssuanceAttempts"], Value::Null);
            let orders = ca.orders();
            assert_eq!(orders.len(), 2, "{orders:#?}");
            assert!(orders[0]["replaces"].is_string() && orders[1]["replaces"].is_null(), "{orders:#?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_can_leave_the_ca_unasked() -> Result<()> {
    TestNamespace::with("ari", async |ns| {
        let ca = Ca::start(ns, ninety_days(), |_| Action::Pass).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let asked = revision(ns, "web", 1).await?;
        assert_ne!(ari(&asked), Value::Null);

        ns.patch("issuer/ca", json!({"spec": {"acme": {"renewalInformationSource": "None"}}})).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
        ns.patch("certificate/web", renew).await?;
        let renewed = revision(ns, "web", 2).await?;
        assert_eq!(renewed["status"]["acme"], Value::Null, "{renewed:#}");
        assert!(renewal_time(&renewed)? < from_now(60 * DAY), "{renewed:#}");
        let orders = ca.orders();
        assert!(orders.iter().all(|order| order["replaces"].is_null()), "{orders:#?}");
        assert_eq!(count(&ca.proxy, RENEWAL_INFO), 1);
        Ok(())
    })
    .await
}

/// A minute is the shortest time between two requests, whatever the CA says.
#[tokio::test]
async fn the_ca_is_asked_again_and_heeded_when_it_has_changed_its_mind() -> Result<()> {
    TestNamespace::with("ari", async |ns| {
        let ca = Ca::start(ns, ninety_days(), |asked| match asked {
            0 => with_retry_after(suggests(40 * DAY, 41 * DAY, ""), 1),
            1 => with_retry_after(suggests(-2 * DAY, -DAY, ""), 1),
            _ => Action::Pass,
        });
        let ca = ca.await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let first = revision(ns, "web", 1).await?;
        assert_eq!(ari(&first)["checkInterval"], "60s", "{first:#}");
        assert!(renewal_time(&first)? > from_now(39 * DAY), "{first:#}");
        let again = |object: &Value| object["status"]["revision"] == 2;
        ns.wait("certificate/web", Duration::from_secs(90), again).await?;
        let asked: Vec<_> =
            ca.proxy.requests().into_iter().filter(|one| one.path.starts_with(RENEWAL_INFO)).collect();
        let apart = asked[1].at.duration_since(asked[0].at);
        assert!((58..=65).contains(&apart.as_secs()), "{apart:?}");
        assert_eq!(asked[0].path, asked[1].path);
        assert_eq!(ca.orders()[1]["replaces"], ca.first_asked()?);
        Ok(())
    })
    .await
}

/// Pebble, a recording proxy, and an operator with an Issuer `ca`.
struct Ca {
    _pebble: Pebble,
    proxy: Proxy,
    heard: Overheard,
    operator: Operator,
}

impl Ca {
    /// `answers` returns the answers to the requests for renewal information, counted from 0.
    async fn start(
        ns: &TestNamespace,
        pebble: PebbleBuilder,
        answers: impl Fn(usize) -> Action + Send + Sync + 'static,
    ) -> Result<Self> {
        let pebble = pebble.start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let (heard, asked) = (Overheard::default(), AtomicUsize::new(0));
        heard.script(&proxy, move |said| match said.path.starts_with(RENEWAL_INFO) {
            true => answers(asked.fetch_add(1, Ordering::SeqCst)),
            false => Action::Pass,
        });
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(Self { _pebble: pebble, proxy, heard, operator })
    }

    /// The payload of each newOrder.
    fn orders(&self) -> Vec<Value> {
        let orders = self.heard.those(|said| said.path == NEW_ORDER);
        orders.into_iter().map(|said| said.payload).collect()
    }

    /// The id of the certificate in the first request to the CA.
    fn first_asked(&self) -> Result<String> {
        let requests = self.proxy.requests();
        let asked = requests.iter().find_map(|request| request.path.strip_prefix(RENEWAL_INFO));
        Ok(asked.context("the CA was not asked")?.to_owned())
    }
}

/// An answer with a window that begins and ends this many seconds from now.
fn suggests(start: i64, end: i64, more: &str) -> Action {
    let (start, end) = (from_now(start), from_now(end));
    answer(200, &format!(r#"{{"suggestedWindow": {{"start": "{start}", "end": "{end}"}}{more}}}"#))
}

fn answer(status: u16, body: &str) -> Action {
    Action::Respond { status, headers: Vec::new(), body: body.to_owned() }
}

fn with_retry_after(action: Action, seconds: u64) -> Action {
    match action {
        Action::Respond { status, body, .. } => {
            Action::Respond { status, headers: vec![("retry-after", seconds.to_string())], body }
        }
        other => other,
    }
}

fn ninety_days() -> PebbleBuilder {
    Pebble::builder().certificate_validity(Duration::from_secs(90 * 86_400))
}

fn ari(certificate: &Value) -> Value {
    certificate["status"]["acme"]["ari"].clone()
}

fn renewal_time(certificate: &Value) -> Result<Timestamp> {
    time(&certificate["status"]["renewalTime"])
}

fn time(value: &Value) -> Result<Timestamp> {
    Ok(value.as_str().context("no time")?.parse()?)
}

fn from_now(seconds: i64) -> Timestamp {
    clock::now() + SignedDuration::from_secs(seconds)
}
