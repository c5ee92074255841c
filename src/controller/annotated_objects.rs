//! The Ingresses, Gateways and ListenerSets whose annotations request Certificates.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;

use super::cache::{Held, Index, Objects};
use super::reconcile_queue::ReconcileQueue;
use certwright_core::annotated::{Gateway, Ingress, ListenerSet, NamedRoute, parents};

/// The Ingresses, Gateways and ListenerSets that are watched, while this replica leads.
#[derive(Default)]
pub struct AnnotatedObjects {
    pub(super) scopes: Mutex<Vec<Scope>>,
    pub(super) ingresses: ReconcileQueue<Ingress>,
    pub(super) gateways: ReconcileQueue<Gateway>,
    pub(super) listener_sets: ReconcileQueue<ListenerSet>,
}

/// What is watched in one namespace, or in all.
pub(super) struct Scope {
    pub(super) ingresses: Arc<Objects<Ingress>>,
    pub(super) gateways: Arc<Objects<Gateway>>,
    pub(super) listener_sets: Arc<Objects<ListenerSet>>,
    /// If hostnames of HTTPRoutes can be names of certificates.
    pub(super) routes: Option<Arc<Objects<NamedRoute>>>,
}

impl AnnotatedObjects {
    /// Requests a reconcile of those that name a Secret: its Certificate has changed, or is gone.
    pub fn wake_by_secret(&self, namespace: &str, secret: &str) {
        for scope in &*self.scopes.lock() {
            wake_by_secret(&scope.ingresses, &self.ingresses, namespace, secret);
            wake_by_secret(&scope.gateways, &self.gateways, namespace, secret);
            wake_by_secret(&scope.listener_sets, &self.listener_sets, namespace, secret);
        }
    }

    /// The routes that ask to be attached to a Gateway or a ListenerSet.
    pub fn routes(&self, kind: &str, namespace: &str, name: &str) -> Vec<Arc<NamedRoute>> {
        let index = Index::Parent(kind, namespace, name);
        let scopes = self.scopes.lock();
        let watched = scopes.iter().filter_map(|scope| scope.routes.as_ref());
        watched.flat_map(|routes| routes.indexed(&index)).collect()
    }

    /// Requests a reconcile of those that a route asks to be attached to.
    pub fn wake_by_route(&self, route: &NamedRoute) {
        for (kind, namespace, name) in parents(route) {
            match kind {
                "Gateway" => self.gateways.add(ObjectRef::new(name).within(namespace)),
                "ListenerSet" => self.listener_sets.add(ObjectRef::new(name).within(namespace)),
                _ => {}
            }
        }
    }

    /// Requests a reconcile of those whose uid matches `which`.
    pub fn wake_those(&self, which: impl Fn(&str) -> bool) {
        for scope in &*self.scopes.lock() {
            wake_those(&scope.ingresses, &self.ingresses, &which);
            wake_those(&scope.gateways, &self.gateways, &which);
            wake_those(&scope.listener_sets, &self.listener_sets, &which);
        }
    }

    /// Ends all requests for reconciles, and forgets what was watched.
    pub fn disconnect(&self) {
        self.ingresses.disconnect();
        self.gateways.disconnect();
        self.listener_sets.disconnect();
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
