//! The Ingresses and Gateways whose annotations request Certificates.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;

use super::cache::{Held, Index, Objects};
use super::reconcile_queue::ReconcileQueue;
use certwright_core::annotated::{Gateway, Ingress};

/// The Ingresses and Gateways that are watched, while this replica leads.
#[derive(Default)]
pub struct AnnotatedObjects {
    pub(super) scopes: Mutex<Vec<Scope>>,
    pub(super) ingresses: ReconcileQueue<Ingress>,
    pub(super) gateways: ReconcileQueue<Gateway>,
}

/// What is watched in one namespace, or in all.
pub(super) struct Scope {
    pub(super) ingresses: Arc<Objects<Ingress>>,
    pub(super) gateways: Arc<Objects<Gateway>>,
}

impl AnnotatedObjects {
    /// Requests a reconcile of those that name a Secret: its Certificate has changed, or is gone.
    pub fn wake_by_secret(&self, namespace: &str, secret: &str) {
        for scope in &*self.scopes.lock() {
            wake_by_secret(&scope.ingresses, &self.ingresses, namespace, secret);
            wake_by_secret(&scope.gateways, &self.gateways, namespace, secret);
        }
    }

    /// Requests a reconcile of those whose uid matches `which`.
    pub fn wake_those(&self, which: impl Fn(&str) -> bool) {
        for scope in &*self.scopes.lock() {
            wake_those(&scope.ingresses, &self.ingresses, &which);
            wake_those(&scope.gateways, &self.gateways, &which);
        }
    }

    /// Ends all requests for reconciles, and forgets what was watched.
    pub fn disconnect(&self) {
        self.ingresses.disconnect();
        self.gateways.disconnect();
        self.scopes.lock().clear();
    }
}

fn wake_by_secret<K: Held>(objects: &Objects<K>, queue: &ReconcileQueue<K>, namespace: &str, secret: &str) {
    let named = objects.indexed(&Index::Secret(namespace, secret));
    named.iter().for_each(|object| queue.add(ObjectRef::from_obj(&**object)));
}

fn wake_those<K: Held>(objects: &Objects<K>, queue: &ReconcileQueue<K>, which: impl Fn(&str) -> bool) {
    objects.with_uid(which).iter().for_each(|object| queue.add(ObjectRef::from_obj(&**object)));
}
