//! Retries on request, and those that are made every hour.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::machine::check_account;
use super::world::World;
use super::*;
use crate::conditions::condition;
use crate::disposition::Disposition;
use crate::fate::fates;
use certwright_acme::AccountStatus;

proptest! {
    /// After a final refusal nothing is sent. Each value of the annotation causes an attempt, and the last of them registers the
    /// account, because the CA accepts it then.
    #[test]
    fn whatever_happens_each_request_ends_the_wait_after_a_final_refusal(early in fates(), late in fates()) {
        let mut world = World::new();
        world.refuses = Some("BAD_SIGNATURE");
        world.settle();
        prop_assert_eq!(world.reason(), Some("BAD_SIGNATURE".to_owned()));
        let before = world.effects;
        world.settle();
        prop_assert_eq!(world.effects, before, "nothing is sent");

        world.retry = Some("first".to_owned());
        world.fates.extend(early);
        world.settle();
        prop_assert!(world.effects > before, "it was tried again");
        prop_assert_eq!(world.reason(), Some("BAD_SIGNATURE".to_owned()));
        prop_assert_eq!(world.status.observed_retry_request.as_deref(), Some("first"));
        world.fates.clear();
        let before = world.effects;
        world.settle();
        prop_assert_eq!(world.effects, before, "once for each value");

        world.refuses = None;
        world.settle();
        prop_assert_eq!(world.effects, before, "nothing is sent until somebody asks");
        world.retry = Some("second".to_owned());
        world.fates.extend(late);
        world.settle();
        check_account(&world);
        prop_assert_eq!(world.accounts.len(), 1);
    }
}

#[test]
fn what_people_mend_at_the_ca_is_tried_again_every_hour() {
    let mut world = World::new();
    world.refuses = Some("EXPIRED_EXTERNAL_ACCOUNT");
    let begin = world.now;
    for attempt in 1..=12 {
        let until = world.reconcile().unwrap().expect("it is tried again");
        let wait = until.duration_since(world.now);
        assert!(wait >= SignedDuration::from_mins(60) && wait <= SignedDuration::from_mins(73), "{wait}");
        assert_eq!(world.status.failed_attempts, Some(attempt));
        world.now = until;
    }
    assert!(world.now.duration_since(begin) < SignedDuration::from_hours(15), "{}", world.now);
    world.refuses = None;
    world.settle();
    check_account(&world);
}

#[test]
fn a_request_ends_the_wait_after_a_failure_once() {
    let mut case = Case::default();
    case.condition("False", "OUT_OF_CREDIT", case.generation);
    case.status.failed_attempts = Some(1);
    let until = now() + SignedDuration::from_hours(1);
    case.status.next_attempt_time = Some(Time(until));
    let mut state = State { status: case.status.clone(), ..State::default() };
    let step = |state: &State| next_step(state, &asked(&case, Some("now")), now());
    state.note_retry(&asked(&case, None), now());
    assert_eq!(step(&state), AccountStep::Hold { until: Some(until) });
    state.note_retry(&asked(&case, Some("now")), now());
    assert_eq!(step(&state), AccountStep::LookUp);

    state.status.next_attempt_time = Some(Time(until));
    state.note_retry(&asked(&case, Some("now")), now());
    assert_eq!(step(&state), AccountStep::Hold { until: Some(until) });
}

#[test]
fn a_request_while_nothing_has_failed_is_over_at_once() {
    let case = Case::registered();
    let mut state = State { status: case.status.clone(), ..State::default() };
    state.note_retry(&asked(&case, Some("now")), now());
    assert_eq!(state.status.observed_retry_request.as_deref(), Some("now"));
    assert_eq!(state.status.next_attempt_time, None);
}

#[test]
fn a_request_lifts_what_the_ca_said_to_a_certificate_even_if_that_was_final() {
    for disposition in [Disposition::AccountUnusable, Disposition::CaOperatorMustAct] {
        let refusal = AccountRefusal { generation: 1, disposition, reason: None, message: "No".to_owned() };
        let case = Case::registered();
        let refused = Snapshot { refusal: Some(&refusal), ..asked(&case, None) };
        let mut state = State { status: case.status.clone(), ..State::default() };
        state.apply(&refused, Outcome::Rested, now());
        let is_ready = |state: &State| {
            condition(&state.status.conditions, CONDITION_READY).is_some_and(|ready| ready.status == "True")
        };
        assert!(!is_ready(&state), "{disposition:?}");

        let asked = Snapshot { refusal: Some(&refusal), ..asked(&case, Some("now")) };
        let later = now() + SignedDuration::from_secs(5);
        state.note_retry(&asked, later);
        let url = state.status.acme.as_ref().unwrap().uri.clone();
        assert_eq!(
            next_step(&state, &asked, later),
            AccountStep::Check { url: url.clone() },
            "{disposition:?}"
        );
        state.apply(&asked, Outcome::Checked { url, answer: Ok(AccountStatus::Valid) }, later);
        assert_eq!(next_step(&state, &asked, later), AccountStep::Rest, "{disposition:?}");
        let reports = state.apply(&asked, Outcome::Rested, later).reports;
        assert!(reports.contains(&Report::LiftRefusal), "{disposition:?}");
        assert!(is_ready(&state), "{disposition:?}");
    }
}

#[test]
fn a_message_names_the_command_for_the_kind_of_the_issuer() {
    for (namespace, command) in
        [(None, "certwright retry issuer ca"), (Some("certwright"), "certwright retry clusterissuer ca")]
    {
        let case = Case::registered();
        let snapshot = Snapshot { secrets_namespace: namespace, ..asked(&case, None) };
        let mut state = State::default();
        state.account_unusable(None, "The account is closed", &snapshot, now());
        let message = &condition(&state.status.conditions, CONDITION_READY).unwrap().message;
        let end = format!("until the spec of this issuer changes, or you run `{command}`");
        assert!(message.ends_with(&end), "{message}");
    }
}

fn asked<'a>(case: &'a Case, retry_request: Option<&'a str>) -> Snapshot<'a> {
    Snapshot { retry_request, generation: case.generation, ..snapshot(&case.spec, &case.key_secret) }
}

#[test]
fn a_request_also_ends_the_wait_for_authorizations() {
    let mut world = World::new();
    world.settle();
    world.status.authorizations = vec![certwright_api::KeptAuthorizationStatus {
        next_attempt_time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now)),
        ..certwright_api::KeptAuthorizationStatus::default()
    }];
    world.settle();
    assert!(world.status.authorizations[0].next_attempt_time.is_some());
    world.retry = Some("now".to_owned());
    world.settle();
    assert_eq!(world.status.authorizations[0].next_attempt_time, None);
}

#[test]
fn an_issuer_with_a_record_in_the_dns_is_held_until_it_is_removed() {
    let mut world = World::new();
    world.settle();
    assert!(!world.has_finalizer);
    world.status.dns_records = vec![certwright_api::DnsRecordStatus::default()];
    world.settle();
    assert!(world.has_finalizer);
    world.status.dns_records.clear();
    world.settle();
    assert!(!world.has_finalizer);
}

#[test]
fn a_record_that_is_added_and_removed_in_one_look_leaves_no_finalizer() {
    let mut world = World::new();
    world.settle();
    world.proves_a_name = true;
    world.settle();
    assert!(!world.proves_a_name && !world.has_finalizer);
}
