//! Accounts for which the CA does not work.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ca, Refusal, Validation};

#[derive(Default)]
pub struct Accounts {
    /// All calls with these accounts fail.
    pub out: BTreeMap<String, Refusal>,
    /// No name is validated for these accounts.
    pub refused: BTreeSet<String>,
    /// The accounts with which orders were requested, in order, also if that failed.
    pub placed: Vec<String>,
}

impl Accounts {
    pub fn answer(&self, account: &str) -> Result<(), Refusal> {
        self.out.get(account).map_or(Ok(()), |refusal| Err(refusal.clone()))
    }

    /// How many orders were requested with this account.
    pub fn count(&self, account: &str) -> usize {
        self.placed.iter().filter(|placed| *placed == account).count()
    }
}

impl Ca {
    pub(super) fn validation_of(&self, order: usize) -> Validation {
        match self.accounts.refused.contains(&self.orders[order].account) {
            true => Validation::Fails("connection"),
            false => self.validation,
        }
    }
}
