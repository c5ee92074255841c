//! Runs the reconciles of one kind. kube's `Controller` would keep every object whole, with a timer for each
//! (`docs/design/013-a-hundred-thousand.md`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tracing::debug;

use super::cache::{Held, Objects};
use super::context::Context;
use super::error::Error;
use super::fair_queue::{FairQueue, Turn};
use super::work_queue::{Started, work_through};
use crate::runtime::metrics::ReconcileOutcome;
use certwright_runtime::clock::Stopwatch;
use certwright_runtime::panics::caught;

/// The maximum number of reconciles of a kind that gather at a time. Later, each waits for others (CAs, providers) that must not
/// delay it, so there is no limit.
const GATHERING: usize = 64;
/// How many of them are reserved for namespaces in which none gathers.
const RESERVE: usize = 16;

/// In a namespace, Certificates that have an order slot gather before others.
const ORDERS: u32 = 0;
const OTHERS: u32 = 1;

/// A reconcile holds this while it reads what it depends on, and then drops it.
pub type Gathering = Turn;

/// When an object is to be reconciled again if nothing changes: after this time, or never.
pub type Again = Option<Duration>;

/// Reconciles all objects, and then those that are requested, until the requests end and those under way are done. A reconcile
/// that panics counts as failed, and is retried from what is recorded.
pub fn reconciler<K, F>(
    kind: &'static str,
    objects: Arc<Objects<K>>,
    requests: UnboundedReceiver<ObjectRef<K>>,
    reconcile: impl Fn(Arc<K>, Arc<Context>, Gathering) -> F + Send + Sync + 'static,
    error_policy: impl Fn(Arc<K>, &Error, Arc<Context>) -> Again + Send + Sync + 'static,
    context: Arc<Context>,
) -> BoxFuture<'static, ()>
where
    K: Held,
    F: Future<Output = Result<Again, Error>> + Send + 'static,
{
    context.metrics.reconciling(kind);
    async move {
        let turns = FairQueue::with_reserve(GATHERING, RESERVE);
        let there = objects.names().into_iter().map(|name| name.reference());
        let one = async |started: Started<ObjectRef<K>>| {
            let namespace = started.object.namespace.as_deref().unwrap_or_default();
            // An order slot must not wait for thousands of first looks at others.
            let orders = objects.is(namespace, &started.object.name, |uid| context.order_slots.has_any(uid));
            let turn = turns.turn(namespace, if orders { ORDERS } else { OTHERS }).await;
            started.begins();
            // It may have been deleted since its reconcile was requested.
            let again = match turn.zip(objects.get(namespace, &started.object.name)) {
                Some((turn, object)) => {
                    let uid = object.uid().unwrap_or_default();
                    // Boxed, so that one that waits for its turn takes little memory.
                    let reconciled = Box::pin(reconcile(object.clone(), context.clone(), turn));
                    let outcome = guarded(kind, &uid, reconciled, &context).await;
                    outcome.unwrap_or_else(|error| error_policy(object, &error, context.clone()))
                }
                None => None,
            };
            debug!(object = %started.object, ?again, "reconciled");
            (started, again)
        };
        work_through(there, requests, one).await;
    }
    .boxed()
}

/// Runs a reconcile that may panic.
async fn guarded(
    kind: &'static str,
    uid: &str,
    reconcile: impl Future<Output = Result<Again, Error>>,
    context: &Context,
) -> Result<Again, Error> {
    let took = Stopwatch::start();
    let _under_way = context.liveness.reconcile();
    caught(reconcile).await.unwrap_or_else(|panic| {
        context.metrics.reconciled(kind, ReconcileOutcome::Panicked, took.elapsed());
        context.in_flight.keep(uid, None);
        for next in context.order_slots.free(uid) {
            context.certificate_queue.add(next);
        }
        Err(Error::Panicked(panic))
    })
}
