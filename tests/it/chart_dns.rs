//! The Helm chart of `certwright-dns`: the API server takes it, its roles reach as far as its values say, and its values are
//! those of the program.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::common::helm::{compare, objects, output, root, run};
use anyhow::{Context, Result, ensure};
use certwright_cluster::TestNamespace;
use serde_json::{Value, json};

#[test]
fn helm_finds_nothing_to_complain_about() -> Result<()> {
    run("helm", &["lint", "--strict", &chart()]).map(drop)
}

#[tokio::test]
async fn the_api_server_takes_all_that_is_rendered() -> Result<()> {
    TestNamespace::with("chart-dns", async |ns| {
        let everything = "secrets.names.NS={cf},certManager.enabled=true,networkPolicy.enabled=true,\
                          config.egressDeny={10.0.0.0/8},config.tlsCaLifetime=1h,secrets.labelSelector=a=b,\
                          global.imagePullSecrets[0].name=registry,runtimeClassName=gvisor,hostAliases[0].ip=192.0.2.1,\
                          hostAliases[0].hostnames={dns.example.com},serviceAccount.labels.team=dns,\
                          extraContainers[0].name=forwarder,extraContainers[0].image=forwarder:1,\
                          extraObjects[0].apiVersion=v1,extraObjects[0].kind=ConfigMap,extraObjects[0].metadata.name=beside,\
                          extraObjects[0].metadata.namespace=NS";
        let everything = everything.replace("NS", &ns.name);
        let given = "tls.secretName=tls,tls.caBundle=root";
        for set in ["replicas=2", &everything, given] {
            let all = objects(&rendered(&["--namespace", &ns.name, "--set", set])?)?;
            ensure!(all.len() > 8, "{set}: {}", all.len());
            for object in all {
                dry_run(&object).with_context(|| format!("{set}: {object}"))?;
            }
        }
        Ok(())
    })
    .await
}

#[test]
fn secrets_are_read_only_where_told() -> Result<()> {
    let read = |set: &str| -> Result<Vec<Value>> {
        let all = objects(&rendered(&["--namespace", "certwright", "--set", set])?)?;
        let roles = all.iter().filter(|object| object["rules"].to_string().contains("\"secrets\""));
        let read = roles.filter(|role| role["metadata"]["name"] != "certwright-dns");
        let shown = |role: &Value| {
            json!([role["kind"], role["metadata"]["namespace"], role["rules"][0]["resourceNames"]])
        };
        Ok(read.map(shown).collect())
    };
    assert_eq!(read("replicas=1")?, [] as [Value; 0]);
    assert_eq!(read("secrets.names.web={a,b}")?, [json!(["Role", "web", ["a", "b"]])]);
    assert_eq!(read("secrets.namespaces={web}")?, [json!(["Role", "web", null])]);
    Ok(())
}

#[test]
fn a_certificate_that_is_given_needs_its_authority_and_no_rights() -> Result<()> {
    let without = template(&["--set", "tls.secretName=tls"])?;
    ensure!(!without.status.success());
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    ensure!(said.contains("Set tls.caBundle"), "{said}");
    let given = rendered(&["--set", "tls.secretName=tls,tls.caBundle=root"])?;
    ensure!(given.contains("caBundle: cm9vdA==") && !given.contains("apiservices"), "{given}");
    Ok(())
}

#[test]
fn every_value_is_explained_and_has_a_schema() -> Result<()> {
    let text = fs::read_to_string(root().join("charts/certwright-dns/values.yaml"))?;
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(root().join("charts/certwright-dns/values.schema.json"))?)?;
    let values: Value = serde_yaml::from_str(&text)?;
    for (name, value) in values.as_object().context("no values")? {
        ensure!(preceded_by_comment(&text, name), "{name} has no comment");
        let known = &schema["properties"][name];
        ensure!(known.is_object(), "{name} is not in the schema");
        if let (Some(inner), Some(known)) = (value.as_object(), known["properties"].as_object()) {
            for name in inner.keys() {
                ensure!(known.contains_key(name), "{name} is not in the schema");
                ensure!(preceded_by_comment(&text, name), "{name} has no comment");
            }
        }
    }
    let refused = template(&["--set", "secret.names.web={a}"])?;
    ensure!(!refused.status.success(), "an unknown value is refused");
    Ok(())
}

#[test]
fn kustomize_has_what_the_chart_renders() -> Result<()> {
    let mut text = "# Written from charts/certwright-dns by `make chart`.\n".to_owned();
    for mut object in objects(&rendered(&["--namespace", "certwright"])?)? {
        for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
            let labels = object.pointer_mut(labels).and_then(Value::as_object_mut);
            for label in labels.into_iter() {
                for helm in ["helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"] {
                    label.remove(helm);
                }
            }
        }
        text += &format!("---\n{}", serde_yaml::to_string(&object)?);
    }
    compare(&root().join("deploy/dns/certwright-dns.yaml"), &text, "make chart")?;
    let folder = root().join("deploy/dns").display().to_string();
    let kustomized = objects(&run("kubectl", &["kustomize", &folder])?)?;
    ensure!(kustomized.len() == objects(&text)?.len(), "all of it");
    Ok(())
}

fn preceded_by_comment(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(2).any(|pair| {
        pair[1].trim_start().starts_with(&format!("{name}:")) && pair[0].trim_start().starts_with("# ")
    })
}

fn chart() -> String {
    root().join("charts/certwright-dns").display().to_string()
}

fn template(more: &[&str]) -> Result<Output> {
    let chart = chart();
    output("helm", &[&["template", "certwright-dns", &chart, "--kube-version", "1.36.0"], more].concat())
}

fn rendered(more: &[&str]) -> Result<String> {
    let output = template(more)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn dry_run(object: &Value) -> Result<()> {
    let mut child = Command::new("kubectl")
        .args(["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no input")?.write_all(object.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
