//! Errors about accounts that CAs returned to Certificates. A Certificate records a refusal here; the issuer's own controller
//! writes it into the issuer's condition.

use std::collections::HashMap;

use super::issuer_record::IssuerId;
use certwright_core::account::AccountRefusal;
use parking_lot::Mutex;

/// The current refusals.
#[derive(Default)]
pub struct AccountRefusals(Mutex<HashMap<IssuerId, AccountRefusal>>);

impl AccountRefusals {
    /// Records a refusal.
    pub fn pass(&self, issuer: IssuerId, refusal: AccountRefusal) {
        self.0.lock().insert(issuer, refusal);
    }

    /// The refusal of the account of `issuer` as of `generation`.
    pub fn on(&self, issuer: &IssuerId, generation: i64) -> Option<AccountRefusal> {
        let account_refusals = self.0.lock();
        account_refusals.get(issuer).filter(|refusal| refusal.generation == generation).cloned()
    }

    /// Forgets the refusal of `issuer`.
    pub fn lift(&self, issuer: &IssuerId) {
        self.0.lock().remove(issuer);
    }
}
