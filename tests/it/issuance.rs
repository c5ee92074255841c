//! From a Certificate to a TLS Secret.

mod keys;
mod proved;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{
    HTTP01, SOON, certificate, condition, count, hold, issued, issuer, ready, ready_through_proxy, revision,
    tls, wait_all, wait_nothing_left, wait_nothing_presented,
};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use certwright_cluster::proxy::Action;
use certwright_cluster::{ADDRESS, Operator, Pebble, Proxy, TestNamespace};
use certwright_pki::{Chain, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use parking_lot::Mutex;
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

#[tokio::test]
async fn a_certificate_for_two_names_is_issued_over_http01() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        let issued = issued(ns, "web").await?;
        let secret = ns.api::<Secret>().get("web-tls").await?;
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
        let data = secret.data.context("the Secret has no data")?;
        let chain = Chain::parse_pem(&data["tls.crt"].0)?;
        let key = PrivateKey::from_pem(&data["tls.key"].0)?;
        chain.leaf().check_key(&key)?;
        assert_eq!(Vec::from_iter(&chain.leaf().dns_names), ["a.example.com", "b.example.com"]);
        assert!(chain.certificates().len() > 1, "the chain comes with the certificate");
        assert_eq!(issued["status"]["serialNumber"], chain.leaf().serial_number);
        assert_eq!(issued["status"]["revision"], 1);
        assert!(issued["status"]["order"].is_null(), "nothing is under way any more: {issued}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_for_one_name_leaves_nothing_but_its_secret() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let issued = issued(ns, "web").await?;
        let web = tls(ns, "web-tls").await?;
        assert_eq!(Vec::from_iter(&web.chain.leaf().dns_names), ["a.example.com"]);
        let made = wait_all::<Secret>(ns, "app.kubernetes.io/managed-by=certwright", |_| true).await?;
        let mut names: Vec<_> = made.iter().filter_map(|secret| secret.metadata.name.as_deref()).collect();
        names.sort_unstable();
        assert_eq!(names, ["ca-account-key", "certwright-ledger-key", "web-tls"]);
        wait_nothing_left(ns).await?;
        for field in ["challenges", "nextPrivateKeySecretName", "failedIssuanceAttempts", "nextAttemptTime"] {
            assert!(issued["status"][field].is_null(), "{field} is left: {issued}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_hundred_names_are_presented_at_once_by_one_ingress() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let mut held = hold(&proxy, "/chalZ/");
        let names: Vec<String> = (0..100).map(|n| format!("n{n:02}.example.com")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        ns.apply(&certificate("web", &names, "")).await?;

        held.reached().await?;
        let ingresses = wait_all::<Ingress>(ns, HTTP01, |_| true).await?;
        let [ingress] = ingresses.as_slice() else { panic!("not one Ingress: {ingresses:#?}") };
        let rules = ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten());
        let mut hosts: Vec<&str> = rules.filter_map(|rule| rule.host.as_deref()).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, names);
        let status = ns.get("certificate/web").await?.context("the Certificate is gone")?;
        assert_eq!(status["status"]["challenges"].as_array().map(Vec::len), Some(100));

        held.go_on(&proxy);
        issued(ns, "web").await?;
        assert_eq!(Vec::from_iter(&tls(ns, "web-tls").await?.chain.leaf().dns_names), names);
        assert_eq!(count(&proxy, "/finalize-order/"), 1 + refused(&proxy, "/finalize-order/"));
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn an_ip_address_is_proved_through_a_rule_for_any_host() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], &format!("  ipAddresses: [{ADDRESS}]\n"))).await?;
        held.reached().await?;
        let ingresses = wait_all::<Ingress>(ns, HTTP01, |ingresses| !ingresses.is_empty()).await?;
        let rules = ingresses
            .iter()
            .flat_map(|ingress| ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten()));
        let mut hosts: Vec<Option<&str>> = rules.map(|rule| rule.host.as_deref()).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, [None, Some("a.example.com")]);

        held.go_on(&proxy);
        issued(ns, "web").await?;
        let leaf = tls(ns, "web-tls").await?.chain.leaf().clone();
        assert_eq!(Vec::from_iter(leaf.ip_addresses.iter().map(ToString::to_string)), [ADDRESS]);
        assert_eq!(Vec::from_iter(&leaf.dns_names), ["a.example.com"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_secret_has_the_labels_and_annotations_of_its_template() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let template =
            "  secretTemplate: { labels: { team: web }, annotations: { example.com/note: kept } }\n";
        ns.apply(&certificate("web", &["a.example.com"], template)).await?;
        issued(ns, "web").await?;
        let metadata = tls(ns, "web-tls").await?.secret.metadata;
        assert_eq!(metadata.labels.unwrap_or_default().get("team").map(String::as_str), Some("web"));
        let annotations = metadata.annotations.unwrap_or_default();
        assert_eq!(annotations.get("example.com/note").map(String::as_str), Some("kept"));

        let reserved = "  secretTemplate: { labels: { certwright.dev/secret: mine } }\n";
        ns.apply(&certificate("greedy", &["b.example.com"], reserved)).await?;
        let refused = ns.wait_condition("certificate/greedy", "Ready", "False", SOON).await?;
        let (_, reason, message) = condition(&refused, "Ready").context("no condition")?;
        assert_eq!(reason, "InvalidSpec");
        assert!(message.contains("certwright.dev/secret"), "{message}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_common_name_is_asked_for_as_a_name_too() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        let requests = signing_requests(&proxy);
        ns.apply(&certificate("web", &["a.example.com"], "  commonName: cn.example.com\n")).await?;
        issued(ns, "web").await?;
        let leaf = tls(ns, "web-tls").await?.chain.leaf().clone();
        assert_eq!(Vec::from_iter(&leaf.dns_names), ["a.example.com", "cn.example.com"]);
        let der = requests.only()?;
        let (_, request) = X509CertificationRequest::from_der(&der)?;
        let subject = &request.certification_request_info.subject;
        assert_eq!(subject.to_string(), "CN=cn.example.com");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wildcard_says_that_it_needs_dns_01() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        ns.apply(&certificate("web", &["a.example.com", "*.example.com"], "")).await?;
        let refused = ns
            .wait("certificate/web", SOON, |object| {
                condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "NoSolver")
            })
            .await?;
        let (_, _, message) = condition(&refused, "Ready").context("no condition")?;
        assert!(message.contains("*.example.com"), "{message}");
        assert!(message.contains("dns-01"), "{message}");
        assert!(!message.contains("a.example.com"), "the other name is not at fault: {message}");
        assert_eq!(count(&proxy, "/chalZ/"), 0, "nothing is proved in vain");
        wait_nothing_presented(ns).await
    })
    .await
}

#[tokio::test]
async fn the_profile_of_the_issuer_is_asked_for() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let pebble = Pebble::builder().profile("short", "Six hours", Duration::from_secs(6 * 3600)).profile(
            "long",
            "Ninety days",
            Duration::from_secs(90 * 86_400),
        );
        let (_pebble, _proxy, _operator) = ready_through_proxy(ns, pebble, "    profile: short\n").await?;
        for index in 0..4 {
            let name = format!("web{index}");
            ns.apply(&certificate(&name, &[&format!("{name}.example.com")], "")).await?;
        }
        for index in 0..4 {
            // Pebble picks one at random if none is requested.
            issued(ns, &format!("web{index}")).await?;
            let leaf = tls(ns, &format!("web{index}-tls")).await?.chain.leaf().clone();
            let hours = leaf.not_after.duration_since(leaf.not_before).as_hours();
            assert!((5..=6).contains(&hours), "{hours} h");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_profile_that_the_ca_does_not_have_is_refused_in_its_words() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let pebble = Pebble::builder().profile("short", "Six hours", Duration::from_secs(6 * 3600));
        let (_pebble, _proxy, _operator) = ready_through_proxy(ns, pebble, "    profile: gold\n").await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let refused =
            ns.wait("certificate/web", SOON, |object| !object["status"]["lastFailureTime"].is_null()).await?;
        let (_, _, message) = condition(&refused, "Ready").context("no condition")?;
        assert!(message.contains("gold"), "{message}");
        assert!(message.contains("invalidProfile"), "{message}");
        wait_nothing_presented(ns).await
    })
    .await
}

#[tokio::test]
async fn the_preferred_chain_is_stored_if_the_ca_offers_it() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let pebble = Pebble::builder().alternate_roots(2).start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let mut roots = Vec::new();
        for index in 0..3 {
            let root = Chain::parse_pem(pebble.alternate_root_pem(index).await?.as_bytes())?;
            roots.push(root.leaf().common_name.clone().context("a root without a name")?);
        }
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        let preferring = |name: &str, root: &str| {
            issuer(&pebble.directory_url, &pebble.ca_pem, &format!("    preferredChain: {root}\n"))
                .replace("name: ca ", &format!("name: {name} "))
        };
        ns.apply(&preferring("second", &roots[2])).await?;
        ns.apply(&preferring("other", "No such root")).await?;
        for (name, expected) in [("ca", &roots[0]), ("second", &roots[2]), ("other", &roots[0])] {
            let yaml = certificate(name, &[&format!("{name}.example.com")], "");
            ns.apply(&yaml.replace("issuerRef: { name: ca }", &format!("issuerRef: {{ name: {name} }}")))
                .await?;
            issued(ns, name).await?;
            let found = tls(ns, &format!("{name}-tls")).await?;
            assert!(found.chain.issued_by(expected), "{name}: {:?}, not {expected}", found.chain.issuers());
        }
        Ok(())
    })
    .await
}

/// The CSRs that a proxy has received, in DER, by the URL of their order.
struct SigningRequests(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

fn signing_requests(proxy: &Proxy) -> SigningRequests {
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let sink = seen.clone();
    proxy.script(move |request| {
        if request.path.starts_with("/finalize-order/")
            && let Some(csr) = csr(&request.body)
        {
            sink.lock().insert(request.path.clone(), csr);
        }
        Action::Pass
    });
    SigningRequests(seen)
}

impl SigningRequests {
    fn only(&self) -> Result<Vec<u8>> {
        let seen = self.0.lock();
        ensure!(seen.len() == 1, "{} orders were finalized", seen.len());
        seen.values().next().cloned().context("no order was finalized")
    }
}

/// The `csr` of a finalize request (RFC 8555 section 7.4).
fn csr(body: &[u8]) -> Option<Vec<u8>> {
    let jws: Value = serde_json::from_slice(body).ok()?;
    let payload = URL_SAFE_NO_PAD.decode(jws["payload"].as_str()?).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    URL_SAFE_NO_PAD.decode(payload["csr"].as_str()?).ok()
}

/// How many requests were rejected; Pebble rejects one nonce in twenty.
fn refused(proxy: &Proxy, path: &str) -> usize {
    let refused = |request: &&certwright_cluster::proxy::Record| {
        request.path.starts_with(path) && request.status.is_some_and(|status| status == 400)
    };
    proxy.requests().iter().filter(refused).count()
}
