//! A CA whose certificates are valid for seconds.

use super::*;

fn world() -> World {
    let mut world = World::new();
    world.ca.lifetime = SignedDuration::from_secs(10);
    world.asked_time = true;
    world
}

fn orders(world: &World) -> usize {
    world.step_names().iter().filter(|name| **name == "PlaceOrder").count()
}

/// Lets this much time pass.
fn live(world: &mut World, time: SignedDuration, restarts: bool) {
    let end = world.now + time;
    while world.now < end {
        if restarts {
            world.crash();
        }
        match world.run() {
            Turn::Waits(Some(until)) | Turn::Rests(until) => world.now = until,
            turn => panic!("{turn:?} after {:?}", world.last_steps()),
        }
    }
}

#[test]
fn is_asked_once_a_minute_and_the_condition_says_when() {
    let mut world = world();
    world.run_until_rest();
    let ordered = world.state.status.recent_issuances[0].time.0;
    world.now += SignedDuration::from_secs(6);
    let IssuanceStep::Wait { until: Some(until), reason, message, makes_room: true } = world.next_step()
    else {
        panic!("{:?}", world.next_step())
    };
    assert_eq!((reason, until), (reason::ISSUED_RECENTLY, ordered + SignedDuration::from_secs(60)));
    assert!(message.contains(&until.to_string()) && message.contains("--min-issuance-interval"), "{message}");
    live(&mut world, SignedDuration::from_mins(30), false);
    assert!((29..=31).contains(&orders(&world)), "{}", orders(&world));
}

#[test]
fn is_asked_no_more_often_because_of_restarts_or_a_lost_secret() {
    let mut world = world();
    for _ in 0..10 {
        live(&mut world, SignedDuration::from_mins(3), true);
        world.secret = None;
    }
    assert!((28..=31).contains(&orders(&world)), "{}", orders(&world));
}

#[test]
fn is_ordered_immediately_for_a_lost_secret_unless_it_has_expired() {
    let mut world = world();
    world.run_until_rest();
    world.secret = None;
    assert!(matches!(world.next_step(), IssuanceStep::CheckCaa(_)));
    world.now = world.state.status.recent_issuances[0].not_after.0;
    assert!(matches!(world.next_step(), IssuanceStep::Wait { reason: reason::ISSUED_RECENTLY, .. }));
}

#[test]
fn is_ordered_immediately_for_a_new_spec_and_on_request() {
    let mut world = world();
    world.run_until_rest();
    world.now += SignedDuration::from_secs(12);
    assert!(matches!(world.next_step(), IssuanceStep::Wait { .. }), "{:?}", world.next_step());
    world.renew_request = Some("please".to_owned());
    world.run_until_rest();
    assert_eq!(orders(&world), 2);
    world.renew_request = None;
    world.now += SignedDuration::from_secs(12);
    assert!(matches!(world.next_step(), IssuanceStep::Wait { .. }), "{:?}", world.next_step());
    world.names_are(&["c.test"]);
    world.run_until_rest();
    assert_eq!(orders(&world), 3);
}

#[test]
fn fails_if_it_issues_what_expires_before_it_can_be_stored() {
    let mut world = world();
    run_to(&mut world, |step| matches!(step, IssuanceStep::StoreCertificate { .. }));
    world.now += SignedDuration::from_secs(11);
    let IssuanceStep::Fail(failure) = world.next_step() else { panic!("{:?}", world.next_step()) };
    assert_eq!(failure.reason, reason::CERTIFICATE_REFUSED);
}
