//! The watch of CertificateSigningRequests, and their controller, while this replica leads.

use std::sync::Arc;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::reconcile::{error_policy, reconcile};
use crate::controller::cache::{Change, Watches, labelled};
use crate::controller::context::Context;
use crate::controller::reconciler::reconciler;
use certwright_core::reading::Readable;
use certwright_runtime::supervisor::Supervisor;

/// Whether this name in [`Liveness`](certwright_runtime::liveness::Liveness) belongs to the watch of this module.
pub fn watches(watched: &str) -> bool {
    watched.rsplit('/').next() == Some("certificatesigningrequests")
}

/// Watches CertificateSigningRequests, and reconciles them.
pub fn start(context: &Arc<Context>, tasks: &mut Supervisor) {
    let mut watches = Watches::new(&context.api_server, context.cache.unreadable().clone());
    let api = Api::all(context.cache.client().clone());
    let objects = watches.add(api, labelled(&[], &context.config.shard), seen);
    let controller = reconciler(
        "CertificateSigningRequest",
        objects.clone(),
        context.signing_requests.queue.connect(None),
        reconcile,
        error_policy,
        context.clone(),
    );
    tasks.spawn("controller of CertificateSigningRequests", controller);
    context.signing_requests.objects.lock().replace(objects);
    watches.spawn(context, tasks);
}

fn seen(context: &Context, change: Change<CertificateSigningRequest>) {
    match change {
        Change::Seen(object) if object.concerns_us() => {
            context.signing_requests.queue.add(ObjectRef::from_obj(&*object));
        }
        // Its Certificate is deleted together with it.
        Change::Gone(object) => context.in_flight.forget(&object.uid().unwrap_or_default()),
        Change::Seen(_) | Change::Unreadable(_) => {}
    }
}
