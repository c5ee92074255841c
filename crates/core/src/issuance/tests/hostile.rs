//! A CA that requires more than it should, or never finishes.

use super::*;
use certwright_acme::{Identifier, Order};
use certwright_api::CertificateStatus;

#[test]
fn an_order_that_never_ends_is_given_up_after_thirty_days_whatever_the_ca_says_of_its_end() {
    let mut world = World::new();
    world.ca.finalization = Finalization::Hangs;
    let placed = world.now;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Wait { reason: reason::FINALIZING, .. }));
    let far: Timestamp = "9999-01-01T00:00:00Z".parse().unwrap();
    world.ca.orders[0].expires = far;
    expires(&mut world, Some(far));
    let failure = fails_within(&mut world, SignedDuration::from_hours(31 * 24));
    assert!(world.now.duration_since(placed) > SignedDuration::from_hours(30 * 24));
    assert_eq!(
        failure.message,
        "The CA has not completed the order within 30 days, so it is abandoned; ask the CA's operator what happened to it"
    );
    assert_eq!(failure.disposition, Disposition::OrderLost);
    world.ca.mend();
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 2);
}

#[test]
fn an_order_without_an_end_that_stays_pending_is_given_up_after_seven_days() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Wait { reason: reason::VALIDATING, .. }));
    world.ca.orders[0].expires = "9999-01-01T00:00:00Z".parse().unwrap();
    expires(&mut world, None);
    let failure = fails_within(&mut world, SignedDuration::from_hours(8 * 24));
    assert!(
        failure.message.starts_with("The CA has not completed the order within 7 days"),
        "{}",
        failure.message
    );
}

#[test]
fn a_certificate_that_cannot_be_downloaded_before_its_order_expires_is_ordered_again() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::Download(..)));
    let down = Fault { refusal: Refusal::no_answer(), answer_lost: false };
    while world.now < world.ca.orders[0].expires {
        assert_eq!(world.ca.orders.len(), 1);
        world.ca.faults.clear();
        // The order can be read, but the certificate cannot be downloaded.
        run_to(&mut world, |step| matches!(step, IssuanceStep::Download(..)));
        // After a temporary error, the CA is asked twice more.
        world.ca.faults.extend([down.clone(), down.clone(), down.clone()]);
        while !world.ca.faults.is_empty() {
            if let Turn::Waits(Some(until)) = world.step() {
                world.now = until;
            }
        }
        let Turn::Waits(Some(until)) = world.run() else { panic!("it does not wait") };
        world.now = until;
    }
    world.ca.mend();
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 2);
}

#[test]
fn nothing_is_presented_for_a_name_that_the_certificate_does_not_have() {
    let long = "a".repeat(300);
    for (stranger, shown) in [
        ("victim.test", "victim.test"),
        ("*.a.test", "*.a.test"),
        ("test", "test"),
        ("a b\u{202e}\n.test", "ab.test"),
        (&long, &long[..255]),
    ] {
        let mut world = World::new();
        run_to(&mut world, |step| matches!(step, IssuanceStep::ReadAuthorizations(_)));
        world.ca.orders[0].wants(stranger, false);
        let failure = failure_of(&mut world);
        assert!(!world.step_names().contains(&"Present"), "{stranger}");
        assert_eq!((failure.reason, failure.disposition), (reason::ANSWER_REFUSED, Disposition::OrderLost));
        assert_eq!(
            failure.message,
            format!(
                "The CA requires validation of \"{shown}\", which the Certificate does not list; nothing was \
                 presented for it. The order is abandoned; tell the CA's operator"
            )
        );
        assert!(matches!(world.run(), Turn::Waits(Some(_))), "it is not tried again at once");
    }
}

#[test]
fn an_authorization_that_is_valid_may_be_for_a_parent_domain() {
    let mut world = World::new();
    world.names_are(&["www.a.test"]);
    run_to(&mut world, |step| matches!(step, IssuanceStep::ReadAuthorizations(_)));
    world.ca.orders[0].wants("a.test", true);
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn an_order_has_no_more_authorizations_than_names() {
    let asked = [Identifier::dns("a.test"), Identifier::dns("*.a.test")];
    assert_eq!(misplaced(&order(&asked, 2), &asked, None), None);
    let failure = misplaced(&order(&asked, 400), &asked, None).unwrap();
    assert_eq!(
        failure.message,
        "The CA created an order with 400 authorizations for 2 names; none of them was read. The order is abandoned; tell \
         the CA's operator"
    );
    let failure = misplaced(&order(&asked[..1], 2), &asked[..1], None).unwrap();
    assert!(failure.message.contains("with 2 authorizations for 1 name; none"), "{}", failure.message);
}

#[test]
fn an_order_for_other_names_or_another_profile_is_not_placed_again_at_once() {
    let asked = [Identifier::dns("a.test")];
    let other = order(&[Identifier::dns("b.test")], 1);
    assert_eq!(misplaced(&other, &asked, None).unwrap().disposition, Disposition::OrderLost);
    assert_eq!(misplaced(&order(&[Identifier::dns("A.test")], 1), &asked, None), None, "written otherwise");
    assert_eq!(misplaced(&order(&[], 1), &asked, None), None, "some CAs repeat nothing");
    let profiled = Order { profile: Some("short".to_owned()), ..order(&asked, 1) };
    assert!(
        misplaced(&profiled, &asked, Some("long")).unwrap().message.contains("a profile other than long")
    );
    assert_eq!(misplaced(&profiled, &asked, Some("short")), None);
    assert!(altered(&order(&asked, 1), &other).is_some());
    assert_eq!(altered(&order(&asked, 1), &order(&asked, 1)), None);
    assert_eq!(altered(&order(&asked, 1), &order(&[], 1)), None, "not every answer repeats them");
    assert_eq!(altered(&order(&[], 1), &order(&asked, 1)), None, "the first answer did not name them");
}

#[test]
fn a_ca_that_takes_the_request_and_still_waits_for_it_is_not_sent_it_without_end() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::Finalize(..)));
    world.step();
    let unmoved = Order { status: OrderStatus::Ready, ..order(&world.wanted().unwrap().identifiers(), 2) };
    let now = world.now;
    world.learned().saw_order(unmoved, None, now);
    assert!(matches!(world.next_step(), IssuanceStep::TakeSlot(_)), "it gave its place away");
    world.step();
    let IssuanceStep::Wait { until: Some(until), reason: reason::FINALIZING, .. } = world.next_step() else {
        panic!("{:?}", world.next_step())
    };
    world.now = until;
    assert!(matches!(world.next_step(), IssuanceStep::Finalize(..)), "the CA may have lost it");
}

#[test]
fn challenges_that_would_not_fit_into_the_status_end_the_order() {
    let challenged = |length: usize| {
        let mut world = World::new();
        world.names_are(&["a.test"]);
        run_to(&mut world, |step| matches!(step, IssuanceStep::Present(_)));
        let (_, authorization) = &mut world.learned().authorizations.as_mut().unwrap().found[0];
        authorization.challenges[0].url = "u".repeat(length);
        world.next_step()
    };
    assert!(matches!(challenged(40 << 10), IssuanceStep::Present(_)));
    assert!(
        matches!(challenged(50 << 10), IssuanceStep::Fail(failure) if failure.reason == reason::ANSWER_REFUSED)
    );
}

fn order(names: &[Identifier], authorizations: usize) -> Order {
    Order {
        status: OrderStatus::Pending,
        expires: None,
        identifiers: names.to_vec(),
        authorizations: vec!["https://ca.test/authz".to_owned(); authorizations],
        error: None,
        finalize: "https://ca.test/finalize".to_owned(),
        certificate: None,
        profile: None,
    }
}

/// Sets the expiry of the order in the status.
fn expires(world: &mut World, time: Option<Timestamp>) {
    let set = |status: &mut CertificateStatus| {
        status.order.as_mut().unwrap().expires =
            time.map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time);
    };
    set(&mut world.state.status);
    set(&mut world.recorded);
}

/// Lets time pass until the issuance fails.
fn fails_within(world: &mut World, limit: SignedDuration) -> Failure {
    let end = world.now + limit;
    while world.now < end {
        if let IssuanceStep::Fail(failure) = world.next_step() {
            world.step();
            return failure;
        }
        if let Turn::Waits(Some(until)) = world.step() {
            world.now = until;
        }
    }
    panic!("it goes on for ever: {:#?}", world.last_steps());
}
