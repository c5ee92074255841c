//! What happens when a reconcile fails because of the API server: it is retried soon, or when the API server is back.

use std::future;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::api_server::WORTH_A_WARNING;
use super::context::Context;
use super::error::Error;
use super::reconciler::Again;
use certwright_core::backoff::after_error;

/// While the API server is away, waiting reconciles are retried after this time, if nothing wakes them earlier.
const UNWOKEN: Duration = Duration::from_secs(60);

/// When to retry the reconcile of `object`, which has failed with `error`. This is logged as a warning, unless the API server
/// is away, or the error may be gone with the next attempt.
pub fn retry<K: Resource<DynamicType = ()>>(object: &K, error: &Error, context: &Context) -> Again {
    let uid = object.uid().unwrap_or_default();
    let failures = context.in_flight.failed(&uid);
    let is_away = context.api_server.is_away();
    let (kind, namespace, name) = (K::kind(&()), object.namespace().unwrap_or_default(), object.name_any());
    let (step, cause) = (error.step(), error as &dyn std::error::Error);
    let words = "the reconcile failed and is retried";
    match is_away || (error.may_pass() && failures < WORTH_A_WARNING) {
        true => debug!(object = %kind, namespace, name, step, error = cause, failures, "{words}"),
        false => warn!(object = %kind, namespace, name, step, error = cause, failures, "{words}"),
    }
    Some(if is_away { UNWOKEN } else { after_error(failures, error.may_pass(), &uid) })
}

/// Repeats work that does not belong to a reconcile until it succeeds, or until this replica no longer leads.
pub async fn until_done(
    context: &Context,
    seed: &str,
    what: &'static str,
    work: impl Fn() -> BoxFuture<'static, Result<(), Error>>,
) {
    let mut failures = 0;
    while context.certificate_queue.is_connected() {
        let Err(error) = work().await else { return };
        failures += 1;
        note(&error, failures, what, context);
        let _ = timeout(after_error(failures, error.may_pass(), seed), future::pending::<()>()).await;
    }
}

fn note(error: &Error, failures: u32, what: &str, context: &Context) {
    let cause = error as &dyn std::error::Error;
    match context.api_server.is_away() || (error.may_pass() && failures < WORTH_A_WARNING) {
        true => debug!(error = cause, failures, "{what} failed and is retried"),
        false => warn!(error = cause, failures, "{what} failed and is retried"),
    }
}

/// Wakes all objects whose reconcile failed: the API server is back.
pub fn wake_whoever_failed(context: &Context) {
    let failing = context.in_flight.failing();
    for scope in context.cache.scopes() {
        for one in scope.certificates.with_uid(|uid| failing.contains(uid)) {
            context.certificate_queue.add(ObjectRef::from_obj(&*one));
        }
    }
    for issuer in context.cache.issuers().iter().filter(|issuer| failing.contains(&issuer.uid)) {
        context.wake_issuer(&issuer.id);
    }
    context.annotated.wake_those(|uid| failing.contains(uid));
    context.signing_requests.wake_those(|uid| failing.contains(uid));
}
