//! What follows from a failed call to the CA.

use jiff::{SignedDuration, Timestamp};

use super::outcome::{Consequence, Report};
use super::{Ending, Failure, Snapshot, State};
use crate::backoff::ask_once_more;
use crate::conditions::sentence;
use crate::disposition::{
    self, About, Disposition, about, disposition, of_account_request, of_unacceptable, words,
};
use crate::remedy::{Retry, with_remedy};
use crate::renewal::whole_seconds_up;
use certwright_acme::{AccountStatus, AcmeError, Operation, Place};
use certwright_api::certificate_reason as reason;

/// When to check again while an account key is in doubt, unless that is resolved earlier.
const DOUBT: SignedDuration = SignedDuration::from_secs(10);

impl State {
    pub(super) fn refused(&mut self, seen: &Snapshot<'_>, error: AcmeError, now: Timestamp) -> Consequence {
        match error {
            // The pause may be long, and the first issuer is not concerned.
            AcmeError::Paused { .. } if seen.rehearses() => {
                self.refused_as(seen, &error, Disposition::TooFast, now)
            }
            AcmeError::Paused { until } => {
                let until = whole_seconds_up(until);
                let message = format!("{error}: it ends at {until}");
                let Consequence { reports, .. } =
                    self.wait_for_account(seen, Some(until), reason::RATE_LIMITED, &message, now);
                self.note_outage(seen, reason::RATE_LIMITED, &error.to_string(), now);
                Consequence { reports, next: self.or_fallback(seen, until, now) }
            }
            AcmeError::KeyInDoubt => {
                let message = sentence(&format!("{error}; it goes on when the CA has"));
                let until = now.checked_add(DOUBT).ok();
                self.wait_for_account(seen, until, reason::ISSUER_NOT_READY, &message, now)
            }
            error if may_be_about_account(&error) => {
                self.progress.doubted = Some(Box::new(error));
                Consequence::decide(Vec::new())
            }
            error => {
                let disposition = disposition_of(&error);
                self.refused_as(seen, &error, disposition, now)
            }
        }
    }

    /// The account was read from the CA, because an error may be about it.
    pub(super) fn learned_of_account(
        &mut self,
        seen: &Snapshot<'_>,
        answer: Result<AccountStatus, AcmeError>,
        now: Timestamp,
    ) -> Consequence {
        let Some(error) = self.progress.doubted.take() else { return Consequence::decide(Vec::new()) };
        let told = match answer {
            Ok(AccountStatus::Valid) => None,
            Ok(_) => Some(Disposition::AccountUnusable),
            Err(error) => of_account_request(&error),
        };
        self.refused_as(seen, &error, told.unwrap_or(disposition_of(&error)), now)
    }

    fn wait_for_account(
        &mut self,
        seen: &Snapshot<'_>,
        until: Option<Timestamp>,
        reason: &'static str,
        message: &str,
        now: Timestamp,
    ) -> Consequence {
        self.report_wait(seen, reason, message, now);
        Consequence::wait(until, vec![Report::Write])
    }

    fn refused_as(
        &mut self,
        seen: &Snapshot<'_>,
        error: &AcmeError,
        disposition: Disposition,
        now: Timestamp,
    ) -> Consequence {
        // After a badNonce error the request has already been repeated, and a CA that sends too much would do so again.
        let unacceptable = matches!(error, AcmeError::OutOfBounds { .. });
        let asked_often = error.code() == "badNonce" || error.retry_after().is_some() || unacceptable;
        if disposition == Disposition::Stumbled && !asked_often {
            self.progress.stumbles += 1;
            if let Some(soon) = ask_once_more(self.progress.stumbles, now) {
                return self.ask_once_more(error, soon);
            }
        }
        if disposition.is_of_account() {
            let message = seen.advised(&sentence(&words(error)), error, disposition);
            return self.blame_account(seen, disposition, disposition::reason(error.code()), message, now);
        }
        // A connection error may have the same name as a code of the CA, but does not come from the CA.
        let said = error.problem().and_then(|problem| disposition::reason(problem.code()));
        let reason = said.unwrap_or(match disposition {
            _ if unacceptable => reason::ANSWER_REFUSED,
            Disposition::TooFast => reason::RATE_LIMITED,
            Disposition::Stumbled => reason::CA_UNAVAILABLE,
            _ => reason::FAILED,
        });
        let failure = Failure {
            reason,
            message: match hint(seen, error) {
                "" => seen.advised(&sentence(&error.to_string()), error, disposition),
                hint => sentence(&format!("{error}{hint}")),
            },
            disposition,
            retry_after: error.retry_after(),
        };
        self.end(seen, Ending::Failed(failure), now)
    }

    /// The CA failed temporarily, and the request is retried soon. If the CA processed it, the order shows that; an order that
    /// is not recorded would be placed again.
    fn ask_once_more(&mut self, error: &AcmeError, soon: Timestamp) -> Consequence {
        self.learn().lost_answer();
        let mut reports = vec![Report::AskedAgain(error.to_string(), soon)];
        reports.extend(self.status.order.is_some().then_some(Report::Write));
        Consequence::wait(Some(soon), reports)
    }

    /// The account is the cause: the issuer's own controller reports that, and this Certificate waits for the issuer.
    pub(super) fn blame_account(
        &mut self,
        seen: &Snapshot<'_>,
        disposition: Disposition,
        reason: Option<&'static str>,
        message: String,
        now: Timestamp,
    ) -> Consequence {
        let not_ready = format!("{} is not ready: {message}", seen.issuer_in_words());
        self.progress.slot = false;
        self.report_wait(seen, reason::ISSUER_NOT_READY, &not_ready, now);
        if !seen.rehearses() {
            self.note_outage(seen, reason::ISSUER_NOT_READY, &message, now);
        }
        let reports =
            vec![Report::Account { disposition, reason, message }, Report::LeaveSlot, Report::Write];
        Consequence::wait(None, reports)
    }
}

/// Whether the error leaves open if the account is the cause. After an account is deactivated, the CA answers all its requests
/// with `unauthorized` (RFC 8555 section 7.3.6), and some CAs with 401 or 403 and a code of their own.
fn may_be_about_account(error: &AcmeError) -> bool {
    match error {
        AcmeError::Problem { status, .. } => {
            let code = error.code();
            code == "unauthorized" || (matches!(status, 401 | 403) && disposition::reason(code).is_none())
        }
        AcmeError::Http { status, .. } => matches!(status, 401 | 403),
        _ => false,
    }
}

impl Snapshot<'_> {
    /// What was said about the CA's error, followed by what to do.
    fn advised(&self, said: &str, error: &AcmeError, disposition: Disposition) -> String {
        // A connection error may have the same name as a code of the CA.
        let Some(problem) = error.problem() else { return said.to_owned() };
        let place = match (disposition, error.operation()) {
            (Disposition::AccountUnusable, _) => Place::Account,
            (Disposition::ValidationFailed, Some(Operation::Challenge)) => Place::Challenge,
            _ => Place::Order,
        };
        with_remedy(said, problem.code(), place, self.retry(disposition).as_ref())
    }

    /// What to retry once a person has acted as the disposition requires.
    pub(super) fn retry(&self, disposition: Disposition) -> Option<Retry<'_>> {
        match disposition {
            Disposition::NotAllowed => Some(Retry::Certificate(self.name)),
            Disposition::CaOperatorMustAct => self
                .wanted
                .as_ref()
                .ok()
                .map(|wanted| Retry::Issuer { kind: wanted.issuer_kind, name: &wanted.issuer_name }),
            _ => None,
        }
    }
}

fn disposition_of(error: &AcmeError) -> Disposition {
    match error {
        // The CA validates no challenge of this authorization any more.
        AcmeError::Problem { operation: Operation::Challenge, .. } if error.code() == "RATE_LIMITED" => {
            Disposition::ValidationFailed
        }
        AcmeError::Problem { status, .. } | AcmeError::Http { status, .. } => {
            disposition(error.code(), Some(*status), error.operation().map_or(About::Order, about))
        }
        AcmeError::OutOfBounds { operation, .. } => of_unacceptable(about(*operation)),
        _ => Disposition::Stumbled,
    }
}

/// A hint for an error that a setting probably caused.
fn hint(seen: &Snapshot<'_>, error: &AcmeError) -> &'static str {
    match error {
        AcmeError::Problem { operation: Operation::NewOrder, .. }
            if error.code() == "malformed" && seen.lifetime().is_some() =>
        {
            ". The order requests the lifetime set in duration, which few CAs support: remove enableDurationFeature from \
             the issuer if this CA does not"
        }
        _ => "",
    }
}
