//! DNS providers that are webhooks written for cert-manager: the requests to them, and the messages about them.

use crate::common;

use std::collections::BTreeSet;

use crate::common::dns::{Ground, issuer, rfc2136, waiting, with_lagging_server};
use crate::common::{SOON, certificate, issued, tls};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{ProviderRequest, Reply, ScriptedProvider, TestNamespace, WebhookProvider};
use serde_json::{Value, json};

#[tokio::test]
async fn a_webhook_of_cert_managers_own_library_proves_a_wildcard() -> Result<()> {
    TestNamespace::with("webhook", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = WebhookProvider::start(ns, &group(ns)).await?;
        ground.solve_by(ns, of_library(&provider, &ground)).await?;
        ground.bind.add_txt("_acme-challenge.a.test", "of somebody else").await?;
        ns.apply(&certificate("web", &["*.a.test", "a.test"], "")).await?;
        waiting(ns, "web", "WaitingForSolver", "forbidden").await?;

        provider.allow_operator().await?;
        issued(ns, "web").await?;
        let leaf = tls(ns, "web-tls").await?.chain.leaf().clone();
        ensure!(leaf.dns_names.iter().any(|name| name == "*.a.test"), "{:?}", leaf.dns_names);
        assert_eq!(ground.values("a.test").await?, ["of somebody else"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_is_restarted_between_present_and_clean_up_cleans_up_later() -> Result<()> {
    TestNamespace::with("restart", async |ns| {
        let (ground, lagging) = with_lagging_server(ns, Ground::builder()).await?;
        let mut provider = WebhookProvider::start(ns, &group(ns)).await?;
        provider.allow_operator().await?;
        ground.solve_by(ns, of_library(&provider, &ground)).await?;
        ns.apply(&certificate("web", &["*.a.test"], "")).await?;
        waiting(ns, "web", "WaitingForPropagation", "ns2.a.test").await?;
        provider.stop().await?;
        lagging.catch_up().await?;

        let web = issued(ns, "web").await?;
        assert_eq!(ground.values("a.test").await?.len(), 1, "it is ready although the record is still there");
        let reason = &web["status"]["dnsRecords"][0]["removal"]["reason"];
        let named = format!("the webhook {} of {} ", WebhookProvider::SOLVER, provider.group());
        ensure!(reason.as_str().is_some_and(|reason| reason.starts_with(&named)), "{web}");

        provider.restart().await?;
        ns.wait("certificate/web", SOON, |object| object["status"]["dnsRecords"].is_null()).await?;
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        ns.wait("certificate/web", SOON, |object| object["metadata"]["finalizers"].is_null()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_is_down_is_told_and_asked_again() -> Result<()> {
    TestNamespace::with("down", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let mut provider = WebhookProvider::start(ns, &group(ns)).await?;
        provider.allow_operator().await?;
        ground.solve_by(ns, of_library(&provider, &ground)).await?;
        provider.stop().await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let words =
            format!("the webhook {} of {} answered HTTP 503", WebhookProvider::SOLVER, provider.group());
        waiting(ns, "web", "WaitingForSolver", &words).await?;
        provider.restart().await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_hangs_is_told_and_holds_up_its_own_certificates_only() -> Result<()> {
    TestNamespace::with("hang", async |ns| {
        let ground = Ground::builder().zone("a.test").argument("--orders-per-account", "2").start(ns).await?;
        let provider = ScriptedProvider::webhook(ns, &group(ns), "solver").await?.publish_to(&ground.bind);
        provider.allow_operator(ns).await?;
        let webhook = json!({ "webhook": { "groupName": group(ns), "solverName": "solver" } });
        let solvers = json!([
            { "dns01": ground.rfc2136() }, { "selector": { "dnsNames": ["hangs.a.test"] }, "dns01": webhook },
        ]);
        ground.solvers(ns, solvers).await?;
        provider.script(|_| Reply::Hang);
        ns.apply(&certificate("hangs", &["hangs.a.test"], "")).await?;
        provider.wait_request(SOON, |_| true).await?;
        ns.apply(&certificate("good", &["good.a.test"], "")).await?;
        issued(ns, "good").await?;
        let words = format!("the webhook solver of {} did not answer in time", group(ns));
        let told = |object: &Value| {
            common::condition(object, "Issuing").is_some_and(|(_, _, message)| message.contains(&words))
        };
        ns.wait("certificate/hangs", SOON * 2, told).await?;
        provider.fulfill();
        ns.wait_condition("certificate/hangs", "Ready", "True", SOON * 2).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_webhook_is_told_all_that_the_protocol_has() -> Result<()> {
    let _alone = common::CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("payload", async |ns| {
        let own = TestNamespace::create("operator").await?;
        let outcome = payloads(ns, &own).await;
        let _ = ns.delete_object(&format!("clusterissuer/{}", ns.name)).await;
        own.delete().await?;
        outcome
    })
    .await
}

async fn payloads(ns: &TestNamespace, own: &TestNamespace) -> Result<()> {
    let ground = Ground::builder()
        .zone("a.test")
        .argument("--cluster-issuers", "true")
        .argument("--namespace", &own.name)
        .start(ns)
        .await?;
    let group = group(ns);
    let provider = ScriptedProvider::webhook(ns, &group, "solver").await?.publish_to(&ground.bind);
    provider.allow_operator(ns).await?;
    let config = json!({ "zone": { "id": 7, "labels": ["a", null] }, "apiKeySecretRef": { "name": "key" }, "ttl": 1.5 });
    let webhook = json!({ "webhook": { "groupName": group, "solverName": "solver", "config": config } });
    ground.solve_by(ns, webhook.clone()).await?;
    let solvers = json!([{ "dns01": webhook }]);
    let mut cluster_wide = issuer(&ns.name, &ground.directory, &ground.pebble.ca_pem, &solvers);
    cluster_wide["kind"] = "ClusterIssuer".into();
    ns.apply(&cluster_wide.to_string()).await?;
    ns.wait_condition(&format!("clusterissuer/{}", ns.name), "Ready", "True", SOON).await?;

    let by_cluster_issuer = format!("issuerRef: {{ kind: ClusterIssuer, name: {} }}", ns.name);
    let cases = [
        ("own", "issuerRef: { name: ca }".to_owned(), &ns.name, false),
        ("wide", by_cluster_issuer, &own.name, true),
    ];
    let mut uids = BTreeSet::new();
    for (name, reference, namespace, ambient) in cases {
        provider.forget();
        let host = format!("{name}.a.test");
        let yaml = certificate(name, &[&host, &format!("*.{host}")], "");
        ns.apply(&yaml.replace("issuerRef: { name: ca }", &reference)).await?;
        issued(ns, name).await?;
        let requests = provider.requests();
        assert_eq!(requests.len(), 4, "two values, each put there and removed once: {requests:#?}");
        for request in requests {
            assert_eq!(request.path, format!("/apis/{group}/v1alpha1/solver"));
            let body = &request.body;
            assert_eq!(body["kind"], "ChallengePayload");
            assert_eq!(body["apiVersion"], "webhook.acme.cert-manager.io/v1alpha1");
            let mut told = body["request"].clone();
            let uid = told["uid"].as_str().context("no uid")?.to_owned();
            ensure!(!uid.is_empty() && uids.insert(uid), "not unique: {uids:?} {told}");
            let key = told["key"].as_str().context("no key")?;
            assert_eq!(key.len(), 43, "a digest in base64url: {key}");
            let fields = told.as_object_mut().context("no request")?;
            let (_, _) = (fields.remove("uid"), fields.remove("key"));
            let expected = json!({
                "action": if request.is_cleanup { "CleanUp" } else { "Present" }, "type": "dns-01",
                "dnsName": host, "resourceNamespace": namespace,
                "resolvedFQDN": format!("_acme-challenge.{host}."), "resolvedZone": "a.test.",
                "allowAmbientCredentials": ambient, "config": config,
            });
            assert_eq!(told, expected);
        }
        assert_eq!(ground.values(&host).await?, [""; 0]);
    }
    Ok(())
}

#[tokio::test]
async fn a_webhook_that_fails_is_quoted() -> Result<()> {
    TestNamespace::with("quoted", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = ScriptedProvider::webhook(ns, &group(ns), "solver").await?.publish_to(&ground.bind);
        provider.allow_operator(ns).await?;
        let webhook = json!({ "webhook": { "groupName": group(ns), "solverName": "solver" } });
        ground.solve_by(ns, webhook).await?;
        let page = "<html><h1>Not here</h1></html>";
        provider.script(move |request: &ProviderRequest| match request.body["request"]["dnsName"].as_str() {
            Some("refused.a.test") => Reply::Fail("the account is closed".into()),
            Some("page.a.test") => {
                Reply::Respond { status: 200, content_type: "text/html", body: page.into() }
            }
            Some("error.a.test") => {
                Reply::Respond { status: 500, content_type: "text/html", body: page.into() }
            }
            Some("other.a.test") => {
                let body = json!({ "response": { "uid": "another", "success": true } }).to_string();
                Reply::Respond { status: 201, content_type: "application/json", body }
            }
            _ => Reply::Lie,
        });
        let cases = [
            ("refused", "WaitingForSolver", "says: the account is closed"),
            ("page", "WaitingForSolver", "did not answer with JSON; check that groupName"),
            ("error", "WaitingForSolver", "answered HTTP 500"),
            ("other", "WaitingForSolver", "answered a different request"),
            ("lies", "WaitingForPropagation", "0 of 1 name servers of a.test have the TXT record"),
        ];
        for (name, ..) in cases {
            ns.apply(&certificate(name, &[&format!("{name}.a.test")], "")).await?;
        }
        for (name, reason, words) in cases {
            waiting(ns, name, reason, words).await?;
        }
        provider.fulfill();
        for (name, reason, _) in cases {
            if reason == "WaitingForSolver" {
                issued(ns, name).await?;
            }
        }
        Ok(())
    })
    .await
}

/// An API group that no other test uses.
fn group(ns: &TestNamespace) -> String {
    format!("{}.example.test", ns.name)
}

/// A solver with cert-manager's library, which updates the ground's name server.
fn of_library(provider: &WebhookProvider<'_>, ground: &Ground) -> Value {
    json!({ "webhook": {
        "groupName": provider.group(), "solverName": WebhookProvider::SOLVER,
        "config": rfc2136(&ground.bind.address()),
    } })
}
