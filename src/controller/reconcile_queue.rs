//! Requests reconciles from a controller. While this replica does not lead, there is no controller, and nothing happens.

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::runtime::reflector::{Lookup, ObjectRef};
use parking_lot::Mutex;

/// Requests reconciles from the controllers of one kind, one per watched namespace.
pub struct ReconcileQueue<K: Lookup<DynamicType = ()> + 'static>(Mutex<Vec<Controller<K>>>);

struct Controller<K: Lookup<DynamicType = ()> + 'static> {
    /// The namespace that it is for; `None` for all.
    namespace: Option<String>,
    requests: UnboundedSender<ObjectRef<K>>,
}

impl<K: Lookup<DynamicType = ()>> Default for ReconcileQueue<K> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<K: Lookup<DynamicType = ()>> ReconcileQueue<K> {
    /// The requests for a controller of `namespace` that is about to start.
    pub fn connect(&self, namespace: Option<String>) -> UnboundedReceiver<ObjectRef<K>> {
        let (requests, receiver) = unbounded();
        let mut controllers = self.0.lock();
        controllers.retain(|controller| controller.namespace != namespace);
        controllers.push(Controller { namespace, requests });
        receiver
    }

    /// Ends all requests: the controllers stop when their reconciles are done.
    pub fn disconnect(&self) {
        self.0.lock().clear();
    }

    /// Whether there is a controller.
    pub fn is_connected(&self) -> bool {
        !self.0.lock().is_empty()
    }

    /// Requests a reconcile of `object`.
    pub fn add(&self, object: ObjectRef<K>) {
        let controllers = self.0.lock();
        let serves = |controller: &&Controller<K>| {
            controller.namespace.is_none() || controller.namespace == object.namespace
        };
        if let Some(controller) = controllers.iter().find(serves) {
            // This fails only if the controller has just stopped.
            let _ = controller.requests.unbounded_send(object);
        }
    }
}
