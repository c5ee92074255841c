//! The revocation lists that Certificates name, and what was found on them. All of it may be lost at any time: the status has what
//! was found, and the lists are fetched again.

use std::collections::HashMap;
use std::sync::Arc;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot;
use jiff::Timestamp;
use parking_lot::Mutex;

use certwright_api::Certificate;
use certwright_core::revoked::Finding;

/// The maximum number of lists that are fetched for one namespace. A CA splits its list into some hundred at most.
const MOST: usize = 2000;

/// The lists, by URL, and what was found, by the Certificate's uid.
#[derive(Default)]
pub struct RevocationLists(Mutex<Known>);

#[derive(Default)]
struct Known {
    lists: HashMap<String, List>,
    findings: HashMap<String, Arc<Finding>>,
    requests: Option<UnboundedSender<Request>>,
}

struct List {
    /// The namespace in which it was seen first. Namespaces take turns.
    namespace: String,
    checked: Option<Timestamp>,
}

/// A list to fetch.
pub enum Request {
    /// When its turn comes.
    Sometime(String),
    /// Now, and who waits for that.
    Now(String, oneshot::Sender<()>),
}

impl RevocationLists {
    /// A Certificate was seen, which may name a list.
    pub fn see(&self, certificate: &Certificate) {
        let url = certificate.status.as_ref().and_then(|status| status.revocation_list_url.as_ref());
        let (Some(url), Some(namespace)) = (url, &certificate.metadata.namespace) else { return };
        let mut known = self.0.lock();
        if known.lists.contains_key(url) {
            return;
        }
        let held = known.lists.values().filter(|list| list.namespace == *namespace).count();
        if held >= MOST {
            tracing::debug!(
                namespace,
                url,
                "too many revocation lists in this namespace; this one is not fetched"
            );
            return;
        }
        known.lists.insert(url.clone(), List { namespace: namespace.clone(), checked: None });
        known.request(Request::Sometime(url.clone()));
    }

    /// The requests to fetch lists, beginning with one for each list that is known. Former receivers get no more.
    pub fn connect(&self) -> UnboundedReceiver<Request> {
        let (requests, receiver) = unbounded();
        let mut known = self.0.lock();
        known.requests = Some(requests);
        for url in known.lists.keys() {
            known.request(Request::Sometime(url.clone()));
        }
        receiver
    }

    /// Has a list fetched now. The receiver is told when that is done; it is dropped if nobody does it.
    pub fn fetch_now(&self, url: &str) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        self.0.lock().request(Request::Now(url.to_owned(), done));
        receiver
    }

    /// The namespace for which a list is fetched, and when that was last done or tried.
    pub fn list(&self, url: &str) -> Option<(String, Option<Timestamp>)> {
        self.0.lock().lists.get(url).map(|list| (list.namespace.clone(), list.checked))
    }

    /// A list was fetched, or could not be.
    pub fn checked(&self, url: &str, now: Timestamp) {
        if let Some(list) = self.0.lock().lists.get_mut(url) {
            list.checked = Some(now);
        }
    }

    /// No Certificate names this list any more.
    pub fn forget_list(&self, url: &str) {
        self.0.lock().lists.remove(url);
    }

    /// What was found about a Certificate.
    pub fn finding(&self, uid: &str) -> Option<Arc<Finding>> {
        self.0.lock().findings.get(uid).cloned()
    }

    /// Something was found about a Certificate.
    pub fn found(&self, uid: String, finding: Finding) {
        self.0.lock().findings.insert(uid, Arc::new(finding));
    }

    /// A Certificate is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().findings.remove(uid);
    }

    /// Starts over: another replica may have fetched the lists meanwhile.
    pub fn begin(&self) {
        let mut known = self.0.lock();
        known.findings.clear();
        known.lists.values_mut().for_each(|list| list.checked = None);
    }
}

impl Known {
    /// This does nothing if nobody fetches lists.
    fn request(&self, request: Request) {
        if let Some(requests) = &self.requests {
            let _ = requests.unbounded_send(request);
        }
    }
}
