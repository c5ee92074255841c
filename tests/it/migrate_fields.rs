//! The conversion knows every field of cert-manager's API, the documentation says what becomes of it, and the API server and the
//! operator agree.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use crate::common::helm::{compare, root};
use anyhow::{Context, Result, ensure};
use certwright::migrate::Adapted;
use certwright::migrate::fields::{CERTIFICATE, Fate, Fields, ISSUER, METADATA, fate};
use certwright_api::{CertificateSpec, IssuerSpec};
use certwright_cluster::TestNamespace;
use certwright_cluster::cert_manager::definitions;
use certwright_core::spec::ignored;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

const PAGE: &str = "docs/cert-manager-fields.md";
const INTRODUCTION: &str = "# Fields of cert-manager's API

What becomes of each field of cert-manager v1.21's Certificate, Issuer and ClusterIssuer: in a manifest of which you only change
`apiVersion`, and with [`certwright migrate`](coming-from-cert-manager.md). A test applies a manifest with each field to an API
server, and compares the result with these tables.

- **accepted**: the field means the same.
- **no effect**: the field is accepted, and has no effect, for the reason given. With most of them, the same is true of cert-manager
  if the issuer is an ACME CA. A [warning](certificates.md#fields-without-effect) says so when you apply the manifest, and the condition
  `IgnoredFields` lists the field.
- **depends**: it depends on the value.
- **refused**: the API server rejects the manifest, with a message.

In a path, `{a,b}` means either field, `[]` the items of a list, and `.*` everything below.

This page is made by `make reference` from `src/migrate/fields.rs`.
";

#[test]
fn every_field_of_cert_managers_definitions_is_known() -> Result<()> {
    let mut unknown = BTreeSet::new();
    let mut walked = BTreeSet::new();
    for (kind, table, schema) in kinds()? {
        for Leaf { path: field, .. } in leaves(&schema, "") {
            // The walk stops at metadata, which has its own schema.
            if field != "metadata" && fate(table, &field).is_none() {
                unknown.insert(format!("{kind}: {field}"));
            }
            walked.insert(format!("{kind}: {field}"));
        }
    }
    assert!(walked.len() > 300, "only {} fields were found", walked.len());
    assert_eq!(unknown, BTreeSet::new(), "give each a line in src/migrate/fields.rs");
    Ok(())
}

#[test]
fn the_documentation_says_what_becomes_of_every_field() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    for (heading, table) in
        [("Certificate", CERTIFICATE), ("Issuer and ClusterIssuer", ISSUER), ("Metadata", METADATA)]
    {
        writeln!(
            page,
            "\n## {heading}\n\n| field | in a manifest | with `migrate` | |\n| --- | --- | --- | --- |"
        )?;
        table.iter().filter_map(row).for_each(|row| page.push_str(&row));
    }
    compare(&root().join(PAGE), &page, "make reference")
}

/// The row about some fields.
fn row(fields: &Fields) -> Option<String> {
    let (manifest, migrate, text) = match fields.fate {
        Fate::Bookkeeping => return None,
        Fate::Same => ("accepted", "taken over", ""),
        Fate::Differs(how) => ("accepted", "taken over", how),
        Fate::NoEffect(why) => ("no effect", "taken over", why),
        Fate::Depends { rule, .. } => ("depends", "depends", rule),
        Fate::Nothing(why) if fields.path.starts_with("metadata") => ("accepted", "left out", why),
        Fate::Nothing(why) => ("refused", "left out", why),
    };
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !text.is_empty() && !text.ends_with('.') {
        text.push('.');
    }
    Some(format!("| `{}` | {manifest} | {migrate} | {text} |\n", fields.path))
}

/// One request for each field.
#[tokio::test]
async fn the_api_server_and_the_operator_do_with_every_field_what_the_table_says() -> Result<()> {
    let samples = fs::read_to_string(root().join("tests/fixtures/cert-manager-fields.yaml"))?;
    let samples: Value = serde_yaml::from_str(&samples)?;
    TestNamespace::with("fields", async |ns| {
        let mut requests = Vec::new();
        for (kind, table, schema) in kinds()? {
            if kind == "ClusterIssuer" {
                // It has the same fields as an Issuer.
                continue;
            }
            for leaf in leaves(&schema, "") {
                let Some(of) = fate(table, &leaf.path) else { continue };
                if leaf.path.starts_with("spec.") && !matches!(of, Fate::Bookkeeping) {
                    requests.push((kind.clone(), table, leaf, of));
                }
            }
        }
        ensure!(requests.len() > 300, "{} fields", requests.len());
        let wrong: Vec<Option<String>> = stream::iter(&requests)
            .map(async |(kind, table, leaf, of)| differs(ns, &samples, (kind, table), leaf, *of).await)
            .buffered(8)
            .try_collect()
            .await?;
        let wrong: Vec<String> = wrong.into_iter().flatten().collect();
        ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
        Ok(())
    })
    .await
}

/// How the API server or the operator treats a field differently than the table says, if so.
async fn differs(
    ns: &TestNamespace,
    samples: &Value,
    (kind, table): (&str, &[Fields]),
    leaf: &Leaf,
    of: Fate,
) -> Result<Option<String>> {
    let samples = &samples[kind];
    let value = samples["values"].get(&leaf.path).cloned().unwrap_or_else(|| sample(&leaf.schema));
    let mut spec = samples["base"].clone();
    for (prefix, more) in samples["with"].as_object().into_iter().flatten() {
        if leaf.path.starts_with(prefix.as_str()) {
            merge(&mut spec, more);
        }
    }
    let path = leaf.path.strip_prefix("spec.").context("no field of a spec")?;
    put(&mut spec, path, &value);
    // What becomes of the value, and whether it has no effect.
    let (taken, no_effect) = match of {
        Fate::Same | Fate::Differs(_) => (true, false),
        Fate::NoEffect(_) => (true, true),
        Fate::Depends { of, .. } => match of(whole(table, &leaf.path, &spec).unwrap_or(&value)) {
            Adapted::Same | Adapted::Quietly(_) => (true, false),
            Adapted::NoEffect(_) => (true, true),
            Adapted::Gone(_) => (false, false),
            Adapted::To(..) => return Ok(Some(format!("{}: {value} is no clear case", leaf.path))),
        },
        Fate::Nothing(_) | Fate::Bookkeeping => (false, false),
    };
    let object = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": kind, "metadata": { "name": "field" }, "spec": spec,
    });
    let plural = format!("{}s", kind.to_lowercase());
    let url = format!(
        "/apis/certwright.dev/v1alpha1/namespaces/{}/{plural}?dryRun=All&fieldValidation=Strict",
        ns.name
    );
    let request = http::Request::post(url).header("content-type", "application/json");
    let answer = ns.client.request_text(request.body(serde_json::to_vec(&object)?)?).await;
    match (answer, taken) {
        (Ok(_), true) => {}
        (Err(kube::Error::Api(_)), false) => return Ok(None),
        (Ok(_), false) => return Ok(Some(format!("{kind} {}: it is accepted: {spec}", leaf.path))),
        (Err(error), _) => return Ok(Some(format!("{kind} {}: {error}: {spec}", leaf.path))),
    }
    let said = match kind {
        "Certificate" => ignored::of_certificate(&serde_json::from_value::<CertificateSpec>(spec)?),
        _ => ignored::of_issuer(&serde_json::from_value::<IssuerSpec>(spec)?.acme),
    };
    // The condition names the topmost field.
    let named = said.as_deref().unwrap_or_default().split(['(', ' ', ';']).any(|word| {
        word.starts_with("spec.") && (leaf.path == word || leaf.path.starts_with(&format!("{word}.")))
    });
    Ok((named != no_effect).then(|| format!("{kind} {}: IgnoredFields says {said:?}", leaf.path)))
}

/// The value that the table is about, if that is above the field at `path`.
fn whole<'a>(table: &[Fields], path: &str, spec: &'a Value) -> Option<&'a Value> {
    let paths = table.iter().flat_map(Fields::paths);
    let mut above = paths.filter_map(|own| own.strip_suffix(".*").map(str::to_owned));
    let above = above
        .find(|above| path.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with(['.', '['])))?;
    spec.pointer(&above.strip_prefix("spec")?.replace("[]", "/0").replace('.', "/"))
}

/// A value that a schema accepts.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!("a"),
        Some("integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([sample(&schema["items"])]),
        Some("object") if schema["additionalProperties"].is_object() => {
            json!({ "a": sample(&schema["additionalProperties"]) })
        }
        _ => json!({}),
    }
}

/// Adds the fields of another object, also in the items of lists.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            more.iter()
                .for_each(|(name, value)| merge(into.entry(name.clone()).or_insert(Value::Null), value));
        }
        (Value::Array(into), Value::Array(more)) if !into.is_empty() => {
            into.iter_mut().zip(more).for_each(|(into, more)| merge(into, more));
        }
        (into, more) => *into = more.clone(),
    }
}

/// Puts a value at a path, beside what is there.
fn put(object: &mut Value, path: &str, value: &Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let (name, is_list) = first.strip_suffix("[]").map_or((first, false), |name| (name, true));
    let mut below = match rest {
        Some(_) => Value::Object(Map::new()),
        None => value.clone(),
    };
    if let Some(rest) = rest {
        put(&mut below, rest, value);
    }
    let below = if is_list { json!([below]) } else { below };
    merge(object, &json!({ name: below }));
}

/// cert-manager's kinds that are migrated: their name, what happens to their fields, and their schema.
fn kinds() -> Result<Vec<(String, &'static [Fields], Value)>> {
    let mut kinds = Vec::new();
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
            kinds.push((kind.clone(), table, version["schema"]["openAPIV3Schema"].clone()));
        }
    }
    Ok(kinds)
}

/// A field without nested fields.
struct Leaf {
    /// Its path, with `[]` for the items of a list.
    path: String,
    schema: Value,
}

fn leaves(schema: &Value, path: &str) -> Vec<Leaf> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(fields) = schema["properties"].as_object() {
        return fields.iter().flat_map(|(name, schema)| leaves(schema, &below(name))).collect();
    }
    match schema["items"]["properties"].is_object() {
        true => leaves(&schema["items"], &format!("{path}[]")),
        false => vec![Leaf { path: path.to_owned(), schema: schema.clone() }],
    }
}
