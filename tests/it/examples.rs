//! The examples, and the YAML in the documentation, are accepted unchanged.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::accounts::MAC_KEY;
use crate::common::helm::{objects, rendered, root, run};
use crate::common::markdown::{Block, Page, book, collect};
use crate::common::{SOON, base64, mac_key};
use anyhow::{Context, Result, bail, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::Value;

#[tokio::test]
async fn every_example_applies() -> Result<()> {
    let mut files = Vec::new();
    collect(Path::new("deploy/examples"), "yaml", &mut files)?;
    ensure!(files.len() > 3, "there are examples");
    TestNamespace::with("examples", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        for file in &files {
            let yaml = fs::read_to_string(root().join(file))?;
            dry_run(&ns.name, &yaml).with_context(|| format!("{}", file.display()))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_yaml_block_in_the_documentation_applies() -> Result<()> {
    let mut pages = book()?;
    pages.push(Page::read("README.md")?);
    TestNamespace::with("documentation", async |ns| {
        // Some blocks have a Gateway.
        let _gateway_api = ns.cluster.gateway_api().await?;
        let mut taken = 0;
        for page in &pages {
            for block in page.blocks() {
                let outcome = take(&ns.name, &block);
                taken += usize::from(
                    outcome.with_context(|| format!("{}:\n{}", page.path.display(), block.code))?,
                );
            }
        }
        ensure!(taken > 30, "the documentation has YAML blocks: {taken}");
        Ok(())
    })
    .await
}

/// The tutorial's own objects, with the CA and the ingress class of this cluster.
#[tokio::test]
async fn the_tutorial_leads_to_a_certificate_as_it_is_written() -> Result<()> {
    TestNamespace::with("tutorial", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let ca = format!("{}\n    caBundle: {}", pebble.directory_url, base64(&pebble.ca_pem));
        for block in Page::read("docs/lets-encrypt.md")?.blocks() {
            if block.mark == "yaml" {
                let yaml = block.code.replace("https://acme-staging-v02.api.letsencrypt.org/directory", &ca);
                ns.apply(&yaml.replace("ingressClassName: nginx", "ingressClassName: router")).await?;
            }
        }
        ns.wait_condition("certificate/www", "Ready", "True", SOON).await?;
        let ingress = ns.get("ingress/www").await?.context("the tutorial makes no Ingress")?;
        let used = ingress["spec"]["tls"][0]["secretName"].as_str().context("the Ingress uses no Secret")?;
        let secret = ns
            .get(&format!("secret/{used}"))
            .await?
            .context("the Ingress uses a Secret that there is not")?;
        assert_eq!(secret["type"], "kubernetes.io/tls");
        Ok(())
    })
    .await
}

/// The pages of the CAs with external account binding, with a CA, a name and the ingress class of this cluster.
#[tokio::test]
async fn the_page_of_each_ca_leads_to_a_certificate_as_it_is_written() -> Result<()> {
    TestNamespace::with("ca-pages", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        for (page, server, key_id, secret, name) in [
            (
                "globalsign",
                "https://emea.acme.atlas.globalsign.com/directory",
                "your-atlas-api-key",
                "atlas-eab",
                "www",
            ),
            ("sectigo", "https://acme.sectigo.com/v2/DV", "your-key-id", "sectigo-eab", "www"),
            (
                "certigna",
                "https://acme-ov.certigna.com/directory",
                "00000000-0000-4000-8000-000000000000",
                "certigna-eab",
                "intranet",
            ),
        ] {
            let pebble = Pebble::builder().eab(key_id, MAC_KEY).start(&ns.cluster).await?;
            let ca = format!("{}\n    caBundle: {}", pebble.directory_url, base64(&pebble.ca_pem));
            ns.apply(&mac_key(secret, MAC_KEY)).await?;
            let page = Page::read(format!("docs/ca-{page}.md"))?;
            let blocks: Vec<_> = page.blocks().into_iter().filter(|block| block.mark == "yaml").collect();
            assert_eq!(blocks.len(), 2, "an issuer and a Certificate");
            for block in blocks {
                ensure!(
                    block.code.contains(server) || block.code.contains("kind: Certificate"),
                    "{}",
                    block.code
                );
                let yaml = block.code.replace(&format!("server: {server}"), &format!("server: {ca}"));
                let yaml = yaml
                    .replace("kind: ClusterIssuer", "kind: Issuer")
                    .replace("lass: nginx", "lass: router");
                let yaml = yaml.replace("lassName: nginx", "lassName: router");
                ns.apply(&yaml.replace("example.com\n", &format!("{}.example.com\n", ns.name))).await?;
            }
            let certificate = format!("certificate/{name}");
            ns.wait_condition(&certificate, "Ready", "True", SOON).await?;
            ns.delete_object(&certificate).await?;
            ns.wait_gone(&certificate, SOON).await?;
            ns.delete_object(&format!("secret/{name}-tls")).await?;
        }
        Ok(())
    })
    .await
}

/// Passes a block to the right program, according to its mark; CONTRIBUTING.md lists the marks. False for a block that is not
/// YAML.
fn take(namespace: &str, block: &Block) -> Result<bool> {
    match block.mark.as_str() {
        "yaml" => dry_run(namespace, &block.code)?,
        "yaml,values" => render(&block.code)?,
        "yaml,kustomization" => kustomize(&block.code)?,
        "yaml,foreign" => read(&block.code)?,
        mark if mark.starts_with("yaml") => bail!("{mark} is not a mark of CONTRIBUTING.md"),
        _ => {
            let object = block.code.lines().any(|line| line.starts_with("apiVersion:"));
            ensure!(!object, "this is an object: mark the block with `yaml`, so that a test applies it");
            return Ok(false);
        }
    }
    Ok(true)
}

/// The API server validates the objects without storing them. Objects of other namespaces are moved to this one.
fn dry_run(namespace: &str, yaml: &str) -> Result<()> {
    let mut all = objects(yaml)?;
    for object in &mut all {
        let named = object.pointer_mut("/metadata/namespace");
        named.into_iter().for_each(|name| *name = Value::String(namespace.to_owned()));
    }
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": all });
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["apply", "--dry-run=server", "--validate=strict", "--namespace", namespace, "-f", "-"]);
    let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(list.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Helm renders the chart with these values.
fn render(values: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    fs::write(&file, values)?;
    rendered(&["--values", &file.display().to_string()]).map(drop)
}

/// Builds a kustomization in a folder next to `deploy`.
fn kustomize(kustomization: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mine = folder.path().join("mine");
    fs::create_dir(&mine)?;
    fs::write(mine.join("kustomization.yaml"), kustomization)?;
    symlink(root().join("deploy"), folder.path().join("deploy"))?;
    let built = run("kubectl", &["kustomize", &mine.display().to_string()])?;
    ensure!(objects(&built)?.len() > 10, "it makes nothing of the base: {built}");
    Ok(())
}

/// Objects of kinds that this cluster does not have.
fn read(yaml: &str) -> Result<()> {
    for object in objects(yaml)? {
        for field in ["/apiVersion", "/kind", "/metadata/name"] {
            ensure!(object.pointer(field).is_some_and(Value::is_string), "an object without {field}");
        }
    }
    Ok(())
}
