//! Certificate signing requests for private keys that are kept elsewhere: in a Certificate, and as CertificateSigningRequests of
//! Kubernetes.

mod crash;
mod in_certificate;

use std::path::Path;

use crate::common::api::kubectl;
use crate::common::faults::{path, ready_behind_proxy, steady};
use crate::common::helm::root;
use crate::common::http01::{hold, host};
use crate::common::{CLUSTER_ISSUERS, SOON, base64, condition, count, issuer, wait_nothing_left};
use anyhow::{Context, Result};
use base64::Engine;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, OperatorBuilder, Pebble, TestNamespace};
use certwright_pki::{
    Chain, KeyAlgorithm, PrivateKey, SignatureHash, SigningRequest, Subject, certificate_signing_request,
};
use futures::TryStreamExt;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

/// Made with OpenSSL, as somebody would with a key in an HSM.
const WITH_EXTENDED_KEY_USAGE: &str = "crates/pki/src/signing_request/fixtures/extended-key-usage.pem";

#[tokio::test]
async fn an_approved_request_gets_its_certificate_and_one_that_is_not_approved_gets_nothing() -> Result<()> {
    TestNamespace::with("csr", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = serving(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
        let (approved, waiting, denied) = (named(ns, "approved"), named(ns, "waiting"), named(ns, "denied"));
        for name in [&approved, &waiting, &denied] {
            ns.apply(&request(name, &signer(ns), &pem(&key, &host(ns, "a"))?, &[])).await?;
        }
        kubectl(ns, &["certificate", "deny", &denied])?;
        kubectl(ns, &["certificate", "approve", &approved])?;
        let chain = certificate_of(ns, &approved).await?;
        chain.leaf().check_key(&key)?;
        let names = Subject { dns_names: vec![host(ns, "a")], ..Subject::default() };
        chain.check(&key, &names, chain.leaf().not_before)?;
        let object = ns.get(&target(&approved)).await?.context("it is gone")?;
        ns.wait_gone(&format!("certificate/csr-{}", uid(&object)?), SOON).await?;
        ns.wait_gone(&format!("secret/csr-{}", uid(&object)?), SOON).await?;
        wait_nothing_left(ns).await?;
        assert_eq!(count(&proxy, path::NEW_ORDER), 1, "nothing was ordered for the others");
        for name in [&waiting, &denied] {
            let object = ns.get(&target(name)).await?.context("it is gone")?;
            assert!(object["status"]["certificate"].is_null() && failed(&object).is_none(), "{object:#}");
        }
        for name in [&approved, &waiting, &denied] {
            ns.delete_object(&target(name)).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_can_never_be_issued_fails_with_a_sentence_and_without_an_order() -> Result<()> {
    TestNamespace::with("csr", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = serving(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "csrSignatureHash": "SHA256" } } })).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let good = pem(&PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?, &host(ns, "a"))?;
        let sha384 = pem(&PrivateKey::generate(KeyAlgorithm::ECDSA_P384)?, &host(ns, "a"))?;
        let usage = fixture(WITH_EXTENDED_KEY_USAGE)?;
        for (name, pem, usages, reason, words) in [
            ("usage", &good, &["client auth"][..], "UsageNotSupported", "'client auth' is not supported"),
            (
                "eku",
                &usage,
                &[],
                "InvalidRequest",
                "it requests the extended key usage serverAuth, clientAuth",
            ),
            ("hash", &sha384, &[], "NotAllowed", "its csrSignatureHash requires SHA-256"),
        ] {
            let name = named(ns, name);
            ns.apply(&request(&name, &signer(ns), pem, usages)).await?;
            kubectl(ns, &["certificate", "approve", &name])?;
            let object = ns.wait(&target(&name), SOON, |object| failed(object).is_some()).await?;
            let (found, message) = failed(&object).context("it has not failed")?;
            assert_eq!(found, reason, "{message}");
            assert!(message.contains(words), "{message}");
            ns.delete_object(&target(&name)).await?;
        }
        assert_eq!(count(&proxy, path::NEW_ORDER), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_user_needs_the_verb_reference_on_the_issuer() -> Result<()> {
    TestNamespace::with("csr", async |ns| {
        let (_pebble, _operator) = (ready_ca(ns).await?, serving(ns).start().await?);
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let user = named(ns, "dev");
        ns.apply(&may_create_requests(&user)).await?;
        let dev = ns.acting_as(&user).await?;
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
        let pem = pem(&key, &host(ns, "a"))?;
        let (before, after) = (named(ns, "before"), named(ns, "after"));
        create(&dev, &request(&before, &signer(ns), &pem, &[])).await?;
        kubectl(ns, &["certificate", "approve", &before])?;
        let object = ns.wait(&target(&before), SOON, |object| failed(object).is_some()).await?;
        let (reason, message) = failed(&object).context("it has not failed")?;
        assert_eq!(reason, "ReferenceDenied");
        assert!(message.contains(&format!("User '{user}' may not use Issuer {}/ca", ns.name)), "{message}");

        ns.apply(&may_reference(&user)).await?;
        create(&dev, &request(&after, &signer(ns), &pem, &[])).await?;
        kubectl(ns, &["certificate", "approve", &after])?;
        certificate_of(ns, &after).await?.leaf().check_key(&key)?;
        for target in [
            target(&before),
            target(&after),
            format!("clusterrolebinding/{user}"),
            format!("clusterrole/{user}"),
        ] {
            ns.delete_object(&target).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_rejects_the_key_makes_the_request_fail_and_one_that_is_away_does_not() -> Result<()> {
    TestNamespace::with("csr", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = serving(ns).argument("--backoff-first", "1s").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let rejected = named(ns, "rejected");
        let ed25519 = pem(&PrivateKey::generate(KeyAlgorithm::Ed25519)?, &host(ns, "a"))?;
        ns.apply(&request(&rejected, &signer(ns), &ed25519, &[])).await?;
        kubectl(ns, &["certificate", "approve", &rejected])?;
        let object = ns.wait(&target(&rejected), SOON, |object| failed(object).is_some()).await?;
        let (reason, message) = failed(&object).context("it has not failed")?;
        assert_eq!(reason, "BadCSR");
        assert!(message.contains("Ed25519"), "{message}");
        ns.wait_gone(&format!("certificate/csr-{}", uid(&object)?), SOON).await?;

        proxy.script(|request| match request.path.starts_with(path::NEW_ORDER) {
            true => Action::Respond { status: 503, headers: Vec::new(), body: String::new() },
            false => Action::Pass,
        });
        let patient = named(ns, "patient");
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
        ns.apply(&request(&patient, &signer(ns), &pem(&key, &host(ns, "b"))?, &[])).await?;
        kubectl(ns, &["certificate", "approve", &patient])?;
        told(ns, &patient, "CAUnavailable").await?;
        let object = ns.get(&target(&patient)).await?.context("it is gone")?;
        assert_eq!(failed(&object), None);
        proxy.pass();
        certificate_of(ns, &patient).await?.leaf().check_key(&key)?;
        for name in [&rejected, &patient] {
            ns.delete_object(&target(name)).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cluster_issuer_must_allow_the_operators_namespace() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("csr", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = serving(ns).argument("--cluster-issuers", "true").start().await?;
        let own = issuer(&pebble.directory_url, &pebble.ca_pem, "");
        let cluster_wide = own
            .replace("kind: Issuer", "kind: ClusterIssuer")
            .replace("metadata: { name: ca }", &format!("metadata: {{ name: {} }}", ns.name));
        let of_web = "spec:\n  allow: { namespaceSelector: { matchLabels: { team: web } } }\n";
        ns.apply(&cluster_wide.replace("spec:\n", of_web)).await?;
        let issuer = format!("clusterissuer/{}", ns.name);
        ns.wait_condition(&issuer, "Ready", "True", SOON).await?;
        let signer = format!("clusterissuers.certwright.dev/{}", ns.name);
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
        let pem = pem(&key, &host(ns, "a"))?;
        let (before, after) = (named(ns, "before"), named(ns, "after"));
        ns.apply(&request(&before, &signer, &pem, &[])).await?;
        kubectl(ns, &["certificate", "approve", &before])?;
        let object = ns.wait(&target(&before), SOON, |object| failed(object).is_some()).await?;
        assert_eq!(failed(&object).context("it has not failed")?.0, "NotAllowed");

        ns.patch_namespace(json!({ "metadata": { "labels": { "team": "web" } } })).await?;
        // The operator sees the label a moment later.
        let labelled = |object: &Value| object["metadata"]["labels"]["team"] == "web";
        ns.wait(&format!("namespace/{}", ns.name), SOON, labelled).await?;
        ns.apply(&request(&after, &signer, &pem, &[])).await?;
        kubectl(ns, &["certificate", "approve", &after])?;
        certificate_of(ns, &after).await?.leaf().check_key(&key)?;
        for target in [target(&before), target(&after), issuer] {
            ns.delete_object(&target).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_that_is_deleted_takes_everything_along() -> Result<()> {
    TestNamespace::with("csr", async |ns| {
        let (_pebble, operator) = (ready_ca(ns).await?, serving(ns).start().await?);
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let held = hold(ns, &host(ns, "a")).await?;
        let name = named(ns, "deleted");
        let pem = pem(&PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?, &host(ns, "a"))?;
        ns.apply(&request(&name, &signer(ns), &pem, &[])).await?;
        kubectl(ns, &["certificate", "approve", &name])?;
        let object = ns.get(&target(&name)).await?.context("it is gone")?;
        let certificate = format!("certificate/csr-{}", uid(&object)?);
        ns.wait(&certificate, SOON, |object| !object["status"]["challenges"].is_null()).await?;
        // It goes on after a restart.
        operator.restart().await?;
        ns.delete_object(&target(&name)).await?;
        ns.wait_gone(&certificate, SOON).await?;
        wait_nothing_left(ns).await?;
        held.let_go().await
    })
    .await
}

/// An operator that serves CertificateSigningRequests.
fn serving(ns: &TestNamespace) -> OperatorBuilder<'_> {
    Operator::builder(ns).argument("--certificate-signing-requests", "true")
}

/// A CA, and an Issuer `ca` for it.
async fn ready_ca(ns: &TestNamespace) -> Result<Pebble> {
    let pebble = Pebble::builder().start(&ns.cluster).await?;
    ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
    Ok(pebble)
}

/// The signer name of the Issuer `ca`.
fn signer(ns: &TestNamespace) -> String {
    format!("issuers.certwright.dev/{}.ca", ns.name)
}

/// The name of an object without a namespace that no other test uses.
fn named(ns: &TestNamespace, name: &str) -> String {
    format!("{}-{name}", ns.name)
}

fn target(name: &str) -> String {
    format!("certificatesigningrequests.certificates.k8s.io/{name}")
}

fn uid(object: &Value) -> Result<&str> {
    object["metadata"]["uid"].as_str().context("no uid")
}

fn request(name: &str, signer: &str, pem: &str, usages: &[&str]) -> String {
    let usages = [&["digital signature", "server auth"], usages].concat();
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": name },
        "spec": { "signerName": signer, "request": base64(pem), "usages": usages },
    })
    .to_string()
}

/// Creates a request; an apply would need the permission to patch it.
async fn create(ns: &TestNamespace, yaml: &str) -> Result<()> {
    let object: CertificateSigningRequest = serde_json::from_str(yaml)?;
    let api = Api::<CertificateSigningRequest>::all(ns.client.clone());
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

fn pem(key: &PrivateKey, name: &str) -> Result<String> {
    let subject = Subject { dns_names: vec![name.to_owned()], ..Subject::default() };
    let der = certificate_signing_request(key, &subject, SignatureHash::MatchKey)?;
    Ok(SigningRequest::from_der(&der)?.pem())
}

fn fixture(file: &str) -> Result<String> {
    Ok(std::fs::read_to_string(root().join(Path::new(file)))?)
}

/// Waits for the certificate of a request.
async fn certificate_of(ns: &TestNamespace, name: &str) -> Result<Chain> {
    let has = |object: &Value| object["status"]["certificate"].is_string() || failed(object).is_some();
    let object = ns.wait(&target(name), SOON, has).await?;
    let text = object["status"]["certificate"].as_str().with_context(|| format!("{:#}", object["status"]))?;
    Ok(Chain::parse_pem(&base64::engine::general_purpose::STANDARD.decode(text)?)?)
}

/// Waits for an event about a request with this reason.
async fn told(ns: &TestNamespace, name: &str, reason: &str) -> Result<()> {
    // Events about objects without a namespace are there.
    let events = Api::<Event>::namespaced(ns.client.clone(), "default");
    let events = watcher(events, watcher::Config::default()).applied_objects();
    let wanted = |event: &Event| {
        let about = event.regarding.as_ref().and_then(|object| object.name.as_deref());
        about == Some(name) && event.reason.as_deref() == Some(reason)
    };
    let mut found = std::pin::pin!(events.try_filter(|event| std::future::ready(wanted(event))));
    let found = tokio::time::timeout(SOON, found.try_next()).await;
    found.with_context(|| format!("no event {reason} about {name}"))??.context("no more events").map(drop)
}

/// Reason and message of the condition `Failed`.
fn failed(object: &Value) -> Option<(String, String)> {
    condition(object, "Failed").map(|(_, reason, message)| (reason, message))
}

fn may_create_requests(user: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{ name: {user} }}\nrules:\n  - apiGroups: \
         [certificates.k8s.io]\n    resources: [certificatesigningrequests]\n    verbs: [create]\n---\napiVersion: \
         rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{ name: {user} }}\nroleRef: {{ apiGroup: \
         rbac.authorization.k8s.io, kind: ClusterRole, name: {user} }}\nsubjects: [{{ kind: User, name: {user}, apiGroup: \
         rbac.authorization.k8s.io }}]\n"
    )
}

fn may_reference(user: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: dev }}\nrules:\n  - apiGroups: \
         [certwright.dev]\n    resources: [signers]\n    resourceNames: [ca]\n    verbs: [reference]\n---\napiVersion: \
         rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{ name: dev }}\nroleRef: {{ apiGroup: \
         rbac.authorization.k8s.io, kind: Role, name: dev }}\nsubjects: [{{ kind: User, name: {user}, apiGroup: \
         rbac.authorization.k8s.io }}]\n"
    )
}
