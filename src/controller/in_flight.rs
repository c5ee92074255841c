//! What this process knows about each Certificate beyond its cache: the progress of its issuance, including what could not be
//! written, and the newest version of the object, which a write has returned and the watch may not have delivered yet.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;

use super::issuer_record::IssuerId;
use certwright_api::Certificate;
use certwright_core::events::Event;
use certwright_core::issuance::Memory;

/// What is known about the Certificates, by uid.
#[derive(Default)]
pub struct InFlight(Mutex<HashMap<String, Known>>);

#[derive(Default)]
struct Known {
    /// Its name and issuers, from the start of a reconcile until it is at rest.
    at_work: Option<(ObjectRef<Certificate>, Vec<IssuerId>)>,
    kept: Option<Kept>,
    newest: Option<Arc<Certificate>>,
    errors: u32,
}

impl Known {
    fn is_needless(&self) -> bool {
        self.at_work.is_none() && self.kept.is_none() && self.newest.is_none() && self.errors == 0
    }
}

/// What one reconcile passes to the next: its memory, and unpublished events.
type Kept = (Memory, Vec<Event>);

impl InFlight {
    /// What the last reconcile of a Certificate kept.
    pub fn recall(&self, uid: &str) -> Kept {
        let all = self.0.lock();
        all.get(uid).and_then(|known| known.kept.clone()).unwrap_or_default()
    }

    /// A reconcile of a Certificate starts.
    pub fn begin(&self, certificate: &Certificate) {
        self.with(&certificate.uid().unwrap_or_default(), |known| {
            known.at_work = Some(identity(certificate))
        });
    }

    /// Those of these Certificates about which the cache may not tell yet what they wait for: a reconcile has begun and may have
    /// seen the cluster as it was, or the watch has not delivered what it wrote.
    pub fn unsettled(
        &self,
        which: impl Fn(&ObjectRef<Certificate>, &[IssuerId]) -> bool,
    ) -> Vec<ObjectRef<Certificate>> {
        let all = self.0.lock();
        let written = |known: &Known| known.newest.as_deref().map(identity);
        let unsettled = all.values().filter_map(|known| known.at_work.clone().or_else(|| written(known)));
        unsettled
            .filter(|(certificate, issuers)| which(certificate, issuers))
            .map(|(certificate, _)| certificate)
            .collect()
    }

    /// Keeps what a reconcile knows of a Certificate; `None` once it is at rest.
    pub fn keep(&self, uid: &str, kept: Option<Kept>) {
        let mut all = self.0.lock();
        match (kept, all.get_mut(uid)) {
            (None, None) => {}
            (None, Some(known)) => {
                (known.kept, known.at_work) = (None, None);
                if known.is_needless() {
                    all.remove(uid);
                }
            }
            (kept, Some(known)) => known.kept = kept,
            // It was forgotten during the reconcile: another shard may go on with it, and what this one knows gets old.
            (Some(_), None) => {}
        }
    }

    /// The newer of the cached version and the one that the last write returned.
    pub fn newest(&self, cached: impl FnOnce() -> Arc<Certificate>) -> Arc<Certificate> {
        let all = self.0.lock();
        // Looked up under the lock: otherwise it could be older than a write with which the watch has caught up in between.
        let cached = cached();
        let written = all.get(&cached.uid().unwrap_or_default()).and_then(|known| known.newest.clone());
        written.filter(|written| version(written) > version(&cached)).unwrap_or(cached)
    }

    /// The watch has delivered a version: the result of a write is dropped when the watch has caught up.
    pub fn seen(&self, certificate: &Certificate) {
        let mut all = self.0.lock();
        let uid = certificate.metadata.uid.as_deref().unwrap_or_default();
        let Some(known) = all.get_mut(uid) else { return };
        if known.newest.as_ref().is_some_and(|written| version(written) <= version(certificate)) {
            known.newest = None;
        }
        if known.is_needless() {
            all.remove(uid);
        }
    }

    /// Remembers what a write returned.
    pub fn written(&self, certificate: Arc<Certificate>) {
        let uid = certificate.uid().unwrap_or_default();
        self.with(&uid, |known| known.newest = Some(certificate));
    }

    /// Counts an error of the API server, and returns how many there were in a row.
    pub fn failed(&self, uid: &str) -> u32 {
        self.with(uid, |known| {
            known.errors = known.errors.saturating_add(1);
            known.errors
        })
    }

    /// The uids of objects whose last reconcile failed with an error of the API server.
    pub fn failing(&self) -> HashSet<String> {
        let all = self.0.lock();
        all.iter().filter(|(_, known)| known.errors > 0).map(|(uid, _)| uid.clone()).collect()
    }

    /// A reconcile has succeeded.
    pub fn succeeded(&self, uid: &str) {
        let mut all = self.0.lock();
        let Some(known) = all.get_mut(uid) else { return };
        known.errors = 0;
        if known.is_needless() {
            all.remove(uid);
        }
    }

    /// Forgets a Certificate that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }

    /// Forgets everything: another replica leads.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    fn with<R>(&self, uid: &str, change: impl FnOnce(&mut Known) -> R) -> R {
        let mut known = self.0.lock();
        change(known.entry(uid.to_owned()).or_default())
    }
}

fn identity(certificate: &Certificate) -> (ObjectRef<Certificate>, Vec<IssuerId>) {
    (ObjectRef::from_obj(certificate), IssuerId::all_of(certificate).collect())
}

/// Resource versions are decimal numbers that grow (Kubernetes 1.35 made comparing them part of the API).
fn version(certificate: &Certificate) -> u64 {
    certificate.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_core::issuance::{Proof, State};

    #[test]
    fn nothing_is_kept_of_a_reconcile_during_which_the_certificate_was_forgotten() {
        let mut certificate = Certificate::new("web", certwright_api::CertificateSpec::default());
        certificate.metadata.uid = Some("uid".to_owned());
        let mut state = State::default();
        state.learn().proof = Proof::Withdrawing;
        let memory = Memory::of(&state.status.clone(), state);
        let in_flight = InFlight::default();
        let knows = || {
            let (memory, _) = in_flight.recall("uid");
            memory.resume(certwright_api::CertificateStatus::default()).learned().proof == Proof::Withdrawing
        };
        in_flight.begin(&certificate);
        in_flight.keep("uid", Some((memory.clone(), Vec::new())));
        assert!(knows());
        in_flight.begin(&certificate);
        in_flight.forget("uid");
        in_flight.keep("uid", Some((memory, Vec::new())));
        assert!(!knows());
    }
}
