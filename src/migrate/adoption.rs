//! Takes over what cert-manager created: the certificate without another order, the account without another registration.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::convert::{Outcome, convert};
use super::object::{GROUP, Source, VERSION};
use certwright_acme::jwk_thumbprint;
use certwright_api::CertificateSpec;
use certwright_core::reissue::{self, Current, SecretView};
use certwright_core::secret::TYPE_TLS;
use certwright_core::spec::ValidatedCertificate;
use certwright_pki::{Chain, PrivateKey};
use certwright_text::clean;

const ISSUER_NAME: &str = "cert-manager.io/issuer-name";
const ISSUER_KIND: &str = "cert-manager.io/issuer-kind";

/// Annotations to set on an object.
pub type Marks = BTreeMap<String, String>;

/// Why something cannot be taken over as it is, and what to do.
pub type Hindrance = String;

/// The annotations that make a TLS Secret, with its certificate, the Secret of Certwright's Certificate.
///
/// # Errors
/// Why it cannot be taken over, or would lead to another order.
pub fn marks_of_certificate(
    outcome: &Outcome,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<Marks, Hindrance> {
    let name = &outcome.source.name;
    let spec = outcome.object.as_ref().and_then(|ours| serde_json::from_value(ours["spec"].clone()).ok());
    let spec: CertificateSpec =
        spec.ok_or_else(|| "there is no Certificate of Certwright's for it".to_owned())?;
    let wanted = ValidatedCertificate::new(&spec, None).map_err(|error| error.to_string())?;
    let secret_name = &wanted.secret_name;
    under_way(&outcome.original)?;
    let Some(secret) = secret else {
        return Err(format!(
            "there is no Secret {secret_name} to take over; to issue a certificate, apply what `certwright migrate` prints"
        ));
    };
    let said =
        |key: &str| secret.metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
    if secret.type_.as_deref() != Some(TYPE_TLS) {
        return Err(format!(
            "Secret {secret_name} has the type {}, which cannot be changed to {TYPE_TLS}; choose another secretName",
            secret.type_.as_deref().unwrap_or("Opaque")
        ));
    }
    match (
        said(certwright_api::ANNOTATION_CERTIFICATE),
        said(certwright_api::ANNOTATION_CERT_MANAGER_CERTIFICATE),
    ) {
        (Some(ours), _) if ours == name => {}
        (Some(other), _) => {
            return Err(format!("Secret {secret_name} belongs to Certwright's Certificate {other}"));
        }
        (None, Some(theirs)) if theirs == name => {}
        (None, Some(other)) => {
            return Err(format!("Secret {secret_name} belongs to another Certificate, {other}"));
        }
        (None, None) => {
            return Err(format!(
                "Secret {secret_name} has no annotation cert-manager.io/certificate-name: cert-manager did not create it"
            ));
        }
    }
    let kind = said(ISSUER_KIND).filter(|kind| !kind.is_empty()).unwrap_or("Issuer");
    let issuer = said(ISSUER_NAME).map(|name| (name, kind));
    let named = (wanted.issuer_name.as_str(), wanted.issuer_kind.as_str());
    if let Some((name, kind)) = issuer.filter(|issuer| *issuer != named) {
        return Err(format!(
            "its certificate is from {kind} {name}, but its spec names {} {}: another one would be ordered. Wait until \
             cert-manager has done that",
            named.1, named.0
        ));
    }
    let names = wanted.names();
    let marks = Marks::from([
        (certwright_api::ANNOTATION_CERTIFICATE.to_owned(), name.clone()),
        (certwright_api::ANNOTATION_ISSUER_NAME.to_owned(), wanted.issuer_name.clone()),
        (certwright_api::ANNOTATION_ISSUER_KIND.to_owned(), wanted.issuer_kind.as_str().to_owned()),
        (
            certwright_api::ANNOTATION_REQUESTED_NAMES.to_owned(),
            names.iter().cloned().collect::<Vec<_>>().join(","),
        ),
    ]);
    leads_to_no_order(&wanted, &view(secret, name, &wanted, names), now)?;
    Ok(marks.into_iter().filter(|(key, value)| said(key) != Some(value)).collect())
}

/// Fails if cert-manager is issuing its Certificate, or reports that it is not ready.
fn under_way(original: &Value) -> Result<(), Hindrance> {
    let conditions = original["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let status = |type_: &str| {
        let found = conditions.iter().find(|condition| condition["type"] == type_);
        found.map(|condition| {
            (condition["status"].as_str().unwrap_or_default(), condition["message"].to_string())
        })
    };
    if let Some(("True", _)) = status("Issuing") {
        return Err("cert-manager is issuing it; wait until that is done".to_owned());
    }
    match status("Ready") {
        Some(("True", _)) | None => Ok(()),
        Some((_, message)) => Err(format!(
            "cert-manager reports that it is not ready: {message}; resolve that first, or apply what `certwright migrate` \
             prints to issue it again"
        )),
    }
}

/// Fails if Certwright would place an order. An order that is due because of the time alone does not count: cert-manager
/// would place it as well.
fn leads_to_no_order(
    wanted: &ValidatedCertificate,
    secret: &SecretView,
    now: Timestamp,
) -> Result<(), Hindrance> {
    let current = Current {
        wanted,
        secret,
        revoked: None,
        uid: "",
        suggestion: None,
        under_way: false,
        renew_request: None,
        observed_renew_request: None,
        now,
    };
    match reissue::due(&current).filter(|due| !due.by_time()) {
        None => Ok(()),
        Some(due) => {
            Err(format!("another certificate would be ordered: {}; correct that first", due.message))
        }
    }
}

fn view(secret: &Secret, name: &str, wanted: &ValidatedCertificate, names: BTreeSet<String>) -> SecretView {
    let data =
        |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    SecretView {
        exists: true,
        version: None,
        certificate_name: Some(name.to_owned()),
        issuer: Some((wanted.issuer_name.clone(), wanted.issuer_kind.as_str().to_owned())),
        type_: None,
        as_written: true,
        requested_names: Some(names),
        key: data(certwright_api::SECRET_KEY_TLS_KEY).map(|pem| {
            let key = PrivateKey::from_pem(pem).map_err(|error| error.to_string())?;
            Ok((key.algorithm(), key.public_key_der().to_vec()))
        }),
        leaf: data(certwright_api::SECRET_KEY_TLS_CRT)
            .map(|pem| Ok(Chain::parse_pem(pem).map_err(|error| error.to_string())?.leaf().clone())),
    }
}

/// The Secret with the account key of an issuer, and the key in its data.
pub fn account_key(issuer: &Value) -> (String, String) {
    let reference = &issuer["spec"]["acme"]["privateKeySecretRef"];
    let text = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
    let key = Some(text("key")).filter(|key| !key.is_empty());
    (text("name"), key.unwrap_or_else(|| certwright_api::SECRET_KEY_TLS_KEY.to_owned()))
}

/// The annotations that record on an account key Secret which account the key has, so the operator need not ask the CA.
///
/// # Errors
/// Why there is no account to take over.
pub fn marks_of_account(outcome: &Outcome, secret: Option<&Secret>) -> Result<Marks, Hindrance> {
    let issuer = &outcome.original;
    let (name, data_key) = account_key(issuer);
    let Some(secret) = secret else {
        return Err(format!(
            "there is no Secret {name} with its account key, so another account would be registered; to do that, apply what \
             `certwright migrate` prints"
        ));
    };
    let pem = secret.data.as_ref().and_then(|data| data.get(&data_key));
    let pem = pem.ok_or_else(|| format!("Secret {name} has no key {data_key}"))?;
    let key =
        PrivateKey::from_pem_or_jwk(&pem.0).map_err(|error| format!("Secret {name}: {data_key}: {error}"))?;
    let said =
        |key: &str| secret.metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
    // An existing annotation is correct, or was set deliberately. Without a URL, the operator asks the CA for the key's account.
    let url = issuer["status"]["acme"]["uri"].as_str().filter(|url| !url.is_empty());
    let (None, Some(url)) = (said(certwright_api::ANNOTATION_ACCOUNT_URL), url.filter(|_| is_ready(issuer)))
    else {
        return Ok(Marks::new());
    };
    let acme = &issuer["spec"]["acme"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut marks = Marks::from([
        (certwright_api::ANNOTATION_ACCOUNT_URL.to_owned(), url.to_owned()),
        (certwright_api::ANNOTATION_ACME_SERVER.to_owned(), text(&acme["server"])),
        (certwright_api::ANNOTATION_KEY_THUMBPRINT.to_owned(), jwk_thumbprint(&key)),
    ]);
    if let Some(key_id) = acme["externalAccountBinding"]["keyID"].as_str() {
        marks.insert(certwright_api::ANNOTATION_EAB_KEY_ID.to_owned(), key_id.to_owned());
    }
    Ok(marks)
}

/// Whether the issuer is ready, according to a status about its current spec.
fn is_ready(issuer: &Value) -> bool {
    let conditions = issuer["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|condition| {
        condition["type"] == "Ready"
            && condition["status"] == "True"
            && condition["observedGeneration"] == issuer["metadata"]["generation"]
    })
}

/// The Secrets that an issuer names, also in the configuration of a webhook: all fields whose names end with `SecretRef`.
pub fn secrets_of(issuer: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect_secrets(&issuer["spec"]["acme"], &mut names);
    names
}

fn collect_secrets(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key.to_ascii_lowercase().ends_with("secretref") {
                    names.extend(value["name"].as_str().map(str::to_owned));
                }
                collect_secrets(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, names)),
        _ => {}
    }
}

/// cert-manager's Certificate in a form that can be applied again. [`certwright_api::ANNOTATION_TAKEN_OVER_FROM`] stores it.
pub fn original(object: &Value) -> Value {
    let mut metadata = json!({ "name": object["metadata"]["name"] });
    for field in ["labels", "annotations"] {
        if let Some(texts) = object["metadata"][field].as_object().filter(|texts| !texts.is_empty()) {
            metadata[field] = json!(texts);
            if let Some(texts) = metadata[field].as_object_mut() {
                texts.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        }
    }
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata, "spec": object["spec"],
    })
}

/// An annotation with more bytes was not written by [`original`]: the API server accepts 256 KiB of annotations in total.
const LARGEST_ORIGINAL: usize = 256 * 1024;

/// cert-manager's Certificate from the annotation of Certwright's, reduced to what may be created. Anybody who can write
/// Certwright's Certificate can also write the annotation, but an administrator's permissions create the object. Therefore it
/// must be a Certificate of cert-manager's with the same name and namespace. It keeps its labels, annotations and spec, but no
/// owners and finalizers.
///
/// # Errors
/// Why it must not be created.
pub fn kept_original(annotation: &str, name: &str, namespace: &str) -> Result<Value, Hindrance> {
    if annotation.len() > LARGEST_ORIGINAL {
        return Err(format!("the annotation {} is too long", certwright_api::ANNOTATION_TAKEN_OVER_FROM));
    }
    let kept: Value = serde_json::from_str(annotation).map_err(|error| {
        format!(
            "the annotation {} is not the JSON of an object: {error}",
            certwright_api::ANNOTATION_TAKEN_OVER_FROM
        )
    })?;
    let source = Source::of(&kept);
    let same_namespace = source.namespace.as_deref().is_none_or(|kept| kept == namespace);
    let is_certificate = (source.api_version.as_str(), source.kind.as_str()) == (VERSION, "Certificate");
    if !is_certificate || source.name != name || !same_namespace || !kept["spec"].is_object() {
        return Err(format!(
            "the annotation {} contains {} {}, not the Certificate {name} of {VERSION}; nothing else is created",
            certwright_api::ANNOTATION_TAKEN_OVER_FROM,
            if source.api_version.is_empty() {
                "no version,".to_owned()
            } else {
                clean(&source.api_version, 100)
            },
            clean(&source.to_string(), 300),
        ));
    }
    let mut original = original(&kept);
    object(&mut original["spec"]["issuerRef"])["group"] = GROUP.into();
    Ok(original)
}

/// Whether a TLS Secret belongs to Certwright's Certificate.
pub fn is_of(secret: &Secret, name: &str) -> bool {
    let annotations = secret.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(certwright_api::ANNOTATION_CERTIFICATE)).is_some_and(|of| of == name)
}

/// cert-manager's Certificate as it was, with all changes to the spec since it was taken over, except for fields that
/// cert-manager does not know.
pub fn given_back(mut theirs: Value, ours: &Value) -> Value {
    // It comes from an annotation, which may contain anything.
    object(&mut object(&mut object(&mut theirs)["spec"])["issuerRef"]);
    let taken = convert(std::slice::from_ref(&theirs)).into_iter().next().and_then(|outcome| outcome.object);
    let taken = taken.map(|taken| taken["spec"].clone()).unwrap_or_default();
    let fields =
        |spec: &Value| spec.as_object().map(|spec| spec.keys().cloned().collect()).unwrap_or_default();
    let (before, after): (BTreeSet<String>, BTreeSet<String>) = (fields(&taken), fields(ours));
    for field in
        before.union(&after).filter(|field| !["issuerRef", "profile", "revocation"].contains(&field.as_str()))
    {
        match ours.get(field) {
            value if value == taken.get(field) => {}
            Some(value) => theirs["spec"][field] = value.clone(),
            None => drop(theirs["spec"].as_object_mut().and_then(|spec| spec.remove(field))),
        }
    }
    for field in ["name", "kind"] {
        theirs["spec"]["issuerRef"][field] = ours["issuerRef"][field].clone();
    }
    theirs
}

/// The value. If it is not an object, replaces it by an empty one.
fn object(value: &mut Value) -> &mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    value
}

#[cfg(test)]
mod tests;
