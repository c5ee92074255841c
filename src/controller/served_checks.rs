//! The Certificates for which it is checked what servers show, and what was found. All of it may be lost at any time: the status has
//! what was found, and it is checked again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use certwright_api::{CONDITION_SERVED, Certificate};
use certwright_core::conditions::condition;
use certwright_core::naming::stable_fraction;
use certwright_core::served::{Finding, Observed, first_look, is_checked, next_look, settles_after};
use certwright_runtime::clock;

/// Settings of the checks.
#[derive(Clone, Debug)]
pub struct ServedConfig {
    /// Whether Certificates are checked that do not say.
    pub by_default: bool,
    /// How often; never, if it is zero.
    pub interval: Duration,
    /// The ports that Certificates may name.
    pub ports: Vec<u16>,
}

impl ServedConfig {
    /// Whether this Certificate is checked, and what was found last.
    pub fn observed<'a>(&self, certificate: &Certificate, finding: Option<&'a Finding>) -> Observed<'a> {
        match self.interval.is_zero() {
            true => Observed::Off,
            false => Observed::of(&certificate.spec, self.by_default, finding),
        }
    }
}

/// The Certificates that are checked, by uid.
pub struct ServedChecks {
    config: ServedConfig,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    certificates: HashMap<String, Watched>,
    findings: HashMap<String, Arc<Finding>>,
    requests: Option<UnboundedSender<String>>,
}

struct Watched {
    subject: Subject,
    due: Instant,
    /// Whether it was served according to the status.
    was_served: bool,
    /// How many checks in a row have not found it served.
    wrong: u32,
}

/// What is checked. When the certificate or the spec changes, it is checked soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The Certificate's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Serial number of the certificate in its Secret.
    pub serial_number: String,
}

impl ServedChecks {
    /// With these settings.
    pub fn new(config: ServedConfig) -> Self {
        Self { config, known: Mutex::default() }
    }

    /// A Certificate was seen, which may have to be checked.
    pub fn see(&self, certificate: &Certificate) {
        if self.config.interval.is_zero() {
            return;
        }
        let uid = certificate.metadata.uid.as_deref().unwrap_or_default();
        let status = certificate.status.as_ref();
        let serial_number = status.and_then(|status| status.serial_number.clone());
        let is_off = !is_checked(&certificate.spec, self.config.by_default)
            || certificate.metadata.deletion_timestamp.is_some();
        let mut known = self.known.lock();
        let Some(serial_number) = serial_number.filter(|_| !is_off) else {
            known.certificates.remove(uid);
            known.findings.remove(uid);
            return;
        };
        let subject = Subject {
            namespace: certificate.namespace().unwrap_or_default(),
            name: certificate.name_any(),
            generation: certificate.metadata.generation.unwrap_or_default(),
            serial_number,
        };
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let was_served = condition(conditions, CONDITION_SERVED).is_some_and(|known| {
            known.status == "True" && known.observed_generation == certificate.metadata.generation
        });
        let soon = self.soon();
        let due = match known.certificates.get_mut(uid) {
            Some(before) if before.subject == subject => {
                before.was_served = was_served;
                return;
            }
            // A spec that changes again and again does not put the check off.
            Some(before) if before.subject.serial_number == subject.serial_number => before.due.min(soon),
            _ => soon,
        };
        let watched = Watched { subject, due, was_served, wrong: 0 };
        known.certificates.insert(uid.to_owned(), watched);
        known.request(uid);
    }

    /// The Certificates to check, as their uids, beginning with all that are known: nobody has checked them while this replica did
    /// not lead. Former receivers get no more.
    pub fn connect(&self) -> UnboundedReceiver<String> {
        let (requests, receiver) = unbounded();
        let mut known = self.known.lock();
        let now = clock::instant();
        for (uid, watched) in &mut known.certificates {
            watched.due = now + first_look(self.config.interval, watched.was_served, stable_fraction(uid));
        }
        known.requests = Some(requests);
        known.certificates.keys().for_each(|uid| known.request(uid));
        receiver
    }

    /// What to check of a Certificate, and how long to wait before. `None` if it is no longer checked.
    pub fn due(&self, uid: &str) -> Option<(Subject, Duration)> {
        let known = self.known.lock();
        let watched = known.certificates.get(uid)?;
        Some((watched.subject.clone(), watched.wait()))
    }

    /// It was checked, and `finding` is what was found, unless the check failed. Returns after which time the Certificate is checked
    /// again, if it is.
    pub fn checked(&self, uid: &str, subject: &Subject, finding: Option<Finding>) -> Option<Duration> {
        let mut known = self.known.lock();
        let watched = known.certificates.get_mut(uid)?;
        if watched.subject == *subject {
            let is_served = finding.as_ref().is_some_and(|finding| finding.verdict.is == Some(true));
            watched.wrong = if is_served { 0 } else { watched.wrong.saturating_add(1) };
            watched.due = clock::instant() + next_look(self.config.interval, watched.wrong);
        } else {
            watched.due = watched.due.max(self.soon());
        }
        let wait = watched.wait();
        if let Some(finding) = finding {
            known.findings.insert(uid.to_owned(), Arc::new(finding));
        }
        Some(wait)
    }

    /// When a change has settled that happens now.
    fn soon(&self) -> Instant {
        clock::instant() + settles_after(self.config.interval)
    }

    /// What was found about a Certificate.
    pub fn finding(&self, uid: &str) -> Option<Arc<Finding>> {
        self.known.lock().findings.get(uid).cloned()
    }

    /// A Certificate is gone.
    pub fn forget(&self, uid: &str) {
        let mut known = self.known.lock();
        known.certificates.remove(uid);
        known.findings.remove(uid);
    }

    /// Starts over: another replica may have checked meanwhile.
    pub fn begin(&self) {
        self.known.lock().findings.clear();
    }
}

impl Watched {
    fn wait(&self) -> Duration {
        self.due.saturating_duration_since(clock::instant())
    }
}

impl Known {
    /// This does nothing if nobody checks.
    fn request(&self, uid: &str) {
        if let Some(requests) = &self.requests {
            let _ = requests.unbounded_send(uid.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
