//! The watches of Ingresses, Gateways and ListenerSets, and their controllers, while this replica leads.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::reconcile::{error_policy, reconcile};
use crate::controller::annotated_objects::Scope;
use crate::controller::cache::{Change, Watches, api, labelled};
use crate::controller::context::Context;
use crate::controller::reconcile_queue::ReconcileQueue;
use crate::controller::reconciler::reconciler;
use certwright_core::shard::ShardSelector;
use certwright_runtime::supervisor::Supervisor;
use certwright_solver::http01::HTTP01_LABEL;

/// Whether this name in [`Liveness`](certwright_runtime::liveness::Liveness) belongs to a watch of this module.
pub fn watches(watched: &str) -> bool {
    ["ingresses", "gateways", "listenersets", "httproutes"]
        .contains(&watched.rsplit('/').next().unwrap_or_default())
}

/// Watches Ingresses, Gateways and ListenerSets, and reconciles them.
pub fn start(context: &Arc<Context>, tasks: &mut Supervisor) {
    let settings = &context.config.annotations.settings;
    let also = [settings.automatic.as_slice(), settings.copied.as_slice()].concat();
    let watches = Watches::new(&context.api_server, context.cache.unreadable().clone());
    let mut watches = watches.keeping(&also);
    let annotated = &context.annotated;
    for namespace in context.cache.scopes().iter().map(|scope| scope.namespace.clone()) {
        let client = context.cache.client();
        let shard = &context.config.shard;
        // Our own temporary Ingresses do not request Certificates.
        let which = labelled(&[&format!("!{HTTP01_LABEL}")], shard);
        let of = namespace.as_deref();
        let scope = Scope {
            ingresses: watches.add(api(client, of), which, |to: &Context, change| {
                seen(to, &to.annotated.ingresses, change)
            }),
            gateways: watches.add(api(client, of), labelled(&[], shard), |to: &Context, change| {
                seen(to, &to.annotated.gateways, change)
            }),
            listener_sets: watches.add(api(client, of), labelled(&[], shard), |to: &Context, change| {
                seen(to, &to.annotated.listener_sets, change)
            }),
            routes: settings.routes.then(|| {
                // Our own temporary HTTPRoutes name nothing.
                let which = labelled(&[&format!("!{HTTP01_LABEL}")], &ShardSelector::default());
                watches.add(api(client, of), which, |to: &Context, change| match change {
                    Change::Seen(route) => to.annotated.wake_by_route(&route),
                    Change::Gone(route) | Change::Unreadable(route) => to.annotated.wake_by_route(&route),
                })
            }),
        };
        let ingresses = reconciler(
            "Ingress",
            scope.ingresses.clone(),
            annotated.ingresses.connect(namespace.clone()),
            reconcile,
            error_policy,
            context.clone(),
        );
        tasks.spawn("controller of Ingresses", ingresses);
        let gateways = reconciler(
            "Gateway",
            scope.gateways.clone(),
            annotated.gateways.connect(namespace.clone()),
            reconcile,
            error_policy,
            context.clone(),
        );
        tasks.spawn("controller of Gateways", gateways);
        let listener_sets = reconciler(
            "ListenerSet",
            scope.listener_sets.clone(),
            annotated.listener_sets.connect(namespace),
            reconcile,
            error_policy,
            context.clone(),
        );
        tasks.spawn("controller of ListenerSets", listener_sets);
        annotated.scopes.lock().push(scope);
    }
    watches.spawn(context, tasks);
}

fn seen<K>(context: &Context, queue: &ReconcileQueue<K>, change: Change<K>)
where
    K: kube::Resource<DynamicType = ()>,
{
    match change {
        Change::Seen(object) => queue.add(ObjectRef::from_obj(&*object)),
        Change::Gone(object) => {
            context.in_flight.forget(&object.uid().unwrap_or_default());
        }
        // Its Certificates stay as they are.
        Change::Unreadable(_) => {}
    }
}
