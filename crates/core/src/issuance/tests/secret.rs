//! The Secret, and the keys.

use super::*;

#[test]
fn a_key_that_is_stored_and_not_on_record_is_removed_all_the_same() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreKey(..)));
    world.crash_after = Some(0);
    world.step();
    assert!(world.next_key.is_some() && world.state.status.next_private_key_secret_name.is_none());
    world.secret_belongs_to(Some("another"));
    world.run();
    world.check_nothing_is_left();
}

#[test]
fn a_key_that_takes_long_to_generate_is_generated_before_a_slot_is_taken() {
    let mut world = World::new();
    world.edit(|spec| {
        let key = spec.private_key.as_mut().unwrap();
        (key.algorithm, key.size) = (Some(PrivateKeyAlgorithm::Rsa), Some(2048));
    });
    let step =
        run_to(&mut world, |step| matches!(step, IssuanceStep::StoreKey(..) | IssuanceStep::TakeSlot(_)));
    assert!(matches!(step, IssuanceStep::StoreKey(..)), "{step:?}");
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_key_of_another_kind_than_that_of_the_certificate_is_not_stored_with_it() {
    use certwright_pki::{KeyAlgorithm, PrivateKey};
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreCertificate { .. }));
    world.key_size_is(384);
    world.next_key = Some(PrivateKey::generate(KeyAlgorithm::ECDSA_P384).unwrap());
    assert!(matches!(world.next_step(), IssuanceStep::Abandon { .. }), "{:?}", world.next_step());
}

#[test]
fn a_key_that_is_on_record_and_lost_is_forgotten_all_the_same() {
    let mut world = World::new();
    world.ca.validation = Validation::Fails("caa");
    failure_of(&mut world);
    world.run();
    world.next_key = None;
    assert!(world.state.status.next_private_key_secret_name.is_some());
    world.secret_belongs_to(Some("another"));
    world.run();
    world.check_nothing_is_left();
}

#[test]
fn a_key_that_is_used_again_and_changes_after_the_download_is_not_stored() {
    let mut world = World::new();
    world.rotation_is(RotationPolicy::Never);
    world.run_until_rest();
    world.renew_request = Some("now".to_owned());
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreCertificate { .. }));
    let other = certwright_pki::PrivateKey::generate(certwright_pki::KeyAlgorithm::ECDSA_P256).unwrap();
    world.secret.as_mut().unwrap().key = Some(Ok(other));
    assert!(matches!(world.next_step(), IssuanceStep::Abandon { .. }), "{:?}", world.next_step());
}

#[test]
fn a_certificate_that_stays_due_when_it_is_stored_is_not_stored_again_and_again() {
    for (flaw, disposition) in
        [(Flaw::NameAdded, Disposition::NotAllowed), (Flaw::DueAlready, Disposition::OrderLost)]
    {
        let mut world = World::new();
        world.ca.flaw = Some(flaw);
        let failure = failure_of(&mut world);
        assert_eq!(failure.reason, reason::CERTIFICATE_REFUSED);
        assert_eq!(failure.disposition, disposition);
        assert_eq!(world.step_names().iter().filter(|step| **step == "StoreCertificate").count(), 1);
    }
}

#[test]
fn a_changed_template_is_written_without_another_order() {
    let mut world = World::new();
    world.run_until_rest();
    let labels = [("team".to_owned(), "web".to_owned())].into();
    let template = certwright_api::SecretTemplate { labels, ..Default::default() };
    world.edit(|spec| spec.secret_template = Some(template));
    assert!(matches!(world.next_step(), IssuanceStep::RefreshSecret(_)));
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn a_crash_between_the_secret_and_its_status_is_made_good() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    world.run_until_rest();
    world.renew_request = Some("now".to_owned());
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreCertificate { .. }));
    world.crash_after = Some(0);
    world.step();
    assert_ne!(world.recorded.observed_renew_request.as_deref(), Some("now"));
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 2);
    assert_eq!(world.recorded.observed_renew_request.as_deref(), Some("now"));
}

#[test]
fn a_secret_of_somebody_else_is_left_alone_and_looked_at_again() {
    let mut world = World::new();
    world.secret_belongs_to(None);
    for (owner, reason) in [(None, reason::SECRET_NOT_OURS), (Some("another"), reason::SECRET_CLAIMED)] {
        world.secret_belongs_to(owner);
        match world.next_step() {
            IssuanceStep::Wait { until: Some(until), reason: found, .. } => {
                assert_eq!(found, reason);
                assert!(until > world.now && until <= world.now + SignedDuration::from_mins(1));
            }
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(world.run(), Turn::Waits(Some(world.now + SignedDuration::from_secs(1))));
    for (passed, wait) in [(10, 5), (3600, 60)] {
        world.now += SignedDuration::from_secs(passed);
        let until = world.now + SignedDuration::from_secs(wait);
        assert_eq!(world.run(), Turn::Waits(Some(until)), "ever less often");
    }
    world.secret = None;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_secret_that_turns_foreign_in_mid_order_ends_the_order() {
    let mut world = World::new();
    world.run();
    world.secret_belongs_to(None);
    assert!(matches!(world.next_step(), IssuanceStep::Abandon { .. }));
    world.run();
    world.check_nothing_is_left();
}

#[test]
fn the_older_claim_to_a_secret_wins() {
    let mut world = World::new();
    world.claimed_by = Some("another".to_owned());
    match world.next_step() {
        IssuanceStep::Wait { reason, message, .. } => {
            assert_eq!(reason, reason::SECRET_CLAIMED);
            assert_eq!(
                message,
                "Certificate another, which is older, has the same secretName tls; choose another"
            );
        }
        step => panic!("{step:?}"),
    }
    world.secret_belongs_to(Some(world::NAME));
    assert!(matches!(world.next_step(), IssuanceStep::CheckCaa(_)), "who has the Secret keeps it");
}

#[test]
fn a_secret_that_cert_manager_manages_is_left_alone_whatever_its_annotations_say() {
    let mut world = World::new();
    world.run_until_rest();
    world.kept_by = Some("theirs".to_owned());
    for owner in [None, Some("another"), Some(world::NAME)] {
        world.secret_belongs_to(owner);
        match world.next_step() {
            IssuanceStep::Wait { until: Some(until), reason, message, .. } => {
                assert_eq!(reason, reason::KEPT_BY_CERT_MANAGER);
                assert!(message.contains("Certificate theirs"), "{message}");
                assert!(until <= world.now + SignedDuration::from_mins(1));
            }
            step => panic!("{step:?}"),
        }
    }
    world.kept_by = None;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_key_is_kept_where_the_spec_says_never() {
    let mut world = World::new();
    world.rotation_is(RotationPolicy::Never);
    let renewal = world.run_until_rest();
    let key = |world: &World| {
        world.secret.as_ref().unwrap().key.clone().unwrap().unwrap().public_key_der().to_vec()
    };
    let first = key(&world);
    world.now = renewal;
    world.run_until_rest();
    assert_eq!(key(&world), first);
    world.rotation_is(RotationPolicy::Always);
    world.renew_request = Some("now".to_owned());
    world.run_until_rest();
    assert_ne!(key(&world), first);
}
