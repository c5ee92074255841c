//! Traces, of builds with the feature `otlp`.
#![cfg(feature = "otlp")]

use std::collections::BTreeSet;

use crate::common::accounts::{MAC_KEY, registered};
use crate::common::secrets::Secrets;
use crate::common::{certificate, external_account, hold, issued, issuer, mac_key, tls};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
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
        let pebble = Pebble::builder().eab("kid-1", MAC_KEY).start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let operator = Operator::builder(ns).argument("--otlp-endpoint", &collector.uri()).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        let directory = format!("{}/dir", proxy.url);
        ns.apply(&issuer(&directory, &pebble.ca_pem, &external_account("kid-1"))).await?;
        let thumbprint = registered(ns, "ca").await?["status"]["acme"]["keyThumbprint"].clone();
        let thumbprint = thumbprint.as_str().context("no thumbprint")?;

        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        held.reached().await?;
        let mut secrets = Secrets::default();
        secrets.add("the token of the service account", operator.token.as_bytes())?;
        let mut names = BTreeSet::from_iter(secrets.add_all(ns).await?);
        let web = ns.get("certificate/web").await?.context("the Certificate is gone")?;
        let challenges = web["status"]["challenges"].as_array().context("no challenges")?;
        ensure!(challenges.len() == 2, "{challenges:?}");
        for challenge in challenges {
            let token = challenge["token"].as_str().context("no token")?;
            secrets.add_whole("a challenge's token", token);
            secrets.add_whole("a key authorization", &format!("{token}.{thumbprint}"));
        }
        held.go_on(&proxy);
        issued(ns, "web").await?;
        tls(ns, "web-tls").await?;
        names.extend(secrets.add_all(ns).await?);
        let next_key = web["status"]["nextPrivateKeySecretName"].as_str().context("no next key")?;
        for name in
            ["ca-account-key/tls.key", "eab/secret", "web-tls/tls.key", &format!("{next_key}/tls.key")]
        {
            ensure!(names.contains(name), "{name} is not among the secrets {names:?}");
        }
        // The rest is sent at the end.
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
        secrets.check("a span", &sent)?;
        // Nor does it contain a key, the URL of an order, or the path of an answer.
        let secrets = ["PRIVATE KEY", "https://", "/.well-known/"];
        let told: BTreeSet<&str> = secrets.into_iter().filter(|words| sent.contains(words)).collect();
        assert!(told.is_empty(), "a span has {told:?}");
        Ok(())
    })
    .await
}
