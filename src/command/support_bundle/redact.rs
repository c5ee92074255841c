//! Removes secrets from what is collected: fields of objects that may have some, and in every text whatever equals a value of a
//! Secret or looks like a credential.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::engine::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use regex::Regex;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::command::Error;
use crate::command::output::harmless;

/// Shorter values are not looked for: they occur in other words.
const SHORTEST: usize = 8;
/// Lines of a value that is longer than a line; those of PEM files have 64 characters.
const SHORTEST_LINE: usize = 16;
/// What stands for what was removed from an object.
const REDACTED: &str = "[redacted]";
/// What looks like a credential, and what is written instead.
const CREDENTIALS: [(&str, &str); 4] = [
    (
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
        "[private key]",
    ),
    (r#"://[^/\s@"'<>]+@"#, "://[redacted]@"),
    (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", "[token]"),
    (r"(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{12,}", "$1 [token]"),
];
/// Variables of the environment that have no secrets, beside our own.
const VARIABLES: [&str; 5] = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "RUST_LOG", "GOMAXPROCS"];

/// A value of a Secret.
pub(super) type SecretValue = Zeroizing<Vec<u8>>;

/// Removes secrets from texts.
pub(super) struct Redactor {
    values: Option<AhoCorasick>,
    credentials: Vec<(Regex, &'static str)>,
}

impl Redactor {
    /// Removes these values in any of their usual forms, and what looks like a credential.
    ///
    /// # Errors
    /// [`Error::Redact`], if there are too many.
    pub(super) fn new(values: &[SecretValue]) -> Result<Self, Error> {
        let forms: Vec<SecretValue> = values.iter().flat_map(|value| forms(value)).collect();
        let values = match forms.is_empty() {
            true => None,
            false => {
                let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
                Some(built.map_err(|error| Error::Redact(Box::new(error)))?)
            }
        };
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
            let with = vec!["[secret]"; values.patterns_len()];
            clean = values.replace_all(&clean, &with);
        }
        for (regex, with) in &self.credentials {
            clean = regex.replace_all(&clean, *with).into_owned();
        }
        clean
    }
}

/// How a value may occur in a text.
fn forms(value: &[u8]) -> Vec<SecretValue> {
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
            forms.extend([line.to_owned(), in_json(line)]);
        }
    }
    forms.into_iter().map(|form| Zeroizing::new(form.into_bytes())).collect()
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
    let name = variable.get("name").and_then(Value::as_str).unwrap_or_default().to_uppercase();
    if !name.starts_with("CERTWRIGHT_") && !VARIABLES.contains(&name.as_str()) {
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
        assert_eq!(clean(&[], "nothing"), "nothing");
    }

    #[test]
    fn what_looks_like_a_credential_is_removed_whoever_knows_it() {
        for (text, expected) in [
            ("x -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- y", "x [private key] y"),
            (r#""-----BEGIN PRIVATE KEY-----\nMHc"#, "\"[private key]"),
            ("https://me:hunter2@proxy.example:3128/x", "https://[redacted]@proxy.example:3128/x"),
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
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "x", "team": "a" },
            },
            "spec": {
                "keystores": { "jks": { "password": "changeit", "passwordSecretRef": { "name": "p" } } },
                "acme": { "solvers": [{ "dns01": { "webhook": { "groupName": "g", "config": {
                    "apiKey": "hunter2", "port": 53, "nested": [{ "user": "me" }], "on": true,
                    "apiKeySecretRef": { "name": "provider", "key": "token" },
                } } } }] },
                "containers": [{ "env": [
                    { "name": "CERTWRIGHT_LOG_FORMAT", "value": "json" },
                    { "name": "OTEL_EXPORTER_OTLP_HEADERS", "value": "api-key=hunter2" },
                    { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                ] }],
            },
        });
        clean_object(&mut object);
        let expected = json!({
            "metadata": { "name": "www", "annotations": { "team": "a" } },
            "spec": {
                "keystores": { "jks": { "password": "[redacted]", "passwordSecretRef": { "name": "p" } } },
                "acme": { "solvers": [{ "dns01": { "webhook": { "groupName": "g", "config": {
                    "apiKey": "[redacted]", "port": "[redacted]", "nested": [{ "user": "[redacted]" }], "on": true,
                    "apiKeySecretRef": { "name": "provider", "key": "token" },
                } } } }] },
                "containers": [{ "env": [
                    { "name": "CERTWRIGHT_LOG_FORMAT", "value": "json" },
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
