//! `docs/api-reference.md` is generated from the CustomResourceDefinitions, a table of `docs/troubleshooting-ca.md` from the codes of
//! CAs, and the list of reasons in `docs/troubleshooting.md` from the pages that have an entry for each. `make reference` regenerates
//! all of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use crate::common::helm::{compare, root};
use anyhow::{Context, Result, ensure};
use certwright::command::handbook::{self, Entry};
use certwright_acme::{CODES, Code};
use certwright_core::remedy;
use serde_json::{Map, Value};

const PAGE: &str = "docs/api-reference.md";
const INTRODUCTION: &str = "# API reference

Every field of `certwright.dev/v1alpha1`, from the CustomResourceDefinitions. `kubectl explain certificate.spec` and
`kubectl explain issuer.spec.acme` say the same in a terminal. [Issuers](issuers.md) and [Certificates](certificates.md) explain
how to use the fields. The API server checks each rule, and rejects an object that breaks it with the message given here.

This page is made by `make reference`; edit the comments in `crates/api` instead.
";

#[test]
fn the_reference_has_every_field_as_the_crds_have_it() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    let (issuer, mut cluster_issuer) = (schema("issuers")?, schema("clusterissuers")?);
    for common in ["/properties/spec/properties/acme", "/properties/status"] {
        let (one, other) = (issuer.pointer(common), cluster_issuer.pointer(common));
        assert!(one.is_some() && one == other, "{common} of both kinds of issuer");
    }
    kind(&mut page, "Certificate", &schema("certificates")?)?;
    kind(&mut page, "Issuer", &issuer)?;
    let intro = "Its `spec.acme` and its status are those of an [Issuer](#issuer). Besides, it has:";
    writeln!(page, "\n## ClusterIssuer\n\n{}\n\n{intro}", words(&cluster_issuer))?;
    let spec = &mut cluster_issuer["properties"]["spec"];
    spec["properties"].as_object_mut().context("no fields")?.remove("acme");
    fields(&mut page, "ClusterIssuer", "spec", spec)?;
    compare(&root().join(PAGE), &page, "make reference")
}

#[test]
fn troubleshooting_says_what_to_do_about_each_code() -> Result<()> {
    let file = root().join("docs/troubleshooting-ca.md");
    let page = fs::read_to_string(&file)?;
    let head = "\n| reason | what to do |\n| --- | --- |\n";
    let (before, rest) = page.split_once(head).context("no table")?;
    ensure!(!rest.contains("\n\n"), "the table is not the last thing on the page");
    let row = |code: &Code| format!("| `{}` | {} |", code.name, remedy::explained(code));
    let rows: Vec<String> = CODES.iter().map(row).collect();
    compare(&file, &format!("{before}{head}{}\n", rows.join("\n")), "make reference")
}

#[test]
fn troubleshooting_leads_to_the_entry_of_each_reason() -> Result<()> {
    let mut reasons: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for entry in handbook::entries().into_iter().filter(|entry| !entry.page.ends_with("-ca.md")) {
        reasons.entry(entry.reason).or_default().push(entry);
    }
    let rows = reasons.iter().map(|(reason, entries)| {
        // As when all entries were on this page, so that old links still work.
        let anchor = reason.to_lowercase();
        let number = |count: usize| if count == 0 { String::new() } else { format!("-{count}") };
        let anchors = (0..entries.len()).map(|count| format!("<a id=\"{anchor}{}\"></a>", number(count)));
        let links = entries.iter().map(|entry| format!("[{}]({}#{anchor})", entry.of, entry.page));
        format!("| {}`{reason}` | {} |", anchors.collect::<String>(), links.collect::<Vec<_>>().join(", "))
    });
    let file = root().join("docs/troubleshooting.md");
    let page = fs::read_to_string(&file)?;
    let head = "\n| reason | of |\n| --- | --- |\n";
    let (before, _) = page.split_once(head).context("no table")?;
    let rows: Vec<String> = rows.collect();
    compare(&file, &format!("{before}{head}{}\n", rows.join("\n")), "make reference")
}

/// A kind: its spec and its status, field by field.
fn kind(page: &mut String, name: &str, schema: &Value) -> Result<()> {
    writeln!(page, "\n## {name}\n\n{}", words(schema))?;
    for part in ["spec", "status"] {
        let inner = &schema["properties"][part];
        writeln!(page, "\n### {name}: {part}\n\n{}", words(inner))?;
        rules(page, inner)?;
        fields(page, name, part, inner)?;
    }
    Ok(())
}

/// The fields of an object, each followed by those within it.
fn fields(page: &mut String, kind: &str, path: &str, object: &Value) -> Result<()> {
    let none = Map::new();
    for (name, field) in object["properties"].as_object().unwrap_or(&none) {
        let path = format!("{path}.{name}");
        let required = object["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
        let anchor = format!("{kind}-{path}").to_lowercase().replace(['.', '['], "-").replace(']', "");
        let facts =
            [vec![type_of(field)], limits(field), if required { vec!["required".into()] } else { vec![] }];
        writeln!(
            page,
            "\n<a id=\"{anchor}\"></a>[**`{path}`**](#{anchor}): {}\n",
            facts.concat().join("; ")
        )?;
        writeln!(page, "{}", words(field))?;
        rules(page, field)?;
        let of_items = field["items"].is_object();
        let (inner, path) = if of_items { (&field["items"], format!("{path}[]")) } else { (field, path) };
        if of_items {
            rules(page, inner)?;
        }
        fields(page, kind, &path, inner)?;
    }
    Ok(())
}

/// The type of a field.
fn type_of(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return format!("one of {}", values.join(", "));
    }
    match (field["type"].as_str(), field["format"].as_str()) {
        (Some("array"), _) => format!("list, each {}", type_of(&field["items"])),
        (Some("object"), _) if field["additionalProperties"].is_object() => {
            format!("map, each value {}", type_of(&field["additionalProperties"]))
        }
        (Some("string"), Some("date-time")) => "time".into(),
        (Some("string"), Some("byte")) => "bytes in base64".into(),
        (Some("string"), _) if field["pattern"].as_str().is_some_and(|pattern| pattern.contains("us|µs")) => {
            "duration".into()
        }
        (Some(name), _) => name.into(),
        (None, _) => "anything".into(),
    }
}

/// The bounds and the default of a field.
fn limits(field: &Value) -> Vec<String> {
    let bounds = [
        ("minItems", "at least", " of them"),
        ("maxItems", "at most", " of them"),
        ("minLength", "at least", " characters"),
        ("maxLength", "at most", " characters"),
        ("minimum", "at least", ""),
        ("maximum", "at most", ""),
    ];
    let bounds =
        bounds.iter().filter_map(|(key, word, unit)| Some(format!("{word} {}{unit}", field[key].as_f64()?)));
    let default = field.get("default").map(|value| format!("`{value}` by default"));
    bounds.chain(default).collect()
}

/// The rules that the API server checks, with their messages.
fn rules(page: &mut String, schema: &Value) -> Result<()> {
    for (at, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let message = rule["message"].as_str().context("a rule without a message")?;
        let before = if at == 0 { "\n" } else { "" };
        writeln!(page, "{before}- Rule: {}", text(message))?;
    }
    Ok(())
}

fn words(schema: &Value) -> String {
    text(schema["description"].as_str().unwrap_or_default())
}

/// Markdown in which only code can contain characters of HTML or emphasis.
fn text(words: &str) -> String {
    let parts = words.split('`').enumerate();
    let parts =
        parts.map(
            |(at, part)| {
                if at % 2 == 0 { part.replace('<', "\\<").replace('*', "\\*") } else { part.to_owned() }
            },
        );
    parts.collect::<Vec<_>>().join("`")
}

fn schema(plural: &str) -> Result<Value> {
    let file = root().join("crds").join(format!("{plural}.yaml"));
    let mut crd: Value = serde_yaml::from_str(&fs::read_to_string(file)?)?;
    Ok(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take())
}
