//! The Secrets that the objects of a bundle name: what they have, but not the values. The values are only looked for in what is
//! written, to remove them there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::objects::Objects;
use super::redact::SecretValue;
use super::{Bundle, File};
use crate::command::Cluster;
use crate::command::error::words;
use crate::controller::ledger_key;
use certwright_api::bounds::is_object_name;
use certwright_api::{SECRET_KEY_CA_CRT, SECRET_KEY_TLS_CRT};
use certwright_core::naming::{account_key_secret, next_private_key_secret};

/// How many are read at most.
const MOST: usize = 2000;
/// How many are read at a time.
const AT_A_TIME: usize = 8;
/// Keys whose values are public.
const PUBLIC: [&str; 3] = [SECRET_KEY_TLS_CRT, SECRET_KEY_CA_CRT, "username"];

/// A Secret that an object names, or that the operator may have made for it.
struct Named {
    namespace: String,
    name: String,
    may_be_missing: bool,
}

/// Adds a list of the Secrets, and returns their values.
pub(super) async fn collect(
    cluster: &Cluster,
    objects: &Objects,
    cluster_namespace: &str,
    bundle: &mut Bundle,
) -> Vec<SecretValue> {
    let names = names(objects, cluster_namespace);
    if names.len() > MOST {
        let left_out = names.len() - MOST;
        bundle
            .missing
            .push(format!("{left_out} Secrets: there are too many, and their values are not looked for"));
    }
    let read = names.into_iter().take(MOST).map(|named| async move {
        let api = Api::<Secret>::namespaced(cluster.client.clone(), &named.namespace);
        let outcome = api.get_opt(&named.name).await;
        (named, outcome)
    });
    let read: Vec<_> = futures::stream::iter(read).buffered(AT_A_TIME).collect().await;
    let (mut described_by_name, mut values) = (BTreeMap::new(), Vec::new());
    for (named, outcome) in read {
        let called = format!("{}/{}", named.namespace, named.name);
        let text = match outcome {
            Err(error) => {
                bundle.missing.push(format!("Secret {called}: {}", words(&error)));
                continue;
            }
            Ok(None) if named.may_be_missing => continue,
            Ok(None) => format!("{called}: does not exist\n"),
            Ok(Some(secret)) => {
                let text = described(&called, &secret);
                values.extend(secret_values(secret));
                text
            }
        };
        described_by_name.insert(called, text);
    }
    bundle.files.push(File::new("secrets.txt", described_by_name.into_values().collect()));
    values
}

/// The Secrets that objects name, and those that may exist; each once. Those of issuers come first: their credentials are what may be
/// in a message, and a few of them are used by thousands of Certificates, each of which has a Secret of its own.
fn names(objects: &Objects, cluster_namespace: &str) -> Vec<Named> {
    let text = |object: &Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut names: BTreeMap<(String, String), (bool, bool)> = BTreeMap::new();
    let mut add = |namespace: &str, name: String, of_certificate: bool, may_be_missing: bool| {
        // Others are no names of Secrets, and have no place in a path.
        if !is_object_name(&name) {
            return;
        }
        let known = names.entry((namespace.to_owned(), name)).or_insert((true, true));
        *known = (known.0 && of_certificate, known.1 && may_be_missing);
    };
    add(cluster_namespace, ledger_key::SECRET.to_owned(), false, true);
    let all = [&objects.certificates, &objects.issuers, &objects.cluster_issuers];
    for object in all.into_iter().flatten() {
        let namespace = match text(object, "/metadata/namespace") {
            none if none.is_empty() => cluster_namespace.to_owned(),
            namespace => namespace,
        };
        let mut found = Vec::new();
        references(object, &mut found);
        let of_certificate = text(object, "/kind") == "Certificate";
        found.into_iter().for_each(|name| add(&namespace, name, of_certificate, false));
        let name = text(object, "/metadata/name");
        let ours = match of_certificate {
            true => next_private_key_secret(&name, &text(object, "/metadata/uid")),
            false => account_key_secret(&name),
        };
        add(&namespace, ours, of_certificate, true);
    }
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|(_, (of_certificate, _))| *of_certificate);
    let named = |((namespace, name), (_, may_be_missing))| Named { namespace, name, may_be_missing };
    names.into_iter().map(named).collect()
}

/// The names of the Secrets that an object refers to, whatever the field is called.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => {
            for (field, value) in fields {
                let lower = field.to_lowercase();
                let refers = ["secretref", "secretselector"].iter().any(|end| lower.ends_with(end));
                match value.get("name").and_then(Value::as_str).filter(|_| refers) {
                    Some(name) => found.push(name.to_owned()),
                    None if lower == "secretname" => found.extend(value.as_str().map(str::to_owned)),
                    None => references(value, found),
                }
            }
        }
        _ => {}
    }
}

fn described(called: &str, secret: &Secret) -> String {
    let created = secret.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string());
    let mut text = format!(
        "{called}: type {}, created {}, version {}\n",
        secret.type_.as_deref().unwrap_or("Opaque"),
        created.unwrap_or_default(),
        secret.resource_version().unwrap_or_default()
    );
    for (kind, entries) in [("label", secret.labels()), ("annotation", secret.annotations())] {
        // Others may have anything there, such as the whole Secret.
        for (name, value) in entries
            .iter()
            .filter(|(name, _)| name.contains("certwright.dev/") || name.contains("cert-manager.io/"))
        {
            let _ = writeln!(text, "    {kind} {name}: {value}");
        }
    }
    for (key, ByteString(value)) in secret.data.iter().flatten() {
        let _ = writeln!(text, "    {key}: {} bytes", value.len());
    }
    text
}

/// The values of a Secret that nobody may see.
fn secret_values(secret: Secret) -> Vec<SecretValue> {
    let data = secret.data.into_iter().flatten();
    let is_public = |key: &str, value: &[u8]| {
        PUBLIC.contains(&key) && !value.windows(b"PRIVATE".len()).any(|part| part == b"PRIVATE")
    };
    let hidden = data.filter(|(key, ByteString(value))| !is_public(key, value));
    hidden.map(|(_, ByteString(value))| value.into()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_wherever_an_object_names_them() {
        let objects = Objects {
            certificates: vec![json!({
                "kind": "Certificate", "metadata": { "namespace": "a", "name": "www", "uid": "u" },
                "spec": {
                    "secretName": "www-tls", "issuerRef": { "name": "ca" },
                    "keystores": { "pkcs12": { "passwordSecretRef": { "name": "password" } } },
                },
            })],
            cluster_issuers: vec![json!({
                "kind": "ClusterIssuer", "metadata": { "name": "ca" },
                "spec": { "acme": {
                    "privateKeySecretRef": { "name": "key" },
                    "externalAccountBinding": { "keySecretRef": { "name": "eab" } },
                    "solvers": [{ "dns01": { "rfc2136": { "tsigSecretSecretRef": { "name": "tsig" } } } }],
                } },
            })],
            ..Objects::default()
        };
        let found = |may_be_missing| -> Vec<String> {
            let names = names(&objects, "certwright").into_iter();
            let names = names.filter(|named| named.may_be_missing == may_be_missing);
            names.map(|Named { namespace, name, .. }| format!("{namespace}/{name}")).collect()
        };
        let named = ["certwright/eab", "certwright/key", "certwright/tsig", "a/password", "a/www-tls"];
        assert_eq!(found(false), named, "those of issuers come first");
        let ledger = format!("certwright/{}", ledger_key::SECRET);
        let next = format!("a/{}", next_private_key_secret("www", "u"));
        assert_eq!(found(true), ["certwright/ca-account-key".to_owned(), ledger, next]);
    }

    #[test]
    fn the_credentials_of_issuers_are_looked_for_however_many_certificates_there_are() {
        let certificate = |number: usize| {
            json!({
                "kind": "Certificate", "metadata": { "namespace": "a", "name": number.to_string(), "uid": number.to_string() },
                "spec": { "secretName": format!("tls-{number}") },
            })
        };
        let issuer = json!({
            "kind": "Issuer", "metadata": { "namespace": "z", "name": "ca" },
            "spec": { "acme": { "externalAccountBinding": { "keySecretRef": { "name": "eab" } } } },
        });
        let objects = Objects {
            certificates: (0..MOST).map(certificate).collect(),
            issuers: vec![issuer],
            ..Objects::default()
        };
        let names = names(&objects, "certwright");
        assert!(names.len() > MOST);
        assert!(names[..MOST].iter().any(|named| named.name == "eab"));
    }

    #[test]
    fn a_secret_is_described_without_its_values() {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {
                "name": "www-tls", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": { "certwright.dev/issuer-name": "ca", "kubectl.kubernetes.io/last-applied-configuration": "{}" },
            },
            "type": "kubernetes.io/tls",
            "data": { "tls.crt": "cHVibGlj", "tls.key": "aHVudGVyMg==" },
        }))
        .unwrap();
        assert_eq!(
            described("a/www-tls", &secret),
            "a/www-tls: type kubernetes.io/tls, created 2026-01-01T00:00:00Z, version 7\n    annotation \
             certwright.dev/issuer-name: ca\n    tls.crt: 6 bytes\n    tls.key: 7 bytes\n"
        );
        let values = secret_values(secret);
        assert_eq!(values.iter().map(|value| value.as_slice()).collect::<Vec<_>>(), [b"hunter2"]);
    }
}
