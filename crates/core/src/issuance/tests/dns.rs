//! Issuances that are validated through TXT records.

use jiff::SignedDuration;

use super::world::{Turn, World};
use super::*;
use crate::records::CleanupTask;
use certwright_acme::ChallengeType;
use certwright_api::{
    CONDITION_ISSUING, Dns01Propagation, Dns01Rfc2136, Dns01Solver, DnsPersist01Solver, SolverSelfCheck,
};

#[test]
fn a_wildcard_is_proved_by_a_record() {
    let mut world = with_records(None);
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn the_ca_is_never_told_of_a_record_that_is_not_seen() {
    let mut world = with_records(None);
    world.self_check_passes = false;
    let begin = world.now;
    while world.now.duration_since(begin) < SignedDuration::from_hours(2) {
        wait(&mut world);
        assert_eq!(world.learned().answered(), None);
    }
    world.self_check_passes = true;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn an_overdue_record_frees_its_slot_and_is_checked_rarely() {
    for (timeout, expected) in [(None, 600), (Some("30s"), 30)] {
        let mut world = with_records(timeout);
        world.self_check_passes = false;
        let begin = world.now;
        let mut looks = 0;
        let overdue = loop {
            wait(&mut world);
            looks += 1;
            match world.next_step() {
                IssuanceStep::Wait { makes_room: true, reason, message, .. } => {
                    assert_eq!(reason, reason::PROPAGATION);
                    assert_eq!(
                        message,
                        "The self-check does not see the answer yet: a.test: connection refused"
                    );
                    break world.now;
                }
                IssuanceStep::Wait { makes_room, reason, .. } => {
                    assert_eq!((makes_room, reason), (false, reason::PROPAGATION));
                }
                _ => {}
            }
        };
        let took = overdue.duration_since(begin).as_secs();
        assert!((expected..=expected + 15).contains(&took), "{timeout:?}: after {took} s");
        assert!(looks < 100, "{timeout:?}: it looked {looks} times");
        let before = world.now;
        wait(&mut world);
        assert!(world.now.duration_since(before) >= SignedDuration::from_secs(45));
    }
}

#[test]
fn what_cannot_be_presented_makes_room_and_is_tried_again_ever_less_often() {
    let mut world = with_records(None);
    while !matches!(world.next_step(), IssuanceStep::Present(_)) {
        world.step();
    }
    let begin = world.now;
    let IssuanceStep::Present(challenged) = world.next_step() else { panic!("{:?}", world.next_step()) };
    let failure = challenged[0].unseen("a.test: the provider says no".to_owned());
    let mut waits = Vec::new();
    for _ in 0..20 {
        let now = world.now;
        world.learned().proof.saw_presented(challenged.clone(), vec![failure.clone(), failure.clone()], now);
        let IssuanceStep::Wait { until: Some(until), reason, message, makes_room: true } = world.next_step()
        else {
            panic!("{:?}", world.next_step())
        };
        assert_eq!(reason, reason::PRESENTING);
        assert_eq!(message, "The answer cannot be presented yet: a.test: the provider says no");
        waits.push(until.duration_since(world.now).as_secs());
        world.now = until;
        world.state.progress.slot = true;
        assert!(matches!(world.next_step(), IssuanceStep::Present(_)));
    }
    assert!(waits.is_sorted() && waits.first() == Some(&1) && waits.last() == Some(&300), "{waits:?}");
    assert!(world.now.duration_since(begin) >= SignedDuration::from_mins(10), "it was tried for long");

    // That certwright-dns is not there has a reason of its own, also beside other failures.
    let now = world.now;
    let failures = vec![failure.clone(), Unseen { unserved: true, ..failure.clone() }];
    world.learned().proof.saw_presented(challenged.clone(), failures, now);
    let IssuanceStep::Wait { reason, .. } = world.next_step() else { panic!("{:?}", world.next_step()) };
    assert_eq!(reason, reason::DNS_WEBHOOK_UNAVAILABLE);

    // A provider may say when to ask again, but not that nobody asks for days.
    for (says, waits) in [(60, 60), (86_400, 300)] {
        let later = Unseen { retry_after: Some(Duration::from_secs(says)), ..failure.clone() };
        world.learned().proof.saw_presented(challenged.clone(), vec![failure.clone(), later], now);
        let IssuanceStep::Wait { until: Some(until), .. } = world.next_step() else {
            panic!("{:?}", world.next_step())
        };
        assert_eq!(until.duration_since(now).as_secs(), waits, "{says}");
    }

    // Another solver is tried immediately.
    world.learned().proof.saw_presented(challenged.clone(), vec![failure.clone()], now);
    assert!(matches!(world.next_step(), IssuanceStep::Wait { .. }));
    solve_by(&mut world, "192.0.2.54", None);
    assert_eq!(world.next_step(), IssuanceStep::Tidy(CleanupTask::Withdraw));
    world.learned().proof = Proof::Absent;
    assert!(matches!(world.next_step(), IssuanceStep::Present(_)));
}

#[test]
fn an_overdue_record_is_presented_again() {
    let mut world = with_records(Some("30s"));
    world.self_check_passes = false;
    let mut presented = 0;
    let begin = world.now;
    while world.now.duration_since(begin) < SignedDuration::from_mins(10) {
        match world.next_step() {
            IssuanceStep::Wait { until: Some(until), .. } => world.now = until,
            step => {
                presented += u32::from(matches!(step, IssuanceStep::Present(_)));
                world.step();
            }
        }
    }
    assert!((4..=12).contains(&presented), "{presented} times");
    world.self_check_passes = true;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_record_of_another_solver_is_withdrawn_and_presented_by_the_one_that_there_is() {
    let mut world = with_records(None);
    world.self_check_passes = false;
    wait(&mut world);
    wait(&mut world);
    solve_by(&mut world, "192.0.2.54", None);
    assert_eq!(world.next_step(), IssuanceStep::Tidy(CleanupTask::Withdraw));
    world.step();
    let IssuanceStep::Present(challenged) = world.next_step() else { panic!("{:?}", world.next_step()) };
    let Way::Record(solver) = &challenged[0].way else { panic!("{challenged:?}") };
    assert_eq!(solver.rfc2136.as_ref().unwrap().nameserver, "192.0.2.54");
    world.self_check_passes = true;
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_record_is_removed_and_its_certificate_released() {
    let mut world = with_records(None);
    run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
    assert_eq!((world.zone.len(), world.has_finalizer), (1, true));
    world.run_until_rest();
    assert!(world.zone.is_empty() && !world.has_finalizer);
    assert_eq!(world.recorded.dns_records, []);
}

#[test]
fn a_provider_that_does_not_remove_a_record_delays_nothing_and_is_reported_after_a_day() {
    let mut world = with_records(None);
    world.provider_fails = true;
    let begin = world.now;
    run_to(&mut world, |step| matches!(step, IssuanceStep::CleanUp));
    assert!(world.now.duration_since(begin) < SignedDuration::from_secs(60), "{}", world.now);
    run_until_rest_within(&mut world, 400);
    world.check_issued();
    assert!(world.now.duration_since(begin) >= SignedDuration::from_hours(24), "{}", world.now);
    let notes = world.events(reason::RECORD_LEFT_BEHIND);
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.starts_with("The TXT record _acme-challenge.a.test. with the value token-0-"), "{note}");
    assert!(note.ends_with("could not be removed; remove it manually: the provider says no"), "{note}");
    assert_eq!((world.zone.len(), world.has_finalizer), (1, false));
    assert_eq!(world.recorded.dns_records, []);
}

#[test]
fn a_deletion_removes_a_record_or_reports_after_a_minute_that_it_is_left_behind() {
    for provider_fails in [false, true] {
        let mut world = with_records(None);
        run_to(&mut world, |step| matches!(step, IssuanceStep::Answer(_)));
        world.provider_fails = provider_fails;
        let begin = world.now;
        world.delete();
        assert_eq!(run_until_rest_within(&mut world, 100), Turn::Gone);
        assert_eq!(world.zone.is_empty(), !provider_fails);
        assert_eq!(world.events(reason::RECORD_LEFT_BEHIND).len(), usize::from(provider_fails));
        let most = if provider_fails { 62 } else { 0 };
        assert!(world.now.duration_since(begin) <= SignedDuration::from_secs(most), "{}", world.now);
    }
}

#[test]
fn a_crash_or_a_failing_write_at_any_point_loses_no_record() {
    for write in [None, Some(Write::Fails), Some(Write::AnswerLost)] {
        for point in 0..25 {
            let mut world = with_records(None);
            match write {
                None => world.crash_after = Some(point),
                Some(write) => {
                    world.writes.extend((0..point).map(|_| Write::Succeeds));
                    world.writes.push_back(write);
                }
            }
            world.run_until_rest();
            world.check_issued();
            assert!(world.zone.is_empty() && !world.has_finalizer, "{write:?}, {point}");
        }
    }
}

#[test]
fn with_ninety_values_at_its_name_a_record_waits_and_in_the_end_the_ca_decides() {
    for (timeout, expected) in [(None, 600), (Some("30s"), 30)] {
        let mut world = with_records(timeout);
        world.value_count = Some(values(90));
        let begin = world.now;
        let mut looks = 0;
        while world.learned().answered().is_none() {
            wait(&mut world);
            looks += 1;
            if world.learned().answered().is_none() {
                let (_, reason, message) = world.condition(certwright_api::CONDITION_ISSUING).unwrap();
                assert_eq!(reason, reason::PROPAGATION);
                assert!(
                    message.starts_with(
                        "There are 90 or more TXT records at _acme-challenge.a.test, and CAs may"
                    )
                );
            }
        }
        let waited = world.learned().answered().unwrap().duration_since(begin).as_secs();
        assert!((expected..=expected + 60).contains(&waited), "{waited} s");
        assert!(looks <= 30, "{looks}");
        assert_eq!(warnings(&world), 1, "people are warned once");
        world.run_until_rest();
        world.check_issued();
    }
}

#[test]
fn a_record_goes_on_as_soon_as_there_are_fewer_values() {
    let mut world = with_records(None);
    world.value_count = Some(values(120));
    wait(&mut world);
    wait(&mut world);
    assert_eq!(world.learned().answered(), None);
    world.value_count = Some(values(60));
    let begin = world.now;
    world.run_until_rest();
    world.check_issued();
    assert!(world.now.duration_since(begin) < SignedDuration::from_secs(10), "{}", world.now);
    assert_eq!(warnings(&world), 1);
}

#[test]
fn the_deadline_of_a_solver_decides_when_the_ca_is_told_of_a_record_that_is_not_seen() {
    let mut world = with_records(None);
    let timeout = Some("90s".parse().unwrap());
    check_by(&mut world, SolverSelfCheck { timeout, ..SolverSelfCheck::default() });
    world.self_check_passes = false;
    let begin = world.now;
    world.run_until_rest();
    world.check_issued();
    let took = world.now.duration_since(begin).as_secs();
    assert!((90..=92).contains(&took), "{took} s");
}

#[test]
fn without_a_check_the_ca_is_told_at_once_or_after_the_time_that_the_solver_says() {
    for (timeout, expected) in [(None, 0), (Some("2m"), 120)] {
        let mut world = with_records(None);
        let timeout = timeout.map(|text| text.parse().unwrap());
        check_by(&mut world, SolverSelfCheck { disabled: Some(true), timeout, ..SolverSelfCheck::default() });
        world.self_check_passes = false;
        let begin = world.now;
        let mut checked = 0;
        while world.learned().answered().is_none() {
            match world.next_step() {
                IssuanceStep::Wait { until: Some(until), reason, message, .. } => {
                    assert_eq!(reason, reason::SELF_CHECK);
                    assert!(
                        message.contains(&format!("validate at {until}, without a self-check")),
                        "{message}"
                    );
                    world.now = until;
                }
                step => {
                    checked += u32::from(step == IssuanceStep::SelfCheck);
                    world.step();
                }
            }
        }
        assert_eq!((world.now.duration_since(begin).as_secs(), checked), (expected, 0), "{timeout:?}");
        world.run_until_rest();
        world.check_issued();
    }
}

/// The issuer's solver checks answers like this.
fn check_by(world: &mut World, check: SolverSelfCheck) {
    let rfc2136 = Dns01Rfc2136 { nameserver: "192.0.2.53".to_owned(), ..Dns01Rfc2136::default() };
    let dns01 = Dns01Solver { rfc2136: Some(rfc2136), ..Dns01Solver::default() };
    let issuer = world.spec.issuer_ref.name.clone();
    let solver = Solver { dns01: Some(dns01), self_check: Some(check), ..Solver::default() };
    world.issuer_solves(&issuer, &format!("account/{issuer}"), solver);
}

#[test]
fn a_record_that_a_person_sets_is_waited_for_without_a_slot() {
    let mut world = World::new();
    world.names_are(&["*.a.test", "b.test"]);
    world.ca.offers = Some(ChallengeType::DnsPersist01);
    let persistent = Solver { dns_persist01: Some(DnsPersist01Solver::default()), ..Solver::default() };
    let issuer = world.spec.issuer_ref.name.clone();
    world.issuer_solves(&issuer, &format!("account/{issuer}"), persistent);
    world.self_check_passes = false;
    let begin = world.now;
    let mut waits = 0;
    while world.now.duration_since(begin) < SignedDuration::from_hours(20) {
        wait(&mut world);
        waits += 1;
        assert_eq!(world.learned().answered(), None, "the CA is not told");
    }
    assert!((200..400).contains(&waits), "it looked {waits} times in 20 hours");
    let message = "Waiting for a TXT record that you set: a.test: connection refused".to_owned();
    let waiting = ("True".to_owned(), reason::PERSISTENT_RECORD.to_owned(), message);
    assert_eq!(world.condition(CONDITION_ISSUING), Some(waiting));
    assert_eq!(world.state.status.challenges[0].reason.as_deref(), Some("a.test: connection refused"));
    assert!(!world.state.progress.slot);
    assert_eq!(world.zone.len(), 0, "nothing is added to DNS");
    world.self_check_passes = true;
    world.run_until_rest();
    world.check_issued();
}

fn values(values: usize) -> ValueCount {
    ValueCount { fqdn: "_acme-challenge.a.test.".to_owned(), values }
}

/// How often it was reported that there are many values.
fn warnings(world: &World) -> usize {
    let is_warning =
        |report: &&Report| matches!(report, Report::Event(event) if event.reason == reason::MANY_TXT_RECORDS);
    world.reports.iter().filter(is_warning).count()
}

/// Lets time pass until nothing is left to do, over at most `most` waits.
fn run_until_rest_within(world: &mut World, most: usize) -> Turn {
    for _ in 0..most {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => return turn,
        }
    }
    panic!("no end is in sight: {:#?}", world.last_steps());
}

/// A Certificate for a wildcard, and an issuer with a dns-01 solver.
fn with_records(timeout: Option<&str>) -> World {
    let mut world = World::new();
    world.names_are(&["*.a.test"]);
    solve_by(&mut world, "192.0.2.53", timeout);
    world
}

/// The issuer sends updates to this name server.
fn solve_by(world: &mut World, nameserver: &str, timeout: Option<&str>) {
    let propagation = Dns01Propagation {
        timeout: timeout.map(|text| text.parse().unwrap()),
        ..Dns01Propagation::default()
    };
    let dns01 = Dns01Solver {
        rfc2136: Some(Dns01Rfc2136 { nameserver: nameserver.to_owned(), ..Dns01Rfc2136::default() }),
        propagation: Some(propagation),
        ..Dns01Solver::default()
    };
    let issuer = world.spec.issuer_ref.name.clone();
    let account = format!("account/{issuer}");
    world.issuer_solves(&issuer, &account, Solver { dns01: Some(dns01), ..Solver::default() });
}

/// Steps until there is something to wait for, and lets that time pass.
fn wait(world: &mut World) {
    match world.run() {
        Turn::Waits(Some(until)) => world.now = until,
        turn => panic!("{turn:?}"),
    }
}
