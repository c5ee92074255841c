//! What makes an issuance due: an ordered list of checks, each giving a reason and a sentence.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::renewal::{Plan, Reasons, plan};
use crate::spec::ValidatedCertificate;
use certwright_api::{RenewalInfoStatus, RevocationReason, RotationPolicy, certificate_reason as reason};
use certwright_pki::{KeyAlgorithm, Leaf};
use certwright_text::clean;

/// Of many names, so many characters are said.
const LONGEST_LIST: usize = 1000;

/// What the TLS Secret holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecretView {
    /// Whether a Secret of that name exists.
    pub exists: bool,
    /// The Certificate that it says it belongs to.
    pub certificate_name: Option<String>,
    /// Name and kind of the issuer that its certificate came from.
    pub issuer: Option<(String, String)>,
    /// Its type, if that is not the one for TLS; it can never change.
    pub type_: Option<String>,
    /// Whether its template, and how its key is written, are as the spec asks for.
    pub as_written: bool,
    /// The names that its certificate was ordered for.
    pub requested_names: Option<BTreeSet<String>>,
    /// Algorithm and public key of `tls.key`, or why it cannot be read.
    pub key: Option<Result<(KeyAlgorithm, Vec<u8>), String>>,
    /// What `tls.crt` says, or why it cannot be read.
    pub leaf: Option<Result<Leaf, String>>,
    /// Why its certificate is revoked, or is to be.
    pub revoked: Option<RevocationReason>,
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

/// What the checks look at.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// What is wanted.
    pub wanted: &'a ValidatedCertificate,
    /// What there is.
    pub secret: &'a SecretView,
    /// Seed of the renewal jitter: the Certificate's uid.
    pub uid: &'a str,
    /// What the CA suggests.
    pub suggestion: Option<&'a RenewalInfoStatus>,
    /// Whether an order is under way.
    pub under_way: bool,
    /// The value of the annotation that asks for a renewal.
    pub renew_request: Option<&'a str>,
    /// The value of it that was answered.
    pub observed_renew_request: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

impl Current<'_> {
    /// When the certificate in the Secret is renewed, and why then; `None` if it is not.
    pub fn renewal(&self) -> Option<Plan> {
        let leaf = self.secret.leaf().filter(|_| self.wanted.renews)?;
        Some(plan(&Reasons {
            leaf,
            rule: self.wanted.renewal,
            suggestion: self.suggestion,
            windows: &self.wanted.windows,
            under_way: self.under_way,
            seed: &renewal_seed(self.uid, leaf),
            now: self.now,
        }))
    }

    /// The time of it.
    pub fn renewal_time(&self) -> Option<Timestamp> {
        self.renewal().map(|plan| plan.time)
    }
}

/// Seed of what is chosen by chance about the renewal of `leaf`.
pub fn renewal_seed(uid: &str, leaf: &Leaf) -> String {
    format!("{uid}/{}", leaf.serial_number)
}

/// Why an issuance is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// One of the constants of [`certwright_api::certificate_reason`].
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Due {
    /// Whether it is the time alone that makes it due.
    pub fn by_time(&self) -> bool {
        matches!(self.reason, reason::RENEWAL_DUE | reason::EXPIRED)
    }

    /// Whether the certificate in the Secret is, all the same, what the spec asks for.
    pub fn leaves_ready(&self) -> bool {
        matches!(self.reason, reason::RENEWAL_DUE | reason::RENEWAL_REQUESTED)
    }
}

type Check = fn(&Current<'_>) -> Option<Due>;

/// The checks, in the order in which they are asked: the first that answers gives the reason.
const CHECKS: [Check; 11] = [
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

/// Why an issuance is due, if one is. An expired certificate that is not to be renewed is none.
pub fn due(current: &Current<'_>) -> Option<Due> {
    let counts = |due: &Due| current.wanted.renews || due.reason != reason::EXPIRED;
    CHECKS.iter().find_map(|check| check(current).filter(counts))
}

/// Why the certificate in the Secret is not what the spec asks for, if it is not.
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
        (_, Some(Err(why))) => ("tls.key", why),
        _ => return None,
    };
    Some(Due {
        reason: reason::SECRET_INVALID,
        message: format!("Secret {}: {name}: {why}", current.wanted.secret_name),
    })
}

fn key_differs(current: &Current<'_>) -> Option<Due> {
    let (_, public_key) = current.secret.key.as_ref()?.as_ref().ok()?;
    (current.secret.leaf()?.public_key_der != *public_key).then(|| Due {
        reason: reason::KEY_MISMATCH,
        message: format!("Secret {}: tls.key does not match tls.crt", current.wanted.secret_name),
    })
}

fn revoked(current: &Current<'_>) -> Option<Due> {
    let why = current.secret.revoked?;
    Some(Due { reason: reason::REVOKED, message: format!("the certificate is revoked: {}", why.as_str()) })
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
    // What a CA adds to the names that it was asked for is its own affair.
    let held =
        || leaf.dns_names.iter().cloned().chain(leaf.ip_addresses.iter().map(IpAddr::to_string)).collect();
    let asked_for: BTreeSet<String> = current.secret.requested_names.clone().unwrap_or_else(held);
    let surplus: Vec<String> = asked_for.difference(&current.wanted.names()).cloned().collect();
    // The surplus may be whatever is in the certificate, or in an annotation of the Secret.
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
    (found != current.wanted.key).then(|| Due {
        reason: reason::KEY_ALGORITHM_CHANGED,
        message: format!("the private key is {found}, but the spec requires {}", current.wanted.key),
    })
}

fn issuer_differs(current: &Current<'_>) -> Option<Due> {
    let wanted = (current.wanted.issuer_name.as_str(), current.wanted.issuer_kind.as_str());
    let found = current.secret.issuer.as_ref().map(|(name, kind)| (name.as_str(), kind.as_str()));
    (found != Some(wanted)).then(|| Due {
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

/// Whether the issuance uses the key in the Secret again. One that is compromised is not.
pub fn reuses_key(wanted: &ValidatedCertificate, secret: &SecretView) -> bool {
    secret.revoked != Some(RevocationReason::KeyCompromise)
        && wanted.rotation == RotationPolicy::Never
        && secret.key_algorithm() == Some(wanted.key)
}

#[cfg(test)]
mod tests;
