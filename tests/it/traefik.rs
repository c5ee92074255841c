//! Traefik as Ingress controller and as implementation of the Gateway API, from the presentation of an answer to its removal.
#![allow(clippy::disallowed_methods, reason = "a log has no events to wait for")]

use std::time::Duration;

use crate::common::dns::issuer;
use crate::common::faults::steady;
use crate::common::http01::{host, nothing_is_left};
use crate::common::{SOON, certificate, condition, issued, revision};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Proxy, TRAEFIK_ADDRESS, TestNamespace, Traefik};
use certwright_solver::http01::HttpRoute;
use certwright_solver::tls_alpn01::TlsRoute;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::time::timeout;

/// The certificates of each solver are issued at once, so that their routes come and go while others are used.
const CERTIFICATES: usize = 4;

const WITHOUT_SERVICE: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec: { ingressClassName: traefik, defaultBackend: { service: { name: shop, port: { number: 80 } } } }
";

const WITH_TLS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: secure }
spec:
  ingressClassName: traefik
  defaultBackend: { service: { name: shop, port: { number: 80 } } }
";

#[tokio::test]
async fn certificates_are_issued_through_traefik_without_a_complaint_in_its_log() -> Result<()> {
    TestNamespace::with("traefik", async |ns| {
        let gateway_api = ns.cluster.gateway_api().await?;
        let api_server = Proxy::of_api_server(&ns.cluster).await?;
        let traefik = Traefik::start(&ns.cluster, &gateway_api, &api_server.url).await?;
        ns.apply(&gateway()).await?;
        // So that a renewal needs no Traefik.
        let pebble = steady().authorization_reuse_percent(100).start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--served-check-interval", "18s").start().await?;
        let (ingress, http, tls) = ("ingress", "http", "tls");
        let parent = |listener: &str| json!([{ "name": "public", "sectionName": listener }]);
        let solver = |way: &str, solver: Value| {
            let mut solver = solver;
            solver["selector"] = json!({ "matchLabels": { "way": way } });
            solver
        };
        let solvers = json!([
            solver(ingress, json!({ "http01": { "ingress": { "ingressClassName": Traefik::CLASS } } })),
            solver(http, json!({ "http01": { "gatewayHTTPRoute": { "parentRefs": parent("http") } } })),
            solver(tls, json!({ "tlsAlpn01": { "gatewayTLSRoute": { "parentRefs": parent("tls") } } })),
        ]);
        ns.apply(&issuer("ca", &pebble.directory_url, &pebble.ca_pem, &solvers).to_string()).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;

        for way in [ingress, http, tls] {
            let names: Vec<_> = (0..CERTIFICATES).map(|number| format!("{way}-{number}")).collect();
            for name in &names {
                let host = host(ns, name);
                ns.cluster.dns()?.set_a(&host, &[TRAEFIK_ADDRESS]).await?;
                let labelled = format!("metadata: {{ name: {name}, labels: {{ way: {way} }} }}");
                let certificate = certificate(name, &[&host], "");
                ns.apply(&certificate.replace(&format!("metadata: {{ name: {name} }}"), &labelled)).await?;
            }
            for name in &names {
                let issued = issued(ns, name).await?;
                assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null, "{name}");
            }
            nothing_is_left(ns).await?;
        }
        let http = ns.api::<HttpRoute>().list(&ListParams::default()).await?.items;
        let tls = ns.api::<TlsRoute>().list(&ListParams::default()).await?.items;
        assert!(http.is_empty() && tls.is_empty(), "{http:#?} {tls:#?}");
        assert_eq!(traefik.complaints()?, Vec::<String>::new());

        // It would complain.
        ns.apply(WITHOUT_SERVICE).await?;
        let complains = async {
            while traefik.complaints()?.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        timeout(SOON, complains).await??;

        // Without an Ingress for the Secret, it serves a certificate of its own.
        ns.patch("certificate/ingress-0", json!({ "spec": { "served": { "check": true } } })).await?;
        let served = async |status: &str| {
            let object = ns.wait_condition("certificate/ingress-0", "Served", status, SOON).await?;
            condition(&object, "Served").context("no condition")
        };
        let (_, reason, message) = served("False").await?;
        assert_eq!(reason, "OtherCertificateServed");
        let words =
            format!("{TRAEFIK_ADDRESS}:443 serves the default certificate of Traefik, which has none for");
        assert!(message.contains(&words), "{message}");
        let host = host(ns, "ingress-0");
        ns.apply(&format!("{WITH_TLS}  tls: [{{ hosts: [{host}], secretName: ingress-0-tls }}]\n")).await?;
        served("True").await?;

        // Without its API server, it goes on with what it has read.
        let old = issued(ns, "ingress-0").await?["status"]["serialNumber"].clone();
        api_server.go_away();
        let renewal = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
        ns.patch("certificate/ingress-0", renewal).await?;
        revision(ns, "ingress-0", 2).await?;
        let (_, reason, message) = served("False").await?;
        assert_eq!(reason, "OldCertificateServed");
        let old = old.as_str().context("no serial number")?;
        let words = format!(
            "{host}: {TRAEFIK_ADDRESS}:443 serves an older certificate (serial number {old}, issued by "
        );
        assert!(message.starts_with(&words), "{message}");
        api_server.pass();
        served("True").await?;
        Ok(())
    })
    .await
}

fn gateway() -> String {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "public" },
        "spec": {
            "gatewayClassName": Traefik::CLASS,
            "listeners": [
                { "name": "http", "port": 80, "protocol": "HTTP" },
                { "name": "tls", "port": 443, "protocol": "TLS", "tls": { "mode": "Passthrough" } },
            ],
        },
    });
    gateway.to_string()
}
