//! The conversion knows every field of cert-manager's API, and the documentation says what happens to it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use certwright::migrate::fields::{CERTIFICATE, Fate, Fields, ISSUER, METADATA, fate};
use certwright_cluster::cert_manager::definitions;
use serde_json::Value;

#[test]
fn every_field_of_cert_managers_definitions_is_known() -> Result<()> {
    let mut unknown = BTreeSet::new();
    let mut walked = BTreeSet::new();
    for path in definitions()? {
        let definition: Value = serde_yaml::from_str(&fs::read_to_string(&path)?)?;
        let kind = definition["spec"]["names"]["kind"].as_str().context("no kind")?.to_owned();
        let table = match kind.as_str() {
            "Certificate" => CERTIFICATE,
            "Issuer" | "ClusterIssuer" => ISSUER,
            _ => continue,
        };
        for version in definition["spec"]["versions"].as_array().context("no versions")? {
            assert_eq!(version["name"], "v1", "{kind}");
            for field in leaves(&version["schema"]["openAPIV3Schema"], "") {
                // The walk stops at metadata, which has its own schema.
                if field != "metadata" && fate(table, &field).is_none() {
                    unknown.insert(format!("{kind}: {field}"));
                }
                walked.insert(format!("{kind}: {field}"));
            }
        }
    }
    assert!(walked.len() > 300, "only {} fields were found", walked.len());
    assert_eq!(unknown, BTreeSet::new(), "give each a line in src/migrate/fields.rs");
    Ok(())
}

#[test]
fn every_field_that_is_not_taken_over_as_it_is_stands_in_the_guide() -> Result<()> {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coming-from-cert-manager.md"))?;
    for (heading, table) in
        [("Fields of a Certificate", CERTIFICATE), ("Fields of an issuer", ISSUER), ("Metadata", METADATA)]
    {
        let (_, section) =
            guide.split_once(&format!("\n### {heading}\n")).with_context(|| format!("no {heading}"))?;
        let documented: BTreeSet<&str> = section
            .split("\n#")
            .next()
            .unwrap_or_default()
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let expected: BTreeSet<String> = table.iter().filter_map(row).collect();
        let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        assert_eq!(
            documented,
            expected,
            "docs/coming-from-cert-manager.md, {heading}: it should be\n{}",
            table.iter().filter_map(row).collect::<Vec<_>>().join("\n")
        );
    }
    Ok(())
}

/// The row of the guide about some fields, if there is anything to say.
fn row(fields: &Fields) -> Option<String> {
    let (what, text) = match fields.fate {
        Fate::Same | Fate::Bookkeeping => return None,
        Fate::Differs(how) => ("taken over", how),
        Fate::Depends { rule, .. } => ("depends", rule),
        Fate::Nothing(why) => ("left out", why),
    };
    Some(format!("| `{}` | {what} | {text} |", fields.path))
}

/// The paths of the fields without nested fields, with `[]` for the items of a list.
fn leaves(schema: &Value, path: &str) -> Vec<String> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(fields) = schema["properties"].as_object() {
        return fields.iter().flat_map(|(name, schema)| leaves(schema, &below(name))).collect();
    }
    match schema["items"]["properties"].is_object() {
        true => leaves(&schema["items"], &format!("{path}[]")),
        false => vec![path.to_owned()],
    }
}
