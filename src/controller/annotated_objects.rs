//! The Ingresses and Gateways whose annotations request Certificates.

use kube::runtime::reflector::{ObjectRef, Store};
use parking_lot::Mutex;

use super::wake::Wake;
use certwright_core::annotated::{Entrance, Gateway, Ingress};

/// The Ingresses and Gateways that are watched, while this replica leads.
#[derive(Default)]
pub struct AnnotatedObjects {
    pub(super) scopes: Mutex<Vec<Scope>>,
    pub(super) ingresses: Wake<Ingress>,
    pub(super) gateways: Wake<Gateway>,
}

/// What is watched in one namespace, or in all.
pub(super) struct Scope {
    pub(super) ingresses: Store<Ingress>,
    pub(super) gateways: Store<Gateway>,
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
    pub fn wake_those(&self, which: impl Fn(&String) -> bool) {
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

fn wake_by_secret<K>(store: &Store<K>, wake: &Wake<K>, namespace: &str, secret: &str)
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
    for<'a> Entrance: From<&'a K>,
{
    let names = |object: &K| {
        object.meta().namespace.as_deref() == Some(namespace) && Entrance::from(object).names_secret(secret)
    };
    store.state_filter(names).iter().for_each(|object| wake.wake(ObjectRef::from_obj(&**object)));
}

fn wake_those<K>(store: &Store<K>, wake: &Wake<K>, which: impl Fn(&String) -> bool)
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let those = store.state_filter(|object| object.meta().uid.as_ref().is_some_and(&which));
    those.iter().for_each(|object| wake.wake(ObjectRef::from_obj(&**object)));
}
