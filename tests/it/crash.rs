//! The operator is killed after each of its writes, to the CA or to the API server, and started again.

use crate::common;

use std::collections::BTreeSet;

use crate::common::crash::{Killer, Run, When, payload, walk};
use crate::common::http01::ENTRANCES;
use crate::common::{SOON, certificate, mac_key, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_acme::account_label;
use certwright_cluster::proxy::RequestInfo;
use certwright_cluster::{Bind, Operator, Pebble, Proxy, ScriptedProvider, TestNamespace};
use certwright_pki::{Chain, PrivateKey};
use certwright_solver::http01::HttpRoute;
use certwright_solver::tls_alpn01::TlsRoute;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// Pebble's path for newAccount.
const NEW_ACCOUNT: &str = "/sign-me-up";
/// An issuance has more writes than this, with any solver.
const LEAST_WRITES: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_one_certificate_one_account_and_nothing_else() -> Result<()> {
    walk_issuance(When::Answered, Proof::Ingress).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_one_certificate_one_account_and_nothing_else() -> Result<()> {
    walk_issuance(When::NotSent, Proof::Ingress).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_no_route_and_an_edited_ingress_as_it_was() -> Result<()> {
    walk_issuance(When::Answered, Proof::EditedIngressAndRoute).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_no_route_and_an_edited_ingress_as_it_was() -> Result<()> {
    walk_issuance(When::NotSent, Proof::EditedIngressAndRoute).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_no_record_in_the_dns() -> Result<()> {
    walk_issuance(When::Answered, Proof::Record).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_no_record_in_the_dns() -> Result<()> {
    walk_issuance(When::NotSent, Proof::Record).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_no_record_at_the_name_of_the_account() -> Result<()> {
    walk_issuance(When::Answered, Proof::RecordOfAccount).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_a_record_that_stays() -> Result<()> {
    walk_issuance(When::Answered, Proof::PersistentRecord).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_leaves_no_tls_route() -> Result<()> {
    walk_issuance(When::Answered, Proof::TlsRoute).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_leaves_no_tls_route() -> Result<()> {
    walk_issuance(When::NotSent, Proof::TlsRoute).await
}

async fn walk_issuance(when: When, proof: Proof) -> Result<()> {
    walk(LEAST_WRITES, |point| issuance(point, when, proof)).await
}

/// The solvers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Over HTTP, through a temporary Ingress.
    Ingress,
    /// Over HTTP, one name through an Ingress of somebody else and one through an HTTPRoute.
    EditedIngressAndRoute,
    /// A TXT record at a provider; requests to the provider count as writes.
    Record,
    /// The same, at the name that belongs to the account (dns-account-01).
    RecordOfAccount,
    /// A TXT record that a person sets, once there is an account.
    PersistentRecord,
    /// In a TLS handshake, through a TLSRoute.
    TlsRoute,
}

/// Whether a request registers an account with external account binding (RFC 8555 section 7.3.4), or finalizes an order.
fn is_notable(request: &RequestInfo) -> bool {
    let payload = payload(request).unwrap_or_default();
    let registers =
        request.path == NEW_ACCOUNT && String::from_utf8_lossy(&payload).contains("externalAccountBinding");
    registers || request.path.starts_with("/finalize-order/")
}

/// One issuance from nothing to a certificate, with a crash at the write `point`, and the expected result.
async fn issuance(point: usize, when: When, proof: Proof) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("crash", async |ns| {
        // A rejected nonce sends a write twice; other tests cover it.
        let bind = Bind::builder().zone("crash.test").start(&ns.cluster).await?;
        let pebble = Pebble::builder().eab("kid", MAC_KEY);
        let pebble = match proof {
            Proof::Ingress | Proof::EditedIngressAndRoute | Proof::TlsRoute => pebble,
            Proof::Record | Proof::RecordOfAccount | Proof::PersistentRecord => {
                pebble.dns_server(&bind.address())
            }
        };
        let pebble = pebble.start(&ns.cluster).await?;
        let provider = ScriptedProvider::http().await?.publish_to(&bind);
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, is_notable);
        [&ca, &api].into_iter().for_each(|proxy| killer.stand_at(proxy));
        let judge = killer.clone();
        provider.script(move |request| judge.judge_provider(request));
        let operator = Operator::builder(ns)
            .api_server(&api.url)
            .argument("--backoff-first", "1s")
            .argument("--dns01-recursive-nameservers", &bind.address())
            .start()
            .await?;
        killer.arm(&operator)?;
        let _gateway_api = ns.cluster.gateway_api().await?;
        ns.apply(ENTRANCES).await?;
        let shop = ns.get("ingress/shop").await?.context("no Ingress")?["spec"].clone();
        let [web, routed] = ["web", "routed"].map(|name| format!("{name}.{}.example.com", ns.name));
        let (names, solvers) = match proof {
            Proof::Ingress => (vec![web], json!([{"http01": {"ingress": {"ingressClassName": "router"}}}])),
            Proof::EditedIngressAndRoute => {
                let route = json!({"gatewayHTTPRoute": {"parentRefs": [{"name": "public"}]}});
                let selector = json!({"dnsNames": [routed]});
                let solvers = json!([
                    {"http01": {"ingress": {"name": "shop"}}}, {"http01": route, "selector": selector},
                ]);
                (vec![web, routed], solvers)
            }
            Proof::Record => {
                (vec!["*.crash.test".to_owned()], json!([{"dns01": {"httpRequest": {"url": provider.url}}}]))
            }
            Proof::RecordOfAccount => {
                let dns01 = json!({"httpRequest": {"url": provider.url}, "label": "Account"});
                (vec!["*.crash.test".to_owned()], json!([{ "dns01": dns01 }]))
            }
            Proof::TlsRoute => {
                let route =
                    json!({"gatewayTLSRoute": {"parentRefs": [{"name": "public", "sectionName": "tls"}]}});
                (vec![web], json!([{"tlsAlpn01": route}]))
            }
            Proof::PersistentRecord => (vec!["*.crash.test".to_owned()], json!([{"dnsPersist01": {}}])),
        };
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        let mut issuer = common::dns::issuer("ca", &format!("{}/dir", ca.url), &pebble.ca_pem, &solvers);
        issuer["spec"]["acme"]["externalAccountBinding"] =
            json!({"keyID": "kid", "keySecretRef": {"name": "eab"}});
        ns.apply(&issuer.to_string()).await?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        ns.apply(&certificate("web", &names, "")).await?;
        let record =
            async { if proof == Proof::PersistentRecord { set_record(ns, &bind).await } else { Ok(()) } };
        let issued = async {
            killer.until(ns.wait_condition("certificate/web", "Ready", "True", SOON), &operator).await?;
            at_rest(ns).await
        };
        tokio::try_join!(record, issued)?;
        check_outcome(ns, &killer).await?;
        let now = ns.get("ingress/shop").await?.context("the Ingress is gone")?["spec"].clone();
        ensure!(now == shop, "the Ingress of somebody else is not what it was: {now:#}, but was: {shop:#}");
        let issuer = ns.get("issuer/ca").await?.context("no Issuer")?;
        let label = account_label(issuer["status"]["acme"]["uri"].as_str().context("no account")?);
        for name in ["_acme-challenge.crash.test".to_owned(), format!("{label}._acme-challenge.crash.test")] {
            let left = bind.query(&name, "TXT").await?;
            ensure!(left.is_empty(), "left in the DNS: {left:?}");
        }
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("the issuance did not end")
}

/// Sets the record for the account of the Issuer, once it has one.
async fn set_record(ns: &TestNamespace, bind: &Bind) -> Result<()> {
    let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    let account = issuer["status"]["acme"]["uri"].as_str().context("no account")?;
    let value = format!("pebble.letsencrypt.org; accounturi={account}; policy=wildcard");
    bind.add_txt("_validation-persist.crash.test", &value).await
}

/// Waits until the Certificate is ready and nothing is in progress.
async fn at_rest(ns: &TestNamespace) -> Result<()> {
    ns.wait("certificate/web", SOON, |certificate| {
        let is = |type_: &str, status: &str| {
            common::condition(certificate, type_).is_some_and(|(found, ..)| found == status)
        };
        let (status, metadata) = (&certificate["status"], &certificate["metadata"]);
        let nothing_left = [&status["order"], &status["dnsRecords"], &metadata["finalizers"]];
        is("Ready", "True") && is("Issuing", "False") && nothing_left.iter().all(|left| left.is_null())
    })
    .await?;
    Ok(())
}

async fn check_outcome(ns: &TestNamespace, killer: &Killer) -> Result<()> {
    let secret = ns.api::<Secret>().get("web-tls").await?;
    let data = secret.data.context("the Secret has no data")?;
    let chain = Chain::parse_pem(&data["tls.crt"].0)?;
    chain.leaf().check_key(&PrivateKey::from_pem(&data["tls.key"].0)?)?;

    let heard = killer.heard();
    ensure!(heard.get(NEW_ACCOUNT) == Some(&1), "the external account was used more than once: {heard:?}");
    ensure!(heard.values().all(|times| *times == 1), "an order was finalized twice: {heard:?}");

    wait_nothing_left(ns).await?;
    let left = leftovers(ns).await?;
    ensure!(left.is_empty(), "left over: {left:?}");
    Ok(())
}

/// Objects that should not be left in the namespace.
async fn leftovers(ns: &TestNamespace) -> Result<Vec<String>> {
    let all = ListParams::default();
    let names = BTreeSet::from(["web-tls", "ca-account-key", "certwright-ledger-key", "eab"]);
    let mut left: Vec<String> = Vec::new();
    let ingresses = ns.api::<Ingress>().list(&all).await?;
    let ours = ingresses.iter().map(ResourceExt::name_any).filter(|name| name != "shop");
    left.extend(ours.map(|name| format!("Ingress {name}")));
    let routes = ns.api::<HttpRoute>().list(&all).await?;
    left.extend(routes.iter().map(|object| format!("HTTPRoute {}", object.name_any())));
    let tls_routes = ns.api::<TlsRoute>().list(&all).await?;
    left.extend(tls_routes.iter().map(|object| format!("TLSRoute {}", object.name_any())));
    left.extend(
        ns.api::<Service>().list(&all).await?.iter().map(|object| format!("Service {}", object.name_any())),
    );
    let slices = ns.api::<EndpointSlice>().list(&all).await?;
    left.extend(slices.iter().map(|object| format!("EndpointSlice {}", object.name_any())));
    let secrets = ns.api::<Secret>().list(&all).await?;
    let found: BTreeSet<String> = secrets.iter().map(ResourceExt::name_any).collect();
    left.extend(
        found.iter().filter(|name| !names.contains(name.as_str())).map(|name| format!("Secret {name}")),
    );
    left.extend(names.iter().filter(|name| !found.contains(**name)).map(|name| format!("no Secret {name}")));
    Ok(left)
}
