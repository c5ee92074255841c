//! Whether the CA's answers about an order match the request.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Challenged, Failure, IssuanceStep, Situation};
use crate::disposition::Disposition;
use certwright_acme::{Authorization, AuthorizationStatus, Identifier, Order};
use certwright_api::certificate_reason as reason;

/// The maximum total size of the URLs and tokens of all challenges, which are recorded in the status. Enough for 250 names.
const MAX_CHALLENGES: usize = 48 << 10;
/// The longest name that a message quotes in full.
const LONGEST_NAME: usize = 255;

/// The failure for a new order that does not match the request: placing another one immediately would be an endless loop.
pub fn misplaced(order: &Order, asked: &[Identifier], profile: Option<&str>) -> Option<Failure> {
    if !order.identifiers.is_empty() && canonical(&order.identifiers) != canonical(asked) {
        return Some(refused("The CA created an order for names other than those requested"));
    }
    match (order.profile.as_deref(), profile) {
        (Some(placed), Some(profile)) if placed != profile => {
            Some(refused(&format!("The CA created an order with a profile other than {profile}")))
        }
        _ => too_many(order, asked),
    }
}

/// The failure for an order whose names have changed since it was last read. Not every answer repeats them.
pub fn altered(before: &Order, order: &Order) -> Option<Failure> {
    let said = !before.identifiers.is_empty() && !order.identifiers.is_empty();
    let same = !said || canonical(&before.identifiers) == canonical(&order.identifiers);
    (!same).then(|| refused("The CA changed the names of an existing order"))
}

/// Reads the authorizations, unless there are more of them than names.
pub(super) fn read(situation: &Situation<'_>) -> IssuanceStep {
    let order = situation.learned().order.as_ref();
    match order.and_then(|order| too_many(order, &asked(situation))) {
        Some(failure) => IssuanceStep::Fail(failure),
        None => IssuanceStep::ReadAuthorizations(
            order.map(|order| order.authorizations.clone()).unwrap_or_default(),
        ),
    }
}

/// The failure for a pending authorization of a name that was not requested. An authorization that is already valid may be for
/// a parent domain, or the whole organization.
pub(super) fn for_other_name(
    situation: &Situation<'_>,
    authorizations: &[(String, Authorization)],
) -> Option<Failure> {
    let asked = canonical(&asked(situation));
    let pending = authorizations
        .iter()
        .filter(|(_, authorization)| authorization.status == AuthorizationStatus::Pending)
        .map(|(_, authorization)| authorization.name());
    let name = pending.into_iter().find(|name| !asked.contains(&canonical_name(name)))?;
    let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(LONGEST_NAME).collect();
    Some(refused(&format!(
        "The CA requires validation of {shown:?}, which the Certificate does not list; nothing was presented for it"
    )))
}

/// The failure for challenges that are too large to record.
pub(super) fn too_long(challenged: &[Challenged]) -> Option<Failure> {
    let length = |one: &Challenged| one.url.len() + one.authorization.len() + one.token.len();
    let altogether: usize = challenged.iter().map(length).sum();
    (altogether > MAX_CHALLENGES).then(|| {
        refused(
            "The URLs and tokens of the CA's challenges exceed 48 KiB in total, which is too much to record",
        )
    })
}

/// Names that differ only in spelling or order are the same.
pub(super) fn canonical(identifiers: &[Identifier]) -> BTreeSet<String> {
    identifiers.iter().map(|identifier| canonical_name(&identifier.value)).collect()
}

fn canonical_name(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

fn asked(situation: &Situation<'_>) -> Vec<Identifier> {
    situation.wanted.as_ref().map(|wanted| wanted.identifiers()).unwrap_or_default()
}

fn too_many(order: &Order, asked: &[Identifier]) -> Option<Failure> {
    let (count, names) = (order.authorizations.len(), asked.len());
    (count > names).then(|| {
        refused(&format!(
            "The CA created an order with {count} authorizations for {names} name{}; none of them was read",
            if names == 1 { "" } else { "s" }
        ))
    })
}

fn refused(what: &str) -> Failure {
    Failure {
        reason: reason::ANSWER_REFUSED,
        message: format!("{what}. The order is abandoned; tell the CA's operator"),
        disposition: Disposition::OrderLost,
        retry_after: None,
    }
}
