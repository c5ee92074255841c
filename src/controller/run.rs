//! The controllers run while this replica leads.

use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::Resource;
use kube::runtime::controller::{Action, Config, Error as ControllerError, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::context::Context;
use super::error::Error;
use super::retry::until_done;
use super::{annotated, certificate, issuer, presenter, unreadable};
use crate::runtime::clock;
use crate::runtime::leader::Term;

/// How long reconciles that are under way may take to their end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs the controllers until `stop`. What is under way then comes to its end, so that nothing which was just asked of a CA is
/// asked again by the next leader; what takes too long is broken off, as by a crash: everything goes on from what is recorded.
///
/// In the `term` in which it led before, what it knows still holds: nobody else has led since.
pub async fn lead(context: Arc<Context>, term: Option<Term>, stop: CancellationToken) {
    info!("leading");
    if !context.led_before_in(term) {
        context.in_flight.clear();
        context.questions.begin(clock::now());
        context.accounts.clear();
        context.places.clear();
        context.presenter.clear();
    }
    let controllers = start(&context);
    let annotated = if context.config.annotations.enabled { annotated::start(&context) } else { Vec::new() };
    let swept = context.clone();
    tokio::spawn(async move {
        let context = swept.clone();
        let sweep = move || {
            let context = context.clone();
            async move { presenter::sweep(&context).await }.boxed()
        };
        until_done(&swept, "sweep", "the removal of what former leaders left", sweep).await;
    });
    let controllers = futures::future::join_all(controllers);
    let farewell = async {
        stop.cancelled().await;
        context.disconnect();
        tokio::time::timeout(FAREWELL, future::pending::<()>()).await
    };
    // These ask no CA for anything: nobody has to wait for them.
    let annotated = async {
        futures::future::join_all(annotated).await;
        future::pending::<()>().await;
    };
    tokio::select! {
        _ = controllers => {}
        () = annotated => {}
        () = unreadable::report(context.clone()) => {}
        _ = farewell => info!("reconciles that take too long are broken off"),
    }
    info!("no longer leading");
}

fn start(context: &Arc<Context>) -> Vec<BoxFuture<'static, ()>> {
    let mut controllers = Vec::new();
    for scope in context.cache.scopes() {
        let namespace = scope.namespace.clone();
        controllers.push(controller(
            scope.certificates.clone(),
            context.wake_certificate.connect(namespace.clone()),
            certificate::reconcile,
            certificate::error_policy,
            context.clone(),
        ));
        controllers.push(controller(
            scope.issuers.clone(),
            context.wake_issuer.connect(namespace),
            issuer::reconcile,
            issuer::error_policy,
            context.clone(),
        ));
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
        controllers.push(controller(
            issuers.clone(),
            context.wake_cluster_issuer.connect(None),
            issuer::reconcile,
            issuer::error_policy,
            context.clone(),
        ));
        issuers
            .state()
            .iter()
            .for_each(|issuer| context.wake_cluster_issuer.wake(ObjectRef::from_obj(&**issuer)));
    }
    controllers
}

/// Reconciles what is asked for, until the requests end.
pub(super) fn controller<K, F>(
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
    let requests = requests.map(Ok::<_, std::convert::Infallible>);
    // The applier needs futures that can be moved while they run.
    let reconcile = move |object, context| reconcile(object, context).boxed();
    applier(reconcile, error_policy, context, store, requests, Config::default())
        .for_each(|outcome| async {
            match outcome {
                Ok((object, action)) => debug!(%object, ?action, "reconciled"),
                // The object has gone since its reconcile was asked for; other errors the policy has reported.
                Err(ControllerError::ObjectNotFound(_) | ControllerError::ReconcilerFailed(..)) => {}
                Err(error) => warn!(error = &error as &dyn std::error::Error, "a controller stumbled"),
            }
        })
        .boxed()
}
