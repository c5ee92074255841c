//! Errors about accounts that CAs returned to Certificates. A Certificate records a refusal here; the issuer's own controller
//! writes it into the issuer's condition.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::issuer_record::{IssuerId, IssuerRecord};
use certwright_core::account::AccountRefusal;
use parking_lot::Mutex;

/// How long a refusal holds if another shard serves the issuer, and does not change its status.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// The current refusals.
#[derive(Default)]
pub struct AccountRefusals(Mutex<HashMap<IssuerId, Passed>>);

struct Passed {
    refusal: AccountRefusal,
    /// The thumbprint of the key with which the request was signed.
    key: Option<String>,
    at: Timestamp,
}

impl AccountRefusals {
    /// Records the refusal of a request that was signed with `key`.
    pub fn pass(&self, issuer: IssuerId, refusal: AccountRefusal, key: Option<String>, at: Timestamp) {
        self.0.lock().insert(issuer, Passed { refusal, key, at });
    }

    /// The refusal of the account of `issuer` as of `generation`.
    pub fn on(&self, issuer: &IssuerId, generation: i64) -> Option<AccountRefusal> {
        let account_refusals = self.0.lock();
        let passed = account_refusals.get(issuer).filter(|passed| passed.refusal.generation == generation);
        passed.map(|passed| passed.refusal.clone())
    }

    /// The refusal of the account of an issuer that another shard serves, and until when it holds: as long as the account has the
    /// same key, but not forever, because that shard may not know of it.
    pub fn on_reader(&self, issuer: &IssuerRecord, now: Timestamp) -> Option<(AccountRefusal, Timestamp)> {
        let account_refusals = self.0.lock();
        let Passed { refusal, key, at } = account_refusals.get(&issuer.id)?;
        let current = issuer.status.acme.as_ref().map(|acme| &acme.key_thumbprint);
        let until = at.checked_add(LONGEST).ok()?;
        let holds = refusal.generation == issuer.generation && key.as_ref() == current && now < until;
        holds.then(|| (refusal.clone(), until))
    }

    /// Forgets the refusal of `issuer`.
    pub fn lift(&self, issuer: &IssuerId) {
        self.0.lock().remove(issuer);
    }
}
