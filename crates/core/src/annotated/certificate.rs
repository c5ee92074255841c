//! The Certificates that an Ingress, a Gateway or a ListenerSet requests, and whether existing ones match.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::Remark;
use super::object::{AnnotatedKind, AnnotatedObject, Block, SecretReference};
use crate::naming::digest;
use crate::spec::ValidatedCertificate;
use certwright_api::bounds::is_object_name;
use certwright_api::{
    ANNOTATION_MADE_AS, Certificate, CertificateSpec, GROUP, IssuerRef, annotated_reason as reason,
};

/// `kubectl apply --prune` of the set that the Ingress belongs to would delete the Certificate.
const LEFT_OUT_LABEL: &str = "applyset.kubernetes.io/part-of";

/// The Secrets in a spec.
#[derive(Default)]
pub struct Secrets {
    /// Secrets with their hosts, in the order of the spec.
    pub wanted: Vec<(String, Vec<String>)>,
    /// Secrets in parts of the spec that contain a mistake.
    pub kept: BTreeSet<String>,
    /// The mistakes.
    pub remarks: Vec<Remark>,
}

/// The Secrets in a spec.
pub fn secrets(object: &AnnotatedObject, ignored_listeners: &[&str]) -> Secrets {
    let mut secrets = Secrets::default();
    for block in &object.blocks {
        if block.listener.as_deref().is_some_and(|name| ignored_listeners.contains(&name)) {
            continue;
        }
        let names = block.secrets.iter().map(|secret| secret.name.clone());
        if let Some(note) = mistake(object, block) {
            secrets.kept.extend(names);
            secrets.remarks.push(Remark { reason: reason::TLS_SKIPPED, note });
            continue;
        }
        for name in names {
            match secrets.wanted.iter_mut().find(|(known, _)| *known == name) {
                Some((_, hosts)) => hosts.extend(block.hosts.iter().cloned()),
                None => secrets.wanted.push((name, block.hosts.clone())),
            }
        }
    }
    secrets
}

/// Why no Certificate can be created for a part of a spec.
fn mistake(object: &AnnotatedObject, block: &Block) -> Option<String> {
    let path = &block.path;
    let (hosts, secrets) = match object.kind {
        AnnotatedKind::Ingress => ("hosts", "secretName"),
        AnnotatedKind::Gateway | AnnotatedKind::ListenerSet => ("hostname", "tls.certificateRefs"),
    };
    if block.hosts.is_empty() && block.of_routes {
        return Some(format!("{path} has no names: no HTTPRoute with a hostname for it is accepted"));
    }
    if block.hosts.is_empty() {
        return Some(format!("{path}.{hosts} is empty; add the names for the certificate"));
    }
    if block.secrets.is_empty() {
        return Some(format!("{path}.{secrets} is empty; name the Secret for the certificate"));
    }
    block.secrets.iter().enumerate().find_map(|(at, secret)| {
        let path = format!("{path}.{secrets}[{at}]");
        if !is_secret(secret) {
            let kind = secret.kind.as_deref().unwrap_or("Secret");
            return Some(format!("{path} names a {kind} of another API group; name a Secret of the core group"));
        }
        // It becomes the Certificate's name, and so part of a URL path. The Gateway API accepts any text.
        if !is_object_name(&secret.name) {
            return Some(format!("{path} is not a valid name of a Secret"));
        }
        let other = secret.namespace.as_ref().filter(|namespace| **namespace != object.namespace)?;
        Some(format!(
            "{path}.namespace is '{other}', but a Certificate can fill only Secrets in its own namespace: create a \
             Certificate there, or name a Secret in namespace {}",
            object.namespace
        ))
    })
}

fn is_secret(reference: &SecretReference) -> bool {
    matches!(reference.kind.as_deref(), None | Some("" | "Secret"))
        && matches!(reference.group.as_deref(), None | Some("" | "core"))
}

/// The Certificate for a Secret; `fields` and `annotations` are those that annotations set.
pub fn build(
    object: &AnnotatedObject,
    issuer: &IssuerRef,
    (fields, annotations): (&CertificateSpec, &BTreeMap<String, String>),
    secret: String,
    hosts: Vec<String>,
) -> Result<Certificate, Remark> {
    let mut spec = CertificateSpec {
        secret_name: secret.clone(),
        issuer_ref: issuer.clone(),
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
        ..fields.clone()
    };
    for host in
        hosts.into_iter().map(|host| host.to_ascii_lowercase()).chain(fields.dns_names.iter().cloned())
    {
        let names = if host.parse::<IpAddr>().is_ok() { &mut spec.ip_addresses } else { &mut spec.dns_names };
        add(names, host);
    }
    fields.ip_addresses.iter().for_each(|address| add(&mut spec.ip_addresses, address.clone()));
    if let Err(error) = ValidatedCertificate::new(&spec, None) {
        return Err(Remark { reason: reason::INVALID_ANNOTATION, note: error.to_string() });
    }
    let mut labels = object.labels.clone();
    labels.remove(LEFT_OUT_LABEL);
    let mut certificate = Certificate {
        metadata: ObjectMeta {
            name: Some(secret),
            namespace: Some(object.namespace.clone()),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            owner_references: Some(vec![object.owner()]),
            annotations: Some(annotations.clone()).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    };
    let made_as = digest(&value(&certificate).to_string());
    certificate.metadata.annotations.get_or_insert_default().insert(ANNOTATION_MADE_AS.to_owned(), made_as);
    Ok(certificate)
}

/// Adds a name unless it is present. Certificates with duplicate names are rejected.
fn add(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// Whether a Certificate was created from the same input, as its annotation says, and still has all of it. Fields that others have
/// set do not matter. Annotations of others, which are copied, are not in the cache: only their digest is compared.
pub fn is_as_wanted(existing: &Certificate, wanted: &Certificate) -> bool {
    let mut wanted = wanted.clone();
    if let Some(annotations) = &mut wanted.metadata.annotations {
        annotations.retain(|name, _| name.contains(GROUP));
    }
    contains(&value(existing), &value(&wanted))
}

fn value(certificate: &Certificate) -> Value {
    // It is also written to the API server as JSON, so this cannot fail.
    serde_json::to_value(certificate).unwrap_or_default()
}

/// Whether all of `part` is in `whole`. Lists are sets here.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|part| whole.iter().any(|whole| contains(whole, part)))
        }
        (whole, part) => whole == part,
    }
}
