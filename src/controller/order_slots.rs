//! The order slots: each account has a limited number, and namespaces share them fairly. Within a namespace, the most urgent
//! issuance comes first.

use std::collections::HashMap;

use kube::runtime::reflector::ObjectRef;
use parking_lot::{Mutex, MutexGuard};

use super::issuer_record::AccountSecret;
use certwright_api::Certificate;
use certwright_core::fair_slots::FairSlots;
use certwright_core::reissue::Urgency;

/// The order slots of all accounts.
pub struct OrderSlots {
    per_account: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accounts: HashMap<AccountSecret, FairSlots<ObjectRef<Certificate>, Urgency>>,
    /// The account at which a Certificate has a slot, or waits for one, by uid.
    at: HashMap<String, AccountSecret>,
}

/// An eighth of the slots is reserved for namespaces that hold none.
const RESERVE: usize = 8;

impl OrderSlots {
    /// This many slots for each account.
    pub fn new(per_account: usize) -> Self {
        Self { per_account, state: Mutex::default() }
    }

    /// How many an account has.
    pub fn per_account(&self) -> usize {
        self.per_account
    }

    /// Takes an order slot of an account for the Certificate with this uid, or queues it and returns false. One that waits moves to
    /// its new urgency.
    pub fn take(
        &self,
        account: &AccountSecret,
        uid: &str,
        certificate: ObjectRef<Certificate>,
        urgency: Urgency,
    ) -> bool {
        let mut state = self.state();
        let namespace = certificate.namespace.clone().unwrap_or_default();
        let shares = state
            .accounts
            .entry(account.clone())
            .or_insert_with(|| FairSlots::new(self.per_account).with_reserve(self.per_account / RESERVE));
        let has_place = shares.take(uid, &namespace, urgency, certificate);
        state.at.insert(uid.to_owned(), account.clone());
        has_place
    }

    /// How many Certificates wait for an order slot of an account.
    pub fn waiting(&self, account: &AccountSecret) -> usize {
        self.state().accounts.get(account).map_or(0, FairSlots::waiting)
    }

    /// Whether the Certificate with this uid has an order slot of any account.
    pub fn has_any(&self, uid: &str) -> bool {
        let state = self.state();
        let shares = state.at.get(uid).and_then(|account| state.accounts.get(account));
        shares.is_some_and(|shares| shares.has(uid))
    }

    /// Whether the Certificate with this uid has an order slot of an account.
    pub fn has(&self, account: &AccountSecret, uid: &str) -> bool {
        self.state().accounts.get(account).is_some_and(|shares| shares.has(uid))
    }

    /// Frees the slot or the queue entry of a Certificate at any account except `but`; returns those that get a slot now.
    pub fn free_elsewhere(&self, uid: &str, but: Option<&AccountSecret>) -> Vec<ObjectRef<Certificate>> {
        let mut state = self.state();
        match state.at.get(uid) {
            Some(account) if Some(account) != but => {}
            _ => return Vec::new(),
        }
        let Some(account) = state.at.remove(uid) else { return Vec::new() };
        let Some(shares) = state.accounts.get_mut(&account) else { return Vec::new() };
        let next = shares.free(uid);
        if shares.is_empty() {
            state.accounts.remove(&account);
        }
        next
    }

    /// Frees the slot or the queue entry of a Certificate; returns those that get a slot now.
    pub fn free(&self, uid: &str) -> Vec<ObjectRef<Certificate>> {
        self.free_elsewhere(uid, None)
    }

    /// Frees all slots: it is unknown what another leader did meanwhile.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_freed_goes_to_the_namespace_that_has_none() {
        let places = OrderSlots::new(2);
        for name in ["a", "b", "c", "d"] {
            places.take(&account("shared"), name, certificate("greedy", name), Urgency::Unusable);
        }
        assert!(!places.take(&account("shared"), "e", certificate("modest", "e"), Urgency::Unusable));
        assert!(
            places.take(&account("other"), "f", certificate("greedy", "f"), Urgency::Unusable),
            "accounts are apart"
        );
        assert_eq!(places.waiting(&account("shared")), 3);
        assert!(places.has_any("a") && places.has_any("f"));
        assert!(!places.has_any("e") && !places.has_any("unknown"), "it waits, or is not known");
        let next = places.free("a");
        assert_eq!(next, [certificate("modest", "e")]);
        assert_eq!(places.waiting(&account("shared")), 2);
        assert!(places.take(&account("shared"), "e", certificate("modest", "e"), Urgency::Unusable));
    }

    #[test]
    fn a_certificate_that_changes_its_issuer_does_not_keep_its_old_slot() {
        let places = OrderSlots::new(1);
        assert!(places.take(&account("old"), "a", certificate("ns", "a"), Urgency::Unusable));
        assert!(!places.take(&account("old"), "b", certificate("ns", "b"), Urgency::Unusable));
        assert!(places.free_elsewhere("a", Some(&account("old"))).is_empty());
        assert_eq!(places.free_elsewhere("a", Some(&account("new"))), [certificate("ns", "b")]);
        assert!(places.take(&account("new"), "a", certificate("ns", "a"), Urgency::Unusable));
    }

    #[test]
    fn the_most_urgent_certificate_of_a_namespace_comes_first() {
        let places = OrderSlots::new(1);
        let until = |end: &str| Urgency::UsableUntil(end.parse().unwrap());
        let (soon, late) = (until("2026-01-02T00:00:00Z"), until("2026-02-01T00:00:00Z"));
        for (name, urgency) in [("a", late), ("b", late), ("c", soon), ("d", Urgency::Unusable)] {
            places.take(&account("one"), name, certificate("ns", name), urgency);
        }
        places.take(&account("one"), "b", certificate("ns", "b"), Urgency::Unusable);
        assert_eq!(places.free("a"), [certificate("ns", "b")], "it arrived first");
        assert_eq!(places.free("b"), [certificate("ns", "d")]);
        assert_eq!(places.free("d"), [certificate("ns", "c")]);
    }

    #[test]
    fn an_account_without_orders_leaves_nothing_behind() {
        let places = OrderSlots::new(1);
        places.take(&account("one"), "a", certificate("ns", "a"), Urgency::Unusable);
        places.take(&account("one"), "b", certificate("ns", "b"), Urgency::Unusable);
        places.free("b");
        places.free("a");
        assert!(places.state().accounts.is_empty() && places.state().at.is_empty());
    }

    fn account(name: &str) -> AccountSecret {
        ("ns".to_owned(), name.to_owned(), "tls.key".to_owned())
    }

    fn certificate(namespace: &str, name: &str) -> ObjectRef<Certificate> {
        ObjectRef::new(name).within(namespace)
    }
}
