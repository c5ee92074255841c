//! The process: health, metrics, logs, leadership, and its end.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

mod metrics;
mod replicas;

use crate::common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::common::secrets::Secrets;
use crate::common::{SOON, certificate, condition, count, hang, hold, issued, issuer, ready, revision, tls};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{
    ADDRESS, Operator, OperatorBuilder, Pebble, Proxy, SECOND_ADDRESS, TestNamespace, ports,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

#[tokio::test]
async fn the_operator_says_how_it_is_and_which_version() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let operator = Operator::builder(ns).start().await?;
        assert_eq!(get(&operator, "/healthz").await?, (200, "ok".to_owned()));
        assert_eq!(get(&operator, "/readyz").await?, (200, "ok".to_owned()));
        let (status, version) = get(&operator, "/version").await?;
        assert_eq!(status, 200);
        let version: Value = serde_json::from_str(&version)?;
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
        let printed = Command::new(env!("CARGO_BIN_EXE_certwright")).arg("--version").output()?;
        assert_eq!(String::from_utf8(printed.stdout)?, format!("certwright {}\n", env!("CARGO_PKG_VERSION")));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_operator_is_alive_but_not_ready_while_it_cannot_see_the_cluster() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        let mut hanging = hang(&proxy, "/apis/certwright.dev/");
        let operator = Operator::builder(ns).api_server(&proxy.url).spawn().await?;
        hanging.reached().await?;
        assert_eq!(get(&operator, "/healthz").await?.0, 200);
        let (status, why) = get(&operator, "/readyz").await?;
        assert_eq!(status, 503);
        assert!(why.contains("watches"), "{why}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sigterm_ends_the_operator_in_time_while_the_ca_hangs() -> Result<()> {
    for leader_elect in ["false", "true"] {
        TestNamespace::with("runtime", async |ns| {
            let pebble = Pebble::builder().start(&ns.cluster).await?;
            let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
            let operator = Operator::builder(ns).argument("--leader-elect", leader_elect).start().await?;
            ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
            ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
            let mut hanging = hang(&proxy, "/order-plz");
            ns.apply(&certificate("web", &["a.example.com"], "")).await?;
            hanging.reached().await?;
            let took = operator.terminate().await?;
            // It waits for five seconds.
            assert!(took < Duration::from_secs(8), "it took {took:?} with --leader-elect={leader_elect}");

            hanging.go_on(&proxy);
            operator.restart().await?;
            issued(ns, "web").await?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_the_operator_in_time_while_the_api_server_hangs() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        let operator =
            Operator::builder(ns).api_server(&proxy.url).argument("--leader-elect", "true").start().await?;
        wait_holder(ns, |holder| !holder.is_empty()).await?;
        let mut hanging = hang(&proxy, "/");
        ns.apply(&issuer("https://192.0.2.10:1/dir", &ns.cluster.ca()?.pem, "")).await?;
        hanging.reached().await?;
        let took = operator.terminate().await?;
        // It waits for five seconds for what is in progress, and for half a lease duration for the release of the Lease.
        assert!(took < Duration::from_secs(14), "it took {took:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_log_line_of_a_reconcile_names_its_object_and_none_holds_a_secret() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
        let pebble = Pebble::builder()
            .eab("kid-1", mac_key)
            .blocked_domain("blocked.example.net")
            .start(&ns.cluster)
            .await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let operator = Operator::builder(ns)
            .argument("--log-level", "trace")
            .argument("--http01-self-check-timeout", "1s")
            .start()
            .await?;
        ns.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: eab}}, stringData: {{key: {mac_key}}}}}"
        ))
        .await?;
        let eab = "    externalAccountBinding: { keyID: kid-1, keySecretRef: { name: eab, key: key } }\n";
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, eab)).await?;
        let mut held = hold(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        ns.apply(&certificate("blocked", &["blocked.example.net"], "")).await?;
        held.reached().await?;
        let mut secrets = Secrets::default();
        let mut names = secrets.add_all(ns).await?;
        let under_way = ns.get("certificate/web").await?.context("the Certificate is gone")?;
        let thumbprint =
            ns.get("issuer/ca").await?.context("the Issuer is gone")?["status"]["acme"]["keyThumbprint"]
                .clone();
        let token = &under_way["status"]["challenges"][0]["token"];
        let (token, thumbprint) =
            (token.as_str().context("no token")?, thumbprint.as_str().context("no thumbprint")?);
        secrets.add_whole("the key authorization", &format!("{token}.{thumbprint}"));
        held.go_on(&proxy);
        issued(ns, "web").await?;
        names.extend(secrets.add_all(ns).await?);
        ns.wait("certificate/blocked", SOON, |object| !object["status"]["lastFailureTime"].is_null()).await?;

        // An invalid value is reported without being shown.
        let short = "c2hvcnQ!not*base64";
        ns.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: bad}}, stringData: {{key: '{short}'}}}}"
        ))
        .await?;
        secrets.add_whole("bad/key", short);
        let bad = eab.replace("name: eab", "name: bad").replace("kid-1", "kid-2");
        ns.apply(
            &issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, &bad).replace("name: ca ", "name: bad "),
        )
        .await?;
        ns.wait("issuer/bad", SOON, |object| {
            condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "InvalidMACKey")
        })
        .await?;
        operator.terminate().await?;

        let keys = names.iter().filter(|name| name.ends_with("/tls.key")).collect::<BTreeSet<_>>();
        ensure!(keys.len() >= 3, "the keys of the account, of the order and of the certificate: {names:?}");
        ensure!(names.iter().any(|name| name == "eab/key"), "the MAC key: {names:?}");
        let mut reconciles = BTreeSet::new();
        for line in operator.logs() {
            secrets.check("the log", &line)?;
            let fields: BTreeMap<String, Value> =
                serde_json::from_str(&line).with_context(|| format!("not a line of JSON: {line}"))?;
            let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
            assert!(
                !text("level").is_empty() && !text("timestamp").is_empty() && !text("message").is_empty(),
                "{line}"
            );
            let target = text("target");
            if target.starts_with("certwright::controller::certificate")
                || target.starts_with("certwright::controller::issuer")
            {
                assert_eq!(text("namespace"), ns.name, "{line}");
                reconciles.insert((text("object").to_owned(), text("name").to_owned()));
            }
        }
        let named = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        let expected = [
            named("Certificate", "blocked"),
            named("Certificate", "web"),
            named("Issuer", "bad"),
            named("Issuer", "ca"),
        ];
        assert_eq!(Vec::from_iter(reconciles), expected);
        for event in ns.api::<Event>().list(&ListParams::default()).await? {
            secrets.check("an event", &serde_json::to_string(&event)?)?;
        }
        for object in ["issuer/ca", "issuer/bad", "certificate/web", "certificate/blocked"] {
            secrets.check(object, &ns.get(object).await?.context("gone")?.to_string())?;
        }
        Ok(())
    })
    .await
}

#[test]
fn crds_are_printed_as_they_are_in_the_repository() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_certwright")).arg("crds").output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut printed = BTreeMap::new();
    for document in serde_yaml::Deserializer::from_slice(&output.stdout) {
        let crd = Value::deserialize(document)?;
        printed.insert(crd["spec"]["names"]["plural"].as_str().context("no plural")?.to_owned(), crd);
    }
    let mut kept = BTreeMap::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/crds"))? {
        let path = file?.path();
        let crd: Value = serde_yaml::from_str(&std::fs::read_to_string(&path)?).unwrap_or_default();
        if let Some(plural) = crd["spec"]["names"]["plural"].as_str() {
            kept.insert(plural.to_owned(), crd);
        }
    }
    assert_eq!(Vec::from_iter(printed.keys()), ["certificates", "clusterissuers", "issuers"]);
    assert_eq!(printed, kept);
    Ok(())
}

#[test]
fn a_setting_that_cannot_be_used_is_refused_with_a_sentence() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let taken = listener.local_addr()?.to_string();
    let cases = [
        (vec!["--metrics-addr", &taken], "cannot listen on"),
        (vec!["--metrics-addr", "127.0.0.1:0", "--responder-addr", &taken], "--responder-addr"),
        (vec!["--lease-duration", "soon"], "--lease-duration"),
        (vec!["--log-level", "certwright=nonsense"], "log filter"),
    ];
    for (arguments, said) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_certwright"))
            .arg("run")
            .args(&arguments)
            .env_remove("RUST_LOG")
            .output()?;
        assert!(!output.status.success(), "{arguments:?}");
        let error = String::from_utf8(output.stderr)?;
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    Ok(())
}

async fn wait_holder(ns: &TestNamespace, wanted: impl Fn(&str) -> bool) -> Result<()> {
    ns.wait("lease/certwright", SOON, |lease| lease["spec"]["holderIdentity"].as_str().is_some_and(&wanted))
        .await?;
    Ok(())
}

async fn get(operator: &Operator, path: &str) -> Result<(u16, String)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let response = http.get(format!("{}{path}", operator.metrics_url)).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// Metrics in the OpenMetrics text format.
#[derive(Default)]
struct Metrics {
    families: BTreeMap<String, Family>,
    samples: Vec<String>,
}

#[derive(Default)]
struct Family {
    type_: String,
    unit: String,
    help: String,
}

impl Metrics {
    fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            let Some(comment) = line.strip_prefix("# ") else {
                metrics.samples.push(line.to_owned());
                continue;
            };
            let mut words = comment.splitn(3, ' ');
            let (Some(what), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let family = metrics.families.entry(name.to_owned()).or_default();
            match what {
                "TYPE" => family.type_ = value.to_owned(),
                "UNIT" => family.unit = value.to_owned(),
                _ => family.help = value.to_owned(),
            }
        }
        metrics
    }

    /// The sum of all samples that begin with `start`.
    fn sum(&self, start: &str) -> f64 {
        let values = self.samples.iter().filter(|sample| sample.starts_with(start));
        values.filter_map(|sample| sample.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
