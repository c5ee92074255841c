//! The meaning of an object's conditions for generic tools such as Flux, Argo CD, and `helm --wait`.
//!
//! The convention is kstatus (`sigs.k8s.io/cli-utils`, and `fluxcd/cli-utils`): an object is in progress while `Reconciling` is
//! true, has failed while `Stalled` is true, and is current if neither is present and `Ready` is true.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use certwright_acme::{CODES, Class};
use certwright_api::{CONDITION_ISSUING, CONDITION_READY, certificate_reason, issuer_reason};

/// The standing of an object that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in progress, and may become ready without help.
    Reconciling,
    /// Nothing is in progress, or only a person can help.
    Stalled,
}

/// Reasons of waits that block a Certificate until a person acts.
const HOLD_UP_CERTIFICATES: &[&str] = &[
    certificate_reason::INVALID_SPEC,
    certificate_reason::SECRET_NOT_OURS,
    certificate_reason::SECRET_CLAIMED,
    certificate_reason::KEPT_BY_CERT_MANAGER,
    certificate_reason::NO_SOLVER,
    certificate_reason::NOT_ALLOWED,
    certificate_reason::DUPLICATE_CERTIFICATES,
];

/// Reasons that may be temporary for an issuer: a missing object may be created a moment later, and a CA may recover.
const PASS_FOR_ISSUERS: &[&str] = &[
    issuer_reason::CA_UNAVAILABLE,
    issuer_reason::RATE_LIMITED,
    issuer_reason::SECRET_NOT_FOUND,
    issuer_reason::SECRET_KEY_NOT_FOUND,
    issuer_reason::REBINDING_WITHDRAWN,
];

/// The standing of a Certificate; `None` if it is ready, even while it is renewed.
pub fn of_certificate(conditions: &[Condition]) -> Option<Standing> {
    let reason = unready(conditions)?;
    let issuing = conditions.iter().any(|found| found.type_ == CONDITION_ISSUING && found.status == "True");
    Some(standing(issuing && !needs_a_person(reason)))
}

/// Whether an issuance that waits for this reason waits until a person acts.
pub fn needs_a_person(reason: &str) -> bool {
    HOLD_UP_CERTIFICATES.contains(&reason)
}

/// The standing of an Issuer or ClusterIssuer; `None` if it is ready.
pub fn of_issuer(conditions: &[Condition]) -> Option<Standing> {
    let reason = unready(conditions)?;
    Some(standing(PASS_FOR_ISSUERS.contains(&reason) || passes(reason)))
}

/// Whether this is the reason of a temporary error of the CA, or of a rate limit.
fn passes(reason: &str) -> bool {
    CODES.iter().any(|code| code.name == reason && matches!(code.class, Class::Temporary | Class::RateLimit))
}

fn standing(goes_on: bool) -> Standing {
    if goes_on { Standing::Reconciling } else { Standing::Stalled }
}

/// Why it is not ready.
fn unready(conditions: &[Condition]) -> Option<&str> {
    let ready = conditions.iter().find(|found| found.type_ == CONDITION_READY && found.status != "True")?;
    Some(&ready.reason)
}

#[cfg(test)]
mod tests;
