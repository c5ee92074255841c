//! Fields of a spec that have no effect, and why: an ACME CA ignores them, whichever program sends the request.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::is_name;
use crate::conditions::set_condition;
use certwright_api::{AcmeIssuer, CONDITION_IGNORED_FIELDS, CertificateSpec, certificate_reason};

/// Why `subject` and `literalSubject` have no effect.
pub const SUBJECT: &str =
    "the CA sets the subject to what it has on file for the account (OV, EV), or to nothing (DV)";
/// Why a `commonName` that is not a name has no effect.
pub const COMMON_NAME: &str =
    "it is neither a DNS name nor an IP address, and a CA accepts only a name that it has validated";
/// Why `usages` have no effect.
pub const USAGES: &str = "the CA sets the usages; for client certificates, use a private CA";
/// Why `encodeUsagesInRequest` has no effect.
pub const ENCODE_USAGES: &str = "several CAs reject requests that contain usages, so no request contains any";
/// Why `signatureAlgorithm` has no effect.
pub const SIGNATURE_ALGORITHM: &str =
    "the private key determines it, always with SHA-256 or better; see csrSignatureHash of the issuer";
/// Why `revisionHistoryLimit` has no effect.
pub const HISTORY: &str = "there are no request objects to keep";
/// Why a `podTemplate` has no effect.
pub const POD_TEMPLATE: &str = "the operator itself answers challenges, without solver pods";

/// Usages that a certificate of an ACME CA has in any case.
pub const USUAL_USAGES: [&str; 3] = ["digital signature", "key encipherment", "server auth"];

/// The fields that have no effect, in groups: their paths, and why.
type Groups = Vec<(Vec<&'static str>, &'static str)>;

/// What to say about the fields of a Certificate that have no effect, if there are any.
pub fn of_certificate(spec: &CertificateSpec) -> Option<String> {
    let (ignored, mut groups) = (&spec.ignored, Groups::new());
    let has_subject = ignored.subject.as_ref().is_some_and(|subject| *subject != Default::default());
    let has_literal = ignored.literal_subject.as_ref().is_some_and(|subject| !subject.is_empty());
    let subject = [(has_subject, "spec.subject"), (has_literal, "spec.literalSubject")]
        .into_iter()
        .filter(|(has, _)| *has);
    groups.push((subject.map(|(_, path)| path).collect(), SUBJECT));
    let common_name = spec.common_name.as_ref().filter(|name| !name.is_empty() && !is_name(name));
    groups.push((one(common_name.is_some(), "spec.commonName"), COMMON_NAME));
    let unusual = ignored.usages.iter().any(|usage| !USUAL_USAGES.contains(&usage.as_str()));
    groups.push((one(unusual, "spec.usages"), USAGES));
    let encodes = ignored.encode_usages_in_request == Some(true);
    groups.push((one(encodes, "spec.encodeUsagesInRequest"), ENCODE_USAGES));
    let algorithm = ignored.signature_algorithm.as_ref().is_some_and(|algorithm| !algorithm.is_empty());
    groups.push((one(algorithm, "spec.signatureAlgorithm"), SIGNATURE_ALGORITHM));
    groups.push((one(spec.revision_history_limit.is_some(), "spec.revisionHistoryLimit"), HISTORY));
    in_words(groups)
}

/// What to say about the fields of an issuer that have no effect, if there are any.
pub fn of_issuer(spec: &AcmeIssuer) -> Option<String> {
    let http01 = || spec.solvers.iter().filter_map(|solver| solver.http01.as_ref());
    let ingress = http01().filter_map(|http01| http01.ingress.as_ref()?.pod_template);
    let route = http01().filter_map(|http01| http01.gateway_http_route.as_ref()?.pod_template);
    // Each once, however many solvers there are.
    let paths = ingress
        .map(|_| "spec.acme.solvers[].http01.ingress.podTemplate")
        .chain(route.map(|_| "spec.acme.solvers[].http01.gatewayHTTPRoute.podTemplate"));
    in_words(vec![(Vec::from_iter(BTreeSet::from_iter(paths)), POD_TEMPLATE)])
}

fn one(is: bool, path: &'static str) -> Vec<&'static str> {
    is.then_some(path).into_iter().collect()
}

fn in_words(groups: Groups) -> Option<String> {
    let groups = groups.into_iter().filter(|(paths, _)| !paths.is_empty());
    let said: Vec<String> = groups.map(|(paths, why)| format!("{} ({why})", paths.join(" and "))).collect();
    (!said.is_empty()).then(|| format!("These fields have no effect: {}", said.join("; ")))
}

/// Sets the condition that lists the fields without effect, or removes it if there are none.
pub fn note(conditions: &mut Vec<Condition>, ignored: Option<&str>, generation: i64, now: Timestamp) {
    match ignored {
        Some(message) => {
            let reason = certificate_reason::NO_EFFECT;
            set_condition(conditions, CONDITION_IGNORED_FIELDS, true, reason, message, generation, now);
        }
        None => conditions.retain(|condition| condition.type_ != CONDITION_IGNORED_FIELDS),
    }
}

#[cfg(test)]
mod tests;
