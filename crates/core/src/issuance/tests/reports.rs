//! What is reported of an issuance, what it leaves, and when others may go on.

use super::*;
use crate::conditions::condition;
use crate::events::Event;
use certwright_api::CONDITION_ISSUING;

/// Why certificates were issued, and the events about it.
fn issued(world: &World) -> (Vec<&'static str>, Vec<&str>) {
    let causes = world.reports.iter().filter_map(|report| match report {
        Report::Issued { why, .. } => Some(*why),
        _ => None,
    });
    let notes = world.reports.iter().filter_map(|report| match report {
        Report::Event(Event { reason, note, .. }) if reason == reason::ISSUED => Some(note.as_str()),
        _ => None,
    });
    (causes.collect(), notes.collect())
}

#[test]
fn each_certificate_is_reported_once_with_its_cause_and_serial_number() {
    let mut world = World::new();
    let renewal = world.run_until_rest();
    let (first, begin) = (world.serial_number().unwrap(), world.now);
    assert_eq!(world.state.status.revision, Some(1));
    world.now = renewal;
    world.run_until_rest();
    let second = world.serial_number().unwrap();
    assert_eq!(world.state.status.revision, Some(2));
    let (causes, notes) = issued(&world);
    assert_eq!(causes, [reason::SECRET_MISSING, reason::RENEWAL_DUE]);
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains(&first) && notes[1].contains(&second), "{notes:?}");
    assert!(notes.iter().all(|note| !note.contains("duration")), "{notes:?}");
    let last = world.reports.iter().rfind(|report| matches!(report, Report::Issued { .. }));
    let Some(Report::Issued { took, serial_number, .. }) = last else { unreachable!() };
    assert_eq!(*serial_number, second);
    assert!(Duration::ZERO < *took && took.as_secs() < 60 && begin < renewal, "{took:?}");
}

#[test]
fn a_certificate_counts_once_though_its_issuance_ends_twice() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::Remove(_)));
    world.recorded = world.state.status.clone();
    world.crash();
    assert_eq!(world.next_step(), IssuanceStep::CleanUp);
    world.run_until_rest();
    assert_eq!(world.state.status.revision, Some(1));
    assert_eq!(world.state.status.recent_issuances.len(), 1);
}

#[test]
fn a_duration_that_the_issuer_does_not_request_is_mentioned() {
    let mut world = World::new();
    world.edit(|spec| spec.duration = Some("2160h".parse().unwrap()));
    world.run_until_rest();
    let (_, notes) = issued(&world);
    let said = "The duration was not requested, because Issuer one does not set enableDurationFeature";
    assert!(notes.len() == 1 && notes[0].contains(said), "{notes:?}");
}

#[test]
fn an_invalid_spec_or_an_issuer_that_is_not_ready_frees_the_order_slot() {
    let mut world = World::new();
    world.edit(|spec| spec.private_key.as_mut().unwrap().rotation_policy = Some(RotationPolicy::Never));
    world.run_until_rest();
    world.renew_request = Some("please".to_owned());
    run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
    assert!(world.state.progress.slot);
    world.names_are(&[]);
    world.run();
    assert!(!world.state.progress.slot, "without an order");

    world.names_are(&["a.test"]);
    run_to(&mut world, |step| matches!(step, IssuanceStep::Finalize(..)));
    assert!(world.state.progress.slot);
    let message = "its account is unusable".to_owned();
    world.issuers.insert("one".to_owned(), IssuerView::NotReady { message, ca_is_cause: true });
    world.run();
    assert!(!world.state.progress.slot, "with an order");
    world.issuer_is_ready("one", "account/one");
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_wait_for_an_order_slot_is_written_unless_it_is_short() {
    let queued = |world: &World| {
        condition(&world.recorded.conditions, CONDITION_ISSUING).is_some_and(|it| it.reason == reason::QUEUED)
    };
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::TakeSlot(_)));
    world.place_is_free = false;
    let since = world.now;
    for seconds in [0, 1, 2] {
        world.now = since + SignedDuration::from_secs(seconds);
        world.step();
        assert!(!queued(&world), "after {seconds} s");
    }
    world.now = since + SignedDuration::from_secs(3);
    world.step();
    assert!(queued(&world));
    let issuing = condition(&world.recorded.conditions, CONDITION_ISSUING).unwrap();
    assert_eq!(issuing.last_transition_time.0, since, "since when, not when it was written");

    world.place_is_free = true;
    world.run_until_rest();
    world.renew_request = Some("please".to_owned());
    run_to(&mut world, |step| matches!(step, IssuanceStep::TakeSlot(_)));
    (world.place_is_free, world.queue) = (false, 10_000);
    let since = world.now;
    world.step();
    assert!(!queued(&world), "another wait begins");
    world.now = since + SignedDuration::from_secs(3);
    world.step();
    assert!(queued(&world), "however many wait");
}

#[test]
fn the_waits_of_many_new_certificates_are_written_one_after_the_other() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::TakeSlot(_)));
    (world.place_is_free, world.queue) = (false, 10_000);
    let since = world.now;
    world.step();
    world.queue = 5_000;
    world.now = since + SignedDuration::from_secs(402);
    world.step();
    assert_eq!(world.recorded.conditions, [], "the writes of those that wait do not delay the work");
    world.now = since + SignedDuration::from_secs(403);
    world.step();
    let issuing = condition(&world.recorded.conditions, CONDITION_ISSUING).unwrap();
    assert_eq!(issuing.reason, reason::QUEUED, "the time does not change while it waits");
}

#[test]
fn authorizations_that_are_pending_are_left_over_and_those_that_are_valid_are_not() {
    for (ends_at, count) in [("Present", 2), ("Finalize", 0)] {
        let mut world = World::new();
        run_to(&mut world, |step| format!("{step:?}").starts_with(ends_at));
        let found = world.state.learned().authorizations.clone().unwrap().found;
        let urls: Vec<String> = found.into_iter().map(|(url, _)| url).take(count).collect();
        world.names_are(&["c.test"]);
        let step = run_to(&mut world, |step| matches!(step, IssuanceStep::Remove(_)));
        let IssuanceStep::Remove(leftovers) = step else { unreachable!() };
        assert_eq!(leftovers.authorizations, urls, "{ends_at}");
    }
}

#[test]
fn challenges_that_together_exceed_48_kib_are_refused() {
    let challenged = |length: usize| Challenged {
        name: "a.test".to_owned(),
        authorization: "a".repeat(length),
        url: "b".repeat(length),
        token: "c".repeat(length),
        typ: certwright_acme::ChallengeType::Http01,
        processing: false,
        stalled: false,
        check: certwright_api::SolverSelfCheck::default(),
        way: Way::Ingress(certwright_api::Http01Ingress::default()),
    };
    assert_eq!(asked::too_long(&[challenged(8 << 10), challenged(8 << 10)]), None);
    let failure = asked::too_long(&[challenged(8 << 10), challenged((8 << 10) + 1)]).unwrap();
    assert_eq!(failure.reason, reason::ANSWER_REFUSED);
}

#[test]
fn without_a_stored_key_there_is_no_key_secret_to_delete() {
    let mut world = World::new();
    world.edit(|spec| spec.private_key.as_mut().unwrap().rotation_policy = Some(RotationPolicy::Never));
    run_to(
        &mut world,
        |step| matches!(step, IssuanceStep::Remove(leftovers) if leftovers.key_secret == KeySecret::Delete),
    );
    world.run_until_rest();
    world.renew_request = Some("please".to_owned());
    run_to(
        &mut world,
        |step| matches!(step, IssuanceStep::Remove(leftovers) if leftovers.key_secret == KeySecret::Keep),
    );
}
