//! The daily check of an account: whether it is still valid at the CA. Without it, an account that was revoked in the CA's portal
//! would be noticed only at the next renewal.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{Consequence, Report};
use super::state::Pending;
use super::{AccountStep, Recorded, Snapshot, State};
use crate::disposition::of_account_request;
use crate::naming::stable_fraction;
use crate::renewal::{whole_seconds, whole_seconds_up};
use certwright_acme::{AccountStatus, AcmeError, Operation};
use certwright_api::AcmeAccountStatus;

/// The longest time between two checks.
const INTERVAL: SignedDuration = SignedDuration::from_hours(24);
/// The wait after a check without an answer.
const RETRY: SignedDuration = SignedDuration::from_hours(1);
/// A check is made earlier by up to this part of the interval, so that issuers take turns.
const SPREAD: f64 = 0.1;

/// When an account that the CA confirmed at `now` is checked next.
pub(super) fn next(uid: &str, now: Timestamp) -> Timestamp {
    let earlier = SPREAD * stable_fraction(&format!("{uid}/check"));
    let wait =
        SignedDuration::try_from_secs_f64(INTERVAL.as_secs_f64() * (1.0 - earlier)).unwrap_or(INTERVAL);
    whole_seconds_up(now.saturating_add(wait).unwrap_or(now))
}

/// The check, if it is due.
pub(super) fn due(acme: &AcmeAccountStatus, now: Timestamp) -> Option<AccountStep> {
    let due = acme.next_check_time.as_ref()?.0;
    (due <= now).then(|| AccountStep::Check { url: acme.uri.clone() })
}

impl State {
    /// Records when the account is checked next, and returns that time.
    pub(super) fn plan_check(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) -> Option<Timestamp> {
        let acme = self.status.acme.as_mut()?;
        Some(acme.next_check_time.get_or_insert_with(|| Time(next(snapshot.uid, now))).0)
    }

    /// What follows from a check.
    pub(super) fn checked(
        &mut self,
        url: String,
        answer: Result<AccountStatus, AcmeError>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let Some(acme) = &mut self.status.acme else { return Consequence::DECIDE };
        match answer {
            Ok(AccountStatus::Valid) => {
                acme.last_check_time = Some(Time(whole_seconds(now)));
                acme.next_check_time = Some(Time(next(snapshot.uid, now)));
                Consequence::DECIDE
            }
            Ok(status) => self.has_ended(&url, status, snapshot, now),
            Err(error) if error.code() == "accountDoesNotExist" => {
                let (server, key_id) = (acme.server.clone(), acme.bound_key_id.clone());
                let recorded = Recorded { url, server, key_id, deactivated: None };
                self.pending = Some(Pending::Unknown { recorded, error });
                Consequence::DECIDE
            }
            Err(error) if of_account_request(&error).is_some() => {
                self.refused(&error, Operation::Account, snapshot, now)
            }
            // A CA that fails, or that does not support such requests, says nothing about the account.
            Err(error) => {
                let retry = now.saturating_add(RETRY).unwrap_or(now);
                acme.next_check_time = Some(Time(whole_seconds_up(retry)));
                Consequence::decide(vec![Report::NotChecked(error.to_string())])
            }
        }
    }
}

#[cfg(test)]
mod tests;
