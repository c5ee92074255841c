//! Runs the controllers while this replica leads.

use std::convert::Infallible;
use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::check_revocation_lists::check_revocation_lists;
use super::check_served::check_served;
use super::context::Context;
use super::reconciler::reconciler;
use super::report_unreadable::report;
use super::retry::until_done;
use super::{annotated, certificate, issuer, presenter, signing_request};
use certwright_runtime::clock;
use certwright_runtime::leader::Term;
use certwright_runtime::panics::caught;
use certwright_runtime::supervisor::{Ended, Supervisor};

/// How long current reconciles may take to finish. An order is placed again if the CA's answer arrives later.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs the controllers until `stop`. Current reconciles then finish, so that the next leader does not repeat requests to a CA.
/// Those that take too long are cancelled, as in a crash: everything continues from what is recorded. When leadership is
/// `lost`, everything is cancelled immediately. If this replica already led in this `term`, its memory is still valid: no other
/// replica has led since.
///
/// # Errors
/// [`Ended`], if a controller, or a watch that belongs to one, panics, or ends before `stop`.
pub async fn lead(
    context: Arc<Context>,
    term: Option<Term>,
    stop: CancellationToken,
    lost: impl Future<Output = ()>,
) -> Result<(), Ended> {
    info!("leading");
    if !context.led_before_in(term) {
        context.in_flight.clear();
        context.renewal_info_polls.begin(clock::now());
        context.revocation_lists.begin();
        context.served_checks.begin();
        context.accounts.clear();
        context.authorizations.clear();
        context.order_slots.clear();
        context.http01.clear();
    }
    let mut controllers = Supervisor::new(context.liveness.clone());
    let mut others = Supervisor::new(context.liveness.clone());
    start(&context, &mut controllers);
    others.spawn("report of unreadable objects", report(context.clone()));
    if context.config.annotations.enabled {
        annotated::start(&context, &mut others);
    }
    let checks_lists = !context.config.revocation_check_interval.is_zero();
    if context.config.certificate_signing_requests {
        signing_request::start(&context, &mut others);
    }
    let farewell = async {
        stop.cancelled().await;
        context.disconnect();
        tokio::time::timeout(FAREWELL, future::pending::<()>()).await
    };
    let outcome = tokio::select! {
        outcome = controllers.until_done(&stop) => outcome,
        // These send no requests to CAs: they need not finish.
        Err(ended) = others.until_done(&stop) => Err(ended),
        never = take_over(&context) => match never {},
        never = follow_replicas(&context) => match never {},
        never = check_revocation_lists(context.clone()), if checks_lists => match never {},
        never = check_served(context.clone()) => match never {},
        _ = farewell => {
            info!("reconciles that take too long are cancelled");
            Ok(())
        }
        () = lost => Ok(()),
    };
    if outcome.is_ok() {
        controllers.end().await;
        others.end().await;
        context
            .liveness
            .unwatched(|watched| annotated::watches(watched) || signing_request::watches(watched));
        info!("no longer leading");
    }
    outcome
}

/// Takes over what former leaders presented.
async fn take_over(context: &Arc<Context>) -> Infallible {
    let work = || {
        let context = context.clone();
        async move { presenter::take_over(&context).await }.boxed()
    };
    let what = "taking over what former leaders presented";
    if let Err(panic) = caught(until_done(context, "take over", what, work)).await {
        error!(%panic, "what former leaders presented could not be taken over");
    }
    future::pending().await
}

/// Leads challenges to the replicas that there are, whenever these change: one that ends is left out before it stops answering.
async fn follow_replicas(context: &Arc<Context>) -> Infallible {
    loop {
        context.http01.replicas_changed.notified().await;
        let work = || {
            let context = context.clone();
            async move { presenter::follow_replicas(&context).await }.boxed()
        };
        let what = "leading challenges to the replicas";
        if let Err(panic) = caught(until_done(context, "replicas", what, work)).await {
            error!(%panic, "challenges could not be led to the replicas");
        }
    }
}

fn start(context: &Arc<Context>, controllers: &mut Supervisor) {
    for scope in context.cache.scopes() {
        let namespace = scope.namespace.clone();
        let certificates = reconciler(
            "Certificate",
            scope.certificates.clone(),
            context.certificate_queue.connect(namespace.clone()),
            certificate::reconcile,
            certificate::error_policy,
            context.clone(),
        );
        controllers.spawn("controller of Certificates", certificates);
        let issuers = reconciler(
            "Issuer",
            scope.issuers.clone(),
            context.issuer_queue.connect(namespace),
            issuer::reconcile,
            issuer::error_policy,
            context.clone(),
        );
        controllers.spawn("controller of Issuers", issuers);
    }
    if let Some(issuers) = context.cache.cluster_issuers() {
        let cluster_issuers = reconciler(
            "ClusterIssuer",
            issuers.clone(),
            context.cluster_issuer_queue.connect(None),
            issuer::reconcile,
            issuer::error_policy,
            context.clone(),
        );
        controllers.spawn("controller of ClusterIssuers", cluster_issuers);
    }
}

#[cfg(test)]
mod tests;
