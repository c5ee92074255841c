//! Writing the status of Certificates and Issuers gains an attacker nothing: the operator acts only on what it has written
//! itself.

use crate::common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::faults::event;
use crate::common::hostile::Scene;
use crate::common::{SOON, certificate, issued, issuer, of_issuer, tls};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use certwright_cluster::{Operator, Pebble, ScriptedProvider, TestNamespace};
use serde_json::{Value, json};

const PAST: &str = "2026-01-01T00:00:00Z";

/// A forged TXT record made the operator send a Secret of another namespace to the attacker's server, as a bearer token.
#[tokio::test]
async fn a_forged_record_sends_no_secret_to_anybody() -> Result<()> {
    Scene::with("record", async |scene| {
        scene.grant_status().await?;
        let listener = ScriptedProvider::http().await?;
        scene.bystander.apply(&secret("token", "of-the-bystander")).await?;
        scene.ns.apply(&secret("token", "of-the-namespace")).await?;
        for (name, namespace) in [("abroad", &scene.bystander.name), ("at-home", &scene.ns.name)] {
            scene.apply(&certificate(name, &[&format!("{name}.example.com")], "")).await?;
            waits_for_an_issuer(&scene.ns, name).await?;
            let forged = json!({ "dnsRecords": [record(&listener.url, namespace)] });
            scene.forge(&format!("certificate/{name}"), forged).await?;
            poke(scene, &format!("certificate/{name}")).await?;
            dropped(&scene.ns, name, "/status/dnsRecords").await?;
            let (kind, note) = event(&scene.ns, name, "UnverifiedStatus").await?;
            assert_eq!(kind, "Warning");
            ensure!(note.contains("the TXT record _acme-challenge.x.example.com."), "{note}");
        }

        assert!(listener.requests().is_empty(), "it was asked: {:#?}", listener.requests());
        scene.aftermath().await
    })
    .await
}

#[tokio::test]
async fn a_forged_order_challenge_revocation_or_account_changes_nothing_for_anybody() -> Result<()> {
    let _alone = common::CLUSTER_ISSUERS.lock().await;
    Scene::with_operator(
        "ledger",
        |builder| builder.argument("--cluster-issuers", "true"),
        async |scene| {
            scene.grant_status().await?;
            let listener = ScriptedProvider::http().await?;
            let own = issuer(&scene.pebble.directory_url, &scene.pebble.ca_pem, "");
            scene.apply(&own).await?;
            scene.ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
            let victim = shared_certificate(scene, &own).await?;
            let host = format!("web.{}.example.com", scene.ns.name);
            scene.apply(&certificate("web", &[&host], "")).await?;
            issued(&scene.ns, "web").await?;

            revokes_no_certificate_of_others(scene, &victim).await?;
            edits_no_ingress(scene).await?;
            sends_no_request_about_an_order(scene, &own, &listener).await?;
            sends_no_request_about_an_account(scene, &listener).await?;
            assert!(listener.requests().is_empty(), "it was asked: {:#?}", listener.requests());
            scene.bystander.delete_object(&format!("clusterissuer/{}", scene.ns.name)).await?;
            scene.aftermath().await
        },
    )
    .await
}

/// A Certificate of the bystander from a ClusterIssuer, which every namespace may use; returns its certificate.
async fn shared_certificate(scene: &Scene<'_>, own: &str) -> Result<common::Tls> {
    let name = &scene.ns.name;
    let shared = own.replace("kind: Issuer", "kind: ClusterIssuer");
    scene.bystander.apply(&of_issuer(name, &shared)).await?;
    scene.bystander.wait_condition(&format!("clusterissuer/{name}"), "Ready", "True", SOON).await?;
    let yaml = certificate("victim", &[&format!("victim.{name}.example.com")], "");
    let reference = format!("issuerRef: {{ name: {name}, kind: ClusterIssuer }}");
    scene.bystander.apply(&yaml.replace("issuerRef: { name: ca }", &reference)).await?;
    issued(scene.bystander, "victim").await?;
    tls(scene.bystander, "victim-tls").await
}

async fn revokes_no_certificate_of_others(scene: &Scene<'_>, victim: &common::Tls) -> Result<()> {
    let issuer =
        scene.bystander.get(&format!("clusterissuer/{}", scene.ns.name)).await?.context("no issuer")?;
    let forged = json!({ "revocation": { "certificates": [{
        "serialNumber": victim.chain.leaf().serial_number,
        "notAfter": "2099-01-01T00:00:00Z",
        "certificate": BASE64_STANDARD.encode(&victim.chain.leaf().der),
        "issuerKind": "ClusterIssuer",
        "issuerName": scene.ns.name,
        "account": issuer["status"]["acme"]["uri"],
        "revocation": { "reason": "keyCompromise", "cause": "Requested", "since": PAST, "nextAttemptTime": PAST },
    }] } });
    scene.forge("certificate/web", forged).await?;
    poke(scene, "certificate/web").await?;
    dropped(&scene.ns, "web", "/status/revocation/certificates").await?;
    let (_, note) = event(&scene.ns, "web", "UnverifiedStatus").await?;
    ensure!(note.contains(&victim.chain.leaf().serial_number), "{note}");
    let status = scene.pebble.certificate_status(&victim.chain.leaf().serial_number).await?;
    assert_eq!(status["Status"], "Valid", "{status}");
    Ok(())
}

/// A challenge says that paths were added to an Ingress: the operator would remove them.
async fn edits_no_ingress(scene: &Scene<'_>) -> Result<()> {
    scene.ns.apply(INGRESS).await?;
    let before = scene.ns.get("ingress/shop").await?.context("no Ingress")?;
    let forged = json!({ "challenges": [{
        "name": "shop.example.com", "type": "http-01", "state": "pending", "token": "of-a-neighbour",
        "url": "https://ca.example.com/1", "authorization": "https://ca.example.com/2",
        "way": "EditedIngress", "ingress": "shop",
    }] });
    scene.forge("certificate/web", forged).await?;
    poke(scene, "certificate/web").await?;
    dropped(&scene.ns, "web", "/status/challenges").await?;
    let after = scene.ns.get("ingress/shop").await?.context("no Ingress")?;
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    Ok(())
}

/// The URL of an order leads to the attacker: the account's signed requests about it would go there.
async fn sends_no_request_about_an_order(
    scene: &Scene<'_>,
    own: &str,
    listener: &ScriptedProvider,
) -> Result<()> {
    // Nothing serves this class, so the order stays in progress.
    scene
        .apply(&of_issuer("slow", &own.replace("ingressClassName: router", "ingressClassName: none")))
        .await?;
    scene.ns.wait_condition("issuer/slow", "Ready", "True", SOON).await?;
    let slow = certificate("slow", &[&format!("slow.{}.example.com", scene.ns.name)], "");
    scene.apply(&of_issuer("slow", &slow)).await?;
    let ordered = |certificate: &Value| certificate["status"]["challenges"].is_array();
    let certificate = scene.ns.wait("certificate/slow", SOON, ordered).await?;
    scene.operator.kill9()?;
    let mut order = certificate["status"]["order"].clone();
    let real = order["url"].as_str().context("no order")?.to_owned();
    order["url"] = format!("{}/order/1", listener.url).into();
    scene.forge("certificate/slow", json!({ "order": order })).await?;
    scene.operator.restart().await?;
    let another = |certificate: &Value| {
        let url = certificate["status"]["order"]["url"].as_str().unwrap_or_default();
        !url.is_empty() && !url.starts_with(&listener.url) && url != real
    };
    scene.ns.wait("certificate/slow", SOON, another).await?;
    Ok(())
}

/// The URL of an account leads to the attacker: a changed email address would be sent there.
async fn sends_no_request_about_an_account(scene: &Scene<'_>, listener: &ScriptedProvider) -> Result<()> {
    let before = scene.ns.get("issuer/ca").await?.context("no Issuer")?;
    scene.operator.kill9()?;
    scene.forge("issuer/ca", json!({ "acme": { "uri": format!("{}/account/1", listener.url) } })).await?;
    scene
        .mallory
        .patch("issuer/ca", json!({ "spec": { "acme": { "email": "mallory@example.com" } } }))
        .await?;
    scene.operator.restart().await?;
    let told = |issuer: &Value| issuer["status"]["acme"]["lastRegisteredEmail"] == "mallory@example.com";
    let after = scene.ns.wait("issuer/ca", SOON, told).await?;
    assert_eq!(after["status"]["acme"]["uri"], before["status"]["acme"]["uri"]);
    Ok(())
}

/// The key is lost, as when the operator's namespace was restored without it: everything in progress starts again and is
/// completed.
#[tokio::test]
async fn an_issuance_goes_on_after_the_key_of_the_ledger_was_lost() -> Result<()> {
    TestNamespace::with("lost", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).start().await?;
        let yaml = issuer(&pebble.directory_url, &pebble.ca_pem, "");
        ns.apply(&yaml.replace("ingressClassName: router", "ingressClassName: none")).await?;
        ns.apply(&certificate("web", &[&format!("web.{}.example.com", ns.name)], "")).await?;
        let ordered = |certificate: &Value| certificate["status"]["challenges"].is_array();
        let web = ns.wait("certificate/web", SOON, ordered).await?;
        ensure!(web["status"]["order"]["seal"].is_string(), "the order is not sealed: {web:#}");
        operator.kill9()?;
        ns.delete_object("secret/certwright-ledger-key").await?;
        ns.apply(&yaml).await?;
        operator.restart().await?;
        issued(ns, "web").await?;
        common::wait_nothing_left(ns).await
    })
    .await
}

/// `deploy/admission` unchanged, except for its names, and for a label on the issuers of this test.
#[tokio::test]
async fn a_policy_limits_what_issuers_may_name() -> Result<()> {
    TestNamespace::with("policy", async |ns| {
        let policy = std::fs::read_to_string(common::helm::root().join("deploy/admission/policy.yaml"))?;
        let policy = policy.replace("certwright-issuers", &ns.name).replace("namespace: certwright", &format!("namespace: {}", ns.name));
        let selector = format!("\n  matchResources: {{ objectSelector: {{ matchLabels: {{ policy: {} }} }} }}\n  paramRef:", ns.name);
        let parameters = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": ns.name },
            "data": {
                "servers": "https://ca.example.com/dir\n", "providerURLs": "https://dns.example.com/x",
                "nameservers": "ns1.example.com:53", "webhookGroups": "dns.example.com", "ingressAnnotations": "example.com/ok",
            },
        });
        ns.apply(&parameters.to_string()).await?;
        ns.apply(&policy.replace("\n  paramRef:", &selector)).await?;
        let outcome = limits(ns).await;
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            ns.delete_object(&format!("{kind}/{}", ns.name)).await?;
        }
        outcome
    })
    .await
}

async fn limits(ns: &TestNamespace) -> Result<()> {
    let issuer = |kind: &str, server: &str, solver: Value| {
        json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": kind,
            "metadata": { "name": format!("limited-{}", ns.name), "labels": { "policy": ns.name } },
            "spec": { "acme": { "server": server, "solvers": [solver] } },
        })
        .to_string()
    };
    const CA: &str = "https://ca.example.com/dir";
    let annotated = |key: &str| json!({ "http01": { "ingress": { "ingressTemplate": { "metadata": { "annotations": { key: "x" } } } } } });
    let request = |url: &str| json!({ "dns01": { "httpRequest": { "url": url } } });
    let update = |server: &str, other: &str| json!({ "dns01": { "rfc2136": { "nameserver": server }, "propagation": { "nameservers": [other] } } });
    let own = json!({ "dns01": { "rfc2136": { "nameserver": "ns1.example.com:53" }, "nameservers": ["192.0.2.1"] } });
    let webhook = |group: &str| json!({ "dns01": { "webhook": { "groupName": group, "solverName": "x" } } });
    let acme_dns = json!({ "dns01": { "acmeDNS": { "host": "https://evil.example.com", "accountSecretRef": { "name": "x" } } } });
    let service = json!({ "dns01": { "digitalocean": { "tokenSecretRef": { "name": "x", "key": "x" } } } });
    let (one, other) = ("ns1.example.com:53", "192.0.2.1");
    let refused = [
        (
            "https://evil.example.com/dir",
            annotated("example.com/ok"),
            "https://evil.example.com/dir is not allowed here",
        ),
        (CA, annotated("nginx.ingress.kubernetes.io/server-snippet"), "the annotation nginx.ingress"),
        (CA, request("https://evil.example.com"), "the URL https://evil.example.com is not allowed"),
        (CA, acme_dns, "the URL https://evil.example.com is not allowed"),
        (CA, update(other, one), "the name server 192.0.2.1 is not allowed"),
        (CA, update(one, other), "the name server 192.0.2.1 of dns01 is not allowed"),
        (CA, own, "the name server 192.0.2.1 of dns01 is not allowed"),
        (CA, webhook("evil.example.com"), "the webhook evil.example.com"),
        (CA, service, "the webhook dns.certwright.dev is not allowed here"),
    ];
    // A policy takes effect a moment after it was applied.
    let in_force = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            let (server, solver, _) = &refused[0];
            if ns.apply(&issuer("Issuer", server, solver.clone())).await.is_err() {
                return anyhow::Ok(());
            }
            ns.delete_object(&format!("issuer/limited-{}", ns.name)).await?;
        }
    };
    tokio::time::timeout(SOON, in_force).await.context("the policy is not in force")??;
    for kind in ["Issuer", "ClusterIssuer"] {
        for solver in [
            annotated("example.com/ok"),
            request("https://dns.example.com/x"),
            update(one, one),
            webhook("dns.example.com"),
        ] {
            ns.apply(&issuer(kind, CA, solver)).await?;
        }
        // This update is rejected.
        for (server, solver, said) in &refused {
            let error = ns
                .apply(&issuer(kind, server, solver.clone()))
                .await
                .err()
                .with_context(|| format!("{kind} {solver} is taken"))?;
            ensure!(format!("{error:#}").contains(said), "{error:#}");
        }
        let target = format!("{}/limited-{}", kind.to_lowercase(), ns.name);
        ns.delete_object(&target).await?;
        for (server, solver, said) in &refused {
            let error = ns
                .apply(&issuer(kind, server, solver.clone()))
                .await
                .err()
                .with_context(|| format!("{kind} {solver} is taken"))?;
            ensure!(format!("{error:#}").contains(said), "{error:#}");
        }
    }
    Ok(())
}

fn secret(name: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { "token": token },
    })
    .to_string()
}

/// A record that the attacker's server is asked to remove.
fn record(url: &str, secrets_namespace: &str) -> Value {
    json!({
        "name": "x.example.com", "fqdn": "_acme-challenge.x.example.com.", "zone": "example.com.",
        "value": "value", "keyAuthorization": "token.thumbprint",
        "solver": { "httpRequest": { "url": url, "bearerTokenSecretRef": { "name": "token", "key": "token" } } },
        "secretsNamespace": secrets_namespace,
        "removal": { "since": PAST, "nextAttemptTime": PAST },
    })
}

async fn waits_for_an_issuer(ns: &TestNamespace, name: &str) -> Result<()> {
    let waits = |certificate: &Value| {
        common::condition(certificate, "Issuing").is_some_and(|(_, reason, _)| reason == "IssuerNotFound")
    };
    ns.wait(&format!("certificate/{name}"), SOON, waits).await.map(drop)
}

/// Makes the operator reconcile a Certificate again, as the attacker can.
async fn poke(scene: &Scene<'_>, target: &str) -> Result<()> {
    static COUNT: AtomicUsize = AtomicUsize::new(1);
    // It has no effect.
    let touched = json!({ "spec": { "revisionHistoryLimit": COUNT.fetch_add(1, Ordering::Relaxed) } });
    scene.mallory.patch(target, touched).await.map(drop)
}

async fn dropped(ns: &TestNamespace, name: &str, field: &str) -> Result<()> {
    let gone = |certificate: &Value| certificate.pointer(field).is_none_or(Value::is_null);
    ns.wait(&format!("certificate/{name}"), SOON, gone).await.map(drop)
}

/// An Ingress that leads to the answer of a neighbor's challenge.
const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  ingressClassName: none
  rules:
    - host: shop.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: { service: { name: shop, port: { number: 80 } } }
          - path: /.well-known/acme-challenge/of-a-neighbour
            pathType: Exact
            backend: { service: { name: certwright-http01, port: { number: 8089 } } }
";
