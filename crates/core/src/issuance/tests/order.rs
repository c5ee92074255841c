//! Orders: their life, their loss, their certificates.

use super::*;

#[test]
fn an_order_found_ready_needs_no_solver() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    world.names_are(&["*.a.test"]);
    assert!(matches!(world.run(), Turn::Rests(_)));
    assert_eq!(
        world.step_names(),
        [
            "CheckCaa",
            "TakeSlot",
            "StoreKey",
            "PlaceOrder",
            "ReadAuthorizations",
            "Record",
            "Finalize",
            "Download",
            "StoreCertificate",
            "CleanUp",
            "Remove",
            "Rest"
        ]
    );
}

#[test]
fn what_was_learned_of_one_order_says_nothing_of_another() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
    world.step();
    assert!(!world.learned().told.is_empty());
    world.ca.place("account/one", world.wanted().unwrap().identifiers(), world.now).unwrap();
    let order = world.state.status.order.as_mut().unwrap();
    order.url = "order/1".to_owned();
    assert!(matches!(world.next_step(), IssuanceStep::ReadOrder(_)), "it is not known what has become of it");
    world.recorded = world.state.status.clone();
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 2);
}

#[test]
fn an_order_that_could_not_be_recorded_is_recorded_next_and_not_placed_again() {
    for write in [Write::Fails, Write::AnswerLost] {
        let mut world = World::new();
        run_to(&mut world, |step| matches!(step, IssuanceStep::Present(_)));
        world.writes.extend([write; 3]);
        while !world.writes.is_empty() {
            assert!(matches!(world.run(), Turn::Waits(Some(_))));
        }
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), 1, "{write:?}");
    }
}

#[test]
fn an_order_that_takes_hours_is_looked_at_every_five_minutes() {
    let mut world = World::new();
    world.ca.finalization = Finalization::Hangs;
    let end = world.now + SignedDuration::from_hours(12);
    while world.now < end {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
    }
    let looks = world.step_names().iter().filter(|step| **step == "ReadOrder").count();
    assert!((144..180).contains(&looks), "{looks} looks in twelve hours");
    assert_eq!(world.ca.orders.len(), 1);
    world.crash();
    world.ca.finalization = Finalization::Succeeds;
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn a_certificate_is_waited_for_briefly_even_after_a_long_validation() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.ca.finalization = Finalization::Hangs;
    let end = world.now + SignedDuration::from_mins(20);
    while world.learned().finalized.is_none() {
        if world.now > end {
            world.ca.validation = Validation::Succeeds;
        }
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
    }
    let finalized = world.learned().finalized.unwrap();
    assert!(world.now.duration_since(finalized) < SignedDuration::from_secs(1), "{} {finalized}", world.now);
}

#[test]
fn what_the_ca_says_of_waiting_counts() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    world.ca.finalization = Finalization::Hangs;
    world.ca.retry_after = Some(Duration::from_secs(77));
    let until = world.now + SignedDuration::from_secs(77);
    assert_eq!(world.run(), Turn::Waits(Some(until)));
}

#[test]
fn an_answer_to_finalize_that_is_lost_costs_no_second_order() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Finalize(..)));
    world.ca.faults.push_back(Fault { refusal: Refusal::no_answer(), answer_lost: true });
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 1);
    assert_eq!(world.step_names().iter().filter(|step| **step == "Finalize").count(), 1);
}

#[test]
fn an_order_whose_key_is_lost_is_dropped_for_exactly_one_other() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Download(..)));
    world.next_key = None;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 2);
}

#[test]
fn an_order_that_the_ca_forgot_is_placed_again_after_a_while() {
    let mut world = World::new();
    world.run();
    world.ca.orders[0].forgotten = true;
    let begin = world.now;
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 2);
    assert!(world.now.duration_since(begin) >= SignedDuration::from_mins(1));
}

#[test]
fn names_that_change_in_mid_order_abandon_it() {
    let mut world = World::new();
    world.run();
    world.names_are(&["c.test"]);
    let message = "the names have changed since the order was placed".to_owned();
    assert_eq!(world.next_step(), IssuanceStep::Abandon { message });
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_profile_that_changes_in_mid_order_abandons_it() {
    let mut world = World::new();
    world.run();
    world.learned().order.as_mut().unwrap().profile = Some("short".to_owned());
    let step = |world: &mut World, wanted: &str| {
        let Some(IssuerView::Ready { profile, .. }) = world.issuers.get_mut("one") else { unreachable!() };
        *profile = Some(wanted.to_owned());
        world.next_step()
    };
    let message = "the profile has changed since the order was placed".to_owned();
    assert_eq!(step(&mut world, "long"), IssuanceStep::Abandon { message });
    assert!(matches!(step(&mut world, "short"), IssuanceStep::Wait { reason: reason::VALIDATING, .. }));
}

#[test]
fn what_is_presented_is_removed_when_the_ca_takes_more_than_half_a_minute_to_issue() {
    let mut world = World::new();
    world.ca.finalization = Finalization::Hangs;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Finalize(..)));
    let begin = world.now;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Tidy(_)));
    let took = world.now.duration_since(begin).as_millis();
    assert!((30_001..60_000).contains(&took), "{took} ms");
    world.run();
    assert_eq!(world.presented, None);
}

#[test]
fn names_that_the_ca_writes_in_its_own_way_are_the_same_names() {
    for identifiers in [Identifiers::InCapitals, Identifiers::LeftOut] {
        let mut world = World::new();
        world.ca.identifiers = identifiers;
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), 1, "{identifiers:?}");
    }
}

#[test]
fn names_that_change_after_the_download_are_not_stored_though_the_ca_names_none() {
    let mut world = World::new();
    world.ca.identifiers = Identifiers::LeftOut;
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreCertificate { .. }));
    world.names_are(&["c.test"]);
    assert!(matches!(world.next_step(), IssuanceStep::Abandon { .. }), "{:?}", world.next_step());
}

#[test]
fn a_certificate_that_expires_before_it_is_stored_is_ordered_again() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreCertificate { .. }));
    world.now += SignedDuration::from_hours(91 * 24);
    let message = "the certificate expired before it was stored".to_owned();
    assert_eq!(world.next_step(), IssuanceStep::Abandon { message });
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn an_order_about_to_expire_is_placed_again() {
    let mut world = World::new();
    world.run();
    world.now += ca::ORDER_LIFETIME - SignedDuration::from_secs(4);
    let failure = failure_of(&mut world);
    assert_eq!(failure.disposition, Disposition::OrderLost);
    assert_eq!(
        failure.message,
        "The order expired before it was complete; the next attempt places a new one"
    );
}

#[test]
fn an_order_that_expired_while_the_ca_was_down_is_placed_again_immediately() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.run();
    // Down for longer than the lifetime of an order.
    let down = Fault { refusal: Refusal::no_answer(), answer_lost: false };
    while world.now < world.ca.orders[0].expires {
        world.ca.faults.push_back(down.clone());
        let Turn::Waits(Some(until)) = world.run() else { panic!("it does not wait") };
        world.now = until;
    }
    let failures = world.state.status.failed_issuance_attempts;
    let begin = world.now;
    world.ca.mend();
    world.run_until_rest();
    assert!(failures > Some(1), "{failures:?}");
    assert_eq!(world.ca.orders.len(), 2);
    let took = world.now.duration_since(begin);
    assert!(took < SignedDuration::from_mins(1), "{took:#}: {:#?}", world.last_steps());
}
