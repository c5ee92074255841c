//! Errors about accounts that CAs returned to Certificates. A Certificate leaves a verdict here; the issuer's own controller
//! writes it into the issuer's condition.

use std::collections::HashMap;

use super::issuer_record::IssuerId;
use certwright_core::account::Verdict;
use parking_lot::Mutex;

/// The current verdicts.
#[derive(Default)]
pub struct Verdicts(Mutex<HashMap<IssuerId, Verdict>>);

impl Verdicts {
    /// Records a verdict.
    pub fn pass(&self, issuer: IssuerId, verdict: Verdict) {
        self.0.lock().insert(issuer, verdict);
    }

    /// The verdict on the account of `issuer` as of `generation`.
    pub fn on(&self, issuer: &IssuerId, generation: i64) -> Option<Verdict> {
        let verdicts = self.0.lock();
        verdicts.get(issuer).filter(|verdict| verdict.generation == generation).cloned()
    }

    /// Forgets the verdict on `issuer`.
    pub fn lift(&self, issuer: &IssuerId) {
        self.0.lock().remove(issuer);
    }
}
