//! Properties of the account state machine, whatever fails and whenever the process is killed.

use proptest::prelude::*;

use super::world::{KeyChanges, World, thumbprint};
use crate::conditions::condition;
use crate::fate::{Fate, fates};
use certwright_api::{
    AccountOnDelete, AccountPolicy, CONDITION_KEY_ROLLOVER, IssuerStatus, issuer_reason as reason,
};

proptest! {
    /// Exactly one account is registered. Its key is in the Secret, and its URL is recorded in the Secret and in the status.
    #[test]
    fn whatever_happens_one_account_is_registered(fates in fates(), bound in any::<bool>()) {
        let mut world = World::new();
        world.spec.email = Some("ops@example.com".to_owned());
        world.requires_binding = bound;
        if bound {
            world.bind("kid-1");
        }
        world.fates.extend(fates);
        world.settle();
        check_account(&world);
        prop_assert_eq!(world.accounts.len(), 1);
        prop_assert_eq!(world.accounts[0].key_id.as_deref(), bound.then_some("kid-1"));
        prop_assert_eq!(&world.accounts[0].contact, &["ops@example.com"]);
        let effects = world.effects;
        world.settle();
        prop_assert_eq!(world.effects, effects, "an issuer that is ready costs nothing");
    }

    /// The key of the account is changed exactly once, and the Secret holds the key that the CA knows.
    #[test]
    fn whatever_happens_the_key_is_changed_once(fates in fates()) {
        let mut world = World::new();
        world.settle();
        let old = world.secret.as_ref().unwrap().key;
        world.request = Some("now".to_owned());
        world.fates.extend(fates);
        world.settle();
        check_account(&world);
        let secret = world.secret.as_ref().unwrap();
        prop_assert_ne!(secret.key, old);
        prop_assert!(secret.next.is_none());
        prop_assert_eq!(world.accounts.len(), 1);
        let acme = world.status.acme.as_ref().unwrap();
        prop_assert_eq!(acme.observed_rollover_request.as_deref(), Some("now"));
        prop_assert!(acme.failed_key_rollover.is_none());
        let key = secret.key;
        world.settle();
        prop_assert_eq!(world.secret.as_ref().unwrap().key, key, "it is not changed again");
    }

    /// If the CA keeps the old key, the account stays usable with that key, whether or not the CA says so.
    #[test]
    fn a_key_that_is_not_changed_stays_usable(
        fates in fates(),
        changes in prop::sample::select(vec![KeyChanges::Pretended, KeyChanges::Refused, KeyChanges::NotOffered]),
    ) {
        let mut world = World::new();
        world.settle();
        let old = world.secret.as_ref().unwrap().key;
        world.request = Some("now".to_owned());
        world.changes = changes;
        world.fates.extend(fates);
        // The retries are up to ten hours apart.
        world.settle_for(jiff::SignedDuration::from_hours(20 * 24));
        check_account(&world);
        prop_assert_eq!(world.secret.as_ref().unwrap().key, old);
        let acme = world.status.acme.as_ref().unwrap();
        prop_assert!(acme.failed_key_rollover.is_some() && acme.next_key_rollover.is_some());
        let told = condition(&world.status.conditions, CONDITION_KEY_ROLLOVER).unwrap();
        let reason = match changes {
            KeyChanges::NotOffered => reason::KEY_CHANGE_NOT_OFFERED,
            _ => reason::KEY_CHANGE_REFUSED,
        };
        prop_assert_eq!(told.reason.as_str(), reason);
        prop_assert_eq!(told.status.as_str(), "False");
    }

    /// Another external account requires another account. The first account stays recorded with its key, and can be restored.
    #[test]
    fn whatever_happens_a_rebound_account_can_be_had_back(fates in fates(), back in fates()) {
        let mut world = World::new();
        world.bind("kid-1");
        world.settle();
        let first = world.accounts[0].clone();
        world.bind("kid-2");
        world.fates.extend(fates);
        world.settle();
        check_account(&world);
        prop_assert_eq!(world.accounts.len(), 2);
        let previous = &world.status.acme.as_ref().unwrap().previous_accounts;
        prop_assert_eq!(previous.len(), 1);
        prop_assert_eq!(&previous[0].uri, &first.url);
        world.bind("kid-1");
        world.fates.extend(back);
        world.settle();
        check_account(&world);
        prop_assert_eq!(world.accounts.len(), 2, "no third account");
        prop_assert_eq!(&world.status.acme.as_ref().unwrap().uri, &first.url);
        prop_assert_eq!(world.secret.as_ref().unwrap().key, first.key);
    }

    /// The named account is deactivated, and no other account is registered in its place.
    #[test]
    fn whatever_happens_a_deactivated_account_is_not_replaced(fates in fates()) {
        let mut world = World::new();
        world.settle();
        world.deactivate = Some(world.accounts[0].url.clone());
        world.fates.extend(fates);
        world.settle();
        prop_assert!(world.accounts[0].deactivated);
        prop_assert_eq!(world.accounts.len(), 1);
        prop_assert!(world.status.acme.as_ref().unwrap().deactivation_time.is_some());
        prop_assert!(world.secret.as_ref().unwrap().account.as_ref().unwrap().deactivated.is_some());
        prop_assert_eq!(world.ready().map(|ready| ready.reason.as_str()), Some(reason::DEACTIVATED));
        world.deactivate = None;
        world.status = IssuerStatus::default();
        world.settle();
        prop_assert_eq!(world.accounts.len(), 1, "nor when the status is lost");
    }

    /// An issuer whose policy requires the deactivation of its account is released in bounded time. It is not released before
    /// the CA has confirmed the deactivation, unless the timeout is over.
    #[test]
    fn whatever_happens_a_deleted_issuer_is_let_go(early in fates(), fates in fates(), registered in any::<bool>()) {
        let mut world = World::new();
        let policy = AccountPolicy { on_delete: Some(AccountOnDelete::Deactivate), ..AccountPolicy::default() };
        world.spec.account_policy = Some(policy);
        if registered {
            world.settle();
            prop_assert!(world.has_finalizer);
        }
        world.fates.extend(early.into_iter().take(if registered { 0 } else { 5 }));
        world.fates.extend(fates);
        let begin = world.now;
        world.deleted = Some(begin);
        world.settle();
        prop_assert!(world.released);
        prop_assert!(world.now <= begin + jiff::SignedDuration::from_secs(180), "{}", world.now);
        prop_assert!(world.accounts.iter().all(|account| account.deactivated));
    }
}

/// The first attempt fails, and the process is killed after the success of the second is recorded in the Secret. The failure in
/// the status must not make the issuer reconcile endlessly.
#[test]
fn an_attempt_that_failed_is_forgotten_once_the_account_is_deactivated() {
    use Fate::*;
    let mut world = World::new();
    world.settle();
    world.deactivate = Some(world.accounts[0].url.clone());
    world.fates.extend([Refused, Works, Works, Refused, Works, Works, KilledBefore]);
    world.settle();
    assert!(world.accounts[0].deactivated);
    assert_eq!(world.status.deactivation, None);
}

#[test]
fn the_status_says_how_many_orders_the_account_may_have_at_a_time() {
    let mut world = World::new();
    world.settle();
    world.orders_per_account = 7;
    world.settle();
    check_account(&world);
    let effects = world.effects;
    world.settle();
    assert_eq!(world.effects, effects, "it is written once");
}

/// Checks that the issuer is ready, and that the CA, the Secret and the status agree on its account.
pub(super) fn check_account(world: &World) {
    assert!(world.is_ready(), "{:?}", world.status);
    let acme = world.status.acme.as_ref().unwrap();
    let secret = world.secret.as_ref().unwrap();
    let account = world.accounts.iter().find(|account| account.url == acme.uri).unwrap();
    assert!(!account.deactivated);
    assert_eq!(account.key, secret.key, "the CA knows the key in the Secret");
    assert_eq!(acme.key_thumbprint, thumbprint(secret.key));
    let recorded = secret.account.as_ref().unwrap();
    assert_eq!(recorded.url, account.url);
    assert_eq!(recorded.key_id, account.key_id);
    assert_eq!(world.status.failed_attempts, None);
    assert_eq!(acme.max_concurrent_orders, i32::try_from(world.orders_per_account).ok());
}
