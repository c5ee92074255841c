//! The definitions: descriptions, columns, and the copy in the repository.

use super::*;

#[tokio::test]
async fn every_field_says_what_it_is() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        for crd in crds() {
            let name = crd.metadata.name.context("no name")?;
            let known =
                ns.get(&format!("customresourcedefinition/{name}")).await?.context("it is not installed")?;
            let versions = known["spec"]["versions"].as_array().context("no versions")?;
            for version in versions {
                let mut silent = Vec::new();
                walk(&version["schema"]["openAPIV3Schema"], &name, &mut silent);
                assert!(silent.is_empty(), "these say nothing: {silent:#?}");
            }
            let plural = known["spec"]["names"]["plural"].as_str().context("no plural")?;
            let explained = kubectl(ns, &["explain", plural, "--recursive"])?;
            for field in ["spec\t", "status\t", "conditions\t", "observedGeneration\t"] {
                assert!(explained.contains(field), "{field} in {explained}");
            }
        }
        let explained = kubectl(ns, &["explain", "issuer.spec.acme.externalAccountBinding.keyID"])?;
        assert!(explained.contains("Key id from the CA."), "{explained}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_kubectl_get_shows_answers_the_first_questions() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("api", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("web", &[&format!("{}.example.com", ns.name)], "")).await?;
        issued(ns, "web").await?;
        let cluster_issuer = format!("cluster-{}", ns.name);
        let yaml = issuer(&pebble.directory_url, &pebble.ca_pem, "");
        let yaml = yaml
            .replace("kind: Issuer", "kind: ClusterIssuer")
            .replace("name: ca", &format!("name: {cluster_issuer}"));
        ns.apply(&yaml).await?;
        let outcome = async {
            let get = |what: &str, output: &str| {
                kubectl(ns, &["get", what, "--namespace", &ns.name, "--output", output])
            };
            let columns = |table: String| -> Vec<String> {
                table.lines().next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
            };
            let wide = ["NAME", "READY", "SECRET", "ISSUER", "STATUS", "EXPIRES", "SERVED", "RENEWAL", "AGE"];
            assert_eq!(columns(get("cert", "wide")?), wide);
            let narrow = kubectl(ns, &["get", "certs", "--namespace", &ns.name])?;
            let row: Vec<_> = narrow.lines().nth(1).unwrap_or_default().split_whitespace().collect();
            assert_eq!(row.get(..4), Some(&["web", "True", "web-tls", "ca"][..]), "{narrow}");
            assert_eq!(columns(narrow), ["NAME", "READY", "SECRET", "ISSUER", "EXPIRES", "AGE"]);

            assert_eq!(
                columns(get("issuers", "wide")?),
                ["NAME", "READY", "SERVER", "STATUS", "ACCOUNT", "AGE"]
            );
            let row = get("issuer", "wide")?;
            for shown in ["True", &pebble.directory_url, "/my-account/"] {
                assert!(row.contains(shown), "{shown} in {row}");
            }
            assert_eq!(
                columns(get("cissuer", "wide")?),
                ["NAME", "READY", "SERVER", "STATUS", "ACCOUNT", "AGE"]
            );

            let all = get("certwright", "name")?;
            for name in ["certificate.certwright.dev/web", "issuer.certwright.dev/ca"] {
                assert!(all.lines().any(|line| line == name), "{name} in {all}");
            }
            assert!(all.contains(&format!("clusterissuer.certwright.dev/{cluster_issuer}")), "{all}");
            anyhow::Ok(())
        }
        .await;
        ns.delete_object(&format!("clusterissuer/{cluster_issuer}")).await?;
        outcome
    })
    .await
}

#[tokio::test]
async fn the_crds_in_the_repository_are_those_of_the_types() -> Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut written = BTreeMap::new();
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != "kustomization.yaml" {
            written.insert(name, fs::read_to_string(&path)?);
        }
    }
    let yaml = crds_yaml()?;
    let mut generated = BTreeMap::new();
    for (document, crd) in yaml.split_terminator("---\n").filter(|part| !part.is_empty()).zip(crds()) {
        generated.insert(format!("{}.yaml", crd.spec.names.plural), document.to_owned());
    }
    assert_eq!(generated.len(), 3);
    assert_eq!(Vec::from_iter(written.keys()), Vec::from_iter(generated.keys()), "files in crds/");
    for (name, document) in &generated {
        assert!(written[name] == *document, "crds/{name} is not what crates/api says; run: make crds");
    }
    let listed = fs::read_to_string(directory.join("kustomization.yaml"))?;
    for name in generated.keys() {
        assert!(listed.contains(name), "crds/kustomization.yaml lacks {name}");
    }
    Ok(())
}

/// Collects the paths of the properties that have no description.
fn walk(schema: &Value, path: &str, silent: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if property["description"].as_str().is_none_or(|description| description.trim().is_empty()) {
            silent.push(path.clone());
        }
        walk(property, &path, silent);
    }
    for part in ["items", "additionalProperties"] {
        if schema[part].is_object() {
            walk(&schema[part], path, silent);
        }
    }
}
