//! A release of the Helm chart on a real API server: its objects are accepted, its permissions suffice, and it can be uninstalled
//! completely.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::helm::{for_this_api_server, objects, rendered, root, run};
use crate::common::{SOON, base64, certificate, issued, issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::Value;

/// The kinds of a release in these tests.
const KINDS: &str = "deployments,services,serviceaccounts,configmaps,poddisruptionbudgets,networkpolicies,roles,\
                     rolebindings,secrets";

#[tokio::test]
async fn the_api_server_takes_all_that_is_rendered() -> Result<()> {
    TestNamespace::with("chart-taken", async |ns| {
        let fixtures = root().join("tests/fixtures/chart");
        for set in ["default", "minimal", "everything", "pods"] {
            let values = fixtures.join(format!("{set}.values.yaml")).display().to_string();
            // Its namespaces do not exist here.
            let rendered = rendered(&["--values", &values, "--set", "crds.enabled=true"])?;
            let mut taken = 0;
            for mut object in objects(&rendered)? {
                // This cluster does not have the kinds of the Prometheus operator.
                if object["apiVersion"] == "monitoring.coreos.com/v1" {
                    continue;
                }
                if let Some(namespace) = object["metadata"].get_mut("namespace") {
                    *namespace = ns.name.clone().into();
                }
                let named = format!("{} {}", object["kind"], object["metadata"]["name"]);
                dry_run(&object).with_context(|| format!("{set}: {named}"))?;
                taken += 1;
            }
            ensure!(taken > 4, "{set} has objects: {taken}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_release_for_one_namespace_issues_there_by_its_own_roles_and_goes_without_a_trace() -> Result<()> {
    TestNamespace::with("chart-release", async |ns| {
        let chart = for_this_api_server(&ns.cluster.description.state.join("chart"))?;
        let release = |verb: &str, more: &[&str]| {
            let watched = format!("watchNamespaces={{{}}},crds.enabled=false", ns.name);
            let fixed = [verb, "certwright", &chart, "--namespace", &ns.name, "--set", &watched];
            run("helm", &[&fixed, more].concat())
        };
        let said = release("install", &[])?;
        assert!(said.contains(&format!("It watches {}.", ns.name)), "{said}");
        assert_eq!(replicas(ns).await?, 2);

        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns)
            .service_account("certwright")
            .argument("--leader-elect", "true")
            .argument("--responder-service", "certwright")
            .start()
            .await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        ns.apply(&certificate("before", &["a.example.com"], "")).await?;
        issued(ns, "before").await?;

        release("upgrade", &["--set", "replicas=3,networkPolicy.enabled=true"])?;
        assert_eq!(replicas(ns).await?, 3);
        assert!(ns.get("networkpolicy/certwright").await?.is_some());
        ns.apply(&certificate("after", &["b.example.com"], "")).await?;
        issued(ns, "after").await?;
        run("helm", &["rollback", "certwright", "1", "--namespace", &ns.name])?;
        assert_eq!(replicas(ns).await?, 2);
        assert!(ns.get("networkpolicy/certwright").await?.is_none());
        operator.terminate().await?;

        run("helm", &["uninstall", "certwright", "--namespace", &ns.name])?;
        let selector = "app.kubernetes.io/managed-by=Helm";
        let left = run("kubectl", &["get", KINDS, "--namespace", &ns.name, "-l", selector, "-o", "name"])?;
        assert_eq!(left, "", "a release that is uninstalled leaves nothing of its own");
        for name in ["before", "after"] {
            ns.wait_condition(&format!("certificate/{name}"), "Ready", "True", SOON).await?;
            assert!(ns.get(&format!("secret/{name}-tls")).await?.is_some(), "{name}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_roots_of_a_ca_bundle_are_trusted_with_the_variables_that_the_chart_sets() -> Result<()> {
    TestNamespace::with("chart-roots", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let roots = ns.cluster.description.state.join(format!("{}-roots.pem", ns.name));
        fs::write(&roots, &pebble.ca_pem)?;
        let mut operator = Operator::builder(ns);
        let mut variables = 0;
        for object in objects(&rendered(&["--set", "caBundle.configMap=roots"])?)? {
            let env = object.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array);
            for variable in env.into_iter().flatten() {
                let (Some(name), Some(value)) = (variable["name"].as_str(), variable["value"].as_str())
                else {
                    continue;
                };
                if name.starts_with("SSL_") {
                    // The path where the ConfigMap would be mounted.
                    let value = value.replace("/etc/certwright/ca/ca.crt", &roots.display().to_string());
                    operator = operator.environment(name, &value);
                    variables += 1;
                }
            }
        }
        assert_eq!(variables, 2, "the variables that say where roots are");
        let _operator = operator.start().await?;
        let bundle = format!("    caBundle: {}\n", base64(&pebble.ca_pem));
        let issuer = issuer(&pebble.directory_url, &pebble.ca_pem, "");
        ensure!(issuer.contains(&bundle), "an issuer with a bundle of its own: {issuer}");
        ns.apply(&issuer.replace(&bundle, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await.map(drop)
    })
    .await
}

/// The number of replicas in the release's Deployment.
async fn replicas(ns: &TestNamespace) -> Result<i64> {
    let deployment = ns.get("deployment/certwright").await?.context("no Deployment")?;
    deployment["spec"]["replicas"].as_i64().context("a Deployment without replicas")
}

/// The API server validates the object, as strictly as it can, without storing it.
fn dry_run(object: &Value) -> Result<()> {
    use std::io::Write;
    let arguments =
        ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
    let mut kubectl = Command::new("kubectl");
    kubectl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = kubectl.spawn().context("kubectl cannot be run")?;
    child.stdin.take().context("no standard input")?.write_all(object.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
