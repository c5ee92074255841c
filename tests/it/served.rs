//! Whether servers show the certificate in the Secret, as the operator and the command line see it.

use std::fs;
use std::path::Path;
use std::process::Command as StdCommand;
use std::time::Duration;

use crate::common::faults::{event, steady};
use crate::common::http01::host;
use crate::common::program::{alone, certwright, kubeconfig_of, run};
use crate::common::site::serve;
use crate::common::{SOON, base64, certificate, condition, issued, issuer, revision, stays_as_it_is, tls};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, TestNamespace};
use k8s_openapi::api::apps::v1::Deployment;
use serde::Deserialize;
use serde_json::{Value, json};

/// Addresses of servers.
const SITE: &str = "127.80.5.1";
const OTHER: &str = "127.80.5.2";
const NOBODY: &str = "127.80.5.3";
/// A hundredth of this after an issuance, and again if it is not served, the operator looks.
const INTERVAL: &str = "18s";

#[tokio::test]
async fn an_old_certificate_is_told_until_the_server_reads_the_secret_again() -> Result<()> {
    TestNamespace::with("served", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let operator = operator(ns, "443").await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        let name = host(ns, "web");
        let checked = |more: &str| format!("  served: {{ check: true, addresses: [{SITE}]{more} }}\n");
        ns.apply(&certificate("web", &[&name], &checked(""))).await?;
        let first = issued(ns, "web").await?;
        let message = is(ns, "web", "Unknown", "ServerNotReached").await?;
        let words = format!("{name}: {SITE}:443 cannot be reached; if only the operator cannot reach it");
        assert!(message.starts_with(&words), "{message}");

        let stored = tls(ns, "web-tls").await?;
        let haproxy = serve(ns, SITE, &stored).await?;
        let message = is(ns, "web", "True", "Served").await?;
        assert_eq!(message, format!("The certificate in Secret web-tls is served for {name}"));
        shows(&operator, ns, "stored", 1).await?;
        certwright(ns, &["check", "served", "web"]).await?.ended(0)?.says(&[
            "Certificate web",
            &format!("ok    {name}: {SITE}:443 serves the certificate in Secret web-tls ("),
            "this machine does not trust what",
        ])?;

        ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}}))
            .await?;
        revision(ns, "web", 2).await?;
        let message = is(ns, "web", "False", "OldCertificateServed").await?;
        let serial = first["status"]["serialNumber"].as_str().context("no serial number")?;
        let words =
            format!("{name}: {SITE}:443 serves an older certificate (serial number {serial}, issued by ");
        assert!(message.starts_with(&words), "{message}");
        let web = ns.get("certificate/web").await?.context("it is gone")?;
        let ordered = web["status"]["recentIssuances"][1]["time"].as_str().context("no time")?;
        let words = format!(
            "has not read Secret web-tls since its certificate was ordered at {ordered}: reload or restart it"
        );
        assert!(message.ends_with(&words), "{message}");
        assert_eq!(event(ns, "web", "OldCertificateServed").await?, ("Warning".to_owned(), message));
        shows(&operator, ns, "old", 0).await?;
        let ready = ns.get("certificate/web").await?.context("it is gone")?;
        assert_eq!(condition(&ready, "Ready").context("no condition")?.0, "True");
        assert_eq!(condition(&ready, "Stalled").or(condition(&ready, "Reconciling")), None);
        certwright(ns, &["check", "served", "web"]).await?.ended(3)?.says(&[
            &format!("fail  {name}: {SITE}:443 serves an older certificate ("),
            &format!("No Ingress in namespace {} names Secret web-tls in spec.tls.", ns.name),
        ])?;
        certwright(ns, &["inspect", "secret", "web-tls", "--served"]).await?.ended(3)?.says(&[
            "/web-tls has a problem Problem it is not served everywhere as it should be: see below",
            &format!(
                "Served, as seen from this machine fail {name}: {SITE}:443 serves an older certificate ("
            ),
            &format!("No Ingress in namespace {} names Secret web-tls in spec.tls.", ns.name),
        ])?;
        certwright(ns, &["list"]).await?.ended(0)?.says(&["SERVED", "Old"])?;
        certwright(ns, &["status", "certificate", "web"]).await?.ended(0)?.says(&[
            &format!("Certificate {}/web is ready", ns.name),
            "Not served OldCertificateServed, since ",
            &words,
            "What to do A server shows an older certificate for the name",
        ])?;
        // It looks again meanwhile.
        stays_as_it_is(ns, "web", Duration::from_secs(2)).await?;

        drop(haproxy);
        let _haproxy = serve(ns, SITE, &tls(ns, "web-tls").await?).await?;
        is(ns, "web", "True", "Served").await?;
        certwright(ns, &["inspect", "secret", "web-tls", "--served"]).await?.ended(0)?.says(&[
            "/web-tls has no problem",
            &format!("ok {name}: {SITE}:443 serves the certificate in Secret web-tls ("),
        ])?;
        // The status is all that survives.
        operator.restart().await?;
        stays_as_it_is(ns, "web", Duration::from_secs(4)).await?;

        let without = certificate("web", &[&name], "");
        ns.apply(&without).await?;
        ns.wait("certificate/web", SOON, |object| condition(object, "Served").is_none()).await?;
        ensure!(!operator.metrics().await?.contains("certwright_certificate_served{"), "it is not checked");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_certificate_of_somebody_else_and_ports_that_are_not_allowed_are_told_without_its_names()
-> Result<()> {
    TestNamespace::with("served", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = operator(ns, "443,465").await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        let (web, secret) = (host(ns, "web"), host(ns, "secret"));
        ns.apply(&certificate("secret", &[&secret], "")).await?;
        issued(ns, "secret").await?;
        let _haproxy = serve(ns, OTHER, &tls(ns, "secret-tls").await?).await?;
        let cases = [
            ("other", format!("addresses: [{OTHER}]"), "False", "OtherCertificateServed"),
            ("nobody", format!("addresses: [{NOBODY}]"), "Unknown", "ServerNotReached"),
            ("mail", format!("addresses: [{NOBODY}], port: 465"), "Unknown", "ServerNotReached"),
            ("forbidden", "addresses: [169.254.169.254, '::1']".to_owned(), "Unknown", "ServerNotAllowed"),
            ("ssh", format!("addresses: [{OTHER}], port: 22"), "Unknown", "ServerNotAllowed"),
            ("unnamed", format!("addresses: [{OTHER}], serverName: {secret}"), "Unknown", "NoNameToCheck"),
        ];
        for (name, settings, ..) in &cases {
            let more = format!("  served: {{ check: true, {settings} }}\n");
            ns.apply(&certificate(name, &[&web], &more)).await?;
        }
        for (name, _, status, reason) in cases {
            let message = is(ns, name, status, reason).await.context(name)?;
            let leaks = ["refused", "timed out", "CN=", &secret].iter().any(|word| message.contains(word));
            ensure!(!leaks || name == "unnamed", "{name}: {message}");
        }
        // From here, everything is told.
        let other = ["check", "served", &web, "--addresses", OTHER];
        alone(&other).await?.ended(3)?.says(&["serves a certificate for other names (", &secret])?;
        let nobody = ["check", "served", &web, "--addresses", NOBODY];
        alone(&nobody).await?.ended(3)?.says(&["refused the connection"])?;
        let right = format!("{secret}:443");
        let right = ["check", "served", &right, "--addresses", OTHER];
        alone(&right)
            .await?
            .ended(0)?
            .says(&[&format!("ok    {secret}: {OTHER}:443 serves a certificate for this name")])?;
        alone(&["check", "served", "a b.test"]).await?.ended(2)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_script_of_the_example_restarts_pods_only_if_the_certificate_has_changed() -> Result<()> {
    TestNamespace::with("served", async |ns| {
        let account = "restart-shop-after-renewal";
        let yaml = fs::read_to_string("deploy/examples/restart-after-renewal.yaml")?;
        ns.apply(&yaml.replace("namespace: shop", &format!("namespace: {}", ns.name))).await?;
        ns.apply(DEPLOYMENT).await?;
        let script = script(&yaml)?;
        let config = kubeconfig_of(ns, account).await?;
        let mut contexts: Value = serde_json::from_str(&fs::read_to_string(config.path())?)?;
        contexts["contexts"][0]["context"]["namespace"] = json!(ns.name);
        fs::write(config.path(), contexts.to_string())?;
        let kubectl = ns.cluster.description.tools.program("kubectl")?;
        let mut checksums = Vec::new();
        for certificate in ["one", "one", "two"] {
            let data = json!({ "tls.crt": base64(certificate), "tls.key": base64("key") });
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop-tls" }, "type": "kubernetes.io/tls",
                "data": data,
            });
            ns.apply(&secret.to_string()).await?;
            let mut command = StdCommand::new("sh");
            let path = std::env::var("PATH").unwrap_or_default();
            let directory = kubectl.parent().unwrap_or(Path::new("/"));
            command.args(["-euc", &script]).env("KUBECONFIG", config.path());
            command.env("PATH", format!("{}:{path}", directory.display()));
            run(command).await?.ended(0)?;
            let deployment = ns.api::<Deployment>().get("shop").await?;
            let pods = deployment.spec.and_then(|spec| spec.template.metadata).context("no template")?;
            let checksum = pods.annotations.unwrap_or_default().get("checksum/shop-tls").cloned();
            checksums.push((checksum.context("no checksum")?, deployment.metadata.generation));
        }
        let [(first, begin), (again, same), (second, end)] = &checksums[..] else { anyhow::bail!("{checksums:?}") };
        assert_eq!((first, begin), (again, same), "nothing has changed");
        assert!(first != second && first.len() == 64 && end > begin, "{checksums:?}");
        Ok(())
    })
    .await
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
spec:
  replicas: 0
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop } }
    spec: { containers: [{ name: shop, image: registry.example.com/shop:1 }] }
";

/// The script of the CronJob.
fn script(yaml: &str) -> Result<String> {
    for document in serde_yaml::Deserializer::from_str(yaml) {
        let object = Value::deserialize(document)?;
        if object["kind"] == "CronJob" {
            let container = &object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
            assert_eq!(container["command"][1], "-euc");
            return Ok(container["command"][2].as_str().context("no script")?.to_owned());
        }
    }
    anyhow::bail!("there is no CronJob")
}

async fn operator(ns: &TestNamespace, ports: &str) -> Result<Operator> {
    let operator = Operator::builder(ns).argument("--served-check-interval", INTERVAL);
    operator.argument("--served-ports", ports).start().await
}

/// Waits for the condition `Served`, and returns its message.
async fn is(ns: &TestNamespace, name: &str, status: &str, reason: &str) -> Result<String> {
    let wanted = |object: &Value| {
        condition(object, "Served").filter(|found| (found.0.as_str(), found.1.as_str()) == (status, reason))
    };
    let object = ns.wait(&format!("certificate/{name}"), SOON, |object| wanted(object).is_some()).await?;
    Ok(wanted(&object).context("no condition")?.2)
}

async fn shows(operator: &Operator, ns: &TestNamespace, certificate: &str, value: u8) -> Result<()> {
    let labels = format!("namespace=\"{}\",name=\"web\",certificate=\"{certificate}\"", ns.name);
    let line = format!("certwright_certificate_served{{{labels}}} {value}\n");
    let metrics = operator.metrics().await?;
    ensure!(metrics.contains(&line), "{line} is not in {metrics}");
    Ok(())
}
