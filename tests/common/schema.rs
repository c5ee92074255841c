//! Arbitrary objects that a schema in `crds/` accepts, extremes first.
#![allow(clippy::unwrap_used, reason = "a definition that is not as expected fails the test")]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// The longest texts and lists would only make it slow; a few are tried nevertheless.
const LONG: usize = 300;

/// Objects of a kind, by its plural.
pub fn objects(plural: &str) -> BoxedStrategy<Value> {
    let definition = definition(plural);
    let kind = definition["spec"]["names"]["kind"].clone();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let parts = (values(&schema["properties"]["spec"]), values(&schema["properties"]["status"]));
    parts
        .prop_map(move |(spec, status)| {
            json!({
                "apiVersion": "certwright.dev/v1alpha1", "kind": kind, "spec": spec, "status": status,
                "metadata": { "name": "any", "namespace": "shop", "uid": "1", "generation": 1, "resourceVersion": "1" },
            })
        })
        .boxed()
}

/// A field of a spec, or of the part of it at `pointer`, with a value.
pub fn fields(plural: &str, pointer: &str) -> BoxedStrategy<(String, Value)> {
    let definition = definition(plural);
    let mut schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        schema = &schema["properties"][step];
    }
    let fields = schema["properties"].as_object().unwrap().iter().filter(|(_, schema)| !is_refused(schema));
    let field = |(name, schema): (&String, &Value)| {
        let name = name.clone();
        values(schema).prop_map(move |value| (name.clone(), value)).boxed()
    };
    proptest::strategy::Union::new(fields.map(field)).boxed()
}

fn definition(plural: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{plural}.yaml"));
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Whatever a schema accepts, and a little more: of its rules, only those that forbid a field are considered.
fn values(schema: &Value) -> BoxedStrategy<Value> {
    let values = match (&schema["enum"], schema["type"].as_str()) {
        (Value::Array(values), _) => select(values.clone()).boxed(),
        (_, Some("string")) => texts(schema),
        (_, Some("integer" | "number")) => numbers(schema),
        (_, Some("boolean")) => any::<bool>().prop_map(Value::Bool).boxed(),
        (_, Some("array")) => lists(schema),
        (_, Some("object")) if schema["properties"].is_object() => records(schema),
        (_, Some("object")) if schema["additionalProperties"].is_object() => maps(schema),
        (_, Some("object")) => anything().prop_filter("an object", Value::is_object).boxed(),
        _ => anything(),
    };
    match schema["nullable"].as_bool() {
        Some(true) => prop_oneof![9 => values, 1 => Just(Value::Null)].boxed(),
        _ => values,
    }
}

fn records(schema: &Value) -> BoxedStrategy<Value> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().unwrap().iter();
    let fields: Vec<BoxedStrategy<Option<(String, Value)>>> = fields
        .map(|(name, schema)| {
            let is_required = required.contains(&name.as_str());
            let name = name.clone();
            let field = values(schema).prop_map(move |value| (name.clone(), value));
            match is_required {
                true => field.prop_map(Some).boxed(),
                false => {
                    proptest::option::weighted(if is_refused(schema) { 0.01 } else { 0.4 }, field).boxed()
                }
            }
        })
        .collect();
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect())).boxed()
}

fn is_refused(schema: &Value) -> bool {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten().any(|rule| rule["rule"] == "false")
}

fn maps(schema: &Value) -> BoxedStrategy<Value> {
    let most = count(schema, "maxProperties").unwrap_or(LONG);
    let entries = (names(), values(&schema["additionalProperties"]));
    let few = proptest::collection::vec(entries.clone(), 0..4);
    let many = (entries, 0..=most).prop_map(|((_, value), count)| {
        (0..count).map(|at| (format!("example.com/{at}"), value.clone())).collect::<Vec<_>>()
    });
    prop_oneof![9 => few, 1 => many].prop_map(|entries| Value::Object(entries.into_iter().collect())).boxed()
}

fn lists(schema: &Value) -> BoxedStrategy<Value> {
    let most = count(schema, "maxItems").unwrap_or(LONG);
    let item = values(&schema["items"]);
    let few = proptest::collection::vec(item.clone(), 0..=most.min(3));
    let many = item.prop_map(move |item| vec![item; most]);
    prop_oneof![30 => few, 1 => many].prop_map(Value::Array).boxed()
}

fn numbers(schema: &Value) -> BoxedStrategy<Value> {
    let (least, most) = match schema["format"].as_str() {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let bound = |name: &str| schema[name].as_f64().map(|bound| bound as i64);
    let (least, most) = (bound("minimum").unwrap_or(least), bound("maximum").unwrap_or(most));
    prop_oneof![Just(least), Just(most), Just(0_i64.clamp(least, most)), least..=most]
        .prop_map(|number| json!(number))
        .boxed()
}

fn texts(schema: &Value) -> BoxedStrategy<Value> {
    let most = count(schema, "maxLength");
    let texts = match (schema["pattern"].as_str(), schema["format"].as_str()) {
        (Some(pattern), _) if pattern.contains("(us|µs)") => durations(),
        (Some(pattern), _) => {
            proptest::string::string_regex(pattern.trim_start_matches('^').trim_end_matches('$'))
                .unwrap()
                .boxed()
        }
        (_, Some("byte")) => bytes(),
        (_, Some("date-time")) => times(),
        _ => prop_oneof![
            4 => names(),
            1 => odd_texts(),
            1 => "\\PC{0,40}",
            1 => longest(most.map_or(LONG, |most| most.min(LONG * 10))),
        ]
        .boxed(),
    };
    let least = count(schema, "minLength").unwrap_or_default();
    texts
        .prop_map(move |text| {
            let mut text: String = text.chars().take(most.unwrap_or(usize::MAX)).collect();
            while text.chars().count() < least {
                text.push('x');
            }
            Value::String(text)
        })
        .boxed()
}

/// The longest text, also with characters of four bytes.
fn longest(length: usize) -> BoxedStrategy<String> {
    prop_oneof![Just("x".repeat(length)), Just("\u{1f512}".repeat(length))].boxed()
}

fn names() -> BoxedStrategy<String> {
    let known = [
        "a.test",
        "*.a.test",
        "a.*.test",
        "ca",
        "192.0.2.1",
        "2001:db8::1",
        "https://ca.test/dir",
        "http://[::1",
        "../..",
        "0 2 * * 6",
        "99 99 99 99 99",
        "Europe/Paris",
        "../../etc/passwd",
        "pending",
        "valid",
        "Ready",
        "True",
        "app",
        "v",
    ];
    prop_oneof![3 => select(known.to_vec()).prop_map(str::to_owned), 1 => "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?"].boxed()
}

fn odd_texts() -> BoxedStrategy<String> {
    select(vec![
        "",
        " ",
        "\0",
        "\r\n",
        "\u{1b}[2J",
        "\u{202e}",
        "Ä中",
        "-1",
        "NaN",
        "null",
        "1e999",
        "{}",
        "%00",
        "'",
        "\\",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

fn durations() -> BoxedStrategy<String> {
    let known = [
        "0s",
        "1ns",
        "59s",
        "1m",
        "1h",
        "1h0m1s",
        "720h",
        "87600h",
        "87601h",
        "0.5h",
        "1h30m",
        "1.000000001s",
    ];
    prop_oneof![
        4 => select(known.to_vec()).prop_map(str::to_owned),
        1 => Just(format!("{}h", "9".repeat(18))),
        1 => Just(format!("{}h", "9".repeat(63))),
        2 => "([0-9]{1,5}([.][0-9]{1,9})?h|[0-9]{1,7}m|[0-9]{1,9}s|[0-9]{1,18}ns){1,3}",
    ]
    .boxed()
}

/// What the API server accepts for `format: byte`.
fn bytes() -> BoxedStrategy<String> {
    let known = ["", "QUJ=", "QR==", "QUJD", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"];
    prop_oneof![
        4 => select(known.to_vec()).prop_map(str::to_owned),
        1 => "([A-Za-z0-9+/]{4}){0,20}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
        1 => Just("QUJD".repeat(200_000)),
    ]
    .boxed()
}

/// What the API server accepts for `format: date-time`.
fn times() -> BoxedStrategy<String> {
    let known = [
        "2026-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "2016-12-31T23:59:60Z",
        "2026-01-01t00:00:00z",
        "2026-01-01T00:00:00.999999999999999999Z",
        "2026-02-28T24:00:00Z",
    ];
    select(known.to_vec()).prop_map(str::to_owned).boxed()
}

/// Arbitrary JSON, sometimes deeply nested.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!(u64::MAX)),
        Just(json!(i64::MIN)),
        Just(json!(1e308)),
        Just(json!(-0.0)),
        odd_texts().prop_map(Value::String),
    ];
    let shallow = leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::vec((names(), inner), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    });
    let deep = (1..200_usize, any::<bool>()).prop_map(|(depth, lists)| {
        let wrap = |inner: Value, _| if lists { json!([inner]) } else { json!({ "a": inner }) };
        json!({ "deep": (0..depth).fold(json!(1), wrap) })
    });
    prop_oneof![4 => shallow, 1 => deep].boxed()
}

fn count(schema: &Value, bound: &str) -> Option<usize> {
    schema[bound].as_u64().and_then(|bound| usize::try_from(bound).ok())
}
