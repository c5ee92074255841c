//! How control of the names is proved.

use super::*;
use crate::records::CleanupTask;

#[test]
fn a_name_that_cannot_be_proved_fails_before_anything_is_presented() {
    let mut world = World::new();
    world.names_are(&["a.test", "*.a.test"]);
    let (until, message) = loop {
        match world.next_step() {
            IssuanceStep::Wait { until, reason: reason::NO_SOLVER, message, .. } => break (until, message),
            _ => drop(world.step()),
        }
    };
    assert!(message.starts_with("*.a.test: a wildcard requires dns-01"), "{message}");
    assert!(until.is_some(), "a human may prove control by hand");
    assert!(world.presented.is_none());
}

#[test]
fn a_challenge_that_stays_pending_after_a_failed_validation_is_answered_again() {
    let mut world = World::new();
    while world.learned().told.is_empty() {
        assert!(matches!(world.step(), Turn::On), "{:#?}", world.last_steps());
    }
    let (_, authorization) = &mut world.learned().authorizations.as_mut().unwrap().found[0];
    let challenge = &mut authorization.challenges[0];
    challenge.status = ChallengeStatus::Pending;
    challenge.error = Some(Problem { detail: "no route".to_owned(), ..Problem::default() });
    let again = IssuanceStep::Answer(vec![challenge.url.clone()]);
    assert_ne!(world.next_step(), again, "not at once");
    world.now += SignedDuration::from_secs(2);
    let read = world.next_step();
    assert!(matches!(read, IssuanceStep::ReadAuthorizations(_)), "it may have looked again by itself");
    let now = world.now;
    world.learned().authorizations.as_mut().unwrap().at = now;
    assert_eq!(world.next_step(), again, "and no other with it");
    let (now, url) = (world.now, challenge_url(&again));
    world.learned().saw_told(&url, now);
    assert_ne!(world.next_step(), again, "and not at once");
}

#[test]
fn a_challenge_is_answered_at_most_five_times_and_then_another_order_is_placed() {
    for (error, least, words) in [
        (
            "connection",
            SignedDuration::from_mins(20),
            "The CA could not validate a.test within 5 attempts, so the next attempt places another order: the CA's own \
             words (urn:ietf:params:acme:error:connection). Make port 80 of the name reachable",
        ),
        (
            "",
            SignedDuration::from_mins(30),
            "The CA has not validated a.test, though it was asked 5 times, so the next attempt places another order",
        ),
    ] {
        let mut world = World::new();
        world.names_are(&["a.test"]);
        world.ca.keeps_pending = Some(error);
        let begin = world.now;
        let failure = failure_of(&mut world);
        assert!(failure.message.starts_with(words), "{}", failure.message);
        assert_eq!(failure.disposition, Disposition::ValidationFailed);
        let took = world.now.duration_since(begin);
        assert!(took >= least && took < SignedDuration::from_hours(1), "{took:#}");
        let told = world.step_names().iter().filter(|step| **step == "Answer").count();
        assert_eq!(told, 5);
        world.ca.mend();
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), 2);
    }
}

#[test]
fn tries_are_counted_on_after_a_failure_that_keeps_the_order() {
    let mut world = World::new();
    world.names_are(&["a.test"]);
    world.ca.keeps_pending = Some("");
    for _ in 0..4 {
        run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
        world.step();
    }
    let refusal = Refusal { code: "rateLimited", status: Some(429), retry_after: None };
    world.ca.faults.push_back(Fault { refusal, answer_lost: false });
    while world.state.status.failed_issuance_attempts.is_none() {
        if let Turn::Waits(Some(until)) = world.step() {
            world.now = until;
        }
    }
    assert!(world.learned().told.is_empty());
    failure_of(&mut world);
    let told = world.step_names().iter().filter(|step| **step == "Answer").count();
    assert_eq!(told, 5);
}

#[test]
fn a_challenge_that_the_ca_has_checked_too_often_costs_the_order_and_a_rate_limit_does_not() {
    for (code, orders, remedy) in [
        ("RATE_LIMITED", 2, "The CA has checked the same challenge too often without success"),
        ("rateLimited", 1, "This ends by itself"),
    ] {
        let mut world = World::new();
        world.names_are(&["a.test"]);
        run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
        let refusal = Refusal { code, status: Some(429), retry_after: None };
        world.ca.faults.push_back(Fault { refusal, answer_lost: false });
        world.run();
        let (_, _, message) = world.condition(certwright_api::CONDITION_ISSUING).unwrap();
        assert!(message.contains(&format!("). {remedy}")), "{message}");
        assert_eq!(world.state.status.failed_issuance_attempts, Some(1), "{code}");
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), orders, "{code}");
    }
}

#[test]
fn the_authorizations_are_read_when_a_validation_has_taken_more_than_five_seconds() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
    let begin = world.now;
    run_to(&mut world, |step| matches!(step, IssuanceStep::ReadAuthorizations(_)));
    let took = world.now.duration_since(begin).as_millis();
    assert!((5001..10_000).contains(&took), "{took} ms");
}

#[test]
fn a_ca_that_is_validating_is_not_asked_before_the_time_that_it_gave() {
    let mut world = World::new();
    world.names_are(&["a.test"]);
    world.ca.validation = Validation::Hangs;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
    world.ca.retry_after = Some(Duration::from_secs(600));
    let until = world.now + SignedDuration::from_secs(600);
    assert_eq!(world.run(), Turn::Waits(Some(until)));
}

#[test]
fn what_is_presented_is_removed_when_the_issuer_no_longer_has_a_solver_for_it() {
    let mut world = World::new();
    world.self_check_passes = false;
    world.run();
    assert!(world.presented.is_some());
    let view = IssuerView::Ready {
        account: "account/one".to_owned(),
        solvers: Vec::new(),
        profile: None,
        authorized: Vec::new(),
    };
    world.issuers.insert("one".to_owned(), view);
    assert_eq!(world.next_step(), IssuanceStep::Tidy(CleanupTask::Withdraw));
    world.run();
    assert_eq!(world.presented, None);
    assert_eq!(world.condition(certwright_api::CONDITION_ISSUING).unwrap().1, reason::NO_SOLVER);
}

/// GlobalSign reuses a validation by e-mail for months. When that is over, the names need a person again.
#[test]
fn a_name_that_was_proved_by_hand_is_reported_as_lapsed() {
    let mut world = World::new();
    let view = IssuerView::Ready {
        account: "account/one".to_owned(),
        solvers: Vec::new(),
        profile: None,
        authorized: Vec::new(),
    };
    world.issuers.insert("one".to_owned(), view);
    let message = |world: &World| world.condition(certwright_api::CONDITION_ISSUING).unwrap().2;
    world.run();
    assert!(!message(&world).contains("lapsed"), "there was no proof: {}", message(&world));
    world.ca.knows_the_names = true;
    world.ca.orders[0].authorizations[0].status = certwright_acme::AuthorizationStatus::Valid;
    world.run_until_rest();
    world.check_issued();
    world.ca.knows_the_names = false;
    world.renew_request = Some("now".to_owned());
    world.run();
    let message = message(&world);
    assert!(
        message.contains("proof of control over a.test, b.test before, and that proof has lapsed"),
        "{message}"
    );
    assert!(message.contains("prove control again in the CA's portal"), "{message}");
}

#[test]
fn a_ca_that_keeps_a_challenge_open_in_silence_is_told_again_after_minutes() {
    let mut world = World::new();
    world.ca.keeps_pending = Some("");
    let begin = world.now;
    while world.now.duration_since(begin) < SignedDuration::from_mins(20) {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
    }
    let told = world.step_names().iter().filter(|step| **step == "Answer").count();
    assert!((3..=5).contains(&told), "{told} times within twenty minutes");
    world.ca.keeps_pending = None;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn a_challenge_that_was_never_answered_is_answered_though_another_one_was() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
    let IssuanceStep::Answer(all) = world.next_step() else { panic!("{:?}", world.next_step()) };
    assert_eq!(all.len(), 2);
    world.ca.calls.extend([None, Some(Fault { refusal: Refusal::no_answer(), answer_lost: false })]);
    world.step();
    assert_eq!(world.learned().told.len(), 1);
    run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
    assert_eq!(world.next_step(), IssuanceStep::Answer(vec![all[1].clone()]), "the other one is under way");
    world.ca.validation = Validation::Succeeds;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn a_failed_validation_says_what_the_ca_said() {
    let mut world = World::new();
    world.names_are(&["a.test"]);
    world.ca.validation = Validation::Fails("connection");
    let failure = failure_of(&mut world);
    assert_eq!(
        failure.message,
        "The CA rejected the order: a.test: the CA's own words (urn:ietf:params:acme:error:connection). Make port 80 of the \
         name reachable from the whole internet, or port 443 for tls-alpn-01: check its DNS records, the load balancer and \
         firewalls"
    );
    assert_eq!((failure.reason, failure.disposition), ("Connection", Disposition::ValidationFailed));
    assert!(matches!(world.run(), Turn::Waits(Some(_))));
    assert!(world.presented.is_none());
}

#[test]
fn a_rejection_without_a_reason_says_so() {
    let mut world = World::new();
    world.names_are(&["a.test"]);
    world.ca.validation = Validation::Fails("connection");
    run_to(&mut world, |step| matches!(step, IssuanceStep::Fail(_)));
    let said = |world: &World| match world.next_step() {
        IssuanceStep::Fail(failure) => (failure.reason, failure.message),
        step => panic!("{step:?}"),
    };
    let found = &mut world.learned().authorizations.as_mut().unwrap().found;
    found[0].1.challenges[0].error = None;
    let message = "The CA rejected the order: a.test: the CA gave no reason";
    assert_eq!(said(&world), (reason::FAILED, message.to_owned()));
    world.learned().authorizations.as_mut().unwrap().found.clear();
    let message = "The CA rejected the order: the CA gave no reason";
    assert_eq!(said(&world), (reason::FAILED, message.to_owned()));
}

#[test]
fn a_failed_self_check_is_a_hint_when_the_ca_fails_too() {
    let mut world = World::new();
    world.names_are(&["a.test"]);
    world.self_check_passes = false;
    world.ca.validation = Validation::Fails("connection");
    let failure = failure_of(&mut world);
    assert!(
        failure.message.contains(
            ". The self-check does not see the answer yet: a.test: connection refused. Make port 80"
        ),
        "{}",
        failure.message
    );
}

#[test]
fn a_rate_limit_on_validation_is_its_own_reason() {
    let mut world = World::new();
    world.ca.validation = Validation::Fails("rateLimited");
    let failure = failure_of(&mut world);
    assert_eq!((failure.reason, failure.disposition), (reason::RATE_LIMITED, Disposition::TooFast));
    world.run();
    assert_eq!(world.state.status.order, None, "it is invalid, and not used again");
}

#[test]
fn a_self_check_that_keeps_failing_is_waited_for_and_then_the_ca_is_asked_all_the_same() {
    let mut world = World::new();
    world.self_check_passes = false;
    world.ca.validation = Validation::Hangs;
    let begin = world.now;
    let mut looks = 0;
    while world.learned().told.is_empty() {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
        looks += 1;
        assert!(looks < 60, "it is looked at ever less often");
    }
    assert_eq!(world.learned().answered(), Some(begin + SignedDuration::from_secs(60)));
}

#[test]
fn a_self_check_that_waits_says_what_it_saw() {
    let mut world = World::new();
    world.self_check_passes = false;
    world.run();
    match world.next_step() {
        IssuanceStep::Wait { reason, message, .. } => {
            assert_eq!(reason, reason::SELF_CHECK);
            assert_eq!(message, "The self-check does not see the answer yet: a.test: connection refused");
        }
        step => panic!("{step:?}"),
    }
}

#[test]
fn what_waits_for_the_ca_names_the_names() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.run();
    match world.next_step() {
        IssuanceStep::Wait { reason, message, .. } => {
            assert_eq!(
                (reason, message.as_str()),
                (reason::VALIDATING, "The CA is validating a.test and 1 more name")
            );
        }
        step => panic!("{step:?}"),
    }
}

/// After a failure that keeps the order, too: the time since the answers are presented counts.
#[test]
fn a_self_check_that_never_passes_does_not_hold_up_an_order_that_the_ca_stumbled_over() {
    let mut world = World::new();
    world.self_check_passes = false;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
    let begin = world.now;
    let fault = Fault {
        refusal: Refusal { code: "serverInternal", status: Some(500), retry_after: None },
        answer_lost: false,
    };
    // Three attempts for two challenges.
    world.ca.faults.extend(vec![fault; 6]);
    world.run_until_rest();
    world.check_issued();
    let failures = world.reports.iter().filter(|report| matches!(report, Report::Failed { .. })).count();
    assert_eq!(failures, 1);
    assert!(world.now.duration_since(begin) < SignedDuration::from_mins(10), "{}", world.now);
    assert_eq!(world.ca.orders.len(), 1);
    assert_eq!(world.step_names().iter().filter(|step| **step == "Present").count(), 1);
}
