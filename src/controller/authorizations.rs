//! What this process knows of the authorizations that issuers are having validated, by uid of the issuer.

use std::collections::HashMap;

use parking_lot::Mutex;

use certwright_core::authorization::Progress;

/// What one reconcile of an issuer passes to the next.
#[derive(Default)]
pub struct AuthorizationsInProgress(Mutex<HashMap<String, Progress>>);

impl AuthorizationsInProgress {
    /// What the last reconcile kept.
    pub fn recall(&self, uid: &str) -> Progress {
        self.0.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Keeps what a reconcile knows.
    pub fn keep(&self, uid: &str, progress: Progress) {
        let mut all = self.0.lock();
        match progress.is_empty() {
            true => drop(all.remove(uid)),
            false => drop(all.insert(uid.to_owned(), progress)),
        }
    }

    /// Forgets an issuer that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }

    /// Forgets everything: another replica may have gone on with it.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}
