//! A Secret that is lost again and again.

use super::*;
use crate::issuance::tests::world::DUPLICATE_LIMIT;

/// The maximum number of issuances for a Secret that is lost each time.
fn used_up() -> World {
    let mut world = World::new();
    for _ in 0..DUPLICATE_LIMIT {
        world.secret = None;
        world.run_until_rest();
        world.check_issued();
        world.now += SignedDuration::from_mins(1);
    }
    world
}

fn orders(world: &World) -> usize {
    world.step_names().iter().filter(|name| **name == "PlaceOrder").count()
}

#[test]
fn is_written_again_with_the_certificate_that_is_kept() {
    let mut world = used_up();
    let kept = world.backup.clone().expect("the last one is kept");
    for _ in 0..10 {
        world.secret = None;
        world.issuers.clear();
        world.run();
        world.check_issued();
    }
    let restored = world.secret.as_ref().unwrap().chain.as_ref().unwrap().as_ref().unwrap().pem();
    assert_eq!(restored, kept.chain.unwrap().unwrap().pem());
    assert_eq!(orders(&world), DUPLICATE_LIMIT);
}

#[test]
fn is_written_again_first_though_a_renewal_is_requested() {
    let mut world = used_up();
    world.secret = None;
    world.renew_request = Some("now".to_owned());
    assert!(matches!(world.next_step(), IssuanceStep::RestoreSecret(_)));
    world.run_until_rest();
    assert_eq!(orders(&world), DUPLICATE_LIMIT + 1);
}

#[test]
fn is_not_kept_a_certificate_for_before_it_was_lost_too_often() {
    let mut world = World::new();
    for _ in 1..DUPLICATE_LIMIT {
        world.secret = None;
        world.run_until_rest();
        assert!(world.backup.is_none());
    }
}

#[test]
fn waits_once_what_was_kept_is_lost_as_well() {
    let mut world = used_up();
    let begun = world.now;
    (world.secret, world.backup) = (None, None);
    let IssuanceStep::Wait { until: Some(until), reason, message, makes_room: true } = world.next_step()
    else {
        panic!("{:?}", world.next_step())
    };
    assert_eq!(reason, reason::DUPLICATE_CERTIFICATES);
    assert!(message.contains("4 times within a week"), "{message}");
    assert!(message.contains(&until.to_string()), "{message}");
    let week = SignedDuration::from_hours(7 * 24);
    assert!(until > begun && until <= begun + week, "{until}");
    world.run_until_rest();
    world.check_issued();
    assert!(world.now >= until);
    assert_eq!(orders(&world), DUPLICATE_LIMIT + 1);
}

#[test]
fn is_ordered_on_request() {
    let mut world = used_up();
    (world.secret, world.backup) = (None, None);
    world.renew_request = Some("please".to_owned());
    let begun = world.now;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(orders(&world), DUPLICATE_LIMIT + 1);
    assert!(world.now.duration_since(begun) < SignedDuration::from_mins(1), "at once");
}

#[test]
fn is_ordered_for_if_other_names_are_wanted() {
    let mut world = used_up();
    world.secret = None;
    world.names_are(&["c.test"]);
    world.run_until_rest();
    world.check_issued();
    assert_eq!(orders(&world), DUPLICATE_LIMIT + 1);
}

#[test]
fn keeps_nothing_once_another_may_be_ordered() {
    let mut world = used_up();
    let Turn::Rests(until) = world.run() else { panic!("{:?}", world.next_step()) };
    world.now = until;
    world.run_until_rest();
    assert!(world.backup.is_none(), "{:?}", world.last_steps());
}

#[test]
fn is_not_what_a_renewal_is() {
    let mut world = World::new();
    world.run_until_rest();
    for turn in 0..2 * DUPLICATE_LIMIT {
        world.renew_request = Some(turn.to_string());
        world.run_until_rest();
        world.check_issued();
    }
    assert_eq!(orders(&world), 2 * DUPLICATE_LIMIT + 1);
}

#[test]
fn is_kept_for_over_a_crash_at_any_point() {
    for point in 0..40 {
        let mut world = used_up();
        world.crash_after = Some(point);
        (world.secret, world.backup) = (None, None);
        world.renew_request = Some("please".to_owned());
        world.run_until_rest();
        world.check_issued();
        assert!(world.backup.is_some(), "crash {point}");
        let kept = world.state.status.recent_issuances.len();
        assert_eq!(kept, DUPLICATE_LIMIT + 1, "crash {point}");
    }
}
