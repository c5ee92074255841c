//! Errors about accounts that CAs returned to Certificates. A Certificate leaves a verdict here; the issuer's own controller
//! writes it into the issuer's condition.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::issuer_record::IssuerId;
use certwright_core::disposition::Disposition;

/// A CA's error about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Generation of the issuer whose account was used.
    pub generation: i64,
    /// What happens next.
    pub disposition: Disposition,
    /// The reason for the issuer's condition, if the CA's code is known.
    pub reason: Option<&'static str>,
    /// The message with the CA's error.
    pub message: String,
}

/// The current verdicts.
#[derive(Default)]
pub struct Verdicts(Mutex<HashMap<IssuerId, Verdict>>);

impl Verdicts {
    /// Records a verdict.
    pub fn pass(&self, issuer: IssuerId, verdict: Verdict) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(issuer, verdict);
    }

    /// The verdict on the account of `issuer` as of `generation`.
    pub fn on(&self, issuer: &IssuerId, generation: i64) -> Option<Verdict> {
        let verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(issuer).filter(|verdict| verdict.generation == generation).cloned()
    }

    /// Forgets the verdict on `issuer`.
    pub fn lift(&self, issuer: &IssuerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(issuer);
    }
}
