//! The values: each is documented, set in a rendering, and rejected if it is invalid.

use super::*;

/// Invalid values, each with a part of the error.
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
    ("terminationGracePeriodSeconds=3", "at '/terminationGracePeriodSeconds': minimum: got 3, want 12"),
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
    (
        "watchNamespaces={shop},config.certificateSigningRequests=true",
        "config.certificateSigningRequests is true and watchNamespaces is set",
    ),
    ("extraContainers[0].name=a", "at '/extraContainers/0': missing property 'image'"),
    (
        "podDisruptionBudget.minAvailable=half",
        "at '/podDisruptionBudget/minAvailable': 'half' does not match pattern",
    ),
    (
        "config.extraCertificateAnnotations={team:}",
        "at '/config/extraCertificateAnnotations/0': 'team:' does not match pattern",
    ),
    ("serviceMonitor.enabled=true,podMonitor.enabled=true", "Prometheus would read every metric twice"),
    ("podMonitor.enabled=true,config.metricsAuth=true", "podMonitor.authorization is empty"),
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
        // A value that contains others has no default.
        let inner = schema_paths()?.iter().any(|other| other.starts_with(&format!("{path}.")));
        let default = if inner { String::new() } else { format!("`{default}`") };
        rows.push_str(&format!("| `{path}` | {default} | {line} |\n"));
    }
    let page = root().join("docs/install-helm.md");
    let page_text = fs::read_to_string(&page)?;
    let heading = "| value | default | meaning |\n| --- | --- | --- |\n";
    // It is the last section of the page.
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

/// The values in the schema, such as `config.backoffFirst`.
pub(super) fn schema_paths() -> Result<BTreeSet<String>> {
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
    Ok(paths)
}

/// All values with a comment above them in `values.yaml`, and all in the schema, with their comments.
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

/// Converts `backoff-first` to `backoffFirst`.
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
