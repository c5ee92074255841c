//! The Secrets that the objects of a bundle name: what they have, but not the values. The values are only looked for in what is
//! written, to remove them there.

use std::collections::BTreeSet;
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
use certwright_api::{SECRET_KEY_CA_CRT, SECRET_KEY_TLS_CRT};
use certwright_core::naming::{account_key_secret, next_private_key_secret};

/// How many are read at most.
const MOST: usize = 2000;
/// How many are read at a time.
const AT_A_TIME: usize = 8;
/// Keys whose values are public.
const PUBLIC: [&str; 3] = [SECRET_KEY_TLS_CRT, SECRET_KEY_CA_CRT, "username"];

/// A Secret, by its namespace and name.
type Name = (String, String);

/// Adds a list of the Secrets, and returns their values.
pub(super) async fn collect(
    cluster: &Cluster,
    objects: &Objects,
    cluster_namespace: &str,
    bundle: &mut Bundle,
) -> Vec<SecretValue> {
    let (named, possible) = names(objects, cluster_namespace);
    let all: BTreeSet<&Name> = named.union(&possible).collect();
    if all.len() > MOST {
        bundle.missing.push(format!("{} Secrets: there are too many", all.len() - MOST));
    }
    let read = all.into_iter().take(MOST).map(|name| async move {
        let api = Api::<Secret>::namespaced(cluster.client.clone(), &name.0);
        (name, api.get_opt(&name.1).await)
    });
    let read: Vec<_> = futures::stream::iter(read).buffered(AT_A_TIME).collect().await;
    let (mut text, mut values) = (String::new(), Vec::new());
    for ((namespace, name), outcome) in read {
        let called = format!("{namespace}/{name}");
        match outcome {
            Err(error) => bundle.missing.push(format!("Secret {called}: {}", words(&error))),
            Ok(None) if possible.contains(&(namespace.clone(), name.clone())) => {}
            Ok(None) => text.push_str(&format!("{called}: does not exist\n")),
            Ok(Some(secret)) => {
                text.push_str(&described(&called, &secret));
                values.extend(secret_values(secret));
            }
        }
    }
    bundle.files.push(File::new("secrets.txt", text));
    values
}

/// The Secrets that objects name, and those that may exist.
fn names(objects: &Objects, cluster_namespace: &str) -> (BTreeSet<Name>, BTreeSet<Name>) {
    let (mut named, mut possible) = (BTreeSet::new(), BTreeSet::new());
    let text = |object: &Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let all = [&objects.certificates, &objects.issuers, &objects.cluster_issuers];
    for object in all.into_iter().flatten() {
        let namespace = match text(object, "/metadata/namespace") {
            none if none.is_empty() => cluster_namespace.to_owned(),
            namespace => namespace,
        };
        let mut found = Vec::new();
        references(object, &mut found);
        named.extend(found.into_iter().map(|name| (namespace.clone(), name)));
        let name = text(object, "/metadata/name");
        possible.insert((
            namespace,
            match object.get("kind").and_then(Value::as_str) {
                Some("Certificate") => next_private_key_secret(&name, &text(object, "/metadata/uid")),
                _ => account_key_secret(&name),
            },
        ));
    }
    possible.insert((cluster_namespace.to_owned(), ledger_key::SECRET.to_owned()));
    (named, possible)
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
        let (named, possible) = names(&objects, "certwright");
        let named: Vec<String> =
            named.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        assert_eq!(named, ["a/password", "a/www-tls", "certwright/eab", "certwright/key", "certwright/tsig"]);
        assert!(possible.contains(&("certwright".to_owned(), "ca-account-key".to_owned())));
        assert!(possible.contains(&("certwright".to_owned(), ledger_key::SECRET.to_owned())));
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
