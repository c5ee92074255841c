//! Runs the controllers while this replica leads.

use std::convert::Infallible;
use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::runtime::controller::{Action, Config, Error as ControllerError, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::context::Context;
use super::error::Error;
use super::retry::until_done;
use super::{annotated, certificate, issuer, presenter, unreadable};
use crate::runtime::clock::{self, Stopwatch};
use crate::runtime::leader::Term;
use crate::runtime::metrics::ReconcileOutcome;
use crate::runtime::panics::caught;
use crate::runtime::supervisor::{Ended, Supervisor};

/// How long current reconciles may take to finish.
const FAREWELL: Duration = Duration::from_secs(1);

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
        context.questions.begin(clock::now());
        context.accounts.clear();
        context.places.clear();
        context.presenter.clear();
    }
    let mut controllers = Supervisor::new(context.liveness.clone());
    let mut annotated = Supervisor::new(context.liveness.clone());
    start(&context, &mut controllers);
    annotated.spawn("report of unreadable objects", unreadable::report(context.clone()));
    if context.config.annotations.enabled {
        annotated::start(&context, &mut annotated);
    }
    let farewell = async {
        stop.cancelled().await;
        context.disconnect();
        tokio::time::timeout(FAREWELL, future::pending::<()>()).await
    };
    let outcome = tokio::select! {
        outcome = controllers.until_done(&stop) => outcome,
        // These send no requests to CAs: they need not finish.
        Err(ended) = annotated.until_done(&stop) => Err(ended),
        never = sweep(&context) => match never {},
        () = unreadable::report(context.clone()) => Ok(()),
        _ = farewell => {
            info!("reconciles that take too long are cancelled");
            Ok(())
        }
        () = lost => Ok(()),
    };
    if outcome.is_ok() {
        controllers.end().await;
        annotated.end().await;
        context.liveness.unwatched(annotated::watches);
        info!("no longer leading");
    }
    outcome
}

/// Removes leftovers of former leaders.
async fn sweep(context: &Arc<Context>) -> Infallible {
    let work = || {
        let context = context.clone();
        async move { presenter::sweep(&context).await }.boxed()
    };
    let swept = until_done(context, "sweep", "removing leftovers of former leaders", work);
    if let Err(panic) = caught(swept).await {
        error!(%panic, "leftovers of former leaders could not be removed");
    }
    future::pending().await
}

fn start(context: &Arc<Context>, controllers: &mut Supervisor) {
    for scope in context.cache.scopes() {
        let namespace = scope.namespace.clone();
        let certificates = controller(
            "Certificate",
            scope.certificates.clone(),
            context.wake_certificate.connect(namespace.clone()),
            certificate::reconcile,
            certificate::error_policy,
            context.clone(),
        );
        controllers.spawn("controller of Certificates", certificates);
        let issuers = controller(
            "Issuer",
            scope.issuers.clone(),
            context.wake_issuer.connect(namespace),
            issuer::reconcile,
            issuer::error_policy,
            context.clone(),
        );
        controllers.spawn("controller of Issuers", issuers);
        scope
            .issuers
            .state()
            .iter()
            .for_each(|issuer| context.wake_issuer.wake(ObjectRef::from_obj(&**issuer)));
        for certificate in scope.certificates.state() {
            context.wake_certificate.wake(ObjectRef::from_obj(&*certificate));
        }
    }
    if let Some(issuers) = context.cache.cluster_issuers() {
        let cluster_issuers = controller(
            "ClusterIssuer",
            issuers.clone(),
            context.wake_cluster_issuer.connect(None),
            issuer::reconcile,
            issuer::error_policy,
            context.clone(),
        );
        controllers.spawn("controller of ClusterIssuers", cluster_issuers);
        issuers
            .state()
            .iter()
            .for_each(|issuer| context.wake_cluster_issuer.wake(ObjectRef::from_obj(&**issuer)));
    }
}

/// Reconciles requested objects, until the requests end. A reconcile that panics counts as failed, and is retried from what is
/// recorded.
pub(super) fn controller<K, F>(
    kind: &'static str,
    store: Store<K>,
    requests: UnboundedReceiver<ObjectRef<K>>,
    reconcile: impl Fn(Arc<K>, Arc<Context>) -> F + Send + 'static,
    error_policy: impl Fn(Arc<K>, &Error, Arc<Context>) -> Action + Send + Sync + 'static,
    context: Arc<Context>,
) -> BoxFuture<'static, ()>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    context.metrics.reconciling(kind);
    let requests = requests.map(Ok::<_, Infallible>);
    // The applier requires `Unpin` futures.
    let reconcile = move |object: Arc<K>, context: Arc<Context>| {
        let (uid, took) = (object.uid().unwrap_or_default(), Stopwatch::start());
        let reconcile = reconcile(object, context.clone());
        async move {
            let _under_way = context.liveness.reconcile();
            caught(reconcile).await.unwrap_or_else(|panic| {
                context.metrics.reconciled(kind, ReconcileOutcome::Panicked, took.elapsed());
                context.in_flight.keep(&uid, None);
                for next in context.places.free(&uid) {
                    context.wake_certificate.wake(next);
                }
                Err(Error::Panicked(panic))
            })
        }
        .boxed()
    };
    applier(reconcile, error_policy, context, store, requests, Config::default())
        .for_each(|outcome| async {
            match outcome {
                Ok((object, action)) => debug!(%object, ?action, "reconciled"),
                // The object has been deleted since its reconcile was requested; other errors are already reported by the
                // policy.
                Err(ControllerError::ObjectNotFound(_) | ControllerError::ReconcilerFailed(..)) => {}
                Err(error) => warn!(error = &error as &dyn std::error::Error, "a controller failed"),
            }
        })
        .boxed()
}

#[cfg(test)]
mod tests;
