//! What the status says, and when it is written.

use super::*;
use certwright_api::{CONDITION_READY, CONDITION_RENEWAL_WINDOW, RenewalPolicy, RenewalWindow};

/// The end of the first certificate's validity, which is the first quarter of the year.
const END: &str = "2026-04-01T00:00:00Z";

#[test]
fn a_certificate_is_ready_while_its_secret_matches_the_spec_and_otherwise_the_condition_says_why() {
    let mut world = World::new();
    let said = |world: &World| world.condition(CONDITION_READY).unwrap();
    world.ca.validation = Validation::Hangs;
    world.run();
    let message = "The CA is validating a.test and 1 more name (Secret tls does not exist)";
    assert_eq!(said(&world), says("False", reason::VALIDATING, message));

    world.ca.validation = Validation::Succeeds;
    world.run_until_rest();
    assert_eq!(said(&world), says("True", reason::READY, &format!("The certificate is valid until {END}")));

    world.now = end() + SignedDuration::from_secs(1);
    world
        .issuers
        .insert("one".to_owned(), IssuerView::NotReady { message: "no key".to_owned(), ca_is_cause: true });
    world.run();
    let message = format!("Issuer one is not ready: no key (the certificate expired at {END})");
    assert_eq!(said(&world), says("False", reason::ISSUER_NOT_READY, &message));

    let mut world = at_rest();
    world.secret_belongs_to(Some("another"));
    world.run();
    let message = "Secret tls belongs to Certificate another; choose another secretName";
    assert_eq!(said(&world), says("False", reason::SECRET_CLAIMED, message));
}

#[test]
fn a_certificate_that_is_not_renewed_is_ready_until_it_expires() {
    let mut world = at_rest();
    let said = |world: &World| world.condition(CONDITION_READY).unwrap();
    world.edit(|spec| spec.renewal.get_or_insert_default().policy = Some(RenewalPolicy::Disabled));
    assert_eq!(world.run(), Turn::Waits(None));
    let message =
        format!("The certificate is valid until {END}, and is not renewed: renewal.policy is Disabled");
    assert_eq!(said(&world), says("True", reason::READY, &message));

    world.now = end() + SignedDuration::from_secs(1);
    assert_eq!(world.run(), Turn::Waits(None));
    let message = format!(
        "The certificate expired at {END}, and is not renewed: renewal.policy is Disabled; to renew it, remove \
         renewal.policy, or give the annotation certwright.dev/renew a new value"
    );
    assert_eq!(said(&world), says("False", reason::EXPIRED, &message));
}

#[test]
fn a_certificate_that_expires_while_its_renewal_backs_off_is_not_ready_any_more() {
    let mut world = at_rest();
    world.now = end() - SignedDuration::from_mins(5);
    world.ca.validation = Validation::Fails("caa");
    let failure = failure_of(&mut world);
    world.run();
    assert_eq!(world.condition(CONDITION_READY).unwrap().0, "True");
    world.now = end() + SignedDuration::from_secs(1);
    assert!(matches!(world.next_step(), IssuanceStep::BackOff { .. }));
    world.run();
    let message = format!("{} (the certificate expired at {END})", failure.message);
    assert_eq!(world.condition(CONDITION_READY).unwrap(), says("False", "CAA", &message));
}

/// `Ready` changes then, without any other event.
#[test]
fn the_status_of_a_certificate_that_is_ready_is_looked_at_when_it_expires() {
    let second = SignedDuration::from_secs(1);
    let mut world = at_rest();
    // It is valid until the end of that second.
    assert_eq!(world.or_expiry(None), Some(end() + second));
    assert_eq!(world.or_expiry(Some(end())), Some(end()), "something else is due before");
    world.asked_time = true;
    world.ca_ahead = SignedDuration::from_hours(1);
    assert_eq!(world.or_expiry(None), Some(end() + second - world.ca_ahead), "by the CA's clock");
    world.ca_ahead = SignedDuration::ZERO;
    world.now = end() + second;
    assert_eq!(world.or_expiry(None), None, "it has been looked at");
    world.now = end();
    world.secret_belongs_to(Some("another"));
    world.run();
    assert_eq!(world.or_expiry(None), None, "it is not ready");
}

#[test]
fn a_condition_says_whether_the_renewal_begins_within_a_window_and_an_event_once_that_it_does_not() {
    let mut world = at_rest();
    let windows = |world: &mut World, cron: &str| {
        let window =
            RenewalWindow { cron: cron.to_owned(), window_duration: "1h".parse().unwrap(), timezone: None };
        world.edit(|spec| spec.renewal.get_or_insert_default().windows = vec![window]);
        world.run_until_rest();
        world.touch_secret();
        world.run_until_rest();
    };
    assert_eq!(world.condition(CONDITION_RENEWAL_WINDOW), None);
    windows(&mut world, "0 2 * * *");
    let said = world.condition(CONDITION_RENEWAL_WINDOW).unwrap();
    assert_eq!(said, says("True", reason::WITHIN_WINDOW, "The renewal begins within a window"));

    for (cron, expected, begin, end) in [
        ("0 4 29 2 *", reason::NO_WINDOW_IN_TIME, "The renewal begins outside of renewal.windows, at ", ""),
        ("0 25 * * *", reason::INVALID_WINDOW, "renewal.windows[0].cron: '0 25 * * *' ", "no windows"),
    ] {
        windows(&mut world, cron);
        let (status, reason, message) = world.condition(CONDITION_RENEWAL_WINDOW).unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("False", expected));
        assert!(message.starts_with(begin) && message.ends_with(end), "{message}");
        assert_eq!(world.events(expected), [message], "once");
        windows(&mut world, "0 2 * * *");
    }
    world.edit(|spec| spec.renewal = None);
    world.run_until_rest();
    assert_eq!(world.condition(CONDITION_RENEWAL_WINDOW), None);
    assert!(world.events(reason::WITHIN_WINDOW).is_empty());
}

#[test]
fn a_wait_is_written_and_other_words_for_the_same_reason_at_most_once_a_minute() {
    let mut world = World::new();
    let (one, other) = (reason::ISSUER_NOT_READY, reason::ISSUER_NOT_FOUND);
    for (passed, until, reason, message, is_written) in [
        (0, Some(10), one, "first", true),
        (59, Some(10), one, "within the minute", false),
        (0, None, one, "there may be no other opportunity", true),
        (30, Some(10), one, "again within the minute", false),
        (0, Some(10), other, "another reason", true),
        (60, Some(10), other, "after a minute", true),
        (0, Some(10), other, "within the next", false),
    ] {
        world.now += SignedDuration::from_secs(passed);
        let until = until.map(|seconds| world.now + SignedDuration::from_secs(seconds));
        assert_eq!(world.writes_wait(until, reason, message), is_written, "{message}");
    }
}

#[test]
fn a_short_wait_is_not_written_unless_there_have_been_others_for_three_seconds() {
    for (since, wait, is_written) in
        [(0, 2, false), (2, 2, false), (0, 3, true), (3, 2, true), (4, 2, true), (60, 60, true)]
    {
        let mut world = World::new();
        run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
        world.step();
        world.now += SignedDuration::from_secs(since);
        let until = world.now + SignedDuration::from_secs(wait);
        let written = world.writes_wait(Some(until), reason::VALIDATING, "The CA is validating a.test");
        assert_eq!(written, is_written, "{wait} s after {since} s");
    }
}

fn at_rest() -> World {
    let mut world = World::new();
    world.run_until_rest();
    world
}

fn end() -> Timestamp {
    END.parse().unwrap()
}

/// Status, reason and message of a condition.
fn says(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.to_owned(), reason.to_owned(), message.to_owned())
}
