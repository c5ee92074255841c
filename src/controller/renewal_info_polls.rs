//! When the CA was last asked for renewal information. All of it may be lost at any time: the status has enough to continue.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;

use certwright_core::renewal::RenewalInfoPoll;

/// The last request about each Certificate, by uid.
pub struct RenewalInfoPolls(Mutex<Known>);

struct Known {
    began: Timestamp,
    asked: HashMap<String, RenewalInfoPoll>,
}

impl RenewalInfoPolls {
    /// None yet.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Known { began: now, asked: HashMap::new() }))
    }

    /// Since when this process has been asking.
    pub fn began(&self) -> Timestamp {
        self.0.lock().began
    }

    /// The last request about a Certificate.
    pub fn last(&self, uid: &str) -> Option<RenewalInfoPoll> {
        self.0.lock().asked.get(uid).cloned()
    }

    /// Remembers a request.
    pub fn remember(&self, uid: &str, asked: RenewalInfoPoll) {
        self.0.lock().asked.insert(uid.to_owned(), asked);
    }

    /// Forgets a Certificate that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().asked.remove(uid);
    }

    /// Starts over: another replica may have asked meanwhile.
    pub fn begin(&self, now: Timestamp) {
        *self.0.lock() = Known { began: now, asked: HashMap::new() };
    }
}
