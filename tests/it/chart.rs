//! The Helm chart: its renderings, what it rejects, and that all values are documented. `make chart` regenerates the renderings
//! in `tests/fixtures/chart` and the table in `docs/install-helm.md`.

mod cert_manager;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::helm::{chart, compare, objects, rendered, root, run, template};
use anyhow::{Context, Result, ensure};
use certwright::cli::Cli;
use clap::CommandFactory;
use serde_json::{Map, Value, json};

const LABEL: &str = "app.kubernetes.io";

#[test]
fn helm_finds_nothing_to_complain_about() -> Result<()> {
    for values in value_sets()? {
        run("helm", &["lint", "--strict", text(&chart())?, "--values", text(&values)?])?;
    }
    Ok(())
}

#[test]
fn the_renderings_are_those_in_the_repository() -> Result<()> {
    for values in value_sets()? {
        // The CRDs are compared with those of kustomize.
        let rendered = rendered(&["--values", text(&values)?, "--set", "crds.enabled=false"])?;
        let golden = PathBuf::from(text(&values)?.replace(".values.yaml", ".yaml"));
        compare(&golden, &rendered, "make chart")?;
    }
    Ok(())
}

/// Roles and CRDs are links to those in `deploy/base` and `crds`; a package contains the files themselves.
#[test]
fn a_package_renders_what_the_repository_does() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("certwright-chart-{}", std::process::id()));
    let said = run("helm", &["package", text(&chart())?, "--destination", text(&folder)?])?;
    let (_, package) = said.trim().rsplit_once(": ").context("helm package names no file")?;
    let fixed = ["template", "certwright", package, "--namespace", "certwright", "--kube-version", "1.36.0"];
    let from_package = run("helm", &fixed)?;
    fs::remove_dir_all(&folder)?;
    assert_eq!(from_package, rendered(&[])?);
    Ok(())
}

#[test]
fn kustomize_makes_the_same_objects() -> Result<()> {
    let kustomized = run("kubectl", &["kustomize", text(&root().join("deploy/base"))?])?;
    let mut kustomized = by_name(&kustomized)?;
    // Helm itself creates the namespace if requested.
    kustomized.remove("Namespace certwright").context("no Namespace in deploy/base")?;
    let chart = by_name(&rendered(&[])?)?;
    assert_eq!(Vec::from_iter(kustomized.keys()), Vec::from_iter(chart.keys()), "deploy/base, and the chart");
    for (name, object) in &kustomized {
        assert_eq!(
            serde_yaml::to_string(object)?,
            serde_yaml::to_string(&chart[name])?,
            "{name} in deploy/base, and in the chart"
        );
    }
    assert!(kustomized.len() > 10, "there are objects: {:?}", kustomized.keys());
    Ok(())
}

#[test]
fn rights_for_annotations_go_with_them() -> Result<()> {
    let watches = |set: &str| -> Result<Vec<String>> {
        let roles = objects(&rendered(&["--set", set])?)?;
        let watched = roles.iter().filter(|role| role["rules"].to_string().contains("gateways"));
        Ok(watched
            .map(|role| format!("{} {}", role["kind"], role["metadata"]["name"]).replace('"', ""))
            .collect())
    };
    assert_eq!(watches("config.annotations=true")?, ["ClusterRole certwright-annotations"]);
    assert_eq!(watches("watchNamespaces={shop}")?, ["Role certwright-certificates"]);
    assert_eq!(watches("config.annotations=false")?, [""; 0]);
    assert_eq!(watches("watchNamespaces={shop},config.annotations=false")?, [""; 0]);
    Ok(())
}

#[test]
fn the_network_policy_can_except_networks() -> Result<()> {
    let egress = |set: &str| -> Result<Value> {
        let set = format!("networkPolicy.enabled=true,{set}");
        let all = objects(&rendered(&["--set", &set])?)?;
        let policy = all.into_iter().find(|object| object["kind"] == "NetworkPolicy");
        Ok(policy.context("no NetworkPolicy")?["spec"]["egress"].clone())
    };
    let rules = egress("networkPolicy.egressExcept={169.254.0.0/16,fd00:ec2::/32}")?;
    let to = json!([
        { "ipBlock": { "cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"] } },
        { "ipBlock": { "cidr": "::/0", "except": ["fd00:ec2::/32"] } },
    ]);
    assert_eq!(rules[0]["to"], Value::Null, "name servers may be anywhere: {rules}");
    assert_eq!((&rules[1]["ports"][0]["port"], &rules[1]["to"]), (&json!(80), &to));
    assert_eq!((&rules[2]["ports"][0]["port"], &rules[2]["to"]), (&json!(443), &to));
    let rules = egress("networkPolicy.egressExcept={10.0.0.0/8}")?;
    assert_eq!(rules[2]["to"][1], json!({ "ipBlock": { "cidr": "::/0" } }));
    assert!(!egress("replicas=2")?.to_string().contains("ipBlock"), "only where networks are excepted");
    Ok(())
}

#[test]
fn crds_stay_when_a_release_goes_unless_asked_otherwise() -> Result<()> {
    let kept = |arguments: &[&str]| -> Result<Vec<bool>> {
        let all = objects(&rendered(arguments)?)?;
        let crds = all.iter().filter(|object| object["kind"] == "CustomResourceDefinition");
        let kept = crds.map(|crd| crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep");
        Ok(kept.collect())
    };
    assert_eq!(kept(&[])?, [true; 3]);
    assert_eq!(kept(&["--set", "crds.keep=false"])?, [false; 3]);
    assert!(kept(&["--set", "crds.enabled=false"])?.is_empty());
    Ok(())
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() -> Result<()> {
    let table = fs::read_to_string(root().join("docs/monitoring.md"))?;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows: Vec<(&str, Vec<&str>)> = rows.map(|(name, rest)| (name, rest.split(" | ").collect())).collect();
    let documented: BTreeMap<&str, &str> =
        rows.iter().filter_map(|(name, cells)| Some((*name, *cells.first()?))).collect();
    // In addition to the metrics' own labels, there are those of the scraped target and of histogram buckets.
    let mut labels = BTreeSet::from(["pod", "job", "le"]);
    for (_, cells) in &rows {
        labels.extend(
            cells.get(1).into_iter().flat_map(|cell| cell.split(", ")).map(|label| label.trim_matches('`')),
        );
    }
    let exists = |name: &str| {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        documented.contains_key(name)
            || histogram.is_some_and(|base| documented.get(base) == Some(&"histogram"))
    };
    for file in ["alerts.yaml", "dashboard.json"] {
        let value: Value = serde_yaml::from_str(&fs::read_to_string(chart().join("files").join(file))?)?;
        let mut queries = Vec::new();
        strings_under("expr", &value, &mut queries);
        assert!(queries.len() > 5, "{file} has queries");
        for query in queries {
            let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let metrics: Vec<&str> = words
                .filter(|word| word.starts_with("certwright_") || word.starts_with("process_"))
                .collect();
            assert!(!metrics.is_empty(), "{file}: no metric in {query}");
            let unknown: Vec<_> = metrics.iter().filter(|name| !exists(name)).collect();
            assert!(unknown.is_empty(), "{file}: docs/monitoring.md has no {unknown:?}, in {query}");
            let unknown: Vec<_> =
                used_labels(query).into_iter().filter(|label| !labels.contains(label)).collect();
            assert!(unknown.is_empty(), "{file}: docs/monitoring.md has no label {unknown:?}, in {query}");
        }
    }
    Ok(())
}

/// The files with values in `tests/fixtures/chart`.
fn value_sets() -> Result<Vec<PathBuf>> {
    let mut sets = Vec::new();
    for entry in fs::read_dir(root().join("tests/fixtures/chart"))? {
        let path = entry?.path();
        if text(&path)?.ends_with(".values.yaml") {
            sets.push(path);
        }
    }
    ensure!(sets.len() > 2, "there are sets of values: {sets:?}");
    sets.sort();
    Ok(sets)
}

/// Objects by kind and name, without the labels that only Helm sets.
fn by_name(yaml: &str) -> Result<BTreeMap<String, Value>> {
    let mut objects: BTreeMap<String, Value> = objects(yaml)?
        .into_iter()
        .map(|object| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"])), object)
        })
        .collect();
    for object in objects.values_mut() {
        for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
            let labels = object.pointer_mut(labels).and_then(Value::as_object_mut);
            for label in labels.into_iter() {
                for helm in ["helm.sh/chart", &format!("{LABEL}/version"), &format!("{LABEL}/managed-by")] {
                    label.remove(helm);
                }
            }
        }
        let metadata = object["metadata"].as_object_mut().context("an object without metadata")?;
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove("helm.sh/resource-policy");
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    Ok(objects)
}

/// The labels that a query selects by, groups by, or joins on.
fn used_labels(query: &str) -> BTreeSet<&str> {
    let selected = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let selected =
        selected.flat_map(|inside| inside.split(',')).filter_map(|pair| pair.split(['=', '!']).next());
    let grouped = ["by (", "on(", "by(", "on ("].into_iter().flat_map(|word| query.split(word).skip(1));
    let grouped = grouped.filter_map(|rest| rest.split(')').next()).flat_map(|inside| inside.split(','));
    selected.chain(grouped).map(str::trim).collect()
}

/// The texts of all fields of this name.
fn strings_under<'a>(field: &str, value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get(field).and_then(Value::as_str));
            fields.values().for_each(|inner| strings_under(field, inner, into));
        }
        Value::Array(items) => items.iter().for_each(|inner| strings_under(field, inner, into)),
        _ => {}
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
