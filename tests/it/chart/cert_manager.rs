//! The values of cert-manager's chart: the documentation says where each is found in this one.

use super::values::schema_paths;
use super::*;
use certwright_cluster::cert_manager::source;

#[test]
fn the_documentation_says_what_becomes_of_every_value_of_cert_managers_chart() -> Result<()> {
    let schema: Value = serde_json::from_str(&source("deploy/charts/cert-manager/values.schema.json")?)?;
    let definitions = schema["$defs"].as_object().context("a schema without definitions")?;
    let all: BTreeSet<&str> =
        definitions.keys().filter_map(|name| name.strip_prefix("helm-values.")).collect();
    let holds_others = |name: &str| all.iter().any(|other| other.starts_with(&format!("{name}.")));
    let theirs: BTreeSet<&str> = all.iter().copied().filter(|name| !holds_others(name)).collect();
    assert!(theirs.len() > 200, "only {} values were found", theirs.len());

    let page = fs::read_to_string(root().join("docs/install-helm.md"))?;
    let (_, table) = page.split_once("\n## Values of cert-manager's chart\n").context("no such section")?;
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows: Vec<Vec<&str>> = (table.lines().filter(|line| line.starts_with("| `")))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let ours = schema_paths()?;
    let mut documented = BTreeSet::new();
    for row in &rows {
        let [left, right, ..] = row[..] else { anyhow::bail!("a row without cells: {row:?}") };
        for pattern in quoted(left).flat_map(|pattern| alternatives(&pattern)) {
            let matches = |name: &&&str| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => **name == pattern,
            };
            let named: Vec<&str> = theirs.iter().filter(matches).copied().collect();
            ensure!(!named.is_empty(), "cert-manager's chart has no {pattern}");
            for name in named {
                ensure!(documented.insert(name), "{name} is in the table twice");
            }
        }
        for value in quoted(right) {
            ensure!(ours.contains(&value), "this chart has no {value}");
        }
    }
    let missing: Vec<&&str> = theirs.iter().filter(|name| !documented.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/install-helm.md does not say what becomes of {missing:?}");
    Ok(())
}

/// The parts of a cell between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// `a.{b,c}` means `a.b` and `a.c`.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((start, list)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    list.trim_end_matches('}').split(',').map(|end| format!("{start}{end}")).collect()
}
