//! Act: executes one step at a time. The state machine decides what follows from the outcome.

use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;
use tracing::{debug, info, warn};

use super::work::Work;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::runtime::clock;
use crate::runtime::metrics::RevocationOutcome;
use certwright_acme::Account;
use certwright_core::account::Verdict;
use certwright_core::issuance::{Consequence, Ending, Next, Outcome, Report, Step};
use certwright_core::records;
use certwright_core::revocation::Chore;

/// When to retry publishing events.
const NEWS: SignedDuration = SignedDuration::from_secs(5);

impl Work {
    /// Does one step.
    pub(super) async fn act(&mut self, step: Step, context: &Context) -> Result<Next, Error> {
        let outcome = match step {
            Step::Rest { until } => return self.rest(until, context).await,
            Step::Wait { until, reason, message, makes_room } => {
                Outcome::Waited { until, reason, message, makes_room }
            }
            Step::BackOff { until } => Outcome::BackedOff { until },
            Step::Record => {
                self.flush(context).await?;
                Outcome::Recorded
            }
            Step::AskTime => Outcome::AskedTime(self.account()?.ask_time().await),
            Step::AskAccount => {
                Outcome::AskedAccount(self.account()?.state().await.map(|account| account.status))
            }
            Step::TakePlace => self.take_place(context)?,
            Step::StoreKey => self.store_key(context).await?,
            Step::PlaceOrder(order) => self.place_order(*order).await?,
            Step::ReadOrder(url) => Outcome::OrderRead(self.account()?.order(&url).await),
            Step::ReadAuthorizations(urls) => self.read_authorizations(&urls).await?,
            Step::Present(challenged) => self.present(challenged, context).await?,
            Step::SelfCheck => self.self_check(context).await?,
            Step::Answer(challenges) => self.answer(&challenges).await?,
            Step::Finalize(url) => self.finalize(&url).await?,
            Step::Download(url) => self.download(&url).await?,
            Step::StoreCertificate => self.store_certificate(context).await?,
            Step::AskForRenewalInfo => self.ask_for_renewal_info(context).await?,
            Step::RefreshSecret => self.refresh_secret(context).await?,
            Step::RestoreSecret => self.restore_secret(context).await?,
            Step::CleanUp => Outcome::Ended(Ending::Done),
            Step::Abandon { message } => Outcome::Ended(Ending::Abandoned(message)),
            Step::Fail(failure) => Outcome::Ended(Ending::Failed(failure)),
            Step::Remove(leftovers) => self.remove(&leftovers, context).await?,
            Step::Tidy(records::Chore::Withdraw) => {
                self.withdraw(context).await?;
                Outcome::Withdrawn
            }
            Step::Tidy(records::Chore::RemoveRecords(removals)) => {
                self.remove_records(removals, context).await?
            }
            Step::Tidy(records::Chore::Release) => {
                self.release(context).await?;
                Outcome::Released
            }
            Step::Revocation(Chore::KeepLedger(ledger, remark)) => Outcome::LedgerKept(ledger, remark),
            Step::Revocation(Chore::Revoke(revocation, patience)) => {
                self.revoke(revocation, patience, context).await?
            }
            Step::Revocation(Chore::GiveUp(revocation, words)) => {
                Outcome::RevocationGivenUp(revocation, words)
            }
        };
        self.take_in(outcome, context).await
    }

    /// Passes an outcome to the state machine, and delivers its reports.
    pub(super) async fn take_in(&mut self, outcome: Outcome, context: &Context) -> Result<Next, Error> {
        let consequence = self.state.apply(&self.seen.snapshot(context), outcome, clock::now());
        let Consequence { reports, next } = consequence;
        for report in reports {
            self.tell_of(report, context).await?;
        }
        Ok(next)
    }

    async fn tell_of(&mut self, report: Report, context: &Context) -> Result<(), Error> {
        match report {
            Report::Write => drop(self.flush(context).await?),
            Report::Event(event) => self.news.push(event),
            Report::LeavePlace => self.leave_place(context),
            Report::Account { disposition, reason, message } => {
                if let Some(issuer) = &self.issuer {
                    let generation = issuer.generation;
                    let verdict = Verdict { generation, disposition, reason, message };
                    context.verdicts.pass(issuer.id.clone(), verdict);
                    context.wake_issuer(&issuer.id);
                }
            }
            Report::Placed(url) => info!(order = url, "placed an order"),
            Report::Failed { reason, attempts, until, message } => {
                info!(reason, attempts, %until, message, "the issuance failed");
                context.metrics.issuance_failed(reason);
            }
            Report::Abandoned(message) => info!(message, "the order is abandoned"),
            Report::AskedAgain(error, soon) => {
                debug!(error, %soon, "the CA failed temporarily; asking again soon");
            }
            Report::Issued { why, took, serial_number, not_after } => {
                info!(serial_number, %not_after, "issued");
                context.metrics.issued(why, took);
            }
            Report::LeftBehind(record, words) => {
                warn!(fqdn = record.fqdn, words, "a TXT record is left behind");
                context.metrics.record_left_behind();
            }
            Report::Revoked { serial_number, why } => {
                info!(serial_number, reason = why.as_str(), "revoked");
                context.metrics.revocation(RevocationOutcome::Succeeded, why.as_str());
            }
            Report::NotRevoked { serial_number, why, words } => {
                warn!(serial_number, words, "a certificate is not revoked yet");
                context.metrics.revocation(RevocationOutcome::Failed, why.as_str());
            }
            Report::RevocationGivenUp { serial_number, why, words } => {
                warn!(serial_number, words, "gave up revoking a certificate");
                context.metrics.revocation(RevocationOutcome::GivenUp, why.as_str());
            }
        }
        Ok(())
    }

    /// There is nothing to do, except to publish pending events.
    async fn rest(&mut self, until: Option<Timestamp>, context: &Context) -> Result<Next, Error> {
        let next = self.take_in(Outcome::Rested { until }, context).await?;
        self.at_rest = self.news.is_empty();
        match next {
            Next::Wait(until) if !self.at_rest => {
                let again = clock::now().checked_add(NEWS).ok();
                Ok(Next::Wait(until.into_iter().chain(again).min()))
            }
            next => Ok(next),
        }
    }

    /// The account of the issuer.
    pub(super) fn account(&self) -> Result<Account, Error> {
        self.account.clone().ok_or(Error::Bug("a step that calls the CA was decided on without an account"))
    }

    fn take_place(&mut self, context: &Context) -> Result<Outcome, Error> {
        let account = self.place_at.clone().ok_or(Error::Bug("a place was asked for without an issuer"))?;
        let reference = ObjectRef::new(&self.name).within(&self.namespace);
        let taken = context.places.take(&account, &self.uid, reference);
        self.queued = !taken;
        Ok(Outcome::Place { taken, per_account: context.places.per_account() })
    }

    /// Gives up the order slot, at whichever account it is.
    pub(super) fn leave_place(&mut self, context: &Context) {
        self.state.progress.place = false;
        context.places.free(&self.uid).into_iter().for_each(|next| context.wake_certificate.wake(next));
    }

    /// Gives up an order slot that is not used: the issuer has changed, or nothing is to be ordered.
    pub(super) fn leave_unused_place(&mut self, context: &Context) {
        let used = (self.state.progress.place || self.queued) && !self.at_rest;
        let but = self.place_at.as_ref().filter(|_| used);
        let next = context.places.free_elsewhere(&self.uid, but);
        next.into_iter().for_each(|next| context.wake_certificate.wake(next));
    }
}
