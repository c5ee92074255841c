//! Traces, of builds with the feature `otlp`.
#![cfg(feature = "otlp")]

use std::collections::BTreeSet;

use crate::common::{certificate, issued, issuer, tls};
use anyhow::Result;
use certwright_cluster::{Operator, Pebble, TestNamespace};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

#[tokio::test]
async fn an_issuance_is_traced_step_by_step_and_without_secrets() -> Result<()> {
    TestNamespace::with("traces", async |ns| {
        let collector = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/v1/traces"))
            .and(header("content-type", "application/x-protobuf"))
            .respond_with(ResponseTemplate::new(200))
            .mount(&collector)
            .await;
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).argument("--otlp-endpoint", &collector.uri()).start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        tls(ns, "web-tls").await?;
        // What is left is sent at the end.
        operator.terminate().await?;

        let sent: Vec<u8> = collector
            .received_requests()
            .await
            .unwrap_or_default()
            .into_iter()
            .flat_map(|one| one.body)
            .collect();
        let sent = String::from_utf8_lossy(&sent);
        let wanted = [
            "reconcile",
            "PlaceOrder",
            "Finalize",
            "ACME request",
            "newOrder",
            "http.response.status_code",
            "certwright",
            &ns.name,
        ];
        let missing: BTreeSet<&str> = wanted.into_iter().filter(|words| !sent.contains(words)).collect();
        assert!(missing.is_empty(), "no span has {missing:?}");
        let secrets = ["PRIVATE KEY", "https://", "/.well-known/"];
        let told: BTreeSet<&str> = secrets.into_iter().filter(|words| sent.contains(words)).collect();
        assert!(told.is_empty(), "a span has {told:?}");
        Ok(())
    })
    .await
}
