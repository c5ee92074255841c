//! The reconcile of an Ingress, a Gateway or a ListenerSet.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::{Resource, ResourceExt};
use tracing::{Instrument, info_span};

use super::act;
use crate::controller::cache::Index;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::reconciler::{Again, Gathering};
use crate::controller::retry::retry;
use crate::runtime::metrics::ReconcileOutcome;
use certwright_core::annotated::{
    AnnotatedObject, Decision, Plan, Remark, decide, follows_routes, is_surplus, name_listeners, plan,
    unrequested,
};
use certwright_core::events::Event;
use certwright_runtime::clock::Stopwatch;

/// Reconciles an Ingress, a Gateway or a ListenerSet.
///
/// # Errors
/// [`Error`], if the API server fails; see [`error_policy`].
pub async fn reconcile<K>(
    object: Arc<K>,
    context: Arc<Context>,
    _gathering: Gathering,
) -> Result<Again, Error>
where
    K: Resource<DynamicType = ()>,
    for<'a> AnnotatedObject: From<&'a K>,
{
    let annotated = AnnotatedObject::from(&*object);
    // Its Certificates are deleted together with it.
    if annotated.is_going {
        return Ok(None);
    }
    let kind = annotated.kind.as_str();
    let span = info_span!("reconcile", object = kind, namespace = annotated.namespace, name = annotated.name);
    async {
        let took = Stopwatch::start();
        let annotated = with_routes(annotated, &context);
        let plan = plan(&annotated, &context.config.annotations.settings);
        let mut remarks = BTreeSet::from_iter(plan.remarks.iter().cloned());
        let outcome = follow(&annotated, &plan, &mut remarks, &context).await;
        let reference = object.object_ref(&());
        for Remark { reason, note } in remarks {
            let event = Event::warning(reason, "MakeCertificate", note);
            context.events.publish(&reference, &event).await;
        }
        let metric = match &outcome {
            Err(_) => ReconcileOutcome::Failed,
            Ok(written) if written.is_empty() => ReconcileOutcome::Unchanged,
            Ok(_) => ReconcileOutcome::Progressed,
        };
        context.metrics.reconciled(kind, metric, took.elapsed());
        for Remark { reason, note } in outcome? {
            let event = Event::normal(reason, "MakeCertificate", note);
            context.events.publish(&reference, &event).await;
        }
        context.in_flight.succeeded(&annotated.uid);
        Ok(None)
    }
    .instrument(span)
    .await
}

/// The same with the hostnames of its HTTPRoutes, if it asks for them.
fn with_routes(mut annotated: AnnotatedObject, context: &Context) -> AnnotatedObject {
    if follows_routes(&annotated, &context.config.annotations.settings) {
        let (namespace, name) = (annotated.namespace.clone(), annotated.name.clone());
        let routes = context.annotated.routes(annotated.kind.as_str(), &namespace, &name);
        let existing = |name: &str| context.cache.certificate(&namespace, name).map(Arc::unwrap_or_clone);
        name_listeners(&mut annotated, routes.iter().map(|route| &**route), existing);
    }
    annotated
}

/// Creates, changes and deletes Certificates according to the plan. Returns what was done.
async fn follow(
    annotated: &AnnotatedObject,
    plan: &Plan,
    remarks: &mut BTreeSet<Remark>,
    context: &Context,
) -> Result<Vec<Remark>, Error> {
    let mut done = Vec::new();
    for wanted in &plan.certificates {
        let name = wanted.name_any();
        let cached = context.cache.certificate(&annotated.namespace, &name);
        let decision = match decide(wanted, annotated, cached.as_deref()) {
            Decision::Apply => act::apply(context, annotated, wanted, remarks).await?,
            other => act::Applied::Not(other),
        };
        match decision {
            act::Applied::Written(remark) => done.push(remark),
            act::Applied::Not(Decision::Foreign(remark)) => drop(remarks.insert(remark)),
            act::Applied::Not(_) => {}
        }
    }
    let own = context.cache.certificates(&Index::Owner(&annotated.uid));
    remarks.extend(own.iter().filter_map(|own| unrequested(own, annotated, plan)));
    for surplus in own.iter().filter(|own| is_surplus(own, annotated, plan)) {
        done.extend(act::delete(context, surplus).await?);
    }
    Ok(done)
}

/// What happens after an error of the API server: the reconcile is retried, with growing delays.
pub fn error_policy<K>(object: Arc<K>, error: &Error, context: Arc<Context>) -> Again
where
    K: Resource<DynamicType = ()>,
{
    retry(&*object, error, &context)
}
