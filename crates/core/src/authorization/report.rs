//! The condition `AuthorizationsKept`.

use jiff::Timestamp;

use super::Snapshot;
use crate::conditions;
use certwright_acme::{AuthorizationStatus, CODES};
use certwright_api::{
    CONDITION_AUTHORIZATIONS_KEPT, IssuerStatus, KeptAuthorizationStatus, issuer_reason as reason,
};

/// How many names a message says something about.
const NAMED: usize = 5;

/// Sets the condition. An issuer that keeps no authorizations has none.
pub(super) fn set_condition(status: &mut IssuerStatus, seen: &Snapshot<'_>, now: Timestamp) {
    if status.authorizations.is_empty() {
        status.conditions.retain(|found| found.type_ != CONDITION_AUTHORIZATIONS_KEPT);
        return;
    }
    let lacking: Vec<(&'static str, String)> =
        status.authorizations.iter().filter_map(|entry| lack(entry, seen.at_ca(now))).collect();
    let (is, reason, message) = match lacking.first() {
        None => {
            let count = status.authorizations.len();
            let message = match count {
                1 => "The authorization is valid".to_owned(),
                _ => format!("All {count} authorizations are valid"),
            };
            (true, reason::AUTHORIZATIONS_VALID, message)
        }
        Some(first) => {
            // A name that has lapsed, or has failed, matters more than one that is being proved.
            let by_weight = |reason: &str| match reason {
                reason::AUTHORIZATION_EXPIRED => 0,
                reason::AUTHORIZATION_PENDING => 2,
                _ => 1,
            };
            let worst = lacking.iter().min_by_key(|(reason, _)| by_weight(reason)).unwrap_or(first).0;
            let mut said: Vec<String> =
                lacking.iter().take(NAMED).map(|(_, message)| message.clone()).collect();
            if lacking.len() > NAMED {
                said.push(format!("and {} more", lacking.len() - NAMED));
            }
            (false, worst, said.join("; "))
        }
    };
    let type_ = CONDITION_AUTHORIZATIONS_KEPT;
    conditions::set_condition(&mut status.conditions, type_, is, reason, &message, seen.generation, now);
}

/// Why an authorization is not as it should be: the reason, and a message. Nothing is wrong with one that is valid while it is
/// renewed.
fn lack(entry: &KeptAuthorizationStatus, at_ca: Timestamp) -> Option<(&'static str, String)> {
    let name = &entry.dns_name;
    let is_valid = entry.state == AuthorizationStatus::Valid.as_str();
    let expires = entry.expires.as_ref().map(|time| time.0).filter(|_| is_valid);
    let words = entry.message.as_deref().unwrap_or("control of it is being proved");
    if expires.is_some_and(|expires| expires <= at_ca) {
        return Some((
            reason::AUTHORIZATION_EXPIRED,
            format!("{name}: the authorization has expired. {words}"),
        ));
    }
    let failed = entry.failed_attempts.is_some().then(|| word_of(entry.reason.as_deref()));
    match (is_valid, failed) {
        (true, None) => None,
        (true, Some(failed)) => {
            let until = expires.map_or(String::new(), |expires| format!(" It is valid until {expires}"));
            Some((failed, format!("{name}: the authorization could not be renewed: {words}.{until}")))
        }
        (false, Some(failed)) => Some((failed, format!("{name}: {words}"))),
        (false, None) => Some((reason::AUTHORIZATION_PENDING, format!("{name}: {words}"))),
    }
}

/// The constant for a reason in the status. Anything else was not written by this operator.
fn word_of(reason: Option<&str>) -> &'static str {
    let word = reason.unwrap_or_default();
    let ours = reason::ALL.iter().copied().find(|known| *known == word);
    let of_ca = || CODES.iter().map(|code| code.name).find(|known| *known == word);
    ours.or_else(of_ca).unwrap_or(reason::AUTHORIZATION_FAILED)
}
