//! The current order: read, validated, finalized, downloaded, stored (RFC 8555 section 7.4).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::asked::{self, canonical};
use super::pace::expired_unstored;
use super::polling::{poll, processing_since, read_order};
use super::prove::prove;
use super::rehearse;
use super::rejected::invalid;
use super::solve::solver_of;
use super::step::wait;
use super::waiting::without_password;
use super::{Failure, IssuanceStep, KeyOfOrder, Request, Situation};
use crate::authorization::Authorized;
use crate::backoff::look_again;
use crate::disposition::Disposition;
use crate::records::CleanupTask;
use crate::revocation::reason_of_serial;
use crate::spec::ValidatedCertificate;
use certwright_acme::{Order, OrderStatus};
use certwright_api::{Solver, certificate_reason as reason};
use certwright_pki::Chain;

/// If the CA processes an order for this long, presented answers are removed.
const LONG_PROCESSING: SignedDuration = SignedDuration::from_secs(30);
/// Bounds of the wait before the CSR is sent again to a CA that accepted it but still reports the order as ready.
const FINALIZE_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// No validation is started for an order that expires within this time.
const EXPIRY_MARGIN: SignedDuration = SignedDuration::from_secs(5);

/// Continues with the current order.
pub(super) fn go_on(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    (solvers, authorized): (&[Solver], &[Authorized]),
    profile: Option<&str>,
    now: Timestamp,
) -> IssuanceStep {
    let (progress, learned) = (&situation.state.progress, situation.learned());
    let Some(order) = &learned.order else { return read_order(situation) };
    let chain_lacks_names =
        learned.chain.as_ref().is_some_and(|chain| chain.leaf().check_names(&wanted.subject).is_err());
    let asked_for = canonical(&order.identifiers);
    if chain_lacks_names || (!asked_for.is_empty() && asked_for != canonical(&wanted.identifiers())) {
        return IssuanceStep::Abandon {
            message: "the names have changed since the order was placed".to_owned(),
        };
    }
    if let (Some(asked), Some(wanted)) = (order.profile.as_deref(), profile)
        && asked != wanted
    {
        return IssuanceStep::Abandon {
            message: "the profile has changed since the order was placed".to_owned(),
        };
    }
    if let Some(step) = rehearse::passed(situation, wanted, learned) {
        return step;
    }
    let key = situation.key_of_order(wanted);
    if !wanted.rehearses && key.is_none() {
        return without_key();
    }
    let left = |expires: Timestamp| expires.duration_since(situation.at_ca(now));
    let expired = order.expires.is_some_and(|expires| left(expires) < EXPIRY_MARGIN);
    match &order.status {
        // The cause of the long wait has already been reported as a failure.
        OrderStatus::Invalid | OrderStatus::Pending | OrderStatus::Ready
            if expired && order.error.is_none() && situation.failed_with_this_order() =>
        {
            IssuanceStep::Abandon { message: "the order expired before the next attempt".to_owned() }
        }
        OrderStatus::Invalid => invalid(situation, learned),
        OrderStatus::Valid => match (&learned.chain, key) {
            (_, None) => without_key(),
            (Some(chain), Some(key)) => store(situation, wanted, (chain, key), now),
            (None, _) if (expired || situation.is_overdue(now)) && situation.failed_with_this_order() => {
                let message = "its certificate could not be downloaded before the order expired";
                IssuanceStep::Abandon { message: message.to_owned() }
            }
            (None, Some(key)) => download(order, Request { key, subject: wanted.subject.clone() }),
        },
        _ if expired => IssuanceStep::Fail(Failure {
            reason: reason::FAILED,
            message: "The order expired before it was complete; the next attempt places a new one".to_owned(),
            disposition: Disposition::OrderLost,
            retry_after: None,
        }),
        _ if situation.is_overdue(now) => IssuanceStep::Fail(Failure {
            reason: reason::FAILED,
            message: format!(
                "The CA has not completed the order within {}, so it is abandoned; ask the CA's operator what happened to it",
                situation.patience_in_words()
            ),
            disposition: Disposition::OrderLost,
            retry_after: None,
        }),
        OrderStatus::Pending if !progress.slot => IssuanceStep::TakeSlot(situation.urgency(now)),
        OrderStatus::Pending => prove(situation, (solvers, authorized), now),
        OrderStatus::Ready if !progress.slot => IssuanceStep::TakeSlot(situation.urgency(now)),
        OrderStatus::Ready if lacks_expiry(situation, wanted, solvers, authorized) => asked::read(situation),
        OrderStatus::Ready => match key {
            None => without_key(),
            Some(key) => {
                let request = Request { key, subject: wanted.subject.clone() };
                finalize(situation, order, request, now)
            }
        },
        OrderStatus::Processing | OrderStatus::Other(_)
            if situation.is_presented()
                && now.duration_since(processing_since(situation, now)) >= LONG_PROCESSING =>
        {
            IssuanceStep::Tidy(CleanupTask::Withdraw)
        }
        OrderStatus::Processing | OrderStatus::Other(_) => {
            poll(situation, now, reason::FINALIZING, "The CA is issuing the certificate".to_owned())
        }
    }
}

fn without_key() -> IssuanceStep {
    IssuanceStep::Abandon { message: "the private key of the order is missing or has changed".to_owned() }
}

/// Whether the authorizations are read before the CSR is sent, once: if the proof of control over a name will have to be repeated
/// by somebody else, the status says how long it lasts.
fn lacks_expiry(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    solvers: &[Solver],
    authorized: &[Authorized],
) -> bool {
    let learned = situation.learned();
    let has_solver = |name: &String| solver_of(solvers, name, situation.labels).is_some();
    let matters = !authorized.is_empty() || !wanted.names().iter().all(has_solver);
    let read = learned.authorizations.as_ref().map(|authorizations| authorizations.at);
    matters && learned.finalized.is_none() && read < learned.poll.at
}

/// Sends the CSR, and sends it again after a while if the CA accepted it but still reports the order as ready.
fn finalize(situation: &Situation<'_>, order: &Order, request: Request, now: Timestamp) -> IssuanceStep {
    let (learned, status) = (situation.learned(), &situation.state.status);
    // The order must be recorded before the CA issues a certificate for it.
    let on_record = situation.recorded.and_then(|recorded| recorded.order.as_ref());
    if on_record.map(|order| &order.url) != status.order.as_ref().map(|order| &order.url) {
        return IssuanceStep::Record;
    }
    let send = IssuanceStep::Finalize(order.finalize.clone(), Box::new(request));
    let (Some(sent), Some(order)) = (learned.finalized, &status.order) else { return send };
    let until = look_again(order.created.0, sent, learned.poll.retry_after, FINALIZE_BOUNDS);
    match until > now {
        true => wait(
            Some(until),
            reason::FINALIZING,
            "The CA accepted the certificate signing request, but still reports the order as ready"
                .to_owned(),
        ),
        false => send,
    }
}

fn download(order: &Order, request: Request) -> IssuanceStep {
    match &order.certificate {
        Some(url) => IssuanceStep::Download(url.clone(), Box::new(request)),
        None => IssuanceStep::Fail(Failure {
            reason: reason::CA_UNAVAILABLE,
            message: "The CA reports the order as valid, but gives no URL of the certificate".to_owned(),
            disposition: Disposition::Stumbled,
            retry_after: None,
        }),
    }
}

/// Stores the certificate, unless it is already in the Secret and an issuance is nevertheless due: storing it again, or
/// ordering another one immediately, would be an endless loop.
fn store(
    situation: &Situation<'_>,
    wanted: &ValidatedCertificate,
    (chain, key): (&Chain, KeyOfOrder),
    now: Timestamp,
) -> IssuanceStep {
    if chain.leaf().check_validity(situation.at_ca(now)).is_err() {
        return expired_unstored(situation, now);
    }
    let stored = situation.secret.leaf() == Some(chain.leaf());
    let revoked = reason_of_serial(&situation.state.status, &chain.leaf().serial_number);
    if revoked.is_some() && !stored {
        return IssuanceStep::Fail(Failure {
            reason: reason::CERTIFICATE_REFUSED,
            message: format!(
                "The certificate that the CA issued has the serial number {} of a revoked certificate, so it is not stored; \
                 report that to the CA",
                chain.leaf().serial_number
            ),
            disposition: Disposition::OrderLost,
            retry_after: None,
        });
    }
    if let Some(step) = without_password(situation, now) {
        return step;
    }
    // The certificate that is about to be replaced must be recorded first.
    let on_record = situation.recorded.and_then(|recorded| recorded.revocation.as_ref());
    let store = match on_record == situation.state.status.revocation.as_ref() {
        true => IssuanceStep::StoreCertificate {
            wanted: Box::new(wanted.clone()),
            chain: Box::new(chain.clone()),
            key,
        },
        false => IssuanceStep::Record,
    };
    let Some(due) = situation.due(now).filter(|_| stored) else { return store };
    let disposition = match due.reason {
        reason::NAMES_CHANGED | reason::KEY_ALGORITHM_CHANGED | reason::CSR_CHANGED => {
            Disposition::NotAllowed
        }
        reason::EXPIRED | reason::RENEWAL_DUE => Disposition::OrderLost,
        // This issuance is complete; the next one replaces the certificate.
        reason::REVOKED => return IssuanceStep::CleanUp,
        _ => return store,
    };
    IssuanceStep::Fail(Failure {
        reason: reason::CERTIFICATE_REFUSED,
        message: format!(
            "The certificate that the CA issued is stored, but is already due for renewal: {}",
            due.message
        ),
        disposition,
        retry_after: None,
    })
}
