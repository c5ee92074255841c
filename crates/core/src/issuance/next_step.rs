//! Decides the next step of an issuance.

use jiff::{SignedDuration, Timestamp};

use super::check_caa;
use super::fallback;
use super::listed;
use super::order::go_on;
use super::pace::{backing_off, failed_generation, is_due_by_time, too_soon};
use super::rehearse;
use super::renewal_info::ask_before_rest;
use super::served;
use super::step::{make_room, wait};
use super::waiting::{look_at_cluster_again, waiting_since, without_password};
use super::{IssuanceStep, IssuerView, Situation, Snapshot, State};
use crate::authorization::{Authorized, ancestor};
use crate::duplicates;
use crate::issuers;
use crate::records;
use crate::reissue::Due;
use crate::renewal::{Placement, whole_seconds};
use crate::revocation;
use crate::secret::TYPE_TLS;
use crate::spec::ValidatedCertificate;
use certwright_acme::{Identifier, NewOrder};
use certwright_api::{CertificateStatus, Solver, certificate_reason as reason};
use certwright_pki::KeyAlgorithm;

/// How often passwords of keystores are read again.
const PASSWORD_AGE: SignedDuration = SignedDuration::from_hours(1);

/// Decides what to do next.
pub fn next_step(state: &State, seen: &Snapshot<'_>, now: Timestamp) -> IssuanceStep {
    let situation = &seen.with(state);
    if let Some(chore) = revocation::next(situation, now) {
        return IssuanceStep::Revocation(chore);
    }
    if let Some(step) = listed::news(situation) {
        return step;
    }
    if let Some(news) = served::news(&state.status, seen) {
        return IssuanceStep::RecordServed(news.map(Box::new));
    }
    match next_of_issuance(situation, now) {
        // Cleaning up is less urgent than the issuance.
        step @ (IssuanceStep::Rest { .. } | IssuanceStep::Wait { .. } | IssuanceStep::BackOff { .. }) => {
            let chore = records::due(
                &situation.state.status,
                situation.has_finalizer,
                situation.revocation.deleted,
                now,
            );
            chore.map_or_else(|| ask_before_rest(situation, step, now), IssuanceStep::Tidy)
        }
        step => step,
    }
}

/// Decides what to do next for a Certificate that is being deleted: it revokes what has to be revoked, removes what is
/// presented, and then the finalizer. `None` if there is nothing to do now.
pub fn last_step(state: &State, seen: &Snapshot<'_>, now: Timestamp) -> Option<IssuanceStep> {
    match revocation::next(&seen.with(state), now) {
        Some(chore) => Some(IssuanceStep::Revocation(chore)),
        None => records::last_chore(&state.status, seen.has_finalizer, seen.revocation.deleted, now)
            .map(IssuanceStep::Tidy),
    }
}

/// When the ledgers in the status next require something.
pub fn next_chore(status: &CertificateStatus) -> Option<Timestamp> {
    records::next_removal(&status.dns_records).into_iter().chain(revocation::next_attempt(status)).min()
}

fn next_of_issuance(situation: &Situation<'_>, now: Timestamp) -> IssuanceStep {
    if let Some(leftovers) = situation.state.leftovers(situation.seen, now) {
        // Without the key, the order cannot tell any more that its certificate is the one that was requested.
        return match situation.renew_request_is_recorded() {
            true => IssuanceStep::Remove(leftovers),
            false => IssuanceStep::Record,
        };
    }
    let wanted = match situation.wanted {
        Ok(wanted) => wanted,
        Err(invalid) if situation.has_leftovers(now) => {
            return IssuanceStep::Abandon { message: invalid.to_string() };
        }
        Err(invalid) => return wait(None, reason::INVALID_SPEC, invalid.to_string()),
    };
    if let Some(step) = not_ours(situation, wanted, now) {
        return step;
    }
    let Some(due) = situation.due(now) else {
        return match situation.has_leftovers(now) {
            true => IssuanceStep::CleanUp,
            false if !situation.secret.as_written => without_password(situation, now)
                .unwrap_or_else(|| IssuanceStep::RefreshSecret(Box::new(wanted.clone()))),
            false => match waits_for_window(situation, now) {
                Some(until) => IssuanceStep::BackOff { until },
                None => IssuanceStep::Rest { until: look_again_at_rest(situation, now) },
            },
        };
    };
    if duplicates::is_loss(&due) && situation.can_restore(now) {
        return without_password(situation, now)
            .unwrap_or_else(|| IssuanceStep::RestoreSecret(Box::new(wanted.clone())));
    }
    if let Some(issuer) = fallback::another(situation, wanted, &due, now) {
        return match situation.has_leftovers(now) {
            true => {
                IssuanceStep::Abandon { message: format!("{} is tried instead", issuers::in_words(issuer)) }
            }
            false => IssuanceStep::UseIssuer(issuer.clone()),
        };
    }
    if let Some(step) = rehearse::skip(situation, wanted, now) {
        return step;
    }
    fallback::or_fallback(situation, wanted, &due, from_issuer(situation, wanted, &due, now), now)
}

/// The next step with the issuer in use.
fn from_issuer(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    due: &Due,
    now: Timestamp,
) -> IssuanceStep {
    if let Some(message) = situation.not_allowed {
        return match situation.has_leftovers(now) {
            true => IssuanceStep::Abandon { message: message.to_owned() },
            false => make_room(None, reason::NOT_ALLOWED, message.to_owned()),
        };
    }
    let (account, solvers, profile, authorized) = match situation.issuer {
        IssuerView::NotFound if situation.has_leftovers(now) => {
            return IssuanceStep::Abandon { message: "the issuer of the order no longer exists".to_owned() };
        }
        IssuerView::NotFound => {
            let message = format!(
                "{} {} does not exist; create it, or name another in issuerRef",
                wanted.issuer_kind.as_str(),
                wanted.issuer_name
            );
            return make_room(None, reason::ISSUER_NOT_FOUND, message);
        }
        IssuerView::NotReady { .. } if situation.leftovers_end().is_some_and(|end| now >= end) => {
            return IssuanceStep::Abandon {
                message: "the order expired while its issuer was not ready".to_owned(),
            };
        }
        IssuerView::NotReady { message, .. } => {
            let message =
                format!("{} {} is not ready: {message}", wanted.issuer_kind.as_str(), wanted.issuer_name);
            return make_room(situation.leftovers_end(), reason::ISSUER_NOT_READY, message);
        }
        IssuerView::Ready { account, solvers, profile, authorized } => {
            (account, solvers, profile, authorized)
        }
    };
    if situation.state.progress.doubted.is_some() {
        return IssuanceStep::AskAccount;
    }
    if let Some(until) = backing_off(situation, now) {
        return IssuanceStep::BackOff { until };
    }
    match &situation.state.status.order {
        None if is_due_by_time(situation, due, now) && situation.ca_ahead.is_none() => IssuanceStep::AskTime,
        None => too_soon(situation, due, now)
            .or_else(|| too_many(situation, wanted, due, now))
            .or_else(|| listed::revoked_again(situation, due, now))
            .unwrap_or_else(|| {
                begin(situation, wanted, (account, solvers, profile.clone(), authorized), now)
            }),
        Some(order) if order.account != *account => {
            IssuanceStep::Abandon { message: "the order belongs to another account".to_owned() }
        }
        Some(_) => go_on(situation, wanted, (solvers, authorized), profile.as_deref(), now),
    }
}

/// The Secret, or the claim to it, belongs to somebody else.
fn not_ours(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    now: Timestamp,
) -> Option<IssuanceStep> {
    let name = &wanted.secret_name;
    let (reason, message) = match (&situation.secret.certificate_name, situation.claimed_by) {
        _ if let Some(keeper) = situation.kept_by => (
            reason::KEPT_BY_CERT_MANAGER,
            format!(
                "Secret {name} is managed by cert-manager's Certificate {keeper}, so Certwright leaves it alone; take it \
                 over with `certwright migrate --adopt`, or choose another secretName"
            ),
        ),
        (Some(owner), _) if owner == situation.name => {
            let type_ = situation.secret.type_.as_deref().unwrap_or(TYPE_TLS);
            let wanted = wanted.secret_type();
            if type_ == wanted || !situation.secret.exists {
                return None;
            }
            (
                reason::SECRET_NOT_OURS,
                format!(
                    "Secret {name} has type {type_}, which cannot be changed to {wanted}; delete it, or choose another \
                     secretName"
                ),
            )
        }
        (Some(owner), _) => (
            reason::SECRET_CLAIMED,
            format!("Secret {name} belongs to Certificate {owner}; choose another secretName"),
        ),
        _ if situation.secret.exists => (
            reason::SECRET_NOT_OURS,
            format!(
                "Secret {name} exists and was not created by Certwright, so Certwright leaves it alone; delete it, choose \
                 another secretName, or hand it over with the annotation {}: {}",
                certwright_api::ANNOTATION_CERTIFICATE,
                situation.name
            ),
        ),
        (_, Some(other)) => (
            reason::SECRET_CLAIMED,
            format!("Certificate {other}, which is older, has the same secretName {name}; choose another"),
        ),
        _ => return None,
    };
    Some(match situation.has_leftovers(now) {
        true => IssuanceStep::Abandon { message },
        // Secrets of others are not watched.
        false => {
            wait(Some(look_at_cluster_again(waiting_since(situation, reason, now), now)), reason, message)
        }
    })
}

/// After a renewal has failed in its window: when the next window opens, in which it is retried.
fn waits_for_window(situation: &Situation<'_>, now: Timestamp) -> Option<Timestamp> {
    situation.state.status.failed_issuance_attempts?;
    let plan = situation.current(now)?.renewal()?;
    let same_spec = failed_generation(&situation.state.status) == Some(situation.generation);
    (same_spec && plan.windows == Placement::Missed).then(|| situation.here(plan.time))
}

/// When there is something to do again: the renewal, or before it the removal of the backup for a lost Secret. The Secrets with
/// passwords of keystores are read every hour.
fn look_again_at_rest(situation: &Situation<'_>, now: Timestamp) -> Option<Timestamp> {
    let renewal = situation.current(now).and_then(|current| current.renewal_time());
    let renewal = renewal.map(|time| situation.here(time));
    let kept_until = situation.backup.and_then(|_| situation.next_duplicate(now));
    let wanted = situation.wanted.as_ref().ok();
    let passwords = wanted.filter(|wanted| wanted.outputs.has_foreign_password());
    let passwords = passwords.and_then(|_| now.checked_add(PASSWORD_AGE).ok());
    renewal.into_iter().chain(kept_until).chain(passwords).min()
}

/// The Secret was lost, and the maximum number of certificates for the same names has been ordered within a week. A requested
/// renewal is not limited.
fn too_many(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    due: &Due,
    now: Timestamp,
) -> Option<IssuanceStep> {
    let counts = duplicates::is_loss(due) && !situation.asks_for_another();
    let until = situation.next_duplicate(now).filter(|_| counts)?;
    let names = duplicates::names_digest(&wanted.names());
    let message = format!(
        "{}, and certificates for the same names were issued {} times within a week; another one could exceed the CA's \
         rate limit, so the next one is ordered at {until}. Find out what deletes or overwrites Secret {}; to get a \
         certificate immediately, give the annotation {} a new value",
        due.message,
        duplicates::counted(&situation.state.status.recent_issuances, &names, now).count(),
        wanted.secret_name,
        certwright_api::ANNOTATION_RENEW,
    );
    Some(make_room(Some(until), reason::DUPLICATE_CERTIFICATES, message))
}

fn begin(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    (account, solvers, profile, authorized): (&str, &[Solver], Option<String>, &[Authorized]),
    now: Timestamp,
) -> IssuanceStep {
    if let Some(step) = without_password(situation, now) {
        return step;
    }
    if let Some(step) = listed::look(situation, now) {
        return step;
    }
    if let Some(step) = check_caa::ask(situation, wanted, account, solvers) {
        return step;
    }
    // A rehearsal does not need one.
    let lacks_key = !wanted.rehearses && situation.key_of_order(wanted).is_none();
    // Generating an RSA key may take minutes. It happens before an order slot is taken, so nobody waits for that slot. Other keys
    // are made in no time; while thousands wait for a slot, there are no Secrets for them yet.
    let key_first = lacks_key && matches!(wanted.key, KeyAlgorithm::Rsa(_));
    if !situation.state.progress.slot && !key_first {
        return IssuanceStep::TakeSlot(situation.urgency(now));
    }
    if lacks_key {
        return IssuanceStep::StoreKey(wanted.key, wanted.encoding);
    }
    let lifetime = situation.lifetime();
    let not_after = lifetime.and_then(|lifetime| situation.at_ca(now).checked_add(lifetime).ok());
    IssuanceStep::PlaceOrder(Box::new(NewOrder {
        identifiers: identifiers(wanted, authorized),
        not_after: not_after.map(whole_seconds),
        profile,
        replaces: situation
            .replaces()
            .filter(|_| !situation.state.progress.without_replaces)
            .map(str::to_owned),
    }))
}

/// The names to order. The CA is told which ones an authorization of a domain above covers, if it knows such authorizations.
fn identifiers(wanted: &ValidatedCertificate, authorized: &[Authorized]) -> Vec<Identifier> {
    let with_ancestor = |identifier: Identifier| {
        let ancestor_domain = ancestor(authorized, &identifier.value).map(str::to_owned);
        Identifier { ancestor_domain, ..identifier }
    };
    wanted.identifiers().into_iter().map(with_ancestor).collect()
}
