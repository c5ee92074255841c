//! tls-alpn-01: TLS handshakes that a proxy in front, or a Gateway, leads to the operator.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::faults::{issuing, path, steady};
use crate::common::haproxy::HaProxy;
use crate::common::http01::{hold, host, nothing_is_left, ours, presented};
use crate::common::program::certwright;
use crate::common::{self, SOON, certificate, issued, stays_as_it_is, wait_nothing_presented};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use certwright_solver::tls_alpn01::TlsRoute;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Addresses of HAProxy.
const FRONT: &str = "127.80.4.1";
const ELSEWHERE: &str = "127.80.4.2";
const TURNS: &str = "127.80.4.3";
const ATTACKED: &str = "127.80.4.4";

#[tokio::test]
async fn the_haproxy_of_the_page_leads_the_ca_to_the_operator_and_everybody_else_to_the_site() -> Result<()> {
    TestNamespace::with("front-proxy", async |ns| {
        let (pebble, operator) = start(ns).await?;
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        issuer(ns, &format!("{}/dir", ca.url), &pebble, json!({})).await?;
        let name = host(ns, "shop");
        ns.cluster.dns()?.set_a(&name, &[FRONT]).await?;
        let haproxy = HaProxy::start(ns, FRONT, &name, Some(&operator)).await?;
        haproxy.serves_the_site(&name).await?;
        let mut held = common::hold(&ca, path::CHALLENGE);
        let by_address = format!("  ipAddresses: [{FRONT}]\n");
        ns.apply(&certificate("web", &[&name], &by_address)).await?;
        held.reached_by(2).await?;
        haproxy.serves_the_site(&name).await.context("while the name is being validated")?;
        let web = ns.get("certificate/web").await?.context("no Certificate")?;
        let challenges = web["status"]["challenges"].as_array().context("no challenges")?;
        ensure!(challenges.len() == 2, "{challenges:?}");
        ensure!(challenges.iter().all(|one| one["way"] == "FrontProxy" && one["type"] == "tls-alpn-01"));
        ensure!(web["metadata"]["finalizers"].is_null(), "nothing is to be removed");
        nothing_is_left(ns).await?;
        held.go_on(&ca);
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["failedIssuanceAttempts"], Value::Null);
        haproxy.serves_the_site(&name).await
    })
    .await
}

#[tokio::test]
async fn something_else_on_port_443_is_told_and_once_it_is_mended_there_is_a_certificate() -> Result<()> {
    TestNamespace::with("port-443", async |ns| {
        let (pebble, operator) = start(ns).await?;
        issuer(ns, &pebble.directory_url, &pebble, json!({})).await?;
        let name = host(ns, "shop");
        ns.cluster.dns()?.set_a(&name, &[ELSEWHERE]).await?;
        let site = HaProxy::start(ns, ELSEWHERE, &name, None).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        let port = operator.tls_responder.rsplit_once(':').context("no port")?.1;
        let words = format!(
            "127.80.4.2:443 answers with a certificate for this name, without the protocol acme-tls/1: something else \
             serves port 443 of {name}; let what listens there forward connections that offer acme-tls/1 (ALPN) to port \
             {port} of the operator"
        );
        waiting(ns, "web", &words).await?;
        stays_as_it_is(ns, "web", Duration::from_secs(5)).await?;
        let check = ["check", "--operator-namespace", &ns.name, "--egress-allow", "127.80.0.0/16"];
        let dns = ns.cluster.dns()?.address().to_string();
        let found = certwright(ns, &[&check[..], &["--nameservers", &dns]].concat()).await?;
        found.says(&["without the protocol acme-tls/1: something else serves port 443"])?;
        drop(site);

        let _haproxy = HaProxy::start(ns, ELSEWHERE, &name, Some(&operator)).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["failedIssuanceAttempts"], Value::Null);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn certificates_for_the_same_name_take_turns() -> Result<()> {
    TestNamespace::with("turns", async |ns| {
        let (pebble, operator) = start(ns).await?;
        issuer(ns, &pebble.directory_url, &pebble, json!({})).await?;
        let name = host(ns, "shop");
        ns.cluster.dns()?.set_a(&name, &[TURNS]).await?;
        for certificates in ["one", "two", "three"] {
            ns.apply(&certificate(certificates, &[&name], "")).await?;
        }
        for certificate in ["one", "two", "three"] {
            presented(ns, certificate).await?;
        }
        let _haproxy = HaProxy::start(ns, TURNS, &name, Some(&operator)).await?;
        for certificate in ["one", "two", "three"] {
            let object = issued(ns, certificate).await?;
            assert_eq!(object["status"]["failedIssuanceAttempts"], Value::Null, "{certificate}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn temporary_tls_routes_lead_to_the_operator_and_go_once_issued() -> Result<()> {
    TestNamespace::with("tls-route", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let (pebble, operator) = start(ns).await?;
        let route = json!({ "parentRefs": [{ "name": "public" }], "labels": { "team": "shop" } });
        issuer(ns, &pebble.directory_url, &pebble, json!({ "gatewayTLSRoute": route })).await?;
        // A listener that does not pass TLS through.
        ns.apply(&gateway(json!({ "name": "http", "port": 80, "protocol": "HTTP" }))).await?;
        let names = [host(ns, "a"), host(ns, "b")];
        let held = hold(ns, &names[0]).await?;
        ns.apply(&certificate("web", &[&names[0], &names[1]], "")).await?;
        let words = format!(
            "the Gateway {}/public does not accept the TLSRoute: NoMatchingParent: no listener for TLS on port 443 is meant",
            ns.name
        );
        let web = waiting(ns, "web", &words).await?;
        let uid = web["metadata"]["uid"].as_str().context("no uid")?;
        let [found] = &routes(ns).await?[..] else { anyhow::bail!("not one TLSRoute") };
        assert_eq!(found.labels()["team"], "shop");
        assert_eq!(found.labels()["certwright.dev/certificate-uid"], uid);
        let [owner] = found.owner_references() else { anyhow::bail!("not one owner") };
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Certificate", uid));
        assert_eq!(found.spec.hostnames, names);
        let backend = &found.spec.rules[0].backend_refs[0];
        assert_eq!((backend.name.as_str(), backend.port), ("certwright-tls-alpn01", Some(443)));
        let services = ns.api::<Service>().list(&ours()).await?.items;
        let services: Vec<String> = services.iter().map(ResourceExt::name_any).collect();
        assert_eq!(services, ["certwright-tls-alpn01"]);
        let slices = ns.api::<EndpointSlice>().list(&ours()).await?.items;
        let [slice] = &slices[..] else { anyhow::bail!("not one slice: {slices:?}") };
        let port = slice.ports.as_ref().and_then(|ports| ports.first()?.port).context("no port")?;
        assert_eq!(operator.tls_responder, format!("{}:{port}", slice.endpoints[0].addresses[0]));
        ensure!(web["status"]["challenges"][0]["way"] == "TLSRoute");

        ns.apply(&gateway(passthrough())).await?;
        held.let_go().await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["failedIssuanceAttempts"], Value::Null);
        let left = ns.api::<TlsRoute>().list(&ListParams::default()).await?.items;
        assert!(left.is_empty(), "TLSRoutes: {left:#?}");
        nothing_is_left(ns).await?;

        // An address has a route, too, and a deletion in mid-order leaves nothing.
        ns.apply(&certificate("address", &[], "  ipAddresses: [192.0.2.10]\n")).await?;
        issued(ns, "address").await?;
        let _held = hold(ns, &names[0]).await?;
        ns.apply(&certificate("deleted", &[&names[0]], "")).await?;
        waiting(ns, "deleted", "127.80.0.1:443 refused the connection").await?;
        ns.delete_object("certificate/deleted").await?;
        ns.wait_gone("certificate/deleted", SOON).await?;
        wait_nothing_presented(ns).await
    })
    .await
}

#[tokio::test]
async fn without_tls_routes_in_the_cluster_a_certificate_waits_for_them() -> Result<()> {
    TestNamespace::with("no-tls-route", async |ns| {
        let absent = ns.cluster.without_gateway_api().await?;
        let (pebble, _operator) = start(ns).await?;
        let route = json!({ "parentRefs": [{ "name": "public" }] });
        issuer(ns, &pebble.directory_url, &pebble, json!({ "gatewayTLSRoute": route })).await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSolver").await?;
        assert_eq!(
            message,
            "The answer cannot be presented yet: the cluster does not have TLSRoutes of gateway.networking.k8s.io/v1; install \
             the Gateway API 1.5 or newer, or use another solver"
        );
        absent.install().await?;
        ns.apply(&gateway(passthrough())).await?;
        issued(ns, "web").await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn idle_slow_and_senseless_peers_keep_nobody_from_an_answer() -> Result<()> {
    TestNamespace::with("tls-peers", async |ns| {
        let (pebble, operator) = start(ns).await?;
        issuer(ns, &pebble.directory_url, &pebble, json!({})).await?;
        let name = host(ns, "shop");
        ns.cluster.dns()?.set_a(&name, &[ATTACKED]).await?;
        let _haproxy = HaProxy::start(ns, ATTACKED, &name, Some(&operator)).await?;
        let at: SocketAddr = operator.tls_responder.parse()?;
        let mut idle = Vec::new();
        for _ in 0..600 {
            idle.push(TcpStream::connect(at).await?);
        }
        let mut peers = JoinSet::new();
        for peer in 0..60 {
            peers.spawn(async move {
                let begin = Instant::now();
                let mut stream = TcpStream::connect(at).await?;
                let sent: &[u8] = match peer % 3 {
                    0 => b"GET / HTTP/1.1\r\n\r\n",
                    // The beginning of a handshake, and one that claims to be long.
                    1 => b"\x16\x03\x01\x02\x00\x01\x00",
                    _ => b"\x16\x03\x01\xff\xff\x01\xff\xff\xff",
                };
                stream.write_all(sent).await?;
                // An alert, or nothing; then the end.
                let mut answer = Vec::new();
                let _ = timeout(SOON, stream.read_to_end(&mut answer)).await?;
                ensure!(answer.len() < 100, "an answer of {} bytes", answer.len());
                Ok(begin.elapsed())
            });
        }
        ns.apply(&certificate("web", &[&name], "")).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["failedIssuanceAttempts"], Value::Null);
        while let Some(lasted) = peers.join_next().await {
            let lasted = lasted??;
            ensure!(lasted < Duration::from_secs(20), "a peer was borne for {lasted:?}");
        }
        for mut stream in idle {
            timeout(SOON, stream.read_to_end(&mut Vec::new())).await.context("an idle peer is borne")?.ok();
        }
        let complaints = |line: &String| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
        let complaints: Vec<String> = operator.logs().into_iter().filter(complaints).collect();
        assert_eq!(complaints, [""; 0]);
        ensure!(operator.is_running()?);
        Ok(())
    })
    .await
}

/// A CA and an operator.
async fn start(ns: &TestNamespace) -> Result<(Pebble, Operator)> {
    Ok((steady().start(&ns.cluster).await?, Operator::builder(ns).start().await?))
}

/// An Issuer `ca` with this `tlsAlpn01`, once it is ready.
async fn issuer(ns: &TestNamespace, directory: &str, pebble: &Pebble, solver: Value) -> Result<()> {
    let solvers = json!([{ "tlsAlpn01": solver }]);
    ns.apply(&common::dns::issuer("ca", directory, &pebble.ca_pem, &solvers).to_string()).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await.map(drop)
}

/// Waits until the self-check of a Certificate says this.
async fn waiting(ns: &TestNamespace, name: &str, words: &str) -> Result<Value> {
    common::dns::waiting(ns, name, "WaitingForSelfCheck", words).await
}

/// A Gateway `public` of the router's class.
fn gateway(listener: Value) -> String {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "public" },
        "spec": { "gatewayClassName": "router", "listeners": [listener] },
    });
    gateway.to_string()
}

fn passthrough() -> Value {
    json!({ "name": "tls", "port": 443, "protocol": "TLS", "tls": { "mode": "Passthrough" } })
}

async fn routes(ns: &TestNamespace) -> Result<Vec<TlsRoute>> {
    Ok(ns.api::<TlsRoute>().list(&ours()).await?.items)
}
