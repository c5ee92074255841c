use jiff::SignedDuration;
use serde_json::json;

use super::IssuanceStep;
use super::world::{TlsSecret, World};
use crate::conditions::set_condition;
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, CertificateAcmeStatus, CertificateStatus, DnsRecordStatus,
    RevocationStatus,
};

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

#[test]
fn it_is_not_while_the_status_shows_that_something_is_left_to_do() {
    let mut world = World::new();
    world.self_check_passes = false;
    world.run();
    let under_way = world.recorded;
    assert!(under_way.order.is_some() && under_way.next_private_key_secret_name.is_some());
    assert_eq!(under_way.challenges.len(), 2);
    type Change = fn(&mut CertificateStatus, &CertificateStatus);
    let changes: [(&str, Change); 10] = [
        ("an order", |status, other| status.order.clone_from(&other.order)),
        ("a challenge", |status, other| status.challenges.clone_from(&other.challenges)),
        ("a key", |status, other| {
            status.next_private_key_secret_name.clone_from(&other.next_private_key_secret_name);
        }),
        ("a record", |status, _| status.dns_records.push(DnsRecordStatus::default())),
        ("a failure", |status, _| status.failed_issuance_attempts = Some(1)),
        ("a revocation", |status, _| status.revocation = Some(RevocationStatus::default())),
        ("renewal information", |status, _| status.acme = Some(CertificateAcmeStatus::default())),
        ("an issuance", |status, _| condition(status, CONDITION_ISSUING, true, 1)),
        ("not ready", |status, _| condition(status, CONDITION_READY, false, 1)),
        ("another spec", |status, _| condition(status, CONDITION_READY, true, 0)),
    ];
    for (what, change) in changes {
        let mut world = at_rest();
        change(&mut world.recorded, &under_way);
        world.crash();
        assert_eq!(world.at_rest_until(), None, "{what}");
    }
    let mut world = at_rest();
    assert_eq!(world.generation, 1);
    world.state.status.revision = Some(7);
    assert_eq!(world.at_rest_until(), None, "it is not written yet");
}

#[test]
fn challenges_that_are_on_record_without_an_order_are_cleaned_up() {
    let mut world = World::new();
    world.self_check_passes = false;
    world.run();
    let challenges = world.recorded.challenges;
    let mut world = at_rest();
    world.recorded.challenges = challenges;
    world.crash();
    assert_eq!(world.next_step(), IssuanceStep::CleanUp);
    world.run_until_rest();
    world.check_nothing_is_left();
}

#[test]
fn passwords_of_keystores_are_read_every_hour() {
    let mut world = at_rest();
    let keystores = json!({ "pkcs12": { "create": true, "passwordSecretRef": { "name": "passwords" } } });
    world.edit(|spec| spec.keystores = serde_json::from_value(keystores).unwrap());
    assert_eq!(world.run_until_rest(), world.now + SignedDuration::from_hours(1));
    assert_eq!(world.at_rest_until(), None, "their Secrets are not watched");
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

fn condition(status: &mut CertificateStatus, type_: &str, is: bool, generation: i64) {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    set_condition(&mut status.conditions, type_, is, "Reason", "", generation, now);
}
