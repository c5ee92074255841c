//! When an issuance is due: an ordered list of checks, each with a reason and a message.

mod urgency;

pub use urgency::Urgency;

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::renewal::{Plan, Reasons, plan};
use crate::spec::ValidatedCertificate;
use certwright_api::{
    ListedReason, RenewalInfoStatus, RevocationReason, RotationPolicy, certificate_reason as reason,
};
use certwright_pki::{KeyAlgorithm, Leaf};
use certwright_text::clean;

/// The maximum length of a list of names in a message, in characters.
const LONGEST_LIST: usize = 1000;

/// What the TLS Secret holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecretView {
    /// Whether a Secret of that name exists.
    pub exists: bool,
    /// Its `resourceVersion`.
    pub version: Option<String>,
    /// The Certificate that it belongs to, according to its annotation.
    pub certificate_name: Option<String>,
    /// Name and kind of the issuer of its certificate.
    pub issuer: Option<(String, String)>,
    /// Its type, if that is not `kubernetes.io/tls`; it cannot be changed.
    pub type_: Option<String>,
    /// Whether its template, and the encoding of its key, match the spec.
    pub as_written: bool,
    /// The names that its certificate was ordered for.
    pub requested_names: Option<BTreeSet<String>>,
    /// Algorithm and public key of `tls.key`, or why it cannot be read.
    pub key: Option<Result<(KeyAlgorithm, Vec<u8>), String>>,
    /// What `tls.crt` says, or why it cannot be read.
    pub leaf: Option<Result<Leaf, String>>,
}

impl SecretView {
    /// The certificate in the Secret, if it can be read.
    pub fn leaf(&self) -> Option<&Leaf> {
        self.leaf.as_ref()?.as_ref().ok()
    }

    /// The algorithm of the key in the Secret, if it can be read.
    pub fn key_algorithm(&self) -> Option<KeyAlgorithm> {
        Some(self.key.as_ref()?.as_ref().ok()?.0)
    }
}

/// Why a certificate must be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The operator has revoked it, or will, for this reason.
    ByOperator(RevocationReason),
    /// The CA has revoked it for this reason, without being asked by the operator.
    ByCa(ListedReason),
}

/// The input of the checks.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// The spec.
    pub wanted: &'a ValidatedCertificate,
    /// The Secret.
    pub secret: &'a SecretView,
    /// Why its certificate must be replaced, if it is revoked.
    pub revoked: Option<Revoked>,
    /// The Certificate's uid, which determines when in the cycle of its renewals it is renewed.
    pub uid: &'a str,
    /// The CA's renewal information.
    pub suggestion: Option<&'a RenewalInfoStatus>,
    /// Whether there is a current order.
    pub under_way: bool,
    /// The value of the annotation that requests a renewal.
    pub renew_request: Option<&'a str>,
    /// The last value that was fulfilled.
    pub observed_renew_request: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

impl Current<'_> {
    /// When the certificate in the Secret is renewed, and why then; `None` if it is not renewed.
    pub fn renewal(&self) -> Option<Plan> {
        let leaf = self.secret.leaf().filter(|_| self.wanted.renews)?;
        Some(plan(&Reasons {
            leaf,
            rule: self.wanted.renewal,
            suggestion: self.suggestion,
            windows: &self.wanted.windows,
            under_way: self.under_way,
            uid: self.uid,
            now: self.now,
        }))
    }

    /// The time of it.
    pub fn renewal_time(&self) -> Option<Timestamp> {
        self.renewal().map(|plan| plan.time)
    }
}

/// Why an issuance is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// One of the constants of [`certwright_api::certificate_reason`].
    pub reason: &'static str,
    /// The message.
    pub message: String,
}

impl Due {
    /// Whether it is due only because of time.
    pub fn by_time(&self) -> bool {
        matches!(self.reason, reason::RENEWAL_DUE | reason::EXPIRED)
    }

    /// Whether the certificate in the Secret nevertheless matches the spec.
    pub(crate) fn leaves_ready(&self) -> bool {
        matches!(self.reason, reason::RENEWAL_DUE | reason::RENEWAL_REQUESTED)
    }
}

type Check = fn(&Current<'_>) -> Option<Due>;

/// The checks, in order: the first one that applies gives the reason.
const CHECKS: &[Check] = &[
    secret_missing,
    data_missing,
    data_unreadable,
    key_differs,
    revoked,
    names_differ,
    algorithm_differs,
    issuer_differs,
    expired,
    due_by_time,
    asked_for,
];

/// Why an issuance is due, if one is. An expired certificate does not count if renewal is disabled.
pub fn due(current: &Current<'_>) -> Option<Due> {
    let counts = |due: &Due| current.wanted.renews || due.reason != reason::EXPIRED;
    CHECKS.iter().find_map(|check| check(current).filter(counts))
}

/// Why the certificate in the Secret does not match the spec, if it does not.
pub fn unready(current: &Current<'_>) -> Option<Due> {
    CHECKS.iter().find_map(|check| check(current)).filter(|due| !due.leaves_ready())
}

fn secret_missing(current: &Current<'_>) -> Option<Due> {
    (!current.secret.exists).then(|| Due {
        reason: reason::SECRET_MISSING,
        message: format!("Secret {} does not exist", current.wanted.secret_name),
    })
}

fn data_missing(current: &Current<'_>) -> Option<Due> {
    let missing = match (&current.secret.leaf, &current.secret.key) {
        (leaf, _) if current.wanted.csr.is_some() => match leaf {
            None => "no tls.crt",
            Some(_) => return None,
        },
        (None, None) => "neither tls.crt nor tls.key",
        (None, _) => "no tls.crt",
        (_, None) => "no tls.key",
        _ => return None,
    };
    Some(Due {
        reason: reason::SECRET_INVALID,
        message: format!("Secret {} has {missing}", current.wanted.secret_name),
    })
}

fn data_unreadable(current: &Current<'_>) -> Option<Due> {
    let (name, why) = match (&current.secret.leaf, &current.secret.key) {
        (Some(Err(why)), _) => ("tls.crt", why),
        (_, Some(Err(why))) if current.wanted.csr.is_none() => ("tls.key", why),
        _ => return None,
    };
    Some(Due {
        reason: reason::SECRET_INVALID,
        message: format!("Secret {}: {name}: {why}", current.wanted.secret_name),
    })
}

fn key_differs(current: &Current<'_>) -> Option<Due> {
    if let Some(csr) = &current.wanted.csr {
        return (current.secret.leaf()?.public_key_der != csr.public_key_der).then(|| Due {
            reason: reason::CSR_CHANGED,
            message: "the certificate is for another private key than the certificate signing request in csr"
                .to_owned(),
        });
    }
    let (_, public_key) = current.secret.key.as_ref()?.as_ref().ok()?;
    (current.secret.leaf()?.public_key_der != *public_key).then(|| Due {
        reason: reason::KEY_MISMATCH,
        message: format!("Secret {}: tls.key does not match tls.crt", current.wanted.secret_name),
    })
}

fn revoked(current: &Current<'_>) -> Option<Due> {
    let message = match current.revoked? {
        Revoked::ByOperator(why) => format!("the certificate is revoked: {}", why.as_str()),
        Revoked::ByCa(why) => format!("the CA has revoked the certificate: {}", why.as_str()),
    };
    Some(Due { reason: reason::REVOKED, message })
}

fn names_differ(current: &Current<'_>) -> Option<Due> {
    let leaf = current.secret.leaf()?;
    let wanted = &current.wanted.subject;
    let missing: Vec<String> = wanted
        .dns_names
        .iter()
        .filter(|name| !leaf.dns_names.contains(*name))
        .cloned()
        .chain(wanted.ip_addresses.iter().filter(|ip| !leaf.ip_addresses.contains(ip)).map(IpAddr::to_string))
        .collect();
    // Names that the CA added to the requested ones do not matter.
    let held =
        || leaf.dns_names.iter().cloned().chain(leaf.ip_addresses.iter().map(IpAddr::to_string)).collect();
    let asked_for: BTreeSet<String> = current.secret.requested_names.clone().unwrap_or_else(held);
    let surplus: Vec<String> = asked_for.difference(&current.wanted.names()).cloned().collect();
    // The surplus is untrusted text from the certificate or from an annotation of the Secret.
    let [lacks, has] = [&missing, &surplus].map(|names| clean(&names.join(", "), LONGEST_LIST));
    let said = match (missing.is_empty(), surplus.is_empty()) {
        (true, true) => return None,
        (false, true) => format!("lacks {lacks}"),
        (true, false) => format!("has {has}, which the spec does not list"),
        (false, false) => format!("lacks {lacks} and has {has}, which the spec does not list"),
    };
    Some(Due { reason: reason::NAMES_CHANGED, message: format!("the certificate {said}") })
}

fn algorithm_differs(current: &Current<'_>) -> Option<Due> {
    let found = current.secret.key_algorithm()?;
    (current.wanted.csr.is_none() && !current.wanted.accepts_key(found)).then(|| Due {
        reason: reason::KEY_ALGORITHM_CHANGED,
        message: format!("the private key is {found}, but the spec requires {}", current.wanted.key),
    })
}

fn issuer_differs(current: &Current<'_>) -> Option<Due> {
    let first = &current.wanted.first_issuer;
    let wanted = (first.name.as_str(), first.kind.as_str());
    let found = current.secret.issuer.as_ref().map(|(name, kind)| (name.as_str(), kind.as_str()));
    let accepted = found.is_some_and(|(name, kind)| current.wanted.accepts_issuer(name, kind));
    (!accepted).then(|| Due {
        reason: reason::ISSUER_CHANGED,
        message: match found {
            Some((name, kind)) => {
                format!(
                    "the certificate was issued by {kind} {name}, but the spec names {} {}",
                    wanted.1, wanted.0
                )
            }
            None => {
                format!(
                    "the Secret does not say that its certificate was issued by {} {}",
                    wanted.1, wanted.0
                )
            }
        },
    })
}

fn expired(current: &Current<'_>) -> Option<Due> {
    let not_after = current.secret.leaf()?.not_after;
    (current.now > not_after)
        .then(|| Due { reason: reason::EXPIRED, message: format!("the certificate expired at {not_after}") })
}

fn due_by_time(current: &Current<'_>) -> Option<Due> {
    let Plan { time, suggested, .. } = current.renewal()?;
    let whose = if suggested { "the renewal time suggested by the CA" } else { "its renewal time" };
    (current.now >= time).then(|| Due { reason: reason::RENEWAL_DUE, message: format!("{whose} was {time}") })
}

fn asked_for(current: &Current<'_>) -> Option<Due> {
    let request = current.renew_request?;
    (current.observed_renew_request != Some(request)).then(|| Due {
        reason: reason::RENEWAL_REQUESTED,
        message: format!("the annotation {} requests it", certwright_api::ANNOTATION_RENEW),
    })
}

/// Whether the issuance reuses the key in the Secret. It does not if it `needs_new_key`, whatever the spec says.
pub fn reuses_key(wanted: &ValidatedCertificate, secret: &SecretView, needs_new_key: bool) -> bool {
    !needs_new_key && wanted.rotation == RotationPolicy::Never && secret.key_algorithm() == Some(wanted.key)
}

#[cfg(test)]
mod tests;
