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
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(uid).and_then(|known| known.progress.take()).unwrap_or_default()
    }

    /// Keeps the progress of a Certificate; `None` once it is at rest.
    pub fn keep(&self, uid: &str, progress: Option<Progress>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (progress, all.get_mut(uid)) {
            (None, None) => {}
            (None, Some(known)) if known.newest.is_none() && known.errors == 0 => {
                all.remove(uid);
            }
            (progress, Some(known)) => known.progress = progress,
            (progress, None) => {
                all.insert(uid.to_owned(), Known { progress, ..Known::default() });
            }
        }
    }

    /// The newer of what the cache has and of what the last write returned.
    pub fn newest(&self, cached: impl FnOnce() -> Arc<Certificate>) -> Arc<Certificate> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked up under the lock: what was cached before the watch caught up with a write would be older than it.
        let cached = cached();
        let written = all.get(&cached.uid().unwrap_or_default()).and_then(|known| known.newest.clone());
        written.filter(|written| version(written) > version(&cached)).unwrap_or(cached)
    }

    /// The watch has delivered a version: what a write returned is of no more use once the watch has caught up.
    pub fn seen(&self, certificate: &Certificate) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = certificate.metadata.uid.as_deref().unwrap_or_default();
        let Some(known) = all.get_mut(uid) else { return };
        if known.newest.as_ref().is_some_and(|written| version(written) <= version(certificate)) {
            known.newest = None;
        }
        if known.newest.is_none() && known.progress.is_none() && known.errors == 0 {
            all.remove(uid);
        }
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
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(uid) {
            known.errors = 0;
        }
    }

    /// Forgets a Certificate that is gone.
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
