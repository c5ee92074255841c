//! What follows from the outcome of a step: the second half of the state machine.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{CaAccount, Consequence, Failure, Outcome, Report};
use super::state::{Pending, State};
use super::{Recorded, Snapshot, changed_terms, check, look_at_key_id, note_contact, note_terms};
use crate::conditions::{sentence, set_condition};
use crate::consequence::Next;
use crate::disposition::{self, Disposition};
use crate::events::Event;
use crate::renewal::whole_seconds;
use certwright_acme::{AccountStatus, AcmeError, Operation};
use certwright_api::{AcmeAccountStatus, issuer_reason as reason};

impl State {
    /// Makes the transition that follows from `outcome`. `snapshot` was taken after the step.
    pub fn apply(&mut self, snapshot: &Snapshot<'_>, outcome: Outcome, now: Timestamp) -> Consequence {
        let mut consequence = self.transition(snapshot, outcome, now);
        if let Next::Wait(until) = &mut consequence.next {
            let requests =
                [self.next_deactivation(snapshot), self.next_rebinding(snapshot, now)].into_iter().flatten();
            *until = requests.chain(*until).min();
        }
        consequence
    }

    fn transition(&mut self, snapshot: &Snapshot<'_>, outcome: Outcome, now: Timestamp) -> Consequence {
        match outcome {
            Outcome::Rested => self.rest(snapshot, now),
            Outcome::Waited { until, reason, message } => {
                // Earlier failures are forgotten, because the wait after them must not delay what is waited for now.
                self.forget_failures();
                self.set_ready(false, reason, &message, snapshot, now);
                Consequence::wait(until, vec![Report::Write])
            }
            Outcome::Held { until } => Consequence::wait(until, vec![Report::Write]),
            Outcome::KeyStored { made } => {
                // A key that was just generated has no account yet.
                self.looked_up = made;
                Consequence::DECIDE
            }
            Outcome::KeyReplaced => {
                self.looked_up = true;
                Consequence::DECIDE
            }
            Outcome::KeyLost(url) => {
                self.history.retain(|account| account.uri != url);
                Consequence::DECIDE
            }
            Outcome::KeyRestored | Outcome::MacKeyRead | Outcome::FinalizerWritten => Consequence::DECIDE,
            Outcome::LookedUp(answer) => self.found_by_key(answer, snapshot, now),
            Outcome::ExternalAccountRequired => self.external_account_required(snapshot, now),
            Outcome::Registered { answer: Ok((account, created)), contact, .. } => {
                let contact = if created { contact } else { Vec::new() };
                self.confirmed(account, contact, false, snapshot, now)
            }
            Outcome::Registered { answer: Err(error), bound, .. } => {
                if error.operation() == Some(Operation::NewAccount) {
                    let refused = bound && error.problem().is_some();
                    let version = snapshot.external_account_version.filter(|_| refused);
                    self.status.refused_external_account_version = version.map(str::to_owned);
                }
                self.refused(&error, Operation::NewAccount, snapshot, now)
            }
            Outcome::Adopted { recorded, answer } => self.adopted(recorded, answer, snapshot, now),
            Outcome::Checked { url, answer } => self.checked(url, answer, snapshot, now),
            Outcome::Recorded => self.conclude(snapshot, now),
            Outcome::EndNoted(recorded) => {
                self.note_end(&recorded, snapshot);
                Consequence::DECIDE
            }
            Outcome::ContactUpdated { contact, answer: Ok(()) } => {
                self.status.acme.iter_mut().for_each(|acme| note_contact(acme, contact.clone()));
                Consequence::DECIDE
            }
            Outcome::ContactUpdated { answer: Err(error), .. } => {
                self.refused(&error, Operation::UpdateAccount, snapshot, now)
            }
            Outcome::Deactivated { url, answer } => self.deactivated(url, answer, snapshot, now),
            Outcome::NextKeyStored
            | Outcome::KeyChangeNotOffered
            | Outcome::KeyNotChanged(_)
            | Outcome::KeyChangeAsked(_)
            | Outcome::WaitedForValidations { .. }
            | Outcome::NextKeyLookedUp(..)
            | Outcome::PresentKeyLookedUp(..)
            | Outcome::KeyPromoted
            | Outcome::NextKeyDiscarded
            | Outcome::KeyChangeRefused { .. } => self.apply_rollover(snapshot, outcome, now),
        }
    }

    /// The account can be used, unless the CA said otherwise when a Certificate used it.
    pub(super) fn rest(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) -> Consequence {
        let mut reports = Vec::new();
        if let Some(refusal) = snapshot.refusal {
            // The verdict counts until the wait after it is over.
            let told = self.status.next_attempt_time.as_ref().map(|time| time.0);
            if told.is_none_or(|until| until > now) {
                let failure = Failure {
                    disposition: refusal.disposition,
                    reason: refusal.reason,
                    message: &refusal.message,
                    retry_after: None,
                };
                return self.fail(failure, snapshot, now);
            }
            reports.push(Report::LiftRefusal);
        }
        reports.push(Report::InUse);
        let mut news = None;
        if let Some(acme) = &mut self.status.acme {
            acme.max_concurrent_orders = i32::try_from(snapshot.orders_per_account).ok();
            news = note_terms(acme, snapshot.latest_terms).then(|| changed_terms(acme)).flatten();
        }
        self.ready(snapshot, now);
        let rollover = self.plan_rollover(snapshot, now);
        reports.push(Report::Write);
        let news = news.map(|news| Event::normal(reason::TERMS_OF_SERVICE_CHANGED, "Agree", news));
        reports.extend(news.map(Report::Event));
        reports.extend(std::mem::take(&mut self.awaited).then_some(Report::WakeCertificates));
        let check = self.plan_check(snapshot, now);
        let until = look_at_key_id(snapshot.spec, now).into_iter().chain(rollover).chain(check).min();
        Consequence::wait(until, reports)
    }

    fn found_by_key(
        &mut self,
        answer: Result<Option<CaAccount>, AcmeError>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        let unknown = self.pending.take();
        match (answer, unknown) {
            (Ok(Some(account)), _) => self.confirmed(account, Vec::new(), true, snapshot, now),
            (Ok(None), Some(Pending::Unknown { recorded, error })) => {
                let message = format!(
                    "{}. The CA at {} knows neither the account {} nor its key, which is in Secret {}: restore the right \
                     key there; or, for a new account, delete this issuer and that Secret, and recreate the issuer",
                    sentence(&error.to_string()),
                    recorded.server,
                    recorded.url,
                    snapshot.key_secret_name.0
                );
                self.account_unusable(disposition::reason(error.code()), &message, snapshot, now)
            }
            (Ok(None), _) => {
                self.looked_up = true;
                Consequence::DECIDE
            }
            (Err(error), _) => self.refused(&error, Operation::LookUpAccount, snapshot, now),
        }
    }

    /// What follows from the state of the recorded account. If the CA does not know the account, it may still know the key.
    fn adopted(
        &mut self,
        recorded: Recorded,
        answer: Result<CaAccount, AcmeError>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        match answer {
            Ok(account) if account.status == AccountStatus::Valid => {
                let contact = account.contact.clone();
                self.note_account(account, contact, recorded.key_id, snapshot, now);
                Consequence::DECIDE
            }
            Ok(account) => self.has_ended(&account.url, account.status, snapshot, now),
            Err(error) if error.code() == "accountDoesNotExist" => {
                self.pending = Some(Pending::Unknown { recorded, error });
                Consequence::DECIDE
            }
            Err(error) => self.refused(&error, Operation::Account, snapshot, now),
        }
    }

    /// The CA has confirmed an account. It is recorded in the Secret first, because the Secret outlives the issuer. `contact`
    /// is what the account was just registered with, because some CAs do not return it.
    fn confirmed(
        &mut self,
        account: CaAccount,
        contact: Vec<String>,
        found: bool,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        if account.status != AccountStatus::Valid {
            return self.has_ended(&account.url, account.status, snapshot, now);
        }
        let contact = if contact.is_empty() { account.contact.clone() } else { contact };
        self.pending = Some(Pending::Confirmed { account, contact, found });
        Consequence::DECIDE
    }

    /// The account exists, but is no longer valid.
    pub(super) fn has_ended(
        &mut self,
        url: &str,
        status: AccountStatus,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) -> Consequence {
        if status == AccountStatus::Deactivated {
            self.pending = Some(Pending::Ended { url: url.to_owned(), by_us: false });
            return Consequence::DECIDE;
        }
        let message = format!("The CA says that the account {url} is {status}");
        self.account_unusable(None, &message, snapshot, now)
    }

    /// The CA's answer is recorded in the Secret, and is now recorded in the status.
    fn conclude(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) -> Consequence {
        match self.pending.take() {
            Some(Pending::Confirmed { account, contact, found }) => {
                let url = account.url.clone();
                let key_id = snapshot.wanted_key_id().map(str::to_owned);
                self.note_account(account, contact, key_id, snapshot, now);
                let note = format!(
                    "The CA knows the key in Secret {}: its account {url} is used, and none is registered",
                    snapshot.key_secret_name.0
                );
                let event = Event::normal(reason::ACCOUNT_REGISTERED, "LookUp", note);
                Consequence::decide(match found {
                    true => vec![Report::Found(url), Report::Event(event)],
                    false => Vec::new(),
                })
            }
            Some(Pending::Ended { url, by_us }) => self.end_recorded(&url, by_us, now),
            other => {
                self.pending = other;
                Consequence::DECIDE
            }
        }
    }

    fn note_account(
        &mut self,
        account: CaAccount,
        contact: Vec<String>,
        key_id: Option<String>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) {
        let mut acme = AcmeAccountStatus {
            uri: account.url,
            server: snapshot.spec.server.clone(),
            key_thumbprint: snapshot.thumbprint().unwrap_or_default().to_owned(),
            key_algorithm: snapshot.key_algorithm(),
            bound_key_id: key_id,
            terms_of_service: account.terms_of_service,
            previous_accounts: self.history.clone(),
            last_check_time: Some(Time(whole_seconds(now))),
            next_check_time: Some(Time(check::next(snapshot.uid, now))),
            ..AcmeAccountStatus::default()
        };
        note_contact(&mut acme, contact);
        let before = self.status.acme.replace(acme);
        self.note_rebound(before.as_ref(), snapshot, now);
        self.note_key_dates(before, snapshot, now);
    }

    fn external_account_required(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) -> Consequence {
        let message = format!(
            "The CA at {} requires an external account binding; set spec.acme.externalAccountBinding with the key id and \
             the MAC key that the CA gave you",
            snapshot.spec.server
        );
        let failure = Failure {
            disposition: Disposition::CaOperatorMustAct,
            reason: Some(reason::EXTERNAL_ACCOUNT_REQUIRED),
            message: &message,
            retry_after: None,
        };
        self.fail(failure, snapshot, now)
    }

    /// Sets the condition `type_`.
    pub(super) fn set_condition(
        &mut self,
        type_: &str,
        is: bool,
        reason: &str,
        message: &str,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) {
        let conditions = &mut self.status.conditions;
        set_condition(conditions, type_, is, reason, message, snapshot.generation, now);
    }
}
