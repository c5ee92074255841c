//! TXT records are removed, and only ours, however an issuance ends; a provider that fails to remove them delays nothing.

use crate::common;

use std::time::Duration;

use crate::common::dns::{
    Ground, KEY, http_request, issuer, key, wait_values, waiting, with, with_lagging_server,
};
use crate::common::faults::{change_json, event, issuing, path};
use crate::common::{SOON, certificate, hang, issued, revision, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Bind, ProviderRequest, Reply, ScriptedProvider, TestNamespace};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a deletion takes if it waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(5);
const SOMEBODY: &str = "of somebody else";

#[tokio::test]
async fn after_a_validation_that_failed_the_values_are_gone() -> Result<()> {
    TestNamespace::with("refused", async |ns| {
        let ground = Ground::builder().zone("a.test").unseen_by_the_ca().start(ns).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ground.bind.add_txt("_acme-challenge.a.test", SOMEBODY).await?;
        ns.apply(&certificate("web", &["a.test", "*.a.test"], "")).await?;
        let (failed, message) = issuing(ns, "web", "Unauthorized").await?;
        ensure!(message.contains("a.test: "), "{message}");
        assert_eq!(failed["status"]["dnsRecords"], Value::Null);
        assert_eq!(ground.values("a.test").await?, [SOMEBODY]);
        ns.wait("certificate/web", SOON, |object| object["metadata"]["finalizers"].is_null()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn after_an_order_that_became_invalid_the_values_are_gone() -> Result<()> {
    TestNamespace::with("invalid", async |ns| {
        let mut ground = Ground::builder().zone("a.test").start(ns).await?;
        let proxy = ground.through_proxy(ns).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ground.bind.add_txt("_acme-challenge.a.test", SOMEBODY).await?;
        proxy.script(|request| match request.path.starts_with(path::ORDER) {
            true => change_json(|order| {
                order["status"] = "invalid".into();
                let said = "urn:ietf:params:acme:error:caa";
                order["error"] = json!({ "type": said, "detail": "these are our words", "status": 403 });
            }),
            false => certwright_cluster::proxy::Action::Pass,
        });
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let (failed, message) = issuing(ns, "web", "CAA").await?;
        ensure!(message.contains("these are our words"), "{message}");
        assert_eq!(failed["status"]["dnsRecords"], Value::Null);
        assert_eq!(ground.values("a.test").await?, [SOMEBODY]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_deleted_in_mid_order_takes_its_values_along_at_once() -> Result<()> {
    TestNamespace::with("deleted", async |ns| {
        let (ground, _lagging) = in_mid_order(ns).await?;
        let deleted = Instant::now();
        ns.delete_object("certificate/web").await?;
        ns.wait_gone("certificate/web", AT_ONCE).await?;
        ensure!(deleted.elapsed() < AT_ONCE, "it took {:?}", deleted.elapsed());
        assert_eq!(ground.values("a.test").await?, [SOMEBODY]);
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_certificate_deleted_while_the_ca_hangs_takes_its_values_along_at_once() -> Result<()> {
    TestNamespace::with("hanging", async |ns| {
        let mut ground = Ground::builder().zone("a.test").start(ns).await?;
        let proxy = ground.through_proxy(ns).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        let mut hanging = hang(&proxy, path::CHALLENGE);
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        hanging.reached().await?;
        assert_eq!(ground.values("a.test").await?.len(), 1);
        ns.delete_object("certificate/web").await?;
        ns.wait_gone("certificate/web", AT_ONCE).await?;
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_spec_changed_in_mid_order_takes_the_values_of_the_old_one_away() -> Result<()> {
    TestNamespace::with("changed", async |ns| {
        let (ground, lagging) = in_mid_order(ns).await?;
        ns.patch("certificate/web", json!({ "spec": { "dnsNames": ["other.a.test"] } })).await?;
        ground.wait_values("other.a.test", 1).await?;
        assert_eq!(ground.values("a.test").await?, [SOMEBODY]);
        waiting(ns, "web", "WaitingForPropagation", "_acme-challenge.other.a.test").await?;
        lagging.catch_up().await?;
        revision(ns, "web", 1).await?;
        assert_eq!(ground.values("other.a.test").await?, [""; 0]);
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_solver_changed_in_mid_order_takes_the_values_of_the_old_one_away() -> Result<()> {
    TestNamespace::with("solver", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let (old, new) =
            (ScriptedProvider::http().await?, ScriptedProvider::http().await?.publish_to(&ground.bind));
        // A Certificate that records where it adds TXT records.
        ground.solve_by(ns, http_request(&old.url, json!({}))).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        waiting(ns, "web", "WaitingForPropagation", "has no such name").await?;
        ground.solve_by(ns, http_request(&new.url, json!({}))).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["dnsRecords"], Value::Null);
        let value = |requests: Vec<ProviderRequest>| -> Vec<(bool, String)> {
            requests.iter().map(|request| (request.is_cleanup, request.body["value"].to_string())).collect()
        };
        let [(false, presented), (true, removed)] = &value(old.requests())[..] else {
            anyhow::bail!("the old one was asked for {:?}", old.requests())
        };
        assert_eq!(presented, removed);
        assert_eq!(new.requests().len(), 2);
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_former_provider_that_hangs_does_not_hold_an_order_up() -> Result<()> {
    TestNamespace::with("former", async |ns| {
        let (ground, lagging) = with_lagging_server(ns, Ground::builder()).await?;
        let former = ScriptedProvider::http().await?;
        former.script(hangs_at_cleanup);
        ground.solve_by(ns, http_request(&former.url, json!({}))).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        waiting(ns, "web", "WaitingForPropagation", "0 of 2 name servers").await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ground.wait_values("a.test", 1).await?;
        lagging.catch_up().await?;
        let caught_up = Instant::now();
        issued(ns, "web").await?;
        ensure!(caught_up.elapsed() < Duration::from_secs(10), "it took {:?}", caught_up.elapsed());
        former.fulfill();
        // The removal was requested before the order continued, and not while the other one had the same value at this name.
        former.wait_request(SOON, |request| request.is_cleanup && request.index > 1).await?;
        ns.wait("certificate/web", SOON * 2, |object| object["status"]["dnsRecords"].is_null()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn after_the_issuer_is_deleted_the_values_are_gone() -> Result<()> {
    TestNamespace::with("issuer", async |ns| {
        let (ground, _lagging) = in_mid_order(ns).await?;
        ns.delete_object("issuer/ca").await?;
        issuing(ns, "web", "IssuerNotFound").await?;
        wait_values(&ground.bind, "_acme-challenge.a.test", 1).await?;
        assert_eq!(ground.values("a.test").await?, [SOMEBODY]);
        let released = |object: &Value| {
            object["metadata"]["finalizers"].is_null() && object["status"]["dnsRecords"].is_null()
        };
        ns.wait("certificate/web", SOON, released).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_provider_that_is_down_at_clean_up_holds_nothing_up_and_removes_the_record_later() -> Result<()> {
    TestNamespace::with("down", async |ns| {
        let (ground, provider) = with_provider(ns, json!({})).await?;
        provider.script(refuses_cleanup);
        let begin = Instant::now();
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let web = issued(ns, "web").await?;
        ensure!(begin.elapsed() < AT_ONCE, "it is ready at once, not after {:?}", begin.elapsed());
        let [record] = &web["status"]["dnsRecords"].as_array().context("no ledger")?[..] else {
            anyhow::bail!("not one record: {web}")
        };
        let reason = record["removal"]["reason"].as_str().context("no reason")?;
        ensure!(reason.contains("answered HTTP 503"), "{reason}");
        ensure!(!web["metadata"]["finalizers"].is_null(), "the Certificate is held");
        assert_eq!(ground.values("a.test").await?.len(), 1);

        // As if the process had died in between.
        ground.operator.restart().await?;
        provider.fulfill();
        let released = |object: &Value| {
            object["metadata"]["finalizers"].is_null() && object["status"]["dnsRecords"].is_null()
        };
        ns.wait("certificate/web", SOON, released).await?;
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_provider_that_hangs_at_clean_up_does_not_keep_a_certificate_from_being_ready() -> Result<()> {
    TestNamespace::with("slow", async |ns| {
        let (ground, provider) = with_provider(ns, json!({})).await?;
        provider.script(hangs_at_cleanup);
        let begin = Instant::now();
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let web = issued(ns, "web").await?;
        ensure!(begin.elapsed() < AT_ONCE, "it took {:?}", begin.elapsed());
        let reason = &web["status"]["dnsRecords"][0]["removal"]["reason"];
        ensure!(reason.as_str().is_some_and(|reason| reason.contains("did not answer in time")), "{reason}");
        provider.fulfill();
        ground.wait_values("a.test", 0).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deletion_waits_for_a_provider_that_is_down_or_hangs_no_longer_than_it_may() -> Result<()> {
    TestNamespace::with("bound", async |ns| {
        let (ground, provider) = with_provider(ns, json!({ "cleanupTimeout": "3s" })).await?;
        for (name, script) in [("down", refuses_cleanup as fn(&_) -> _), ("hangs", hangs_at_cleanup)] {
            provider.script(script);
            ns.apply(&certificate(name, &[&format!("{name}.a.test")], "")).await?;
            let value = ground.wait_values(&format!("{name}.a.test"), 1).await?.remove(0);
            issued(ns, name).await?;
            let deleted = Instant::now();
            ns.delete_object(&format!("certificate/{name}")).await?;
            ns.wait_gone(&format!("certificate/{name}"), SOON).await?;
            let took = deleted.elapsed();
            ensure!(took >= Duration::from_secs(2), "{name}: the provider had {took:?} only");
            ensure!(took < Duration::from_secs(8), "{name}: it took {took:?}");
            let (type_, note) = event(ns, name, "RecordLeftBehind").await?;
            assert_eq!(type_, "Warning");
            let words = format!("The TXT record _acme-challenge.{name}.a.test. with the value {value}");
            ensure!(note.starts_with(&words), "{note}");
            assert_eq!(ground.values(&format!("{name}.a.test")).await?, [value]);
        }
        let metrics = ground.operator.metrics().await?;
        ensure!(metrics.contains("left_behind_total 2"), "{metrics}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deletion_is_over_at_once_when_the_provider_comes_back() -> Result<()> {
    TestNamespace::with("back", async |ns| {
        let (ground, provider) = with_provider(ns, json!({ "cleanupTimeout": "10m" })).await?;
        provider.script(refuses_cleanup);
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        issued(ns, "web").await?;
        ns.delete_object("certificate/web").await?;
        let being_deleted = |object: &Value| {
            !object["metadata"]["deletionTimestamp"].is_null()
                && object["status"]["dnsRecords"][0]["removal"]["reason"].is_string()
        };
        ns.wait("certificate/web", SOON, being_deleted).await?;
        provider.fulfill();
        ns.wait_gone("certificate/web", SOON).await?;
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_is_being_deleted_gives_its_place_to_others() -> Result<()> {
    TestNamespace::with("place", async |ns| {
        let ground = Ground::builder().zone("b.test").argument("--orders-per-account", "1");
        let (ground, _lagging) = with_lagging_server(ns, ground).await?;
        let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
        provider.script(refuses_cleanup);
        let patient = json!({ "cleanupTimeout": "10m" });
        ground.solve_by(ns, with(http_request(&provider.url, json!({})), patient)).await?;
        ns.apply(&certificate("doomed", &["a.test"], "")).await?;
        waiting(ns, "doomed", "WaitingForPropagation", "ns2.a.test").await?;
        ns.apply(&certificate("next", &["b.test"], "")).await?;
        issuing(ns, "next", "Queued").await?;
        ns.delete_object("certificate/doomed").await?;
        issued(ns, "next").await?;
        let doomed = ns.get("certificate/doomed").await?.context("it is gone")?;
        ensure!(!doomed["metadata"]["deletionTimestamp"].is_null(), "{doomed}");
        provider.fulfill();
        ns.wait_gone("certificate/doomed", SOON).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_whose_provider_hangs_in_mid_order_is_deleted_within_the_bound() -> Result<()> {
    TestNamespace::with("present", async |ns| {
        let (_ground, provider) = with_provider(ns, json!({ "cleanupTimeout": "2s" })).await?;
        provider.script(|_| Reply::Hang);
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        provider.wait_request(SOON, |request| !request.is_cleanup).await?;
        let deleted = Instant::now();
        ns.delete_object("certificate/web").await?;
        ns.wait_gone("certificate/web", SOON).await?;
        ensure!(deleted.elapsed() < Duration::from_secs(8), "it took {:?}", deleted.elapsed());
        event(ns, "web", "RecordLeftBehind").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_is_deleted_although_its_providers_are_down_and_its_secrets_gone() -> Result<()> {
    TestNamespace::with("namespace", async |ns| {
        let doomed = TestNamespace::create("doomed").await?;
        let watched = format!("{},{}", ns.name, doomed.name);
        let ground = Ground::builder().argument("--watch-namespaces", &watched);
        let (ground, _lagging) = with_lagging_server(ns, ground).await?;
        doomed.apply(&key().object(KEY)).await?;
        let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
        provider.script(refuses_cleanup);
        let bounded = json!({ "cleanupTimeout": "3s" });
        for (name, solver) in
            [("updates", ground.rfc2136()), ("provider", http_request(&provider.url, json!({})))]
        {
            let solvers = json!([{ "dns01": with(solver, bounded.clone()) }]);
            let issuer = issuer(name, &ground.directory, &ground.pebble.ca_pem, &solvers);
            doomed.apply(&issuer.to_string()).await?;
            doomed.wait_condition(&format!("issuer/{name}"), "Ready", "True", SOON).await?;
            let certificate = certificate(name, &[&format!("{name}.a.test")], "");
            doomed.apply(&common::of_issuer(name, &certificate)).await?;
            ground.wait_values(&format!("{name}.a.test"), 1).await?;
            waiting(&doomed, name, "WaitingForPropagation", "ns2.a.test").await?;
        }
        let _none = certwright_cluster::without_api_groups().await;
        doomed.delete().await?;
        ns.wait_gone(&format!("namespace/{}", doomed.name), SOON).await?;
        ensure!(ground.operator.is_running()?);
        Ok(())
    })
    .await
}

/// A Certificate `web` for `a.test` and its wildcard. The primary name server has its values and one of somebody else, and the
/// Certificate waits for the other server.
async fn in_mid_order(ns: &TestNamespace) -> Result<(Ground, Bind)> {
    let (ground, lagging) = with_lagging_server(ns, Ground::builder()).await?;
    ground.solve_by(ns, ground.rfc2136()).await?;
    ground.bind.add_txt("_acme-challenge.a.test", SOMEBODY).await?;
    ns.apply(&certificate("web", &["a.test", "*.a.test"], "")).await?;
    ground.wait_values("a.test", 3).await?;
    waiting(ns, "web", "WaitingForPropagation", "ns2.a.test").await?;
    Ok((ground, lagging))
}

/// A provider with the zone `a.test`, which the solver of the Issuer `ca` uses with these settings.
async fn with_provider(ns: &TestNamespace, more: Value) -> Result<(Ground, ScriptedProvider)> {
    let ground = Ground::builder().zone("a.test").start(ns).await?;
    let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
    ground.solve_by(ns, with(http_request(&provider.url, json!({})), more)).await?;
    Ok((ground, provider))
}

fn refuses_cleanup(request: &ProviderRequest) -> Reply {
    match request.is_cleanup {
        true => Reply::Respond { status: 503, content_type: "text/plain", body: "in maintenance".into() },
        false => Reply::Fulfill,
    }
}

fn hangs_at_cleanup(request: &ProviderRequest) -> Reply {
    if request.is_cleanup { Reply::Hang } else { Reply::Fulfill }
}
