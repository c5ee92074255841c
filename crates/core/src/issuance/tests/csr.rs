//! Certificate signing requests for keys that are kept elsewhere.

use proptest::prelude::*;

use super::machine::event;
use super::*;
use certwright_pki::{KeyAlgorithm, PrivateKey};

const NAMES: [&str; 2] = ["a.test", "b.test"];

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap()
}

fn with_csr() -> World {
    let mut world = World::new();
    world.csr_is_for(&key(), &NAMES);
    world
}

#[test]
fn a_certificate_for_a_key_elsewhere_is_issued_without_storing_a_key() {
    let mut world = with_csr();
    world.run_until_rest();
    world.check_issued();
    assert!(!world.step_names().contains(&"StoreKey"), "{:?}", world.step_names());
}

#[test]
fn renewals_use_the_request_again() {
    let mut world = with_csr();
    let until = world.run_until_rest();
    let first = world.secret.clone().unwrap().chain.unwrap().unwrap();
    world.now = until;
    world.run_until_rest();
    world.check_issued();
    let second = world.secret.clone().unwrap().chain.unwrap().unwrap();
    assert_ne!(first.leaf().serial_number, second.leaf().serial_number);
    assert_eq!(first.leaf().public_key_der, second.leaf().public_key_der);
}

#[test]
fn a_request_for_another_key_or_other_names_is_a_reason_to_issue() {
    let mut world = with_csr();
    world.run_until_rest();
    world.csr_is_for(&key(), &NAMES);
    assert_eq!(world.due().unwrap().reason, reason::CSR_CHANGED);
    world.run_until_rest();
    world.check_issued();
    let same = world.csr_key.clone().unwrap();
    world.csr_is_for(&same, &["a.test"]);
    assert_eq!(world.due().unwrap().reason, reason::NAMES_CHANGED);
    world.run_until_rest();
    world.check_issued();
    world.csr_is_for(&same, &["a.test"]);
    assert_eq!(world.due(), None, "another signature of the same request");
}

#[test]
fn what_somebody_else_puts_into_the_secret_as_the_key_is_no_reason_to_issue() {
    let mut world = with_csr();
    world.run_until_rest();
    world.secret.as_mut().unwrap().key = Some(Err("damaged".to_owned()));
    assert_eq!(world.due(), None);
}

#[test]
fn a_request_that_changes_during_the_order_is_the_one_that_counts() {
    for step in ["TakeSlot", "SelfCheck", "Finalize", "Download", "StoreCertificate"] {
        let mut world = with_csr();
        run_to(&mut world, |next| format!("{next:?}").starts_with(step));
        world.csr_is_for(&key(), &NAMES);
        world.run_until_rest();
        world.check_issued();
    }
}

#[test]
fn a_crash_at_any_point_leads_to_the_same_end() {
    for crash_after in 0..20 {
        let mut world = with_csr();
        world.crash_after = Some(crash_after);
        world.run_until_rest();
        world.check_issued();
        world.check_nothing_is_left();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_end_is_a_certificate_for_the_key_elsewhere(
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut world = with_csr();
        for event in events {
            world.meet(event);
        }
        // Somebody else has created it; its type cannot be changed.
        if world.secret.as_ref().is_some_and(|secret| secret.type_.is_none()) {
            world.secret = None;
        }
        world.ends_with_a_certificate();
    }
}

#[test]
fn a_secret_with_a_key_is_not_turned_into_one_without_or_back() {
    let mut world = World::new();
    world.run_until_rest();
    world.csr_is_for(&key(), &NAMES);
    world.run();
    let (_, why, message) = world.condition("Ready").unwrap();
    assert_eq!(why, reason::SECRET_NOT_OURS);
    assert!(message.contains("has type kubernetes.io/tls, which cannot be changed to Opaque"), "{message}");
    world.secret = None;
    world.run_until_rest();
    world.check_issued();
}

/// Otherwise, somebody could store another owner's certificate with a copy of its request, and have it revoked.
#[test]
fn without_its_key_in_the_secret_a_certificate_is_not_revoked() {
    let mut world = with_csr();
    world.run_until_rest();
    world.revoke_request = Some("superseded".to_owned());
    world.run();
    let (_, why, _) = world.condition("Revocation").unwrap();
    assert_eq!(why, reason::NOTHING_TO_REVOKE);
    world.check_issued();
}

#[test]
fn too_many_lost_secrets_are_restored_from_the_backup() {
    let mut world = with_csr();
    for _ in 0..=world::DUPLICATE_LIMIT {
        world.secret = None;
        world.run_until_rest();
        world.check_issued();
        world.now += SignedDuration::from_mins(1);
    }
    assert!(world.step_names().contains(&"RestoreSecret"), "{:?}", world.step_names());
}
