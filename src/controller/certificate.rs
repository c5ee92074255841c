//! The reconcile of a Certificate: gathers, decides, acts and reports in a loop, until there is something to wait for.

mod act;
mod cleanup;
mod evidence;
mod gather;
mod held;
mod issuers;
mod keeper;
mod order;
mod outputs;
mod renewal_info;
mod report;
mod revoke;
mod store;
mod work;

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use tracing::{Instrument, debug, debug_span, info_span};

use self::work::ReconcileCertificate;
use super::context::Context;
use super::error::Error;
use super::reconciler::{Again, Gathering};
use super::retry::retry;
use crate::runtime::metrics::ReconcileOutcome;
use crate::runtime::traces::name_of;
use certwright_api::{Certificate, FINALIZER};
use certwright_core::issuance::{IssuanceStep, Next, last_step, next_chore, next_step};
use certwright_core::records::CleanupTask;
use certwright_runtime::clock::{self, Stopwatch};

const KIND: &str = "Certificate";
/// The maximum number of steps between two waits; no issuance needs as many.
const MAX_STEPS: usize = 64;

/// Reconciles a Certificate.
///
/// # Errors
/// [`Error`], if the API server fails; see [`error_policy`].
pub async fn reconcile(
    certificate: Arc<Certificate>,
    context: Arc<Context>,
    gathering: Gathering,
) -> Result<Again, Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let span = info_span!("reconcile", object = KIND, namespace, name = certificate.name_any());
    reconcile_within(certificate, &context, gathering).instrument(span).await
}

async fn reconcile_within(
    certificate: Arc<Certificate>,
    context: &Context,
    gathering: Gathering,
) -> Result<Again, Error> {
    let took = Stopwatch::start();
    let uid = certificate.uid().unwrap_or_default();
    // Many reconciles run concurrently: the watch may have delivered a newer version since this one was requested.
    let certificate =
        context.in_flight.newest(|| context.cache.same_certificate(&certificate).unwrap_or(certificate));
    let deleted = certificate.metadata.deletion_timestamp.is_some();
    if deleted && !certificate.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(None);
    }
    let version = certificate.resource_version();
    context.in_flight.begin(&certificate);
    let mut kept = Kept { work: ReconcileCertificate::gather(certificate, context).await?, context };
    let work = &mut kept.work;
    if let Some(until) = work.at_rest_until(context) {
        work.stay_at_rest(context);
        context.metrics.reconciled(KIND, ReconcileOutcome::Unchanged, took.elapsed());
        context.in_flight.succeeded(&uid);
        return Ok(Some(clock::until(until)));
    }
    work.read_secrets(context).await?;
    drop(gathering);
    work.drop_unverified(context).await?;
    let (namespace, name) = (work.namespace.clone(), work.name.clone());
    let outcome = match deleted {
        true => end(work, context).await,
        false => tokio::select! {
            outcome = run(work, context) => outcome,
            // A slow CA or provider must not delay a deletion, or another shard. The current step is cancelled; the deletion
            // itself has requested the next reconcile.
            () = context.certificate_departs(&namespace, &name, &uid) => Ok(None),
        },
    };
    if outcome.is_ok() {
        work.leave_unused_slot(context);
    }
    let changed = kept.work.certificate.resource_version() != version;
    drop(kept);
    let metric = match (&outcome, changed) {
        (Err(_), _) => ReconcileOutcome::Failed,
        (Ok(_), true) => ReconcileOutcome::Progressed,
        (Ok(_), false) => ReconcileOutcome::Unchanged,
    };
    context.metrics.reconciled(KIND, metric, took.elapsed());
    let until = outcome?;
    context.in_flight.succeeded(&uid);
    Ok(until.map(clock::until))
}

/// Keeps the memory of a reconcile for the next one, however it ends; but not if it panics, because the memory may be the
/// cause.
struct Kept<'a> {
    work: ReconcileCertificate,
    context: &'a Context,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => self.context.in_flight.keep(&self.work.uid, None),
            false => self.work.put_back(self.context),
        }
    }
}

async fn run(work: &mut ReconcileCertificate, context: &Context) -> Result<Option<Timestamp>, Error> {
    for _ in 0..MAX_STEPS {
        if !work.still_exists(context) {
            return Ok(None);
        }
        work.follow_issuer(context).await?;
        let now = clock::now();
        let step = next_step(&work.state, &work.seen.snapshot(context), now);
        debug!(?step, "next step");
        let span = debug_span!("step", step = name_of(&step));
        match work.act(step, context).instrument(span).await? {
            Next::Decide => {}
            Next::Wait(until) => {
                work.report_metrics(context);
                let until = work.state.or_expiry(&work.seen.snapshot(context), until, now);
                let until = until.into_iter().chain(next_chore(&work.state.status));
                return Ok(until.chain(work.in_use.look_at_issuer).min());
            }
        }
    }
    let step = next_step(&work.state, &work.seen.snapshot(context), clock::now());
    Err(Error::Circles(format!("{step:?}").chars().take(40).collect()))
}

/// For a Certificate that is being deleted: revokes what has to be revoked, withdraws what is presented, and removes the
/// finalizer.
async fn end(work: &mut ReconcileCertificate, context: &Context) -> Result<Option<Timestamp>, Error> {
    work.leave_slot(context);
    for _ in 0..MAX_STEPS {
        let step = last_step(&work.state, &work.seen.snapshot(context), clock::now());
        let Some(step) = step else {
            work.flush(context).await?;
            return Ok(next_chore(&work.state.status));
        };
        debug!(?step, "a step before the end");
        let is_last = step == IssuanceStep::Tidy(CleanupTask::Release);
        work.act(step, context).await?;
        if is_last {
            return Ok(None);
        }
    }
    Err(Error::Circles("the end of a Certificate".to_owned()))
}

/// What happens after an error of the API server: the reconcile is retried, with growing delays.
pub fn error_policy(certificate: Arc<Certificate>, error: &Error, context: Arc<Context>) -> Again {
    let uid = certificate.uid().unwrap_or_default();
    if error.object_is_gone() {
        context.in_flight.forget(&uid);
        context.renewal_info_polls.forget(&uid);
        context.revocation_lists.forget(&uid);
        context.served_checks.forget(&uid);
        return None;
    }
    retry(&*certificate, error, &context)
}
