use jiff::SignedDuration;

use super::world::{TlsSecret, World};

#[test]
fn a_certificate_that_is_at_rest_is_so_without_a_look_at_its_secret() {
    let world = at_rest();
    let renewal = world.recorded.renewal_time.as_ref().unwrap().0;
    assert_eq!(world.at_rest_until(), Some(renewal));
    // As after a restart.
    let mut restarted = at_rest();
    restarted.crash();
    assert!(restarted.at_rest_until().is_some());
}

#[test]
fn it_is_not_once_anything_that_matters_has_changed() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 8] = [
        ("the Secret is gone", |world| world.secret = None),
        ("the Secret has changed", |world| {
            let secret = world.secret.take().unwrap();
            world.secret = Some(TlsSecret { key: Some(Err("no key".to_owned())), ..secret });
        }),
        ("the spec has changed", |world| world.edit(|spec| spec.dns_names.push("new.test".to_owned()))),
        ("a renewal is requested", |world| world.renew_request = Some("now".to_owned())),
        ("a revocation is requested", |world| world.revoke_request = Some("KeyCompromise".to_owned())),
        ("another Certificate claims the Secret", |world| world.claimed_by = Some("other".to_owned())),
        ("the renewal is due", |world| {
            world.now = world.recorded.renewal_time.as_ref().unwrap().0 + SignedDuration::from_secs(1);
        }),
        ("an older version has checked other things", |world| {
            let check = world.recorded.last_check.as_mut().unwrap();
            check.checks = "an older version".to_owned();
            world.crash();
        }),
    ];
    for (what, change) in changes {
        let mut world = at_rest();
        change(&mut world);
        assert_eq!(world.at_rest_until(), None, "{what}");
    }
}

/// Somebody who changes the Secret again and again does not make the operator write as often.
#[test]
fn what_others_change_in_the_secret_is_recorded_once_an_hour() {
    let mut world = at_rest();
    let first = world.recorded.last_check.clone();
    world.touch_secret();
    world.run_until_rest();
    assert_eq!(world.recorded.last_check, first, "within the hour");
    world.now += SignedDuration::from_mins(61);
    world.touch_secret();
    world.run_until_rest();
    assert_ne!(world.recorded.last_check, first);
    assert!(world.at_rest_until().is_some());
}

fn at_rest() -> World {
    let mut world = World::new();
    world.run_until_rest();
    world
}
