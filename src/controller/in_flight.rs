//! What this process knows of each Certificate beyond its cache: the progress of its issuance, and the newest version
//! of the object, which a write has returned and the watch may not have delivered yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::ResourceExt;

use crate::api::Certificate;
use crate::core::issuance::Progress;

/// What is known of the Certificates, by uid.
#[derive(Default)]
pub struct InFlight(Mutex<HashMap<String, Known>>);

#[derive(Default)]
struct Known {
    progress: Option<Progress>,
    newest: Option<Arc<Certificate>>,
    errors: u32,
}

impl InFlight {
    /// Takes the progress of a Certificate, to put it back with [`keep`](Self::keep).
    pub fn take(&self, uid: &str) -> Progress {
        self.with(uid, |known| known.progress.take()).unwrap_or_default()
    }

    /// Keeps the progress of a Certificate.
    pub fn keep(&self, uid: &str, progress: Progress) {
        self.with(uid, |known| known.progress = Some(progress));
    }

    /// The newer of `cached` and of what the last write returned.
    pub fn newest(&self, cached: Arc<Certificate>) -> Arc<Certificate> {
        let uid = cached.uid().unwrap_or_default();
        self.with(&uid, |known| {
            let newest = known.newest.take().filter(|written| version(written) > version(&cached));
            known.newest.clone_from(&newest);
            newest.unwrap_or(cached)
        })
    }

    /// Remembers what a write returned.
    pub fn written(&self, certificate: Arc<Certificate>) {
        let uid = certificate.uid().unwrap_or_default();
        self.with(&uid, |known| known.newest = Some(certificate));
    }

    /// Counts an error of the API server, and says how long to wait before the next try.
    pub fn failed(&self, uid: &str) -> Duration {
        const FIRST: Duration = Duration::from_millis(500);
        const LONGEST: Duration = Duration::from_secs(60);
        self.with(uid, |known| {
            let wait = FIRST.saturating_mul(1 << known.errors.min(16)).min(LONGEST);
            known.errors += 1;
            wait
        })
    }

    /// The API server did what it was asked.
    pub fn succeeded(&self, uid: &str) {
        self.with(uid, |known| known.errors = 0);
    }

    /// Forgets a Certificate that is gone or at rest.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Forgets all: another replica leads.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn with<R>(&self, uid: &str, change: impl FnOnce(&mut Known) -> R) -> R {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(known.entry(uid.to_owned()).or_default())
    }
}

/// Resource versions are decimal numbers that grow (Kubernetes 1.35 made comparing them part of the API).
fn version(certificate: &Certificate) -> u64 {
    certificate.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}
