//! A wrong local clock: the CA's clock counts.

use super::*;

const DAYS: [i64; 4] = [-30, -1, 1, 30];

fn world(days: i64) -> World {
    let mut world = World::new();
    world.ca_ahead = SignedDuration::from_hours(24 * days);
    // Any earlier answer of the CA has its time.
    world.asked_time = true;
    world
}

fn orders(world: &World) -> usize {
    world.step_names().iter().filter(|name| **name == "PlaceOrder").count()
}

#[test]
fn orders_no_more_than_a_right_one() {
    for days in DAYS {
        let mut world = world(days);
        for renewals in 0..10 {
            let until = world.run_until_rest();
            world.check_issued();
            assert_eq!(orders(&world), renewals + 1, "{days} days");
            world.now = until;
        }
    }
}

#[test]
fn is_held_against_the_cas_before_an_order_that_is_due_by_time_alone() {
    for days in DAYS {
        let mut world = world(days);
        let until = world.run_until_rest();
        world.crash();
        // The clock of this node jumps; the renewal seems to be due.
        world.now = until + SignedDuration::from_hours(24 * 365);
        world.ca_ahead -= SignedDuration::from_hours(24 * 365 + 1);
        assert_eq!(world.next_step(), IssuanceStep::AskTime, "{days} days");
        let again = world.run_until_rest();
        assert_eq!(orders(&world), 1, "{days} days: {:?}", world.last_steps());
        assert_eq!(again.duration_since(world.now), SignedDuration::from_hours(1), "{days} days");
    }
}

#[test]
fn is_held_against_the_cas_before_the_interval_between_two_orders_counts() {
    let is_lost = |world: &mut World| world.secret = None;
    for (change, orders_again) in [((|_| {}) as fn(&mut World), 0), (is_lost, 1)] {
        let mut world = world(-1);
        world.ca.lifetime = SignedDuration::from_hours(6);
        world.run_until_rest();
        change(&mut world);
        world.crash();
        assert_eq!(world.next_step(), IssuanceStep::AskTime, "it seems to have expired");
        let begin = world.now;
        world.run_until_rest();
        assert_eq!(orders(&world), 1 + orders_again);
        assert!(world.now.duration_since(begin) < SignedDuration::from_secs(60), "nothing is waited for");
    }
}

#[test]
fn is_not_asked_about_where_the_time_is_not_the_reason() {
    let mut world = World::new();
    world.run_until_rest();
    assert!(!world.asked_time);
}
