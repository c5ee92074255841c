//! Creates Certwright's objects from cert-manager's.

use serde_json::{Map, Value, json};

use super::fields::{self, Fields, Note, What};
use super::object::{GROUP, Source, VERSION};
use super::services;
use certwright_api::{CertificateSpec, ClusterIssuerSpec};
use certwright_core::spec::ValidatedCertificate;

/// The result of converting an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Identifies the object.
    pub source: Source,
    /// The object as it was read.
    pub original: Value,
    /// Certwright's object.
    pub object: Option<Value>,
    /// Whether Certwright can take over.
    pub fitness: Fitness,
    /// What was not taken over unchanged.
    pub notes: Vec<Note>,
}

/// Whether Certwright can take over from an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// Certwright's object does the same.
    TakenOver,
    /// Certwright's object does only a part, and what to do about that.
    Incomplete(String),
    /// It stays with cert-manager, or must be migrated in another way, and why.
    Left(String),
}

/// Converts objects that belong together: what happens to Certificates depends on their issuer.
pub fn convert(objects: &[Value]) -> Vec<Outcome> {
    let issuers: Vec<Outcome> = objects.iter().filter(|object| is_issuer(object)).map(issuer).collect();
    let others =
        objects.iter().filter(|object| !is_issuer(object)).map(|object| match is(object, "Certificate") {
            true => certificate(object, &issuers),
            false => left(object, Vec::new(), why_passed_over(&Source::of(object))),
        });
    let others: Vec<_> = others.collect();
    issuers.into_iter().chain(others).collect()
}

fn is(object: &Value, kind: &str) -> bool {
    object["apiVersion"] == VERSION && object["kind"] == kind
}

fn is_issuer(object: &Value) -> bool {
    is(object, "Issuer") || is(object, "ClusterIssuer")
}

fn why_passed_over(source: &Source) -> String {
    let known = ["Certificate", "Issuer", "ClusterIssuer"].contains(&source.kind.as_str());
    match source.group() {
        GROUP if known => format!(
            "It has the version {}, but only {VERSION} is supported. Read it from a cluster with `kubectl get -o yaml`, or \
             convert the file with `cmctl convert`.",
            source.api_version
        ),
        GROUP | "acme.cert-manager.io" => {
            "Certwright has no such object: the whole issuance is in the status of its Certificate."
                .to_owned()
        }
        _ => "It is not an object of cert-manager, and was ignored.".to_owned(),
    }
}

fn left(object: &Value, notes: Vec<Note>, why: String) -> Outcome {
    let (source, original) = (Source::of(object), object.clone());
    Outcome { source, original, object: None, fitness: Fitness::Left(why), notes }
}

fn issuer(object: &Value) -> Outcome {
    if !object["spec"]["acme"].is_object() {
        let kind =
            object["spec"].as_object().and_then(|spec| spec.keys().next()).map_or("none", String::as_str);
        let why = format!(
            "It is an issuer of the type {kind}, and Certwright has only ACME issuers. Leave it, and what it issues, with \
             cert-manager."
        );
        return left(object, Vec::new(), why);
    }
    let (mut taken, mut notes) = take(fields::ISSUER, object);
    notes.extend(services::needs(object));
    notes.extend(needs_no_provider(object));
    let lost = drop_lost_solvers(&mut taken, object);
    if let Err(error) = serde_json::from_value::<ClusterIssuerSpec>(taken["spec"].clone()) {
        return left(object, notes, format!("Its spec cannot be read: {error}. Correct it, and try again."));
    }
    let fitness = match lost.is_empty() {
        true => Fitness::TakenOver,
        false => Fitness::Incomplete(format!(
            "{} left out, since the provider or its settings are not supported: {}. Create an issuer of this name yourself, \
             with other settings or a webhook for the provider. Until it exists, --adopt leaves this issuer and its Certificates \
             with cert-manager.",
            if lost.len() == 1 { "A solver is" } else { "Solvers are" },
            lost.join(", ")
        )),
    };
    Outcome { source: Source::of(object), original: object.clone(), object: Some(taken), fitness, notes }
}

/// Hosts of the directories of CAs that offer dns-persist-01.
const OFFER_PERSISTENT_RECORDS: [&str; 3] =
    ["acme-staging-v02.api.letsencrypt.org", "dv.acme-v02.api.pki.goog", "dv.acme-v02.test-api.pki.goog"];

/// The hint that the CA takes TXT records that somebody sets once.
fn needs_no_provider(issuer: &Value) -> Option<Note> {
    let acme = &issuer["spec"]["acme"];
    let (_, server) = acme["server"].as_str()?.split_once("://")?;
    let offers = OFFER_PERSISTENT_RECORDS.contains(&server.split('/').next()?);
    let has_provider = acme["solvers"].as_array()?.iter().any(|solver| solver["dns01"].is_object());
    (offers && has_provider).then(|| Note {
        path: "spec.acme.solvers".to_owned(),
        what: What::Hint,
        text: "The CA offers dns-persist-01: with a TXT record that you set once for each name, you need no provider, and no \
               credentials for it in the cluster. See docs/dns-persist01.md."
            .to_owned(),
    })
}

/// Removes the solvers that can no longer prove control of a name, and returns their paths. What could not be taken over from
/// `original` would have changed what a solver does.
fn drop_lost_solvers(issuer: &mut Value, original: &Value) -> Vec<String> {
    let Some(solvers) = issuer.pointer_mut("/spec/acme/solvers").and_then(Value::as_array_mut) else {
        return Vec::new();
    };
    let originals = &original["spec"]["acme"]["solvers"];
    let proves = |(index, solver): (usize, &Value)| {
        let has = |way: &str, names: &[&str]| names.iter().any(|name| solver[way][name].is_object());
        has("http01", &["ingress", "gatewayHTTPRoute"])
            || has("dns01", &["webhook", "rfc2136", "acmeDNS"])
            || has("dns01", &services::NAMES) && services::refused(&originals[index]).is_none()
    };
    let proving: Vec<bool> = solvers.iter().enumerate().map(proves).collect();
    let lost = proving.iter().enumerate().filter(|(_, proves)| !**proves);
    let lost = lost.map(|(index, _)| format!("spec.acme.solvers[{index}]")).collect();
    let mut proving = proving.into_iter();
    solvers.retain(|_| proving.next() == Some(true));
    lost
}

fn certificate(object: &Value, issuers: &[Outcome]) -> Outcome {
    if let Some(owner) = made_from(object) {
        let why = format!(
            "cert-manager created it from the annotations of {owner}. Change those, and Certwright creates one from them: \
             see docs/annotations.md."
        );
        return left(object, Vec::new(), why);
    }
    let reference = &object["spec"]["issuerRef"];
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    if !["", GROUP].contains(&text("group")) || !["", "Issuer", "ClusterIssuer"].contains(&text("kind")) {
        let why = format!(
            "Its issuer is {} {} of the group {}, which only cert-manager supports. Leave it with cert-manager.",
            text("kind"),
            text("name"),
            text("group")
        );
        return left(object, Vec::new(), why);
    }
    let issuer = issuers.iter().find(|issuer| is_issued_by(object, &issuer.source));
    if let Some(Outcome { source, fitness: Fitness::Left(why), .. }) = issuer {
        return left(object, Vec::new(), format!("It stays with its issuer, {source}. {why}"));
    }
    let (mut taken, mut notes) = take(fields::CERTIFICATE, object);
    notes.extend(with_profile(&mut taken));
    let invalid = match serde_json::from_value::<CertificateSpec>(taken["spec"].clone()) {
        Ok(spec) => ValidatedCertificate::new(&spec, None).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(invalid) = invalid {
        return left(
            object,
            notes,
            format!("An ACME CA cannot issue it: {invalid}. Correct it, or leave it with cert-manager."),
        );
    }
    let fitness = match issuer.map(|issuer| (&issuer.source, &issuer.fitness)) {
        Some((source, Fitness::Incomplete(_))) => {
            Fitness::Incomplete(format!("Its issuer, {source}, lacks a solver."))
        }
        Some(_) => Fitness::TakenOver,
        None => {
            let text = "The input does not contain the issuer. Make sure that Certwright has one of this name for the same CA.";
            notes.push(Note {
                path: "spec.issuerRef".to_owned(),
                what: What::Changed,
                text: text.to_owned(),
            });
            Fitness::TakenOver
        }
    };
    Outcome { source: Source::of(object), original: object.clone(), object: Some(taken), fitness, notes }
}

/// Writes cert-manager's default for the encryption of a PKCS#12 keystore, since it is another one here.
fn with_profile(certificate: &mut Value) -> Option<Note> {
    let keystore = certificate.pointer_mut("/spec/keystores/pkcs12")?.as_object_mut()?;
    if keystore.get("create") != Some(&Value::Bool(true)) || keystore.contains_key("profile") {
        return None;
    }
    keystore.insert("profile".to_owned(), "LegacyRC2".into());
    Some(Note {
        path: "spec.keystores.pkcs12.profile".to_owned(),
        what: What::Changed,
        text: "It is set to LegacyRC2, cert-manager's default. Certwright's is Modern2023, which all current programs read: remove \
               the field unless you need the old encryption."
            .to_owned(),
    })
}

/// The Ingress, Gateway or similar object from whose annotations cert-manager created a Certificate.
fn made_from(certificate: &Value) -> Option<String> {
    let owners = certificate["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| {
        ["Ingress", "Gateway", "ListenerSet", "XListenerSet"]
            .contains(&owner["kind"].as_str().unwrap_or_default())
    })?;
    Some(format!("{} {}", owner["kind"].as_str()?, owner["name"].as_str()?))
}

/// Whether a Certificate names this issuer.
fn is_issued_by(certificate: &Value, issuer: &Source) -> bool {
    let reference = &certificate["spec"]["issuerRef"];
    let kind = reference["kind"].as_str().filter(|kind| !kind.is_empty()).unwrap_or("Issuer");
    let near = kind == "ClusterIssuer" || Source::of(certificate).namespace == issuer.namespace;
    near && kind == issuer.kind && reference["name"] == issuer.name
}

fn take(table: &[Fields], object: &Value) -> (Value, Vec<Note>) {
    let (taken, notes) = fields::take(table, object);
    let mut metadata = taken["metadata"].clone();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|_, value| !value.as_object().is_some_and(Map::is_empty));
    }
    let ours = json!({
        "apiVersion": format!("{}/{}", certwright_api::GROUP, certwright_api::VERSION),
        "kind": object["kind"],
        "metadata": metadata,
        "spec": taken["spec"],
    });
    (ours, notes)
}

#[cfg(test)]
mod tests;
