//! Which of the issuers in its spec a Certificate uses.
//!
//! Only issuers that the spec names count, so a forged status can do nothing that the author of the spec cannot do.

use jiff::SignedDuration;

use crate::conditions::condition;
use certwright_api::{
    AttemptStatus, CONDITION_ISSUING, CertificateSpec, CertificateStatus, IssuedByStatus, IssuerRef,
    issuer_reason,
};

/// The default of `fallbackPolicy.after`.
const AFTER: SignedDuration = SignedDuration::from_hours(1);
/// The default of `fallbackPolicy.validationFailures`.
const VALIDATION_FAILURES: i32 = 3;

/// The issuers of a Certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Issuers<'a> {
    /// The one in `issuerRef`.
    pub first: &'a IssuerRef,
    /// The one that the current issuance uses or, if there is none, that issued the certificate.
    pub tried: &'a IssuerRef,
    /// The one that is used instead of the first one, because a validation has failed.
    pub rehearsal: Option<&'a IssuerRef>,
    /// The fallback issuer that issued the certificate in the Secret.
    pub issued_by: Option<&'a IssuerRef>,
}

impl<'a> Issuers<'a> {
    /// The issuers of a Certificate with this `generation`.
    pub fn of(spec: &'a CertificateSpec, status: Option<&CertificateStatus>, generation: i64) -> Self {
        let first = &spec.issuer_ref;
        let find = |issuer: &IssuerRef| all(spec).find(|known| *known == issuer);
        let issued_by = status.and_then(|status| status.issued_by.as_ref());
        let issued_by = issued_by.filter(|by| by.instead_of == *first).and_then(|by| find(&by.issuer_ref));
        let attempt = status.and_then(|status| attempt(status, generation));
        let tried = attempt.and_then(|attempt| find(&attempt.issuer_ref)).or(issued_by).unwrap_or(first);
        let rehearses = attempt.and_then(|attempt| attempt.rehearses) == Some(true) && tried == first;
        let rehearsal = spec.rehearsal_issuer_ref.as_ref().filter(|_| rehearses);
        Self { first, tried, rehearsal, issued_by }
    }

    /// The issuer that is asked.
    pub fn in_use(&self) -> &'a IssuerRef {
        self.rehearsal.unwrap_or(self.tried)
    }
}

/// All issuers that a Certificate may use.
pub fn named(spec: &CertificateSpec) -> impl Iterator<Item = &IssuerRef> {
    all(spec).chain(&spec.rehearsal_issuer_ref)
}

/// All issuers that may issue, in the order in which they are tried.
pub fn all(spec: &CertificateSpec) -> impl Iterator<Item = &IssuerRef> {
    std::iter::once(&spec.issuer_ref).chain(&spec.fallback_issuer_refs)
}

/// What is recorded of the current issuance, if that is an issuance for this spec: each spec begins with its first issuer.
pub(crate) fn attempt(status: &CertificateStatus, generation: i64) -> Option<&AttemptStatus> {
    let issuing = condition(&status.conditions, CONDITION_ISSUING)?;
    status.attempt.as_ref().filter(|_| issuing.observed_generation == Some(generation))
}

/// Kind and name of an issuer, for people.
pub fn in_words(issuer: &IssuerRef) -> String {
    format!("{} {}", issuer.kind.as_str(), issuer.name)
}

/// Why a fallback issuer is used, for people.
pub fn why(by: &IssuedByStatus) -> String {
    format!("{} could not issue: {}", in_words(&by.instead_of), by.message)
}

/// Whether this reason of an issuer that is not ready is about its CA or account. Other reasons are mistakes in its spec.
pub fn ca_is_cause(reason: &str) -> bool {
    !matches!(
        reason,
        issuer_reason::SECRET_NOT_FOUND
            | issuer_reason::SECRET_KEY_NOT_FOUND
            | issuer_reason::INVALID_ACCOUNT_KEY
            | issuer_reason::INVALID_MAC_KEY
            | issuer_reason::INVALID_KEY_ID
            | issuer_reason::EXTERNAL_ACCOUNT_REQUIRED
            | issuer_reason::INVALID_SPEC
    )
}

/// When the next issuer is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallbackRule {
    /// How long the issuer in use has to be unable to issue.
    pub after: SignedDuration,
    /// After how many refused validations in a row it counts as unable to issue.
    pub validation_failures: i32,
}

impl FallbackRule {
    /// The rule of a spec; `None` if it has only one issuer.
    pub fn of(spec: &CertificateSpec) -> Option<Self> {
        let policy = spec.fallback_policy.as_ref();
        let after = policy.and_then(|policy| policy.after);
        let validation_failures = policy.and_then(|policy| policy.validation_failures);
        (!spec.fallback_issuer_refs.is_empty()).then(|| Self {
            after: after.map_or(AFTER, SignedDuration::from),
            validation_failures: validation_failures.unwrap_or(VALIDATION_FAILURES).max(1),
        })
    }
}
