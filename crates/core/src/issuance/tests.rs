mod ca;
mod clock;
mod dns;
mod duplicates;
mod hostile;
mod machine;
mod pace;
mod revocation;
mod world;

use std::time::Duration;

use jiff::SignedDuration;

use self::ca::{Fault, Finalization, Flaw, Identifiers, Refusal, Validation};
use self::world::{Turn, World, Write};
use super::*;
use crate::disposition::Disposition;
use certwright_acme::{ChallengeStatus, OrderStatus, Problem};
use certwright_api::{RotationPolicy, Solver};

#[test]
fn an_issuance_runs_through_without_a_wait_where_nothing_has_to_be_waited_for() {
    let mut world = World::new();
    world.run_until_rest();
    world.check_issued();
    assert_eq!(
        world.step_names(),
        [
            "StoreKey",
            "TakePlace",
            "PlaceOrder",
            "ReadAuthorizations",
            "Present",
            "SelfCheck",
            "Answer",
            "Wait",
            "ReadOrder",
            "Finalize",
            "Download",
            "StoreCertificate",
            "CleanUp",
            "Remove",
            "Rest"
        ]
    );
}

#[test]
fn an_order_found_ready_needs_no_solver() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    world.names_are(&["*.a.test"]);
    assert!(matches!(world.run(), Turn::Rests(_)));
    assert_eq!(
        world.step_names(),
        [
            "StoreKey",
            "TakePlace",
            "PlaceOrder",
            "Record",
            "Finalize",
            "Download",
            "StoreCertificate",
            "CleanUp",
            "Remove",
            "Rest"
        ]
    );
}

#[test]
fn a_name_that_cannot_be_proved_fails_before_anything_is_presented() {
    let mut world = World::new();
    world.names_are(&["a.test", "*.a.test"]);
    let (until, message) = loop {
        match world.next_step() {
            Step::Wait { until, reason: reason::NO_SOLVER, message, .. } => break (until, message),
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
    let (_, authorization) = &mut world.learned().authorizations.as_mut().unwrap()[0];
    let challenge = &mut authorization.challenges[0];
    challenge.status = ChallengeStatus::Pending;
    challenge.error = Some(Problem { detail: "no route".to_owned(), ..Problem::default() });
    let again = Step::Answer(vec![challenge.url.clone()]);
    assert_ne!(world.next_step(), again, "not at once");
    world.now += SignedDuration::from_secs(2);
    let read = world.next_step();
    assert!(matches!(read, Step::ReadAuthorizations(_)), "it may have looked again by itself");
    let now = world.now;
    world.learned().authorizations_at = Some(now);
    assert_eq!(world.next_step(), again, "and no other with it");
    let (now, url) = (world.now, challenge_url(&again));
    world.learned().saw_told(&url, now);
    assert_ne!(world.next_step(), again, "and not without end");
}

#[test]
fn a_ca_that_keeps_a_challenge_open_in_silence_is_told_again_after_minutes() {
    let mut world = World::new();
    world.ca.forgets_answers = true;
    let begin = world.now;
    while world.now.duration_since(begin) < SignedDuration::from_hours(1) {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
    }
    let told = world.step_names().iter().filter(|step| **step == "Answer").count();
    assert!((4..=8).contains(&told), "{told} times within an hour");
    world.ca.forgets_answers = false;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn a_challenge_that_was_never_answered_is_answered_though_another_one_was() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    run_to(&mut world, |step| matches!(step, Step::Answer(_)));
    let Step::Answer(all) = world.next_step() else { panic!("{:?}", world.next_step()) };
    assert_eq!(all.len(), 2);
    world.ca.calls.extend([None, Some(Fault { refusal: Refusal::no_answer(), answer_lost: false })]);
    world.step();
    assert_eq!(world.learned().told.len(), 1);
    run_to(&mut world, |step| matches!(step, Step::Answer(_)));
    assert_eq!(world.next_step(), Step::Answer(vec![all[1].clone()]), "the other one is under way");
    world.ca.validation = Validation::Succeeds;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn what_was_learned_of_one_order_says_nothing_of_another() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, Step::Answer(_)));
    world.step();
    assert!(!world.learned().told.is_empty());
    world.ca.place("account/one", world.wanted().unwrap().identifiers(), world.now).unwrap();
    let order = world.state.status.order.as_mut().unwrap();
    order.url = "order/1".to_owned();
    assert!(matches!(world.next_step(), Step::ReadOrder(_)), "it is not known what has become of it");
    world.recorded = world.state.status.clone();
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 2);
}

#[test]
fn an_order_that_could_not_be_recorded_is_recorded_next_and_not_placed_again() {
    for write in [Write::Fails, Write::AnswerLost] {
        let mut world = World::new();
        run_to(&mut world, |step| matches!(step, Step::Present(_)));
        world.writes.extend([write; 3]);
        while !world.writes.is_empty() {
            assert!(matches!(world.run(), Turn::Waits(Some(_))));
        }
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), 1, "{write:?}");
    }
}

#[test]
fn a_failed_validation_says_what_the_ca_said() {
    let mut world = World::new();
    world.names_are(&["a.test"]);
    world.ca.validation = Validation::Fails("connection");
    let failure = failure_of(&mut world);
    assert_eq!(
        failure.message,
        "The CA rejected the order: a.test: the CA's own words (urn:ietf:params:acme:error:connection)"
    );
    assert_eq!((failure.reason, failure.disposition), ("Connection", Disposition::ValidationFailed));
    assert!(matches!(world.run(), Turn::Waits(Some(_))));
    assert!(world.presented.is_none());
}

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
        run_to(&mut world, |step| matches!(step, Step::Finalize(_)));
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
        run_to(&mut world, |step| matches!(step, Step::PlaceOrder(_)));
        let code = refusal.code;
        world.ca.faults.push_back(Fault { refusal, answer_lost: false });
        let Turn::Waits(_) = world.run() else { panic!("{code}: {:?}", world.last_steps()) };
        let status = &world.state.status;
        assert_eq!(status.failed_issuance_attempts, None, "{code}");
        assert_eq!(status.next_attempt_time, None, "{code}");
        let issuing = crate::conditions::condition(&status.conditions, certwright_api::CONDITION_ISSUING);
        assert_eq!(issuing.unwrap().reason, reason::ISSUER_NOT_READY, "{code}");
        assert!(!world.state.progress.place, "{code}: others may go on");
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
    run_to(&mut world, |step| matches!(step, Step::PlaceOrder(_)));
    let refusal = Refusal { code: "unauthorized", status: Some(403), retry_after: None };
    world.ca.faults.push_back(Fault { refusal, answer_lost: false });
    world.run();
    assert!(world.step_names().contains(&"AskAccount"));
    assert_eq!(world.state.status.failed_issuance_attempts, Some(1));
}

#[test]
fn a_failed_self_check_is_a_hint_when_the_ca_fails_too() {
    let mut world = World::new();
    world.names_are(&["a.test"]);
    world.self_check_passes = false;
    world.ca.validation = Validation::Fails("connection");
    let failure = failure_of(&mut world);
    assert!(
        failure.message.ends_with(". The self-check does not see the answer yet: a.test: connection refused"),
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
}

#[test]
fn an_order_that_fails_when_it_is_finalized_says_why() {
    let mut world = World::new();
    world.ca.finalization = Finalization::Fails("OUT_OF_CREDIT");
    let failure = failure_of(&mut world);
    assert!(
        failure.message.starts_with("The CA rejected the order: order: the CA's own words"),
        "{}",
        failure.message
    );
    assert_eq!(failure.disposition, Disposition::CaOperatorMustAct);
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
        Step::Wait { reason, message, .. } => {
            assert_eq!(reason, reason::SELF_CHECK);
            assert_eq!(message, "The self-check does not see the answer yet: a.test: connection refused");
        }
        step => panic!("{step:?}"),
    }
}

#[test]
fn an_order_that_takes_hours_is_looked_at_every_five_minutes() {
    let mut world = World::new();
    world.ca.finalization = Finalization::Hangs;
    let end = world.now + SignedDuration::from_hours(12);
    while world.now < end {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
    }
    let looks = world.step_names().iter().filter(|step| **step == "ReadOrder").count();
    assert!((144..180).contains(&looks), "{looks} looks in twelve hours");
    assert_eq!(world.ca.orders.len(), 1);
    world.crash();
    world.ca.finalization = Finalization::Succeeds;
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn a_certificate_is_waited_for_briefly_even_after_a_long_validation() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.ca.finalization = Finalization::Hangs;
    let end = world.now + SignedDuration::from_mins(20);
    while world.learned().finalized.is_none() {
        if world.now > end {
            world.ca.validation = Validation::Succeeds;
        }
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
    }
    let finalized = world.learned().finalized.unwrap();
    assert!(world.now.duration_since(finalized) < SignedDuration::from_secs(1), "{} {finalized}", world.now);
}

#[test]
fn what_the_ca_says_of_waiting_counts() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    world.ca.finalization = Finalization::Hangs;
    world.ca.retry_after = Some(Duration::from_secs(77));
    let until = world.now + SignedDuration::from_secs(77);
    assert_eq!(world.run(), Turn::Waits(Some(until)));
}

#[test]
fn an_answer_to_finalize_that_is_lost_costs_no_second_order() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    run_to(&mut world, |step| matches!(step, Step::Finalize(_)));
    world.ca.faults.push_back(Fault { refusal: Refusal::no_answer(), answer_lost: true });
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 1);
    assert_eq!(world.step_names().iter().filter(|step| **step == "Finalize").count(), 1);
}

#[test]
fn a_key_that_is_stored_and_not_on_record_is_removed_all_the_same() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, Step::StoreKey));
    world.crash_after = Some(0);
    world.step();
    assert!(world.next_key.is_some() && world.state.status.next_private_key_secret_name.is_none());
    world.secret_belongs_to(Some("another"));
    world.run();
    world.check_nothing_is_left();
}

#[test]
fn an_order_whose_key_is_lost_is_dropped_for_exactly_one_other() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    run_to(&mut world, |step| matches!(step, Step::Download(_)));
    world.next_key = None;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 2);
}

#[test]
fn an_order_that_the_ca_forgot_is_placed_again_after_a_while() {
    let mut world = World::new();
    world.run();
    world.ca.orders[0].forgotten = true;
    let begin = world.now;
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 2);
    assert!(world.now.duration_since(begin) >= SignedDuration::from_mins(1));
}

#[test]
fn names_that_change_in_mid_order_abandon_it() {
    let mut world = World::new();
    world.run();
    world.names_are(&["c.test"]);
    let message = "the names have changed since the order was placed".to_owned();
    assert_eq!(world.next_step(), Step::Abandon { message });
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn names_that_the_ca_writes_in_its_own_way_are_the_same_names() {
    for identifiers in [Identifiers::InCapitals, Identifiers::LeftOut] {
        let mut world = World::new();
        world.ca.identifiers = identifiers;
        world.run_until_rest();
        world.check_issued();
        assert_eq!(world.ca.orders.len(), 1, "{identifiers:?}");
    }
}

#[test]
fn names_that_change_after_the_download_are_not_stored_though_the_ca_names_none() {
    let mut world = World::new();
    world.ca.identifiers = Identifiers::LeftOut;
    run_to(&mut world, |step| matches!(step, Step::StoreCertificate));
    world.names_are(&["c.test"]);
    assert!(matches!(world.next_step(), Step::Abandon { .. }), "{:?}", world.next_step());
}

#[test]
fn a_key_that_is_used_again_and_changes_after_the_download_is_not_stored() {
    let mut world = World::new();
    world.rotation_is(RotationPolicy::Never);
    world.run_until_rest();
    world.renew_request = Some("now".to_owned());
    run_to(&mut world, |step| matches!(step, Step::StoreCertificate));
    let other = certwright_pki::PrivateKey::generate(certwright_pki::KeyAlgorithm::ECDSA_P256).unwrap();
    world.secret.as_mut().unwrap().key = Some(Ok(other));
    assert!(matches!(world.next_step(), Step::Abandon { .. }), "{:?}", world.next_step());
}

#[test]
fn a_certificate_that_expires_before_it_is_stored_is_ordered_again() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, Step::StoreCertificate));
    world.now += SignedDuration::from_hours(91 * 24);
    let message = "the certificate expired before it was stored".to_owned();
    assert_eq!(world.next_step(), Step::Abandon { message });
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_certificate_that_stays_due_when_it_is_stored_is_not_stored_again_and_again() {
    for (flaw, disposition) in
        [(Flaw::NameAdded, Disposition::NotAllowed), (Flaw::DueAlready, Disposition::OrderLost)]
    {
        let mut world = World::new();
        world.ca.flaw = Some(flaw);
        let failure = failure_of(&mut world);
        assert_eq!(failure.reason, reason::CERTIFICATE_REFUSED);
        assert_eq!(failure.disposition, disposition);
        assert_eq!(world.step_names().iter().filter(|step| **step == "StoreCertificate").count(), 1);
    }
}

#[test]
fn a_crash_between_the_secret_and_its_status_is_made_good() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    world.run_until_rest();
    world.renew_request = Some("now".to_owned());
    run_to(&mut world, |step| matches!(step, Step::StoreCertificate));
    world.crash_after = Some(0);
    world.step();
    assert_ne!(world.recorded.observed_renew_request.as_deref(), Some("now"));
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 2);
    assert_eq!(world.recorded.observed_renew_request.as_deref(), Some("now"));
}

#[test]
fn a_secret_of_somebody_else_is_left_alone_and_looked_at_again() {
    let mut world = World::new();
    world.secret_belongs_to(None);
    for (owner, reason) in [(None, reason::SECRET_NOT_OURS), (Some("another"), reason::SECRET_CLAIMED)] {
        world.secret_belongs_to(owner);
        match world.next_step() {
            Step::Wait { until: Some(until), reason: found, .. } => {
                assert_eq!(found, reason);
                assert!(until > world.now && until <= world.now + SignedDuration::from_mins(1));
            }
            step => panic!("{step:?}"),
        }
    }
    world.secret = None;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_secret_that_turns_foreign_in_mid_order_ends_the_order() {
    let mut world = World::new();
    world.run();
    world.secret_belongs_to(None);
    assert!(matches!(world.next_step(), Step::Abandon { .. }));
    world.run();
    world.check_nothing_is_left();
}

#[test]
fn the_older_claim_to_a_secret_wins() {
    let mut world = World::new();
    world.claimed_by = Some("another".to_owned());
    match world.next_step() {
        Step::Wait { reason, message, .. } => {
            assert_eq!(reason, reason::SECRET_CLAIMED);
            assert_eq!(
                message,
                "Certificate another, which is older, has the same secretName tls; choose another"
            );
        }
        step => panic!("{step:?}"),
    }
    world.secret_belongs_to(Some(world::NAME));
    assert_eq!(world.next_step(), Step::StoreKey, "who has the Secret keeps it");
}

#[test]
fn nothing_is_ordered_from_an_issuer_that_is_not_for_the_certificate_and_an_order_is_given_up() {
    let mut world = World::new();
    world.not_allowed = Some("ClusterIssuer ca does not allow this Certificate".to_owned());
    match world.next_step() {
        Step::Wait { until: None, reason, message, .. } => {
            assert_eq!(
                (reason, message.as_str()),
                (reason::NOT_ALLOWED, "ClusterIssuer ca does not allow this Certificate")
            );
        }
        step => panic!("{step:?}"),
    }
    world.not_allowed = None;
    world.run();
    world.not_allowed = Some("ClusterIssuer ca does not allow this Certificate".to_owned());
    assert!(matches!(world.next_step(), Step::Abandon { .. }), "an order that is under way is given up");
    world.run();
    world.check_nothing_is_left();
    world.not_allowed = None;
    world.run_until_rest();
    world.check_issued();
    world.not_allowed = Some("ClusterIssuer ca does not allow this Certificate".to_owned());
    assert!(matches!(world.next_step(), Step::Rest { .. }), "what is there stays until it is due");
}

#[test]
fn a_secret_that_cert_manager_manages_is_left_alone_whatever_its_annotations_say() {
    let mut world = World::new();
    world.run_until_rest();
    world.kept_by = Some("theirs".to_owned());
    for owner in [None, Some("another"), Some(world::NAME)] {
        world.secret_belongs_to(owner);
        match world.next_step() {
            Step::Wait { until: Some(until), reason, message, .. } => {
                assert_eq!(reason, reason::KEPT_BY_CERT_MANAGER);
                assert!(message.contains("Certificate theirs"), "{message}");
                assert!(until <= world.now + SignedDuration::from_mins(1));
            }
            step => panic!("{step:?}"),
        }
    }
    world.kept_by = None;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn an_issuer_that_is_missing_or_not_ready_is_waited_for_and_named() {
    let mut world = World::new();
    let said = |world: &World| match world.next_step() {
        Step::Wait { until: None, reason, message, .. } => (reason, message),
        step => panic!("{step:?}"),
    };
    world.issuers.insert("one".to_owned(), IssuerView::NotReady { message: "no key".to_owned() });
    assert_eq!(said(&world), (reason::ISSUER_NOT_READY, "Issuer one is not ready: no key".to_owned()));
    world.issuers.clear();
    assert_eq!(
        said(&world),
        (
            reason::ISSUER_NOT_FOUND,
            "Issuer one does not exist; create it, or name another in issuerRef".to_owned()
        )
    );
    world.issuer_is_ready("one", "account/one");
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn what_is_presented_is_removed_when_the_issuer_is_deleted() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.run();
    assert!(world.presented.is_some());
    world.issuers.clear();
    assert_eq!(world.run(), Turn::Waits(None));
    world.check_nothing_is_left();
}

#[test]
fn an_order_survives_an_issuer_that_is_not_ready_for_a_while() {
    let mut world = World::new();
    world.run();
    let not_ready = IssuerView::NotReady { message: "the CA cannot be reached".to_owned() };
    let ready = world.issuers.insert("one".to_owned(), not_ready).unwrap();
    let expires = world.now + ca::ORDER_LIFETIME;
    assert_eq!(world.run(), Turn::Waits(Some(expires)));
    world.issuers.insert("one".to_owned(), ready);
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn what_is_presented_is_removed_when_the_order_expires_and_the_issuer_is_not_ready() {
    let mut world = World::new();
    world.run();
    world.issuers.insert("one".to_owned(), IssuerView::NotReady { message: "suspended".to_owned() });
    world.now += ca::ORDER_LIFETIME;
    assert_eq!(world.run(), Turn::Waits(None));
    world.check_nothing_is_left();
}

#[test]
fn an_order_of_another_account_is_abandoned() {
    let mut world = World::new();
    world.run();
    world.issuer_is_ready("one", "account/new");
    let message = "the order belongs to another account".to_owned();
    assert_eq!(world.next_step(), Step::Abandon { message });
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_spec_that_cannot_be_honoured_ends_the_order_and_waits_for_another() {
    let mut world = World::new();
    world.run();
    world.edit(|spec| spec.ip_addresses = vec!["none".to_owned()]);
    assert_eq!(world.run(), Turn::Waits(None));
    world.check_nothing_is_left();
    match world.next_step() {
        Step::Wait { reason, message, .. } => {
            assert_eq!(
                (reason, message.as_str()),
                (reason::INVALID_SPEC, "ipAddresses: 'none' is not an IP address")
            );
        }
        step => panic!("{step:?}"),
    }
}

#[test]
fn after_a_failure_a_changed_spec_is_tried_at_once_and_the_same_one_is_not() {
    let mut world = World::new();
    world.ca.validation = Validation::Fails("caa");
    failure_of(&mut world);
    let Turn::Waits(Some(until)) = world.run() else { panic!("{:?}", world.last_steps()) };
    assert!(until >= world.now + SignedDuration::from_hours(1));
    assert_eq!(world.next_step(), Step::BackOff { until });
    world.crash();
    assert_eq!(world.next_step(), Step::BackOff { until });
    world.names_are(&["c.test"]);
    assert_eq!(world.next_step(), Step::TakePlace);
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
    assert_eq!(world.next_step(), Step::BackOff { until }, "this request was there when it failed");
    world.renew_request = Some("second".to_owned());
    assert_eq!(world.next_step(), Step::TakePlace);
    failure_of(&mut world);
    let Turn::Waits(Some(longer)) = world.run() else { panic!("{:?}", world.last_steps()) };
    assert!(longer > until, "the wait goes on to double");
    world.crash();
    assert_eq!(
        world.next_step(),
        Step::BackOff { until: longer },
        "once for each request, also after a restart"
    );
    world.renew_request = None;
    assert_eq!(world.next_step(), Step::BackOff { until: longer }, "to take it away asks for nothing");
    world.renew_request = Some("third".to_owned());
    world.ca.validation = Validation::Succeeds;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_key_is_kept_where_the_spec_says_never() {
    let mut world = World::new();
    world.rotation_is(RotationPolicy::Never);
    let renewal = world.run_until_rest();
    let key = |world: &World| {
        world.secret.as_ref().unwrap().key.clone().unwrap().unwrap().public_key_der().to_vec()
    };
    let first = key(&world);
    world.now = renewal;
    world.run_until_rest();
    assert_eq!(key(&world), first);
    world.rotation_is(RotationPolicy::Always);
    world.renew_request = Some("now".to_owned());
    world.run_until_rest();
    assert_ne!(key(&world), first);
}

#[test]
fn an_order_about_to_expire_is_placed_again() {
    let mut world = World::new();
    world.run();
    world.now += ca::ORDER_LIFETIME - SignedDuration::from_secs(4);
    let failure = failure_of(&mut world);
    assert_eq!(failure.disposition, Disposition::OrderLost);
    assert_eq!(
        failure.message,
        "The order expired before it was complete; the next attempt places a new one"
    );
}

#[test]
fn an_order_that_expired_while_the_ca_was_down_is_placed_again_immediately() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.run();
    // Down for longer than the lifetime of an order.
    let down = Fault { refusal: Refusal::no_answer(), answer_lost: false };
    while world.now < world.ca.orders[0].expires {
        world.ca.faults.push_back(down.clone());
        let Turn::Waits(Some(until)) = world.run() else { panic!("it does not wait") };
        world.now = until;
    }
    let failures = world.state.status.failed_issuance_attempts;
    let begin = world.now;
    world.ca.mend();
    world.run_until_rest();
    assert!(failures > Some(1), "{failures:?}");
    assert_eq!(world.ca.orders.len(), 2);
    let took = world.now.duration_since(begin);
    assert!(took < SignedDuration::from_mins(1), "{took:#}: {:#?}", world.last_steps());
}

#[test]
fn what_waits_for_the_ca_names_the_names() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.run();
    match world.next_step() {
        Step::Wait { reason, message, .. } => {
            assert_eq!(
                (reason, message.as_str()),
                (reason::VALIDATING, "The CA is validating a.test and 1 more name")
            );
        }
        step => panic!("{step:?}"),
    }
}

/// Lets time pass until the issuance fails, and executes that step.
fn challenge_url(answer: &Step) -> String {
    let Step::Answer(challenges) = answer else { panic!("{answer:?}") };
    challenges[0].clone()
}

fn failure_of(world: &mut World) -> Failure {
    let Step::Fail(failure) = run_to(world, |step| matches!(step, Step::Fail(_))) else { unreachable!() };
    world.step();
    failure
}

/// Lets time pass until the next step matches.
fn run_to(world: &mut World, wanted: impl Fn(&Step) -> bool) -> Step {
    for _ in 0..200 {
        let step = world.next_step();
        if wanted(&step) {
            return step;
        }
        if let Turn::Waits(Some(until)) = world.step() {
            world.now = until;
        }
    }
    panic!("it never comes to that: {:#?}", world.last_steps());
}
