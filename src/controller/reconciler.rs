//! Runs the reconciles of one kind.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use futures::channel::mpsc::UnboundedReceiver;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::runtime::controller::{Action, Config, Error as ControllerError, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tracing::{debug, warn};

use super::context::Context;
use super::error::Error;
use crate::runtime::clock::Stopwatch;
use crate::runtime::metrics::ReconcileOutcome;
use crate::runtime::panics::caught;

/// Reconciles requested objects, until the requests end. A reconcile that panics counts as failed, and is retried from what is
/// recorded.
pub fn reconciler<K, F>(
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
                for next in context.order_slots.free(&uid) {
                    context.certificate_queue.add(next);
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
