//! Revocations beside an issuance, with crashes and failing writes.

use proptest::prelude::*;

use super::ca::{Fault, Refusal, Revokes};
use super::machine::writes;
use super::world::{Turn, World, Write};
use super::*;
use crate::conditions::condition;
use crate::revocation::Signer;
use certwright_api::{
    CONDITION_REVOCATION, LastRevocation, RevocationCause, RevocationPolicy, RevocationReason,
    RevocationResult, RevocationSpec,
};

const CAUSES: [RevocationCause; 3] =
    [RevocationCause::Requested, RevocationCause::Replaced, RevocationCause::Deleted];

/// A certificate is issued. Returns its serial number.
fn issued(cause: RevocationCause) -> (World, String) {
    let mut world = World::new();
    let revoked_for = |its| if cause == its { RevocationPolicy::Superseded } else { RevocationPolicy::Never };
    world.edit(|spec| {
        spec.revocation = Some(RevocationSpec {
            on_delete: revoked_for(RevocationCause::Deleted),
            on_replace: revoked_for(RevocationCause::Replaced),
            deletion_timeout: None,
            ..RevocationSpec::default()
        });
    });
    world.run_until_rest();
    world.reports.clear();
    let serial_number = world.serial_number().unwrap();
    (world, serial_number)
}

/// Somebody causes its revocation.
fn causes(world: &mut World, cause: RevocationCause) {
    match cause {
        RevocationCause::Requested => world.revoke_request = Some("superseded".to_owned()),
        RevocationCause::Replaced => world.renew_request = Some("1".to_owned()),
        RevocationCause::Deleted => world.delete(),
    }
}

/// Runs until nothing is left to do, with a crash in each of the first runs.
fn run_with_crashes(world: &mut World, crashes: Vec<u32>) {
    let mut crashes = crashes.into_iter();
    for _ in 0..400 {
        world.crash_after = crashes.next();
        match world.run() {
            Turn::Rests(_) | Turn::Gone => return,
            Turn::Waits(Some(until)) => world.now = world.now.max(until),
            turn => panic!("{turn:?} after {:?}", world.last_steps()),
        }
    }
    panic!("no end is in sight: {:#?}", world.last_steps());
}

fn recorded(world: &World) -> Option<LastRevocation> {
    world.state.status.revocation.as_ref()?.last.clone()
}

fn last(world: &World) -> LastRevocation {
    recorded(world).expect("a revocation that has ended")
}

fn events<'a>(world: &'a World, reason: &'a str) -> impl Iterator<Item = &'a str> {
    world.reports.iter().filter_map(move |report| match report {
        Report::Event(event) if event.reason == reason => Some(event.note.as_str()),
        _ => None,
    })
}

#[test]
fn each_cause_has_the_one_certificate_revoked() {
    for cause in CAUSES {
        for (revokes, signer) in
            [(Revokes::Willingly, Signer::Account), (Revokes::ForTheKey, Signer::CertificateKey)]
        {
            if (cause, revokes) == (RevocationCause::Replaced, Revokes::ForTheKey) {
                // The key has left the Secret together with its certificate.
                continue;
            }
            let (mut world, first) = issued(cause);
            world.ca.revokes = revokes;
            causes(&mut world, cause);
            run_with_crashes(&mut world, Vec::new());
            let revoked = &world.ca.revoked[..];
            let [revoked] = revoked else { panic!("{} are revoked", revoked.len()) };
            assert_eq!((&revoked.serial_number, revoked.signer), (&first, signer));
            assert_eq!(revoked.reason, RevocationReason::Superseded);
            assert_eq!(events(&world, reason::REVOKED).count(), 1);
            assert_eq!((last(&world).cause, last(&world).result), (cause, RevocationResult::Revoked));
            assert_eq!(world.is_gone, cause == RevocationCause::Deleted);
        }
    }
}

#[test]
fn a_ca_that_does_not_revoke_does_not_delay_the_next_certificate() {
    for cause in [RevocationCause::Requested, RevocationCause::Replaced] {
        for revokes in [Revokes::Never, Revokes::NotNow, Revokes::Hangs] {
            let (mut world, first) = issued(cause);
            world.ca.revokes = revokes;
            let begin = world.now;
            causes(&mut world, cause);
            while world.serial_number().as_ref() == Some(&first) {
                if let Turn::Waits(Some(until)) = world.step() {
                    world.now = until;
                }
            }
            let took = world.now.duration_since(begin);
            assert!(took < SignedDuration::from_secs(60), "{cause:?} {revokes:?}: {took}");
            run_with_crashes(&mut world, Vec::new());
            world.check_issued();
            assert_eq!(last(&world).result, RevocationResult::GivenUp);
        }
    }
}

#[test]
fn a_certificate_is_on_record_with_a_finalizer_before_it_can_be_replaced() {
    let (world, first) = issued(RevocationCause::Replaced);
    let ledger = world.recorded.revocation.as_ref().unwrap();
    let serial_numbers: Vec<_> = ledger.certificates.iter().map(|held| &held.serial_number).collect();
    assert_eq!(serial_numbers, [&first]);
    assert!(world.has_finalizer);
    let (mut world, _) = issued(RevocationCause::Replaced);
    world.edit(|spec| spec.revocation = None);
    world.run_until_rest();
    assert!(!world.has_finalizer, "nothing is on record any more");
    assert_eq!(world.recorded.revocation, None);
}

#[test]
fn a_crash_at_every_point_of_a_revocation_loses_nothing() {
    for cause in CAUSES {
        for write in [None, Some(Write::Fails), Some(Write::AnswerLost)] {
            for point in 0..25 {
                let (mut world, first) = issued(cause);
                causes(&mut world, cause);
                match write {
                    None => run_with_crashes(&mut world, vec![point]),
                    Some(write) => {
                        world.writes.extend((0..point).map(|_| Write::Succeeds));
                        world.writes.push_back(write);
                        run_with_crashes(&mut world, Vec::new());
                    }
                }
                let revoked: Vec<_> = world.ca.revoked.iter().map(|revoked| &revoked.serial_number).collect();
                assert_eq!(revoked, [&first], "{cause:?}, {write:?}, {point}");
                assert_eq!(last(&world).result, RevocationResult::Revoked);
                let requests = if write.is_none() { 2 } else { 1 };
                assert!(world.ca.revocation_requests <= requests, "{cause:?}, {write:?}, {point}");
            }
        }
    }
}

/// The key of the order is removed while only the operator knows that the request is answered.
#[test]
fn a_renewal_that_was_requested_is_made_once_though_the_operator_crashes_again_and_again() {
    let (mut world, first) = issued(RevocationCause::Replaced);
    world.writes.extend([Write::Succeeds; 4]);
    world.writes.push_back(Write::Fails);
    causes(&mut world, RevocationCause::Replaced);
    run_with_crashes(&mut world, vec![6, 1, 3]);
    assert_eq!(last(&world).serial_number, first);
    assert_eq!(world.state.status.revision, Some(2));
}

/// The request arrives after the certificate is stored, and before the issuance has ended.
#[test]
fn a_certificate_that_is_revoked_before_its_issuance_ends_is_replaced_by_another_order() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreCertificate { .. }));
    world.step();
    let first = world.serial_number().unwrap();
    world.revoke_request = Some("superseded".to_owned());
    world.run_until_rest();
    world.check_issued();
    assert_ne!(world.serial_number(), Some(first.clone()));
    assert!(world.ca.has_revoked(&first));
    assert_eq!(world.ca.orders.len(), 2);
}

#[test]
fn a_certificate_with_the_serial_number_of_a_revoked_one_is_not_stored() {
    let mut world = World::new();
    world.rotation_is(RotationPolicy::Never);
    world.ca.flaw = Some(Flaw::SerialRepeated);
    world.run_until_rest();
    world.revoke_request = Some("superseded".to_owned());
    let failure = failure_of(&mut world);
    assert_eq!(failure.reason, reason::CERTIFICATE_REFUSED);
    assert!(failure.message.contains("of a revoked certificate"), "{}", failure.message);
    assert_eq!(world.step_names().iter().filter(|step| **step == "StoreCertificate").count(), 1);
    assert_eq!(world.ca.orders.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(200) })]

    /// Whatever the CA says, and wherever the operator crashes or the API server fails: what is to be revoked is revoked or
    /// given up, which is reported; nothing else is revoked; no request is repeated without need; and a deletion ends in time.
    #[test]
    fn what_is_to_be_revoked_is_revoked_or_given_up_and_reported(
        cause in prop::sample::select(CAUSES.to_vec()),
        revokes in prop::sample::select(Revokes::ALL.to_vec()),
        crashes in prop::collection::vec(0..12u32, 0..4),
        writes in prop::collection::vec(writes(), 0..3),
        calls in prop::collection::vec(prop::option::weighted(0.3, any::<bool>()), 0..8),
    ) {
        let (mut world, first) = issued(cause);
        let begin = world.now;
        world.ca.revokes = revokes;
        let failing = writes.iter().flatten().filter(|write| **write != Write::Succeeds).count();
        world.writes.extend(writes.into_iter().flatten());
        let faults = calls.iter().flatten().count();
        let fault = |answer_lost| Fault { refusal: Refusal::no_answer(), answer_lost };
        // While the operator waits for the timeout, it makes no call.
        let calls = calls.iter().map(|call| call.filter(|_| revokes != Revokes::Hangs).map(fault));
        world.ca.calls.extend(calls);
        causes(&mut world, cause);
        let crashed = crashes.len();
        run_with_crashes(&mut world, crashes);

        let Some(last) = recorded(&world) else {
            // The operator crashed after the Certificate was released: its last status is lost with it.
            prop_assert!(world.is_gone && crashed > 0);
            prop_assert!(
                world.ca.has_revoked(&first) || events(&world, reason::REVOCATION_GIVEN_UP).count() > 0
            );
            return Ok(());
        };
        prop_assert_eq!((&last.serial_number, last.cause), (&first, cause));
        prop_assert!(world.ca.revoked.iter().all(|revoked| revoked.serial_number == first));
        let is_revoked = last.result == RevocationResult::Revoked;
        // An answer may be lost, and the timeout may be over before the CA is asked again.
        prop_assert!(!is_revoked || world.ca.has_revoked(&first));
        match revokes {
            Revokes::Willingly if cause != RevocationCause::Deleted || faults == 0 => prop_assert!(is_revoked),
            Revokes::Never | Revokes::NotNow | Revokes::Hangs => prop_assert!(!is_revoked),
            Revokes::Willingly | Revokes::ForTheKey => {}
        }
        let (status, reason) = match is_revoked {
            true => ("True", reason::REVOKED),
            false => ("False", reason::REVOCATION_GIVEN_UP),
        };
        let said = condition(&world.state.status.conditions, CONDITION_REVOCATION).expect("a condition");
        prop_assert_eq!((said.status.as_str(), said.reason.as_str()), (status, reason));
        let told: Vec<_> = events(&world, reason).collect();
        prop_assert!(!told.is_empty() && told.len() <= 1 + crashed, "{:?}", told);
        prop_assert!(told.iter().all(|note| note.contains(&first)));
        if matches!(revokes, Revokes::Willingly | Revokes::ForTheKey | Revokes::Never) {
            let requests = world.ca.revocation_requests;
            prop_assert!(requests <= 2 * (1 + crashed + faults), "{} requests", requests);
        }
        if cause == RevocationCause::Deleted {
            prop_assert!(world.is_gone);
            let most = SignedDuration::from_secs(75) + SignedDuration::from_secs(1) * i32::try_from(failing).unwrap();
            prop_assert!(world.now.duration_since(begin) <= most, "it waits until {}", world.now);
        } else {
            world.check_issued();
            prop_assert!(world.serial_number().as_ref() != Some(&first));
        }
    }
}
