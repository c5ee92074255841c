//! Failures, and what follows from them.

use super::*;
use certwright_api::CONDITION_ISSUING;

#[test]
fn a_failed_issuance_keeps_its_private_key_for_the_next_attempt() {
    let mut world = World::new();
    world.ca.validation = Validation::Fails("caa");
    failure_of(&mut world);
    let key = world.next_key.as_ref().expect("the key is kept").public_key_der().to_vec();
    assert!(world.state.status.next_private_key_secret_name.is_some());
    world.ca.mend();
    world.run_until_rest();
    let secret = world.secret.as_ref().unwrap();
    assert_eq!(secret.key.as_ref().unwrap().as_ref().unwrap().public_key_der(), key);
    assert!(world.next_key.is_none());
}

#[test]
fn a_ca_that_stumbles_is_asked_twice_more_before_it_is_a_failure() {
    for stumbles in 1..=3 {
        let mut world = World::new();
        run_to(&mut world, |step| matches!(step, IssuanceStep::Finalize(..)));
        let down = Fault { refusal: Refusal::no_answer(), answer_lost: false };
        world.ca.faults.extend(vec![down; stumbles]);
        let begin = world.now;
        while !world.ca.faults.is_empty() {
            if let Turn::Waits(Some(until)) = world.step() {
                world.now = until;
            }
        }
        let failed = world.state.status.failed_issuance_attempts;
        assert_eq!(failed, (stumbles == 3).then_some(1), "after {stumbles}");
        assert!(world.now.duration_since(begin) < SignedDuration::from_secs(5));
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), 1);
    }
}

#[test]
fn a_ca_that_can_be_asked_for_the_order_and_not_for_what_is_next_is_asked_ever_less() {
    for next in ["ReadAuthorizations", "Download"] {
        let mut world = World::new();
        let begin = world.now;
        while world.now.duration_since(begin) < SignedDuration::from_hours(1) {
            let step = format!("{:?}", world.next_step());
            let fault = Fault { refusal: Refusal::no_answer(), answer_lost: false };
            world.ca.calls = step.starts_with(next).then_some(Some(fault)).into_iter().collect();
            if let Turn::Waits(Some(until)) = world.step() {
                world.now = until;
            }
        }
        assert!(world.state.status.failed_issuance_attempts.is_some_and(|attempts| attempts >= 3), "{next}");
        let asked = world.step_names().iter().filter(|name| **name == next).count();
        assert!((6..=24).contains(&asked), "{next}: {asked} times in an hour");
        assert_eq!(world.ca.orders.len(), 1);
        world.ca.calls.clear();
        world.run_until_rest();
        world.check_issued();
    }
}

#[test]
fn an_account_that_the_ca_refuses_is_no_failure_of_the_certificate() {
    let refusal = |code, status| Refusal { code, status: Some(status), retry_after: None };
    for (refusal, has_ended) in [
        (refusal("BAD_SIGNATURE", 400), false),
        (refusal("SUSPENDED_ACCOUNT", 403), false),
        (refusal("unauthorized", 403), true),
    ] {
        let mut world = World::new();
        world.account_has_ended = has_ended;
        run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
        let code = refusal.code;
        world.ca.faults.push_back(Fault { refusal, answer_lost: false });
        let Turn::Waits(_) = world.run() else { panic!("{code}: {:?}", world.last_steps()) };
        let status = &world.state.status;
        assert_eq!(status.failed_issuance_attempts, None, "{code}");
        assert_eq!(status.next_attempt_time, None, "{code}");
        assert_eq!(world.condition(CONDITION_ISSUING).unwrap().1, reason::ISSUER_NOT_READY, "{code}");
        assert!(!world.state.progress.slot, "{code}: others may go on");
        let told = |report: &Report| matches!(report, Report::Account { .. });
        assert_eq!(world.reports.iter().filter(|report| told(report)).count(), 1, "{code}");
        world.account_has_ended = false;
        world.issuer_is_ready("one", "account/one");
        world.run_until_rest();
        world.check_issued();
    }
}

#[test]
fn what_the_ca_refuses_an_account_that_is_valid_fails_the_certificate() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
    let refusal = Refusal { code: "unauthorized", status: Some(403), retry_after: None };
    world.ca.faults.push_back(Fault { refusal, answer_lost: false });
    world.run();
    assert!(world.step_names().contains(&"AskAccount"));
    assert_eq!(world.state.status.failed_issuance_attempts, Some(1));
}

#[test]
fn an_order_that_fails_when_it_is_finalized_says_why() {
    let mut world = World::new();
    world.ca.finalization = Finalization::Fails("caa");
    let failure = failure_of(&mut world);
    assert!(
        failure.message.starts_with("The CA rejected the order: order: the CA's own words"),
        "{}",
        failure.message
    );
    assert_eq!(failure.disposition, Disposition::NotAllowed);
}

#[test]
fn an_order_that_fails_because_of_the_account_is_no_failure_of_the_certificate() {
    for (code, remedy) in [
        ("OUT_OF_CREDIT", "Buy credit in the CA's portal. Then run `certwright retry issuer one`"),
        ("REVOKED_ACCOUNT", "and configure its key id and MAC key"),
    ] {
        let mut world = World::new();
        world.ca.finalization = Finalization::Fails(code);
        while world.reports.iter().all(|report| !matches!(report, Report::Account { .. })) {
            if let Turn::Waits(Some(until)) = world.step() {
                world.now = until;
            }
        }
        let told = world.reports.iter().find_map(|report| match report {
            Report::Account { reason, message, .. } => Some((*reason, message.clone())),
            _ => None,
        });
        let (reason, message) = told.unwrap();
        assert_eq!(reason, Some(code));
        assert!(message.starts_with("The CA rejected the order: order: the CA's own words"), "{message}");
        assert!(message.ends_with(remedy), "{message}");
        let Turn::Waits(_) = world.run() else { panic!("{code}: {:?}", world.last_steps()) };
        assert_eq!(world.state.status.failed_issuance_attempts, None, "{code}");
        assert_eq!(world.state.status.next_attempt_time, None, "{code}");
        assert_eq!(world.condition(CONDITION_ISSUING).unwrap().1, reason::ISSUER_NOT_READY, "{code}");
        assert!(!world.state.progress.slot, "{code}: others may go on");
        assert!(world.presented.is_none(), "{code}");

        world.ca.mend();
        world.issuer_is_ready("one", "account/one");
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), 2, "{code}: the first one is invalid");
    }
}

#[test]
fn an_order_that_failed_because_of_the_account_says_nothing_once_the_issuer_was_not_ready() {
    for crashes in [false, true] {
        let mut world = World::new();
        world.ca.finalization = Finalization::Fails("OUT_OF_CREDIT");
        run_to(&mut world, |step| matches!(step, IssuanceStep::Fail(_)));
        // Another Certificate was faster.
        let message = "no credit".to_owned();
        world.issuers.insert("one".to_owned(), IssuerView::NotReady { message, ca_is_cause: true });
        assert!(matches!(world.run(), Turn::Waits(_)));
        if crashes {
            world.crash();
        }
        world.ca.mend();
        world.issuer_is_ready("one", "account/one");
        world.run_until_rest();
        world.check_issued();
        assert!(world.reports.iter().all(|report| !matches!(report, Report::Account { .. })));
        assert_eq!(world.ca.orders.len(), 2);
    }
}

#[test]
fn after_a_failure_a_changed_spec_is_tried_at_once_and_the_same_one_is_not() {
    let mut world = World::new();
    world.ca.validation = Validation::Fails("caa");
    failure_of(&mut world);
    let Turn::Waits(Some(until)) = world.run() else { panic!("{:?}", world.last_steps()) };
    assert!(until >= world.now + SignedDuration::from_hours(1));
    assert_eq!(world.next_step(), IssuanceStep::BackOff { until });
    world.crash();
    assert_eq!(world.next_step(), IssuanceStep::BackOff { until });
    world.names_are(&["c.test"]);
    assert!(matches!(world.next_step(), IssuanceStep::CheckCaa(_)));
    world.ca.validation = Validation::Succeeds;
    let begin = world.now;
    world.run_until_rest();
    assert!(world.now.duration_since(begin) < SignedDuration::from_mins(1));
}

#[test]
fn after_a_failure_it_is_tried_at_once_for_each_time_that_somebody_asks() {
    let mut world = World::new();
    world.renew_request = Some("first".to_owned());
    world.ca.validation = Validation::Fails("caa");
    failure_of(&mut world);
    let Turn::Waits(Some(until)) = world.run() else { panic!("{:?}", world.last_steps()) };
    assert_eq!(world.next_step(), IssuanceStep::BackOff { until }, "this request was there when it failed");
    world.renew_request = Some("second".to_owned());
    assert!(matches!(world.next_step(), IssuanceStep::CheckCaa(_)));
    failure_of(&mut world);
    let Turn::Waits(Some(longer)) = world.run() else { panic!("{:?}", world.last_steps()) };
    assert!(longer > until, "the wait goes on to double");
    world.crash();
    assert_eq!(
        world.next_step(),
        IssuanceStep::BackOff { until: longer },
        "once for each request, also after a restart"
    );
    world.renew_request = None;
    assert_eq!(
        world.next_step(),
        IssuanceStep::BackOff { until: longer },
        "to take it away asks for nothing"
    );
    world.renew_request = Some("third".to_owned());
    world.ca.validation = Validation::Succeeds;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_renewal_that_fails_in_its_window_is_retried_in_the_next_one() {
    const HOUR: i64 = 3600;
    let mut world = World::new();
    let window = certwright_api::RenewalWindow {
        cron: "0 2 * * *".to_owned(),
        window_duration: "1h".parse().unwrap(),
        timezone: None,
    };
    world.edit(|spec| spec.renewal.get_or_insert_default().windows = vec![window]);
    let renewal = world.run_until_rest();
    world.now = renewal;
    world.ca.validation = Validation::Fails("connection");
    while world.now < renewal + SignedDuration::from_hours(3) {
        if let Turn::Waits(Some(until)) = world.step() {
            world.now = until;
        }
    }
    // The next night, and not half a day after the last failure.
    assert_eq!(world.now.as_second() / HOUR % 24, 2, "{}", world.now);
    assert!(world.now < renewal + SignedDuration::from_hours(26));
    assert!(world.state.status.failed_issuance_attempts.is_some_and(|attempts| attempts > 1));
    world.ca.validation = Validation::Succeeds;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn the_reason_is_the_code_of_the_ca_or_says_what_kind_of_error_it_is() {
    let second = Some(Duration::from_secs(1));
    for (code, status, retry_after, faults, expected) in [
        ("caa", 403, None, 1, "CAA"),
        ("rateLimited", 429, None, 1, "RateLimited"),
        ("unheardOf", 429, None, 1, reason::RATE_LIMITED),
        ("unheardOf", 403, None, 1, reason::FAILED),
        ("unheardOf", 503, None, 3, reason::CA_UNAVAILABLE),
        // These are not repeated: the CA says when, or they were repeated already.
        ("unheardOf", 503, second, 1, reason::CA_UNAVAILABLE),
        ("badNonce", 400, None, 1, "BadNonce"),
    ] {
        let mut world = World::new();
        run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
        let refusal = Refusal { code, status: Some(status), retry_after };
        world.ca.faults.extend(vec![Fault { refusal, answer_lost: false }; faults]);
        while !world.ca.faults.is_empty() {
            if let Turn::Waits(Some(until)) = world.step() {
                world.now = until;
            }
        }
        world.run();
        let attempts = world.state.status.failed_issuance_attempts;
        assert_eq!(attempts, Some(1), "{code}");
        assert_eq!(world.condition(CONDITION_ISSUING).unwrap().1, expected, "{code}");
        // Only a 403 with an unknown code may be about the account.
        let may_be_account = (code, status) == ("unheardOf", 403);
        assert_eq!(world.step_names().contains(&"AskAccount"), may_be_account, "{code} {status}");
    }
}

#[test]
fn an_order_whose_answer_is_not_accepted_is_dropped() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::ReadOrder(_)));
    let refusal = Refusal { code: "answerOutOfBounds", status: None, retry_after: None };
    world.ca.faults.push_back(Fault { refusal, answer_lost: false });
    world.run();
    let (status, reason, message) = world.condition(CONDITION_ISSUING).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", reason::ANSWER_REFUSED));
    assert!(message.contains("it is too long"), "{message}");
    assert_eq!(world.state.status.order, None);
}

#[test]
fn an_order_for_a_lifetime_that_the_ca_finds_malformed_is_explained() {
    let hint = "The order requests the lifetime set in duration, which few CAs support: remove enableDurationFeature from \
                the issuer if this CA does not";
    let settings = "Remove settings that the CA may not support, such as a profile; otherwise report the message to the CA";
    let key = "Choose a key algorithm, key size and names that the CA accepts; its documentation lists them. Then run \
               `certwright renew cert`, unless you have changed its spec";
    for (call, code, asks, end) in [
        ("PlaceOrder", "malformed", true, hint),
        ("PlaceOrder", "malformed", false, settings),
        ("PlaceOrder", "badCSR", true, key),
        ("Finalize", "malformed", true, settings),
    ] {
        let mut world = World::new();
        world.asks_lifetime = asks;
        world.edit(|spec| spec.duration = Some("2160h".parse().unwrap()));
        run_to(&mut world, |step| format!("{step:?}").starts_with(call));
        let refusal = Refusal { code, status: Some(400), retry_after: None };
        world.ca.faults.push_back(Fault { refusal, answer_lost: false });
        world.run();
        let (_, _, message) = world.condition(CONDITION_ISSUING).unwrap();
        assert!(message.ends_with(&format!("). {end}")), "{call} {code}: {message}");
    }
}
