//! Act: executes one step at a time. The state machine decides what follows from the outcome.

use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::work::ReconcileCertificate;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::{IssuerRecord, account_secret};
use crate::runtime::metrics::RevocationOutcome;
use certwright_acme::Account;
use certwright_core::account::AccountRefusal;
use certwright_core::issuance::{Consequence, Ending, IssuanceStep, Next, Outcome, Report};
use certwright_core::issuers;
use certwright_core::records;
use certwright_core::reissue::Urgency;
use certwright_core::revocation::RevocationTask;
use certwright_runtime::clock;

/// When to retry publishing events.
const NEWS: SignedDuration = SignedDuration::from_secs(5);

impl ReconcileCertificate {
    /// Does one step.
    pub(super) async fn act(&mut self, step: IssuanceStep, context: &Context) -> Result<Next, Error> {
        let outcome = match step {
            IssuanceStep::Rest { until } => return self.rest(until, context).await,
            IssuanceStep::Wait { until, reason, message, makes_room } => {
                Outcome::Waited { until, reason, message, makes_room }
            }
            IssuanceStep::BackOff { until } => Outcome::BackedOff { until },
            IssuanceStep::Record => {
                self.flush(context).await?;
                Outcome::Recorded
            }
            IssuanceStep::AskTime => Outcome::AskedTime(self.account()?.ask_time().await),
            IssuanceStep::AskAccount => {
                Outcome::AskedAccount(self.account()?.state().await.map(|account| account.status))
            }
            IssuanceStep::CheckCaa(question) => self.check_caa(question, context).await?,
            IssuanceStep::TakeSlot(urgency) => self.take_slot(urgency, context)?,
            IssuanceStep::StoreKey(algorithm, encoding) => {
                self.store_key(algorithm, encoding, context).await?
            }
            IssuanceStep::PlaceOrder(order) => self.place_order(*order).await?,
            IssuanceStep::ReadOrder(url) => Outcome::OrderRead(self.account()?.order(&url).await),
            IssuanceStep::ReadAuthorizations(urls) => self.read_authorizations(&urls).await?,
            IssuanceStep::Present(challenged) => self.present(challenged, context).await?,
            IssuanceStep::SelfCheck => self.self_check(context).await?,
            IssuanceStep::Answer(challenges) => self.answer(&challenges).await?,
            IssuanceStep::Finalize(url, request) => self.finalize(&url, &request).await?,
            IssuanceStep::Download(url, request) => self.download(&url, &request).await?,
            IssuanceStep::StoreCertificate { wanted, chain, key } => {
                self.store_certificate(&wanted, &chain, &key, context).await?
            }
            IssuanceStep::AskForRenewalInfo { certificate_id, patience } => {
                self.ask_for_renewal_info(&certificate_id, patience).await?
            }
            IssuanceStep::RefreshSecret(wanted) => self.refresh_secret(*wanted, context).await?,
            IssuanceStep::RestoreSecret(wanted) => self.restore_secret(*wanted, context).await?,
            IssuanceStep::CleanUp => Outcome::Ended(Ending::Done),
            IssuanceStep::Abandon { message } => Outcome::Ended(Ending::Abandoned(message)),
            IssuanceStep::Fail(failure) => Outcome::Ended(Ending::Failed(failure)),
            IssuanceStep::Remove(leftovers) => self.remove(&leftovers, context).await?,
            IssuanceStep::EndRehearsal(rehearsal) => Outcome::Ended(Ending::Rehearsed(rehearsal)),
            IssuanceStep::UseIssuer(issuer) => Outcome::IssuerChosen(issuer),
            IssuanceStep::RecordRevoked(finding) => Outcome::RevokedRecorded(finding),
            IssuanceStep::RecordServed(finding) => Outcome::ServedRecorded(finding),
            IssuanceStep::ReadRevocationList { url, patience } => {
                let _ = timeout(patience, context.revocation_lists.fetch_now(&url)).await;
                self.listed = context.revocation_lists.finding(&self.uid);
                Outcome::RevocationListRead
            }
            IssuanceStep::Tidy(records::CleanupTask::Withdraw) => {
                self.withdraw(context).await?;
                Outcome::Withdrawn
            }
            IssuanceStep::Tidy(records::CleanupTask::RemoveRecords(removals)) => {
                self.remove_records(removals, context).await?
            }
            IssuanceStep::Tidy(records::CleanupTask::Release) => {
                self.release(context).await?;
                Outcome::Released
            }
            IssuanceStep::Revocation(RevocationTask::KeepLedger(ledger, remark)) => {
                Outcome::LedgerKept(ledger, remark)
            }
            IssuanceStep::Revocation(RevocationTask::Revoke(revocation, patience)) => {
                self.revoke(revocation, patience, context).await?
            }
            IssuanceStep::Revocation(RevocationTask::GiveUp(revocation, words)) => {
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
            Report::LeaveSlot => self.leave_slot(context),
            Report::Account { disposition, reason, message } => {
                if let Some(issuer) = &self.in_use.issuer {
                    let generation = issuer.generation;
                    let refusal = AccountRefusal { generation, disposition, reason, message };
                    let key = self.in_use.account.as_ref().map(Account::thumbprint);
                    context.account_refusals.pass(issuer.id.clone(), refusal, key, clock::now());
                    context.wake_issuer(&issuer.id);
                }
            }
            Report::Placed(url) => info!(order = url, "placed an order"),
            Report::Failed { reason, attempts, until } => {
                info!(reason, attempts, %until, "the issuance failed");
                context.metrics.issuance_failed(reason);
            }
            Report::ReplacesRejected(error) => {
                info!(error, "placing the order again without the field replaces")
            }
            Report::Suggested { time, explanation } => {
                info!(%time, explanation, "the CA suggests a renewal time");
            }
            Report::NotSuggested(why) => debug!(why, "the CA does not suggest a renewal time"),
            Report::RenewalInfoAsked(asked) => {
                context.renewal_info_polls.remember(&self.uid, asked.clone());
                self.asked = Some(asked);
            }
            Report::Abandoned(message) => info!(why = message, "the order is abandoned"),
            Report::AskedAgain(error, soon) => {
                debug!(error, %soon, "the CA failed temporarily; asking again soon");
            }
            Report::FellBack(from, to) => {
                let (from, to) = (issuers::in_words(&from), issuers::in_words(&to));
                info!(from, to, "the issuer could not issue; trying another one");
            }
            Report::Issued { why, took, serial_number, not_after, by_fallback } => {
                info!(serial_number, %not_after, by_fallback, "issued");
                context.metrics.issued(why, took, by_fallback);
            }
            Report::Restored => context.metrics.secret_restored(),
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
            Report::RevokedByCa { serial_number, why } => {
                let reason = why.as_str();
                warn!(
                    serial_number,
                    reason, "the CA has revoked a certificate without being asked by the operator"
                );
                context.metrics.revoked_by_ca();
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

    /// Nothing has changed since it came to rest.
    pub(super) fn stay_at_rest(&mut self, context: &Context) {
        self.at_rest = true;
        self.report_metrics(context);
        self.leave_unused_slot(context);
    }

    /// The issuer and its account.
    pub(super) fn issuer(&self) -> Result<(&IssuerRecord, Account), Error> {
        let (issuer, account) = (self.in_use.issuer.as_ref(), self.in_use.account.clone());
        issuer.zip(account).ok_or(Error::Missing("the account of the issuer"))
    }

    /// The account of the issuer.
    pub(super) fn account(&self) -> Result<Account, Error> {
        Ok(self.issuer()?.1)
    }

    fn take_slot(&mut self, urgency: Urgency, context: &Context) -> Result<Outcome, Error> {
        let account = account_secret(self.issuer()?.0, &context.config.cluster_resource_namespace);
        let reference = ObjectRef::new(&self.name).within(&self.namespace);
        let slots = &context.order_slots;
        let taken = slots.take(&account, &self.uid, reference, urgency);
        self.queued = !taken;
        Ok(Outcome::Slot { taken, per_account: slots.per_account(), waiting: slots.waiting(&account) })
    }

    /// Gives up the order slot, at whichever account it is.
    pub(super) fn leave_slot(&mut self, context: &Context) {
        self.state.progress.slot = false;
        context.order_slots.free(&self.uid).into_iter().for_each(|next| context.certificate_queue.add(next));
    }

    /// Gives up an order slot that is not used: the issuer has changed, or nothing is to be ordered.
    pub(super) fn leave_unused_slot(&mut self, context: &Context) {
        let used = (self.state.progress.slot || self.queued) && !self.at_rest;
        let but = self.in_use.slot_at.as_ref().filter(|_| used);
        let next = context.order_slots.free_elsewhere(&self.uid, but);
        next.into_iter().for_each(|next| context.certificate_queue.add(next));
    }
}
