use jiff::SignedDuration;
use proptest::prelude::*;

use crate::account::MacKey;
use crate::account::rollover::{Keys, Peer};
use crate::account::tests::world::{SERVER, World, thumbprint};
use crate::conditions::condition;
use crate::fate::fates;
use certwright_api::{CONDITION_ACCOUNT_REBOUND, issuer_reason as reason};

use super::*;

/// What the condition says: its status, reason and message.
fn said(world: &World) -> Option<(&str, &str, &str)> {
    let said = condition(&world.status.conditions, CONDITION_ACCOUNT_REBOUND)?;
    Some((&said.status, &said.reason, &said.message))
}

fn bound() -> World {
    let mut world = World::new();
    world.bind("kid");
    world.settle();
    world
}

#[test]
fn another_account_with_another_key_has_the_same_binding() {
    let mut world = bound();
    let old = world.accounts[0].clone();
    world.rebind = Some("1".to_owned());
    world.settle();
    assert!(world.is_ready());
    assert_eq!(world.accounts.len(), 2);
    let new = world.accounts[1].clone();
    assert_eq!(new.key_id.as_deref(), Some("kid"));
    assert_ne!(new.key, old.key);
    let acme = world.status.acme.clone().unwrap();
    assert_eq!((acme.uri.as_str(), acme.observed_rebind_request.as_deref()), (new.url.as_str(), Some("1")));
    assert_eq!(acme.previous_accounts.len(), 1);
    let previous = &acme.previous_accounts[0];
    assert_eq!((previous.uri.as_str(), previous.rebound), (old.url.as_str(), Some(true)));
    let message = format!("The account {} replaces {}, as requested", new.url, old.url);
    assert_eq!(said(&world), Some(("True", reason::ACCOUNT_REBOUND, message.as_str())));

    // The old account can still be deactivated.
    world.deactivate = Some(old.url.clone());
    world.settle();
    assert!(world.accounts[0].deactivated && !world.accounts[1].deactivated);

    // The same value does nothing; another one is another request.
    world.settle();
    assert_eq!(world.accounts.len(), 2);
    world.rebind = Some("2".to_owned());
    world.settle();
    assert_eq!(world.accounts.len(), 3);
    world.rebind = None;
    world.settle();
    assert_eq!((world.accounts.len(), said(&world)), (3, None));
}

#[test]
fn a_new_issuer_is_not_bound_twice() {
    let mut world = World::new();
    world.bind("kid");
    world.rebind = Some("1".to_owned());
    world.settle();
    assert_eq!(world.accounts.len(), 1);
    assert_eq!(said(&world), None);
    let acme = world.status.acme.as_ref().unwrap();
    assert_eq!(acme.observed_rebind_request.as_deref(), Some("1"));
}

#[test]
fn an_account_that_is_deactivated_is_replaced_on_request() {
    let mut world = bound();
    world.deactivate = Some(world.accounts[0].url.clone());
    world.settle();
    assert!(!world.is_ready());
    world.rebind = Some("1".to_owned());
    world.settle();
    assert!(world.is_ready());
    assert_eq!(world.accounts.len(), 2);
    assert_eq!(world.status.acme.as_ref().unwrap().uri, world.accounts[1].url);
}

/// Without a MAC key, the account stays in use.
#[test]
fn the_account_is_not_given_up_before_its_replacement_can_be_registered() {
    let mut world = bound();
    let old = world.secret.as_ref().unwrap().key;
    world.mac_key = MacKey::SecretMissing;
    world.rebind = Some("1".to_owned());
    world.settle_for(SignedDuration::from_mins(10));
    assert!(world.is_ready());
    assert_eq!((world.accounts.len(), world.secret.as_ref().unwrap().key), (1, old));
    let expected = "The account was not rebound: Secret eab, which externalAccountBinding.keySecretRef names, does not \
                    exist; create it";
    assert_eq!(said(&world), Some(("False", reason::SECRET_NOT_FOUND, expected)));
    world.mac_key = MacKey::Usable;
    world.settle_for(SignedDuration::from_mins(2));
    assert_eq!(world.accounts.len(), 2, "the Secret is read again within a minute");
}

#[test]
fn an_issuer_without_an_external_account_says_so_and_stays_ready() {
    let mut world = World::new();
    world.settle();
    world.rebind = Some("1".to_owned());
    world.settle();
    assert!(world.is_ready());
    assert_eq!(world.accounts.len(), 1);
    assert_eq!(
        said(&world).map(|(is, reason, _)| (is, reason)),
        Some(("False", reason::NO_EXTERNAL_ACCOUNT))
    );
}

/// Each value of the annotation takes an account at the CA, and room in the Secret and in the status.
#[test]
fn accounts_cannot_pile_up() {
    let mut world = bound();
    for request in 0..30 {
        world.rebind = Some(request.to_string());
        world.settle();
    }
    assert!(world.is_ready());
    assert_eq!(world.accounts.len(), 21);
    assert_eq!(said(&world).map(|(is, reason, _)| (is, reason)), Some(("False", reason::TOO_MANY_ACCOUNTS)));
    let old = world.accounts[3].url.clone();
    world.deactivate = Some(old);
    world.settle();
    assert_eq!(world.accounts.len(), 22, "the request is granted once there is room");
}

#[test]
fn a_request_that_was_a_mistake_can_be_withdrawn() {
    let mut world = bound();
    let old = world.accounts[0].clone();
    world.refuses_bindings = true;
    world.rebind = Some("1".to_owned());
    world.settle_for(SignedDuration::from_hours(3));
    assert!(!world.is_ready());
    assert_ne!(world.secret.as_ref().unwrap().key, old.key);
    world.rebind = None;
    world.settle();
    assert!(world.is_ready(), "{:?}", world.status);
    let acme = world.status.acme.as_ref().unwrap();
    assert_eq!((acme.uri.as_str(), acme.key_thumbprint.clone()), (old.url.as_str(), thumbprint(old.key)));
    assert_eq!(acme.previous_accounts, []);
    assert_eq!(world.accounts.len(), 1);
    // The same request can be made again.
    world.refuses_bindings = false;
    world.rebind = Some("1".to_owned());
    world.settle();
    assert_eq!(world.accounts.len(), 2);
}

/// Going back to an earlier key id restores its account, but never one that was replaced because its MAC key leaked.
#[test]
fn an_account_that_was_rebound_is_not_returned_to() {
    let mut world = bound();
    world.rebind = Some("1".to_owned());
    world.settle();
    let rebound = world.accounts[1].url.clone();
    world.bind("other");
    world.settle();
    assert_eq!(world.accounts.len(), 3);
    world.bind("kid");
    world.settle();
    assert_eq!(world.accounts.len(), 3);
    assert_eq!(world.status.acme.as_ref().unwrap().uri, rebound);
}

#[test]
fn a_key_that_must_stay_is_not_replaced() {
    let binding = super::super::tests::binding("kid");
    let spec = certwright_api::AcmeIssuer {
        server: SERVER.to_owned(),
        external_account_binding: Some(binding),
        ..Default::default()
    };
    let acme = AcmeAccountStatus {
        uri: "https://acme.test/account/1".to_owned(),
        server: SERVER.to_owned(),
        key_thumbprint: "mine".to_owned(),
        ..Default::default()
    };
    let mut state = State::default();
    state.status.acme = Some(acme);
    let key = |ours| KeySecret::Key { thumbprint: "mine".to_owned(), ours, account: None };
    let (users, ours) = (key(false), key(true));
    let peer =
        Peer { name: "Issuer other".to_owned(), server: "https://other.test".to_owned(), algorithm: None };
    let peers = [peer];
    let shared = Keys { peers: &peers, ..Keys::default() };
    let now = "2026-11-22T03:00:00Z".parse().unwrap();
    for (key_secret, keys, expected) in [
        (&users, Keys::default(), Some(reason::ACCOUNT_KEY_NOT_OURS)),
        (&ours, shared, Some(reason::ACCOUNT_KEY_SHARED)),
        (&ours, Keys::default(), None),
    ] {
        let snapshot = Snapshot {
            keys,
            rebind: Some("1"),
            key_id: &crate::account::KeyId::Known("kid".to_owned()),
            ..crate::account::tests::snapshot(&spec, key_secret)
        };
        let refused = match request(&snapshot.with(&state), now) {
            Request::Refused(reason, message, _) => {
                assert!(message.contains("Secret account"), "{message}");
                Some(reason)
            }
            other => {
                assert_eq!(other, Request::Due(AccountStep::ReadMacKey));
                None
            }
        };
        assert_eq!(refused, expected);
    }
}

proptest! {
    /// Exactly one other account is registered. Both accounts have their keys in the Secret.
    #[test]
    fn whatever_happens_an_account_is_rebound_once(fates in fates()) {
        let mut world = bound();
        let old = world.accounts[0].clone();
        world.rebind = Some("1".to_owned());
        world.fates.extend(fates);
        world.settle();
        prop_assert!(world.is_ready());
        prop_assert_eq!(world.accounts.len(), 2);
        let (acme, secret) = (world.status.acme.as_ref().unwrap(), world.secret.as_ref().unwrap());
        prop_assert_eq!(&acme.uri, &world.accounts[1].url);
        prop_assert_eq!(secret.key, world.accounts[1].key);
        prop_assert_eq!(acme.observed_rebind_request.as_deref(), Some("1"));
        prop_assert_eq!(acme.previous_accounts.len(), 1);
        prop_assert_eq!(&acme.previous_accounts[0].uri, &old.url);
        prop_assert_eq!(secret.kept.iter().map(|(_, key)| *key).collect::<Vec<_>>(), [old.key]);
        let effects = world.effects;
        world.settle();
        prop_assert_eq!(world.effects, effects, "nothing is left to do");
    }

    /// Whenever the request is withdrawn, the issuer is ready in the end, and no account is lost.
    #[test]
    fn whatever_happens_a_withdrawn_request_does_no_harm(
        fates in fates(),
        steps in 0..12usize,
        refuses in any::<bool>(),
    ) {
        let mut world = bound();
        world.refuses_bindings = refuses;
        world.rebind = Some("1".to_owned());
        world.fates.extend(fates);
        world.reconcile_times(steps);
        world.rebind = None;
        world.settle();
        prop_assert!(world.is_ready());
        let (acme, secret) = (world.status.acme.as_ref().unwrap(), world.secret.as_ref().unwrap());
        let account = world.accounts.iter().find(|account| account.url == acme.uri).unwrap();
        prop_assert_eq!(account.key, secret.key);
        let first = &world.accounts[0];
        let is_kept = secret.kept.iter().any(|(_, key)| *key == first.key);
        prop_assert!(first.key == secret.key || is_kept, "the first account can still be used or deactivated");
    }
}
