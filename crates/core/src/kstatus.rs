//! What an object's conditions mean to tools that know nothing of it, such as Flux, Argo CD, and `helm --wait`.
//!
//! The convention is kstatus (`sigs.k8s.io/cli-utils`, and `fluxcd/cli-utils`): an object is being worked on while `Reconciling`
//! is true, has failed while `Stalled` is, and is as it should be while neither is there and `Ready` is true.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::disposition::{self, Disposition};
use certwright_api::{CONDITION_ISSUING, CONDITION_READY, certificate_reason, issuer_reason};

/// How an object stands that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is being worked on, and may become ready without a human.
    Reconciling,
    /// Nothing is under way, or only a human can help.
    Stalled,
}

/// What holds up a Certificate until a human does something about it, though it is waited for.
const HOLD_UP_CERTIFICATES: &[&str] = &[
    certificate_reason::INVALID_SPEC,
    certificate_reason::SECRET_NOT_OURS,
    certificate_reason::SECRET_CLAIMED,
    certificate_reason::KEPT_BY_CERT_MANAGER,
    certificate_reason::NO_SOLVER,
    certificate_reason::NOT_ALLOWED,
    certificate_reason::DUPLICATE_CERTIFICATES,
];

/// What may keep an issuer from being ready for a while only: what it needs may be applied a moment later, and a CA come back.
const PASS_FOR_ISSUERS: &[&str] = &[
    issuer_reason::CA_UNAVAILABLE,
    issuer_reason::RATE_LIMITED,
    issuer_reason::SECRET_NOT_FOUND,
    issuer_reason::SECRET_KEY_NOT_FOUND,
];

/// How a Certificate stands; `None` if it is ready. While one that is ready is renewed, it is as it should be.
pub fn of_certificate(conditions: &[Condition]) -> Option<Standing> {
    let reason = unready(conditions)?;
    let issuing = conditions.iter().any(|found| found.type_ == CONDITION_ISSUING && found.status == "True");
    Some(standing(issuing && !HOLD_UP_CERTIFICATES.contains(&reason)))
}

/// How an Issuer or ClusterIssuer stands; `None` if it is ready.
pub fn of_issuer(conditions: &[Condition]) -> Option<Standing> {
    let reason = unready(conditions)?;
    Some(standing(PASS_FOR_ISSUERS.contains(&reason) || passes(reason)))
}

/// Whether a CA gives this reason when it has stumbled, or was asked too often.
fn passes(reason: &str) -> bool {
    let passing = [Some(Disposition::Stumbled), Some(Disposition::TooFast)];
    disposition::codes().iter().any(|code| code.reason == reason && passing.contains(&code.next))
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
