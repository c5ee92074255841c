//! The watches of Ingresses and Gateways, and their controllers, while this replica leads.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use parking_lot::Mutex;

use super::{error_policy, reconcile};
use crate::controller::cache::{Change, Watches, api};
use crate::controller::context::Context;
use crate::controller::run::controller;
use crate::controller::wake::Wake;
use crate::runtime::supervisor::Supervisor;
use certwright_core::annotated::{Entrance, Gateway, Ingress};
use certwright_solver::http01::HTTP01_LABEL;

/// The Ingresses and Gateways that are watched, while this replica leads.
#[derive(Default)]
pub struct Entrances {
    scopes: Mutex<Vec<Scope>>,
    ingresses: Wake<Ingress>,
    gateways: Wake<Gateway>,
}

struct Scope {
    ingresses: Store<Ingress>,
    gateways: Store<Gateway>,
}

impl Entrances {
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

/// Whether this name in [`Liveness`](crate::runtime::liveness::Liveness) belongs to a watch of this module.
pub fn watches(watched: &str) -> bool {
    ["ingresses", "gateways"].contains(&watched.rsplit('/').next().unwrap_or_default())
}

/// Watches Ingresses and Gateways, and reconciles them.
pub fn start(context: &Arc<Context>, tasks: &mut Supervisor) {
    let mut watches = Watches::new(&context.api_server, context.cache.unreadable().clone());
    let entrances = &context.entrances;
    for namespace in context.cache.scopes().iter().map(|scope| scope.namespace.clone()) {
        let client = context.cache.client();
        // Our own temporary Ingresses do not request Certificates.
        let which = watcher::Config::default().labels(&format!("!{HTTP01_LABEL}"));
        let of = namespace.as_deref();
        let scope = Scope {
            ingresses: watches.add(api(client, of), which, |to: &Context, change| {
                seen(to, &to.entrances.ingresses, change)
            }),
            gateways: watches.add(api(client, of), watcher::Config::default(), |to: &Context, change| {
                seen(to, &to.entrances.gateways, change)
            }),
        };
        let ingresses = controller(
            "Ingress",
            scope.ingresses.clone(),
            entrances.ingresses.connect(namespace.clone()),
            reconcile,
            error_policy,
            context.clone(),
        );
        tasks.spawn("controller of Ingresses", ingresses);
        let gateways = controller(
            "Gateway",
            scope.gateways.clone(),
            entrances.gateways.connect(namespace),
            reconcile,
            error_policy,
            context.clone(),
        );
        tasks.spawn("controller of Gateways", gateways);
        entrances.scopes.lock().push(scope);
    }
    watches.spawn(context, tasks);
}

fn seen<K>(context: &Context, wake: &Wake<K>, change: Change<K>)
where
    K: kube::Resource<DynamicType = ()>,
{
    match change {
        Change::Seen(object) => wake.wake(ObjectRef::from_obj(&*object)),
        Change::Gone(object) => {
            context.in_flight.forget(&object.uid().unwrap_or_default());
        }
        // Its Certificates stay as they are.
        Change::Unreadable(_) => {}
    }
}
