//! Removes secrets from what is collected: fields of objects that may have some, and in every text whatever equals a value of a
//! Secret or looks like a credential.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aho_corasick::AhoCorasick;
use base64::engine::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use regex::Regex;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::command::Error;
use crate::command::output::{harmless, plain};

/// Shorter values are not looked for: they occur in other words.
const SHORTEST: usize = 8;
/// Lines of a value that is longer than a line; those of PEM files have 64 characters.
const SHORTEST_LINE: usize = 16;
/// How many bytes of a value are looked for before it is compared with the rest. Keys and keystores have thousands, and there may be
/// thousands of them.
const BEGINNING: usize = 24;
/// Others may keep copies of an object in its annotations, with what is removed from the object itself.
const LONGEST_ANNOTATION: usize = 256;
/// What stands for what was removed from an object.
const REDACTED: &str = "[redacted]";
/// What looks like a credential, and what is written instead. The base64 of a key ends before what a PEM file cannot have, so a key
/// without an end takes nothing with it.
const CREDENTIALS: [(&str, &str); 5] = [
    (
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----([A-Za-z0-9+/=:,\s\\]|-[A-Za-z0-9])*(-----END [A-Z0-9 ]*PRIVATE KEY-----)?",
        "[private key]",
    ),
    (r#"://[^/\s"'<>]+@"#, "://[redacted]@"),
    (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", "[token]"),
    (r"(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{12,}", "$1 [token]"),
    (r#"(?i)(--[a-z0-9-]*(password|token|secret|api-?key)=)[^\s"',]+"#, "$1[redacted]"),
];
/// Variables of the environment that have no secrets, beside our own.
const VARIABLES: [&str; 5] = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "RUST_LOG", "GOMAXPROCS"];

/// A value of a Secret.
pub(super) type SecretValue = Zeroizing<Vec<u8>>;

/// Removes secrets from texts.
pub(super) struct Redactor {
    values: Option<Values>,
    credentials: Vec<(Regex, &'static str)>,
}

/// The values of Secrets, in each form in which they may occur.
struct Values {
    beginnings: AhoCorasick,
    /// For each beginning, the forms that have it.
    forms: Vec<Vec<Zeroizing<String>>>,
}

impl Redactor {
    /// Removes these values in any of their usual forms, and what looks like a credential.
    ///
    /// # Errors
    /// [`Error::Redact`], if there are too many.
    pub(super) fn new(values: &[SecretValue]) -> Result<Self, Error> {
        let forms: BTreeSet<_> = values.iter().flat_map(|value| forms(value)).collect();
        let values = if forms.is_empty() { None } else { Some(Values::new(forms)?) };
        let mut credentials = Vec::new();
        for (regex, with) in CREDENTIALS {
            credentials.push((Regex::new(regex).map_err(|error| Error::Redact(Box::new(error)))?, with));
        }
        Ok(Self { values, credentials })
    }

    /// A text without secrets, and without what controls a terminal.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut clean = harmless(text);
        if let Some(values) = &self.values {
            clean = values.removed(&clean);
        }
        for (regex, with) in &self.credentials {
            clean = regex.replace_all(&clean, *with).into_owned();
        }
        clean
    }
}

impl Values {
    fn new(forms: BTreeSet<String>) -> Result<Self, Error> {
        let mut by_beginning: BTreeMap<String, Vec<Zeroizing<String>>> = BTreeMap::new();
        for form in forms {
            let end = form.char_indices().map(|(index, _)| index).find(|index| *index >= BEGINNING);
            let beginning = form.get(..end.unwrap_or(form.len())).unwrap_or_default().to_owned();
            by_beginning.entry(beginning).or_default().push(form.into());
        }
        let beginnings = AhoCorasick::new(by_beginning.keys());
        let beginnings = beginnings.map_err(|error| Error::Redact(Box::new(error)))?;
        Ok(Self { beginnings, forms: by_beginning.into_values().collect() })
    }

    /// The text with `[secret]` where there was a value.
    fn removed(&self, text: &str) -> String {
        let (mut left, mut rest) = (String::with_capacity(text.len()), 0);
        for Range { start, end } in self.found(text) {
            left.push_str(text.get(rest..start).unwrap_or_default());
            left.push_str("[secret]");
            rest = end;
        }
        left.push_str(text.get(rest..).unwrap_or_default());
        left
    }

    /// Where there are values, in order. Those that overlap are one.
    fn found(&self, text: &str) -> Vec<Range<usize>> {
        let beginnings = self.beginnings.find_overlapping_iter(text);
        let mut found: Vec<Range<usize>> = beginnings
            .filter_map(|beginning| {
                let here = text.get(beginning.start()..)?;
                let forms = self.forms.get(beginning.pattern().as_usize())?;
                let length = forms.iter().filter_map(|form| agreement(form, here)).max()?;
                Some(beginning.start()..beginning.start() + length)
            })
            .collect();
        found.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// How many bytes of a text are this form of a value, or as much of it as the text has before an ellipsis.
fn agreement(form: &str, text: &str) -> Option<usize> {
    let same = form.chars().zip(text.chars()).take_while(|(one, other)| one == other);
    let same: usize = same.map(|(one, _)| one.len_utf8()).sum();
    let is_cut = same >= BEGINNING && text.get(same..).is_some_and(|rest| rest.starts_with('…'));
    (same == form.len() || is_cut).then_some(same)
}

/// How a value may occur in a text.
fn forms(value: &[u8]) -> Vec<String> {
    let value = value.trim_ascii();
    if value.len() < SHORTEST {
        return Vec::new();
    }
    let mut forms = vec![
        BASE64_STANDARD.encode(value),
        BASE64_STANDARD_NO_PAD.encode(value),
        BASE64_URL_SAFE_NO_PAD.encode(value),
    ];
    if let Ok(text) = std::str::from_utf8(value) {
        let is_one_line = !text.contains('\n');
        let lines = text.lines().map(str::trim).filter(|line| is_one_line || line.len() >= SHORTEST_LINE);
        for line in lines.filter(|line| !line.starts_with("-----")) {
            for line in [line.to_owned(), harmless(line), plain(line)] {
                let (once, in_yaml) = (in_json(&line), line.replace('\'', "''"));
                forms.extend([in_json(&once), once, in_yaml, line]);
            }
        }
    }
    forms.into_iter().filter(|form| form.len() >= SHORTEST).collect()
}

/// A text as it stands between the quotes of a JSON string, as in the operator's log.
fn in_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).to_owned()
}

/// Removes from an object what may have secrets, and what nobody reads.
pub(super) fn clean_object(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            annotations.iter_mut().filter(|(name, _)| !name.contains("certwright.dev/")).for_each(
                |(_, value)| {
                    let text = value.as_str().unwrap_or_default();
                    if text.len() > LONGEST_ANNOTATION || text.trim_start().starts_with(['{', '[']) {
                        *value = REDACTED.into();
                    }
                },
            );
        }
    }
    clean_fields(object);
}

fn clean_fields(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(clean_fields),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match (name.as_str(), field) {
                    // The password of a keystore can be in the spec.
                    ("password", field @ Value::String(_)) => *field = REDACTED.into(),
                    ("webhook", field) => {
                        // Its provider says what is in it.
                        field.get_mut("config").into_iter().for_each(clean_config);
                    }
                    ("env", Value::Array(variables)) => variables.iter_mut().for_each(clean_variable),
                    (_, field) => clean_fields(field),
                }
            }
        }
        _ => {}
    }
}

/// Keeps the names of fields, and references to Secrets.
fn clean_config(config: &mut Value) {
    match config {
        Value::Array(items) => items.iter_mut().for_each(clean_config),
        Value::Object(fields) => {
            let references =
                |name: &str| ["ref", "selector"].iter().any(|end| name.to_lowercase().ends_with(end));
            fields
                .iter_mut()
                .filter(|(name, _)| !references(name))
                .for_each(|(_, field)| clean_config(field));
        }
        Value::Null | Value::Bool(_) => {}
        Value::Number(_) | Value::String(_) => *config = REDACTED.into(),
    }
}

fn clean_variable(variable: &mut Value) {
    let text = |field: &str| variable.get(field).and_then(Value::as_str).unwrap_or_default();
    let name = text("name").to_uppercase();
    let is_known = name.starts_with("CERTWRIGHT_") || VARIABLES.contains(&name.as_str());
    // A proxy may be given with a user and a password, and without a scheme.
    if !is_known || text("value").contains('@') {
        variable.get_mut("value").into_iter().for_each(|value| *value = REDACTED.into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn clean(values: &[&[u8]], text: &str) -> String {
        let values: Vec<SecretValue> = values.iter().map(|value| value.to_vec().into()).collect();
        Redactor::new(&values).unwrap().clean(text)
    }

    #[test]
    fn a_value_of_a_secret_is_removed_in_each_of_its_forms() {
        let value: &[u8] = b"s3cr3t/\xfftoken";
        let text = "s3cr3t-token";
        for shown in [BASE64_STANDARD.encode(value), BASE64_URL_SAFE_NO_PAD.encode(value)] {
            assert_eq!(clean(&[value], &format!("a {shown} b")), "a [secret] b");
        }
        assert_eq!(clean(&[text.as_bytes()], "password is s3cr3t-token."), "password is [secret].");
        assert_eq!(clean(&[b"s3cr3t-token\n"], "password is s3cr3t-token."), "password is [secret].");
        let quoted = json!({ "message": r#"the password is "pass\word""# }).to_string();
        assert_eq!(clean(&[br#""pass\word""#], &quoted), r#"{"message":"the password is [secret]"}"#);
        assert_eq!(clean(&[b"a"], "a banana"), "a banana", "too short to be looked for");
        let quoted = Value::from(quoted).to_string();
        assert!(clean(&[br#""pass\word""#], &quoted).contains("password is [secret]"), "JSON in JSON");
        let object = json!({ "message": "refused: the password is it's-a-secret: #1" });
        let yaml = serde_yaml::to_string(&object).unwrap();
        assert!(yaml.contains("it''s"), "{yaml}");
        let shown = clean(&[b"it's-a-secret: #1"], &yaml);
        assert_eq!(shown, "message: 'refused: the password is [secret]'\n");
        assert_eq!(
            clean(&["two\u{202e}  words".as_bytes()], "is two words."),
            "is [secret].",
            "cleaned before"
        );
        assert_eq!(clean(&[], "nothing"), "nothing");
    }

    #[test]
    fn values_that_overlap_begin_alike_or_are_cut_leave_nothing() {
        let long = "abcdefghijklmnopqrstuvwxyz0123456789";
        let values = [long.as_bytes(), b"abcdefghij", b"6789-and-more", b"zyxwvutsr"];
        assert_eq!(clean(&values, &format!("<{long}>")), "<[secret]>");
        assert_eq!(clean(&values, &format!("<{long}-and-more>")), "<[secret]>");
        assert_eq!(clean(&values, "<abcdefghijklmnopqrstuvwxyz-and>"), "<[secret]klmnopqrstuvwxyz-and>");
        assert_eq!(clean(&values[..1], "<abcdefghijklmnopqrstuvwxyz0123…>"), "<[secret]…>");
        assert_eq!(
            clean(&values[..1], "<abcdefghijklmnopqrstuvwxyz0123>"),
            "<abcdefghijklmnopqrstuvwxyz0123>"
        );
    }

    #[test]
    fn a_key_without_an_end_hides_nothing_else() {
        let begin = "-----BEGIN PRIVATE KEY-----";
        let log = format!("{{\"message\":\"{begin}\"}}\n{{\"message\":\"issued\"}}\n");
        assert_eq!(clean(&[], &log), "{\"message\":\"[private key]\"}\n{\"message\":\"issued\"}\n");
        let pem = format!("{begin}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\nMIIC+/==\n");
        for shown in [pem.clone(), in_json(&pem), in_json(&in_json(&pem)), pem.replace('\n', "\n    ")] {
            let (before, after) = (format!("(see {shown}"), format!("{shown}-----END PRIVATE KEY-----)"));
            assert_eq!(clean(&[], &before), "(see [private key]", "{shown}");
            assert_eq!(clean(&[], &after), "[private key])", "{shown}");
        }
    }

    /// A keystore is as large, and a bundle may have thousands.
    #[test]
    fn a_large_value_is_looked_for_by_its_beginning() {
        let values: Vec<SecretValue> = (0..100_u32)
            .map(|number| format!("{number:08}{}", "x".repeat(2000)).into_bytes().into())
            .collect();
        let redactor = Redactor::new(&values).unwrap();
        let memory = redactor.values.as_ref().unwrap().beginnings.memory_usage();
        assert!(memory < 2 << 20, "{memory} bytes");
        let shown = std::str::from_utf8(&values[7]).unwrap();
        assert_eq!(redactor.clean(&format!("a {shown} b")), "a [secret] b");
    }

    #[test]
    fn what_looks_like_a_credential_is_removed_whoever_knows_it() {
        for (text, expected) in [
            ("x -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- y", "x [private key] y"),
            (r#""-----BEGIN PRIVATE KEY-----\nMHc"#, "\"[private key]"),
            ("https://me:hunter2@proxy.example:3128/x", "https://[redacted]@proxy.example:3128/x"),
            ("https://me:p@ss@proxy.example:3128/x", "https://[redacted]@proxy.example:3128/x"),
            ("- --dns-password=hunter2", "- --dns-password=[redacted]"),
            ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl", "token [token]"),
            ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer [token]"),
            ("user@example.com at https://ca.example/dir", "user@example.com at https://ca.example/dir"),
            ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
        ] {
            assert_eq!(clean(&[], text), expected);
        }
    }

    #[test]
    fn an_object_loses_what_may_be_secret_and_keeps_the_rest() {
        let mut object = json!({
            "metadata": {
                "name": "www", "managedFields": [1],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "x", "team": "a",
                    "kapp.k14s.io/original": "{\"spec\":{}}", "objectset.rio.cattle.io/applied": "H4sI".repeat(100),
                },
            },
            "spec": {
                "keystores": { "jks": { "password": "changeit", "passwordSecretRef": { "name": "p" } } },
                "acme": { "solvers": [{ "dns01": { "webhook": { "groupName": "g", "config": {
                    "apiKey": "hunter2", "port": 53, "nested": [{ "user": "me" }], "on": true,
                    "apiKeySecretRef": { "name": "provider", "key": "token" },
                } } } }] },
                "containers": [{ "env": [
                    { "name": "CERTWRIGHT_LOG_FORMAT", "value": "json" },
                    { "name": "HTTPS_PROXY", "value": "me:hunter2@proxy.example:3128" },
                    { "name": "OTEL_EXPORTER_OTLP_HEADERS", "value": "api-key=hunter2" },
                    { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                ] }],
            },
        });
        clean_object(&mut object);
        let expected = json!({
            "metadata": {
                "name": "www",
                "annotations": {
                    "team": "a", "kapp.k14s.io/original": "[redacted]", "objectset.rio.cattle.io/applied": "[redacted]",
                },
            },
            "spec": {
                "keystores": { "jks": { "password": "[redacted]", "passwordSecretRef": { "name": "p" } } },
                "acme": { "solvers": [{ "dns01": { "webhook": { "groupName": "g", "config": {
                    "apiKey": "[redacted]", "port": "[redacted]", "nested": [{ "user": "[redacted]" }], "on": true,
                    "apiKeySecretRef": { "name": "provider", "key": "token" },
                } } } }] },
                "containers": [{ "env": [
                    { "name": "CERTWRIGHT_LOG_FORMAT", "value": "json" },
                    { "name": "HTTPS_PROXY", "value": "[redacted]" },
                    { "name": "OTEL_EXPORTER_OTLP_HEADERS", "value": "[redacted]" },
                    { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                ] }],
            },
        });
        assert_eq!(object, expected);
    }

    proptest! {
        #[test]
        fn no_value_survives_wherever_it_is(value in "[ -~]{8,40}", before in "[ -~\n]{0,20}", after in "[ -~\n]{0,20}") {
            let value = value.trim();
            prop_assume!(value.len() >= SHORTEST && !value.starts_with("-----") && !"[secret]".contains(value));
            let shown = clean(&[value.as_bytes()], &format!("{before}{value}{after}"));
            prop_assert!(!shown.contains(value), "{shown:?}");
        }
    }
}
