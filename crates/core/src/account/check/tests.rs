use proptest::prelude::*;

use super::*;
use crate::account::tests::refusal;
use crate::account::tests::world::World;
use crate::fate::fates;
use certwright_api::issuer_reason as reason;

fn registered() -> World {
    let mut world = World::new();
    world.settle();
    world
}

fn a_day_later(world: &mut World) {
    world.now += SignedDuration::from_hours(25);
    world.settle_for(SignedDuration::from_mins(1));
}

#[test]
fn an_account_is_checked_once_a_day() {
    let mut world = registered();
    let begin = world.now;
    for day in 1..=5 {
        let calls = world.effects;
        world.settle_for(SignedDuration::from_hours(24));
        let made = world.effects - calls;
        // The call, and the write of the status.
        assert!((2..=4).contains(&made), "day {day}: {made}");
        assert!(world.is_ready());
    }
    let acme = world.status.acme.as_ref().unwrap();
    assert!(acme.last_check_time.as_ref().unwrap().0 >= begin + SignedDuration::from_hours(24 * 4));
}

#[test]
fn issuers_take_turns_within_the_last_tenth_of_the_day() {
    let now = "2026-11-22T03:00:00Z".parse().unwrap();
    let times: Vec<_> = (0..1000).map(|uid| next(&format!("uid-{uid}"), now)).collect();
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*first >= now + SignedDuration::from_mins(1296), "{first}");
    assert!(*last <= now + SignedDuration::from_hours(24), "{last}");
    assert!(last.duration_since(*first) > SignedDuration::from_mins(140), "{first} {last}");
}

#[test]
fn an_account_that_ended_in_the_portal_is_reported_the_same_day() {
    let mut world = registered();
    world.accounts[0].deactivated = true;
    a_day_later(&mut world);
    let ready = world.ready().unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", reason::DEACTIVATED));
    assert_eq!(world.accounts.len(), 1, "no other account is registered");
}

#[test]
fn an_account_that_the_ca_does_not_know_any_more_is_reported_the_same_day() {
    let mut world = registered();
    world.accounts.clear();
    a_day_later(&mut world);
    let ready = world.ready().unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "AccountDoesNotExist"));
}

#[test]
fn a_ca_that_says_nothing_about_the_account_is_asked_again_in_an_hour() {
    for error in [
        refusal(Operation::Account, 503, "serverInternal"),
        refusal(Operation::Account, 400, "malformed"),
        refusal(Operation::Account, 404, "notFound"),
        AcmeError::Timeout { operation: Operation::Account, host: "acme.test".to_owned() },
    ] {
        let mut world = registered();
        world.says_of_account = Some(error.clone());
        let asked = world.now + SignedDuration::from_hours(25);
        a_day_later(&mut world);
        assert!(world.is_ready(), "{error:?}: {:?}", world.status);
        let acme = world.status.acme.as_ref().unwrap();
        assert!(acme.last_check_time.as_ref().unwrap().0 < asked);
        world.says_of_account = None;
        world.accounts[0].deactivated = true;
        world.settle_for(SignedDuration::from_mins(61));
        assert_eq!(world.ready().unwrap().reason, reason::DEACTIVATED, "{error:?}");
    }
}

#[test]
fn a_suspended_account_is_reported_the_same_day() {
    for (code, expected) in [
        ("SUSPENDED_ACCOUNT", "SUSPENDED_ACCOUNT"),
        ("REVOKED_ACCOUNT", "REVOKED_ACCOUNT"),
        ("unauthorized", "Unauthorized"),
    ] {
        let mut world = registered();
        world.says_of_account = Some(refusal(Operation::Account, 403, code));
        a_day_later(&mut world);
        let ready = world.ready().unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", expected));
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_same_account_is_used_after_a_check(fates in fates()) {
        let mut world = registered();
        let account = world.status.acme.as_ref().unwrap().uri.clone();
        world.now += SignedDuration::from_hours(25);
        world.fates.extend(fates);
        world.settle_for(SignedDuration::from_hours(48));
        prop_assert!(world.is_ready());
        prop_assert_eq!(&world.status.acme.as_ref().unwrap().uri, &account);
        prop_assert_eq!(world.accounts.len(), 1);
    }
}
