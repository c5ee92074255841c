//! The Helm chart: what it renders, what it refuses, and that every value is described. `make chart` writes the renderings
//! in `tests/fixtures/chart` and the table in `docs/install-helm.md` anew.

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

/// Roles and CRDs are links to those of `deploy/base` and `crds`; a package holds what they lead to.
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
    // Helm makes the namespace itself, if asked to.
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

/// Each with something of what is said.
const REFUSED: &[(&str, &str)] = &[
    ("replicas=two", "at '/replicas': got string, want integer"),
    ("replica=3", "additional properties 'replica' not allowed"),
    ("config.backofFirst=1m", "at '/config': additional properties 'backofFirst' not allowed"),
    ("config.backoffFirst=1 minute", "at '/config/backoffFirst': '1 minute' does not match pattern"),
    ("config.http01PathType=Prefix", "at '/config/http01PathType': value must be one of"),
    ("config.responderAddr=8089", "at '/config/responderAddr': got number, want null or string"),
    ("config.ordersPerAccount=0", "at '/config/ordersPerAccount': minimum: got 0, want 1"),
    ("config.annotations=maybe", "at '/config/annotations': got string, want null or boolean"),
    ("config.defaultIssuerKind=Vault", "at '/config/defaultIssuerKind': value must be one of"),
    ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
    ("antiAffinity=maybe", "at '/antiAffinity': value must be one of 'soft', 'hard', 'none'"),
    ("webhooks[0].groupName=dns.example.com", "at '/webhooks/0': missing property 'solverName'"),
    ("config.egressDeny={cluster}", "at '/config/egressDeny/0': 'cluster' does not match pattern"),
    (
        "networkPolicy.egressExcept={169.254.169.254}",
        "at '/networkPolicy/egressExcept/0': '169.254.169.254' does not match pattern",
    ),
    ("watchNamespaces={Shop}", "at '/watchNamespaces/0': 'Shop' does not match pattern"),
    ("config.leaderElect=false", "config.leaderElect is false and there is more than one replica"),
    (
        "watchNamespaces={shop},config.clusterIssuers=true",
        "config.clusterIssuers is true and watchNamespaces is set",
    ),
    ("caBundle.configMap=a,caBundle.secret=b", "caBundle.configMap and caBundle.secret are both set"),
    ("serviceAccount.create=false", "serviceAccount.create is false and serviceAccount.name is empty"),
];

#[test]
fn a_wrong_value_is_refused_with_a_sentence() -> Result<()> {
    for (set, sentence) in REFUSED {
        let output = template(&["--set", set])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{set} is taken");
        assert!(said.contains(sentence), "{set} says: {said}");
    }
    Ok(())
}

#[test]
fn every_value_has_a_line_that_says_what_it_is_for() -> Result<()> {
    let described = described()?;
    let known: BTreeSet<String> = schema_paths()?;
    assert_eq!(Vec::from_iter(described.keys()), Vec::from_iter(&known), "values.yaml, and its schema");
    for (path, line) in &described {
        assert!(line.ends_with('.') && line.len() > 10, "{path} in values.yaml: {line:?} is no sentence");
    }
    assert!(described.len() > 80, "there are values: {}", described.len());
    Ok(())
}

#[test]
fn every_value_is_set_in_a_rendering() -> Result<()> {
    let mut set = BTreeSet::new();
    for values in value_sets()? {
        let values: Value = serde_yaml::from_str(&fs::read_to_string(values)?)?;
        set.extend(schema_paths()?.into_iter().filter(|path| at(&values, path).is_some()));
    }
    let missing: Vec<String> = schema_paths()?.difference(&set).cloned().collect();
    assert!(missing.is_empty(), "no file in tests/fixtures/chart sets {missing:?}");
    Ok(())
}

#[test]
fn the_documentation_has_every_value_with_its_default() -> Result<()> {
    let defaults = defaults()?;
    let mut rows = String::new();
    for (path, line) in described()? {
        let default = at(&defaults, &path).with_context(|| format!("values.yaml has no {path}"))?;
        // What has values of its own has no default of its own.
        let inner = schema_paths()?.iter().any(|other| other.starts_with(&format!("{path}.")));
        let default = if inner { String::new() } else { format!("`{default}`") };
        rows.push_str(&format!("| `{path}` | {default} | {line} |\n"));
    }
    let page = root().join("docs/install-helm.md");
    let page_text = fs::read_to_string(&page)?;
    let heading = "| value | default | meaning |\n| --- | --- | --- |\n";
    // It is the last thing on the page.
    let (before, _) = page_text.split_once(heading).context("no table of values")?;
    compare(&page, &format!("{before}{heading}{rows}"), "make chart")
}

#[test]
fn every_setting_of_the_operator_can_be_made() -> Result<()> {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").context("there is no certwright run")?;
    let variables = run.get_arguments().filter_map(|argument| argument.get_env());
    let variables: BTreeSet<String> = variables.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(variables.len() > 15, "there are settings: {variables:?}");

    let mut made = BTreeSet::new();
    for values in value_sets()? {
        for object in objects(&rendered(&["--values", text(&values)?])?)? {
            let containers = object["spec"]["template"]["spec"]["containers"].as_array();
            let env = containers.into_iter().flatten().filter_map(|container| container["env"].as_array());
            let names = env.flatten().filter_map(|variable| variable["name"].as_str());
            made.extend(names.filter(|name| name.starts_with("CERTWRIGHT_")).map(str::to_owned));
        }
    }
    assert_eq!(variables, made, "what the operator reads, and what the chart can set by values");
    Ok(())
}

#[test]
fn defaults_of_the_operator_are_told_as_they_are() -> Result<()> {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").context("there is no certwright run")?;
    let described = described()?;
    let mut told = 0;
    for argument in run.get_arguments() {
        let Some(long) = argument.get_long() else { continue };
        let Some(line) = described.get(&format!("config.{}", camel_case(long))) else { continue };
        let Some((_, default)) = line.rsplit_once("Default `") else { continue };
        let default = default.split('`').next().unwrap_or_default();
        let values = argument.get_default_values();
        assert_eq!(values, [default], "the default of --{long} in values.yaml");
        told += 1;
    }
    assert!(told > 10, "defaults are told: {told}");
    Ok(())
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() -> Result<()> {
    let table = fs::read_to_string(root().join("docs/operations.md"))?;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows: Vec<(&str, Vec<&str>)> = rows.map(|(name, rest)| (name, rest.split(" | ").collect())).collect();
    let documented: BTreeMap<&str, &str> =
        rows.iter().filter_map(|(name, cells)| Some((*name, *cells.first()?))).collect();
    // Besides the metrics' own, there are those of the pod that is scraped and of a histogram's buckets.
    let mut labels = BTreeSet::from(["pod", "le"]);
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
            assert!(unknown.is_empty(), "{file}: docs/operations.md has no {unknown:?}, in {query}");
            let unknown: Vec<_> =
                used_labels(query).into_iter().filter(|label| !labels.contains(label)).collect();
            assert!(unknown.is_empty(), "{file}: docs/operations.md has no label {unknown:?}, in {query}");
        }
    }
    Ok(())
}

/// The files in `tests/fixtures/chart` with values.
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

/// Objects by kind and name, without what only Helm puts on them.
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

/// The values that the schema knows, as `config.backoffFirst`.
fn schema_paths() -> Result<BTreeSet<String>> {
    fn walk(properties: &Map<String, Value>, prefix: &str, into: &mut BTreeSet<String>) {
        for (name, schema) in properties {
            let path = format!("{prefix}{name}");
            if let Some(inner) = schema["properties"].as_object() {
                walk(inner, &format!("{path}."), into);
            }
            into.insert(path);
        }
    }
    let schema: Value = serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json"))?)?;
    let mut paths = BTreeSet::new();
    walk(schema["properties"].as_object().context("a schema without properties")?, "", &mut paths);
    // Helm itself hands this to charts.
    paths.remove("global");
    Ok(paths)
}

/// Each value that has a comment above it in `values.yaml`, and each that the schema knows, with the comment.
fn described() -> Result<BTreeMap<String, String>> {
    let known = schema_paths()?;
    let mut described = BTreeMap::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let text = fs::read_to_string(chart().join("values.yaml"))?;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(words) = line.trim_start().strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        if let Some((key, _)) = line.split_once(':') {
            above.retain(|(outer, _)| *outer < indent);
            above.push((indent, key.trim().to_owned()));
            let path = above.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
            if !comment.is_empty() || known.contains(&path) {
                described.insert(path, comment.join(" "));
            }
        }
        comment.clear();
    }
    Ok(described)
}

fn defaults() -> Result<Value> {
    Ok(serde_yaml::from_str(&fs::read_to_string(chart().join("values.yaml"))?)?)
}

/// The value at a path such as `config.backoffFirst`.
fn at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(values, |value, key| value.get(key))
}

/// `backoff-first` as `backoffFirst`.
fn camel_case(flag: &str) -> String {
    let mut words = flag.split('-');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
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
