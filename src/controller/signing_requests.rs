//! The CertificateSigningRequests that are watched, while this replica leads.

use std::sync::Arc;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;

use super::cache::Objects;
use super::reconcile_queue::ReconcileQueue;
use certwright_api::Certificate;
use certwright_core::signing_request::is_for_request;

/// The CertificateSigningRequests that are watched, while this replica leads.
#[derive(Default)]
pub struct SigningRequests {
    pub(super) objects: Mutex<Option<Arc<Objects<CertificateSigningRequest>>>>,
    pub(super) queue: ReconcileQueue<CertificateSigningRequest>,
}

impl SigningRequests {
    /// Requests a reconcile of the request that a Certificate was created for: the Certificate has changed, or is gone.
    pub fn wake_by_certificate(&self, certificate: &Certificate) {
        if is_for_request(certificate) {
            for owner in certificate.owner_references() {
                self.queue.add(ObjectRef::new(&owner.name));
            }
        }
    }

    /// Requests a reconcile of those whose uid matches `which`.
    pub fn wake_those(&self, which: impl Fn(&str) -> bool) {
        for object in self.objects.lock().iter().flat_map(|objects| objects.with_uid(&which)) {
            self.queue.add(ObjectRef::from_obj(&*object));
        }
    }

    /// Ends all requests for reconciles, and forgets what was watched.
    pub fn disconnect(&self) {
        self.queue.disconnect();
        self.objects.lock().take();
    }
}
