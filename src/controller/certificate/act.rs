//! Act: one effect at a time, and what came of it is recorded before the next begins.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use tracing::{debug, info};

use super::Next;
use super::gather::Work;
use crate::acme::{AccountStatus, AcmeError, Operation};
use crate::api::certificate_reason as reason;
use crate::controller::conditions::sentence;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::verdicts::{Verdict, words};
use crate::core::backoff::ask_once_more;
use crate::core::disposition::{self, About, Disposition, about, disposition, of_unacceptable};
use crate::core::issuance::{Failure, Step};
use crate::core::records::Chore;
use crate::core::renewal::{whole_seconds, whole_seconds_up};

/// For how long a provider is waited for that is asked to remove a record while nothing else is to be done.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same while an issuance waits for the end of it.
pub(super) const HASTE: Duration = Duration::from_secs(2);
/// When it is tried again to say what could not be said.
const NEWS: SignedDuration = SignedDuration::from_secs(5);
/// When an account is looked at again of whose key the CA is being asked, unless it is known before.
const DOUBT: SignedDuration = SignedDuration::from_secs(10);

impl Work {
    /// Does one step.
    pub(super) async fn act(&mut self, step: Step, now: Timestamp, context: &Context) -> Result<Next, Error> {
        match step {
            Step::Rest { until } => {
                let overruled = self.windows_overruled();
                self.report_rest(now);
                if let Some((reason, message)) = self.windows_overruled().filter(|_| overruled.is_none()) {
                    self.tell(EventType::Warning, reason, "Renew", message);
                }
                self.leave_place(context);
                self.flush(context).await?;
                self.at_rest = self.news.is_empty();
                let again = now.checked_add(NEWS).ok().filter(|_| !self.at_rest);
                Ok(Next::Until(until.into_iter().chain(again).min()))
            }
            Step::Wait { until, reason, message, makes_room } => {
                self.report_wait(reason, &message, now);
                self.flush_if_worth_it(until, reason, now, context).await?;
                // Without an order it takes none from those who have one to go on with.
                if makes_room || self.status.order.is_none() {
                    self.leave_place(context);
                }
                Ok(Next::Until(until))
            }
            Step::BackOff { until } => {
                self.leave_place(context);
                self.report_backoff(now);
                self.flush(context).await?;
                Ok(Next::Until(Some(until)))
            }
            Step::AskTime => self.ask_time(now, context).await,
            Step::TakePlace => self.take_place(now, context).await,
            Step::StoreKey => self.store_key(context).await,
            Step::PlaceOrder => self.place_order(now, context).await,
            Step::ReadOrder => self.read_order(now, context).await,
            Step::ReadAuthorizations => self.read_authorizations(now, context).await,
            Step::Present(challenged) => self.present(&challenged, now, context).await,
            Step::SelfCheck => self.self_check(context).await,
            Step::Answer(challenges) => self.answer(&challenges, now, context).await,
            Step::Finalize => self.finalize(now, context).await,
            Step::Download => self.download(now, context).await,
            Step::StoreCertificate => self.store_certificate(now, context).await,
            Step::AskForRenewalInfo => self.ask_for_renewal_info(now, context).await,
            Step::RefreshSecret => self.refresh_secret(context).await,
            Step::RestoreSecret => self.restore_secret(context).await,
            Step::Revocation(chore) => self.see_to_revocation(chore, now, context).await.map(|()| Next::Step),
            Step::Tidy(chore) => self.tidy(chore, now, context).await.map(|()| Next::Step),
            Step::CleanUp => self.clean_up(now, context).await,
            Step::Abandon { message } => self.abandon(&message, now, context).await,
            Step::Fail(failure) => self.fail(failure, now, context).await,
        }
    }

    /// Does a chore.
    pub(super) async fn tidy(
        &mut self,
        chore: Chore,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), Error> {
        match chore {
            Chore::Withdraw => self.withdraw(now, context).await,
            Chore::RemoveRecords => {
                let deleted = self.certificate.metadata.deletion_timestamp.is_some();
                let bound = if self.status.order.is_some() && !deleted { HASTE } else { PATIENCE };
                self.remove_records(now, bound, context).await
            }
            Chore::Release => self.release(context).await,
        }
    }

    async fn take_place(&mut self, now: Timestamp, context: &Context) -> Result<Next, Error> {
        let (Some(account), Some(issuer)) = (self.place_at.clone(), &self.issuer) else {
            return Ok(Next::Until(None));
        };
        let reference = ObjectRef::new(&self.name).within(&self.namespace);
        self.progress.place = context.places.take(&account, &self.uid, reference);
        if self.progress.place {
            return Ok(Next::Step);
        }
        self.queued = true;
        let message = format!(
            "Waiting for other orders to finish: the account of {} {} may have {} orders under way at once, and namespaces take \
             turns",
            issuer.id.kind.as_str(),
            issuer.id.name,
            context.places.per_account()
        );
        self.report_wait(reason::QUEUED, &message, now);
        self.flush(context).await?;
        Ok(Next::Until(None))
    }

    /// Gives the place to the next in the queue, whichever account it is a place of.
    pub(super) fn leave_place(&mut self, context: &Context) {
        self.progress.place = false;
        context.places.free(&self.uid).into_iter().for_each(|next| context.wake_certificate.wake(next));
    }

    /// Gives back a place that is not used: another issuer is named, or nothing is to be ordered any more.
    pub(super) fn leave_unused_place(&mut self, context: &Context) {
        let used = (self.progress.place || self.queued) && !self.at_rest;
        let but = self.place_at.as_ref().filter(|_| used);
        let next = context.places.free_elsewhere(&self.uid, but);
        next.into_iter().for_each(|next| context.wake_certificate.wake(next));
    }

    /// What follows from an error of a call to the CA.
    pub(super) async fn refused(
        &mut self,
        error: AcmeError,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        if let AcmeError::Paused { until } = error {
            let until = whole_seconds_up(until);
            let message = format!("{error}: it ends at {until}");
            self.report_wait(reason::RATE_LIMITED, &message, now);
            self.flush(context).await?;
            return Ok(Next::Until(Some(until)));
        }
        if error == AcmeError::KeyInDoubt {
            let message = format!("{error}; it goes on when the CA has");
            self.report_wait(reason::ISSUER_NOT_READY, &sentence(&message), now);
            self.flush(context).await?;
            return Ok(Next::Until(now.checked_add(DOUBT).ok()));
        }
        let disposition = match &error {
            // RFC 8555 section 7.3.6: all that an account asks for after it has ended is answered so.
            AcmeError::Problem { .. } if error.code() == "unauthorized" && self.account_has_ended().await => {
                Disposition::AccountUnusable
            }
            AcmeError::Problem { status, .. } | AcmeError::Http { status, .. } => {
                disposition(error.code(), Some(*status), error.operation().map_or(About::Order, about))
            }
            AcmeError::OutOfBounds { operation, .. } => of_unacceptable(about(*operation)),
            _ => Disposition::Stumbled,
        };
        // A CA that takes no nonce has been asked often enough by then; one that sends too much would do so again.
        let unacceptable = matches!(error, AcmeError::OutOfBounds { .. });
        let asked_often = error.code() == "badNonce" || error.retry_after().is_some() || unacceptable;
        if disposition == Disposition::Stumbled && !asked_often {
            self.progress.stumbles += 1;
            if let Some(soon) = ask_once_more(self.progress.stumbles, now) {
                debug!(%error, %soon, "the CA stumbled and is asked once more");
                // What it did all the same, the order tells.
                self.learn().lost_answer();
                if self.status.order.is_some() {
                    // One that is not on record would be placed again.
                    self.flush(context).await?;
                }
                return Ok(Next::Until(Some(soon)));
            }
        }
        if matches!(disposition, Disposition::AccountUnusable | Disposition::CaOperatorMustAct) {
            return self.blame_account(disposition, &error, now, context).await;
        }
        // What keeps us from reaching the CA may have the name of one of its codes, and is no word of the CA's.
        let said = error.problem().and_then(|problem| disposition::reason(problem.code()));
        let reason = said.unwrap_or(match disposition {
            _ if unacceptable => reason::ANSWER_REFUSED,
            Disposition::TooFast => reason::RATE_LIMITED,
            Disposition::Stumbled => reason::CA_UNAVAILABLE,
            _ => reason::FAILED,
        });
        let retry_after = error.retry_after();
        self.fail(
            Failure {
                reason,
                message: sentence(&format!("{error}{}", self.hint(&error))),
                disposition,
                retry_after,
            },
            now,
            context,
        )
        .await
    }

    /// What to do about a refusal that we are the likely cause of.
    fn hint(&self, error: &AcmeError) -> &'static str {
        match error {
            AcmeError::Problem { operation: Operation::NewOrder, .. }
                if error.code() == "malformed" && self.lifetime().is_some() =>
            {
                ". The order asks for the lifetime that duration gives, which few CAs take: remove enableDurationFeature from \
                 the issuer if this one does not"
            }
            _ => "",
        }
    }

    /// Whether the CA says that the account cannot be used any more, when asked for it.
    async fn account_has_ended(&self) -> bool {
        let Some(account) = &self.account else { return false };
        match account.state().await {
            Ok(state) => state.status != AccountStatus::Valid,
            Err(error) => matches!(error.code(), "unauthorized" | "accountDoesNotExist"),
        }
    }

    /// The account is at fault: the issuer's own controller says so, and this Certificate waits for it.
    async fn blame_account(
        &mut self,
        disposition: Disposition,
        error: &AcmeError,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let Some(issuer) = &self.issuer else { return Ok(Next::Until(None)) };
        let (reason, message) = (disposition::reason(error.code()), sentence(&words(error)));
        let verdict =
            Verdict { generation: issuer.generation, disposition, reason, message: message.clone() };
        context.verdicts.pass(issuer.id.clone(), verdict);
        context.wake_issuer(&issuer.id);
        let message = format!("{} {} is not ready: {message}", issuer.id.kind.as_str(), issuer.id.name);
        self.leave_place(context);
        self.report_wait(reason::ISSUER_NOT_READY, &message, now);
        self.flush(context).await?;
        Ok(Next::Until(None))
    }

    /// Records a failure, and removes what the issuance left if its order is of no more use.
    pub(super) async fn fail(
        &mut self,
        failure: Failure,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let keeps_order = matches!(failure.disposition, Disposition::Stumbled | Disposition::TooFast)
            && !self.order_is_invalid();
        if keeps_order {
            self.leave_place(context);
            self.progress.start_over();
        } else {
            self.give_up_authorizations().await;
            self.withdraw(now, context).await?;
            self.forget_order(context);
        }
        self.report_failure(&failure, now);
        let attempts = self.status.failed_issuance_attempts.unwrap_or_default().saturating_add(1);
        let backoff = match failure.disposition {
            Disposition::NotAllowed => context.config.backoff.slow(),
            _ => context.config.backoff,
        };
        let failures = u32::try_from(attempts).unwrap_or(1);
        let until = backoff.next_attempt(failures, failure.retry_after, now, &self.uid);
        self.status.failed_issuance_attempts = Some(attempts);
        self.status.last_failure_time = Some(Time(whole_seconds(now)));
        self.status.next_attempt_time = Some(Time(until));
        self.status.failed_renew_request = self.renew_request().map(str::to_owned);
        info!(reason = failure.reason, attempts, %until, message = failure.message, "the issuance failed");
        context.metrics.issuance_failed(failure.reason);
        self.tell(EventType::Warning, failure.reason, "Issue", failure.message);
        self.flush(context).await?;
        // What was presented is gone, or removed later: the ledger says what becomes of the hold on the Certificate.
        if self.held() { Ok(Next::Step) } else { Ok(Next::Until(Some(until))) }
    }
}
