//! The operator's signed requests to a CA, decoded at a [`Proxy`] between them.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certwright_cluster::{
    Proxy,
    proxy::{Action, RequestInfo},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Path of Pebble's newAccount.
pub const NEW_ACCOUNT: &str = "/sign-me-up";
/// Path of Pebble's newOrder.
pub const NEW_ORDER: &str = "/order-plz";
/// The beginning of the paths of Pebble's accounts.
pub const ACCOUNT: &str = "/my-account/";

/// A request.
#[derive(Clone, Debug)]
pub struct Said {
    pub path: String,
    /// The protected header of its JWS; null if it is not signed.
    pub header: Value,
    /// The payload of its JWS; null if it is empty, as in a POST-as-GET.
    pub payload: Value,
}

impl Said {
    /// Whether it asks for a new account, and not only for an existing one.
    pub fn registers(&self) -> bool {
        self.path == NEW_ACCOUNT && self.payload["onlyReturnExisting"] != true
    }

    fn read(request: &RequestInfo) -> Self {
        let jws: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        Self { path: request.path.clone(), header: open(&jws["protected"]), payload: open(&jws["payload"]) }
    }
}

/// The signed requests that a proxy has received, in order.
#[derive(Clone, Default)]
pub struct Overheard(Arc<Mutex<Vec<Said>>>);

impl Overheard {
    /// From now on, records requests and forwards all of them.
    pub fn at(proxy: &Proxy) -> Self {
        let overheard = Self::default();
        overheard.script(proxy, |_| Action::Pass);
        overheard
    }

    /// Continues to record, and answers as `script` says. The script also sees requests that are not signed.
    pub fn script(&self, proxy: &Proxy, script: impl Fn(&Said) -> Action + Send + Sync + 'static) {
        let overheard = self.clone();
        proxy.script(move |request| {
            let said = Said::read(request);
            let action = script(&said);
            if !said.header.is_null() {
                overheard.0.lock().push(said);
            }
            action
        });
    }

    /// All signed requests so far.
    pub fn all(&self) -> Vec<Said> {
        self.0.lock().clone()
    }

    /// Those that `wanted` accepts.
    pub fn those(&self, wanted: impl Fn(&Said) -> bool) -> Vec<Said> {
        self.all().into_iter().filter(|said| wanted(said)).collect()
    }

    /// Those that asked for a new account.
    pub fn registrations(&self) -> Vec<Said> {
        self.those(Said::registers)
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.0.lock().clear();
    }
}

/// A problem document (RFC 8555 section 6.7).
pub fn problem(status: u16, typ: &str, detail: &str) -> Action {
    refusal(status, json!({ "type": typ, "detail": detail }))
}

/// An answer with this problem document.
pub fn refusal(status: u16, document: Value) -> Action {
    let headers = vec![("content-type", "application/problem+json".to_owned())];
    Action::Respond { status, headers, body: document.to_string() }
}

fn open(part: &Value) -> Value {
    let decoded = part.as_str().and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    decoded.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
