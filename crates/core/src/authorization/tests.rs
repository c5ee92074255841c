//! Keeping authorizations, step by step and whatever happens.

mod world;

use jiff::SignedDuration;
use proptest::prelude::*;

use self::world::{NAME, World};
use super::*;
use crate::conditions::condition;
use crate::fate::{Fate, fates};
use certwright_api::{
    CONDITION_AUTHORIZATIONS_KEPT, IssuerStatus, Solver, SolverSelfCheck, issuer_reason as reason,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

proptest! {
    /// All names are authorized, and no TXT record is left. At every moment, each record in the DNS is in the status.
    #[test]
    fn whatever_happens_all_names_are_authorized_and_no_record_is_left(fates in fates(), names in 1..4usize) {
        let mut world = World::new(names);
        world.fates.extend(fates);
        world.settle_for(2 * DAY);
        prop_assert!(world.all_valid(), "{:?}", world.status);
        prop_assert!(world.dns.is_empty());
        prop_assert_eq!(&world.status.dns_records, &[]);
        prop_assert_eq!(world.kept().map(|kept| kept.0), Some("True".to_owned()));
        let requests = world.requests.len();
        world.settle_for(2 * DAY);
        prop_assert_eq!(world.requests.len(), requests, "a valid authorization is not requested again");
    }

    /// A name does not lapse while the CA answers, whatever failed before, and however long authorizations last.
    #[test]
    fn a_kept_name_is_renewed_before_it_lapses(fates in fates(), hours in 2..2000i64) {
        let mut world = World::new(2);
        world.lifetime = SignedDuration::from_hours(hours);
        world.fates.extend(fates);
        world.settle_for(2 * DAY);
        prop_assume!(world.all_valid());
        world.must_stay_valid = true;
        world.settle_for(world.lifetime * 4);
        prop_assert!(world.all_valid());
        prop_assert!(world.dns.is_empty());
    }

    /// A CA that rejects every proof is not asked more often than the backoff says, and nothing is left.
    #[test]
    fn a_name_is_not_requested_more_often_than_the_backoff_says(fates in fates()) {
        let mut world = World::new(2);
        world.rejects = true;
        // A crash forgets a failure that is not recorded yet.
        world.fates.extend(fates.into_iter().filter(|fate| matches!(fate, Fate::Works | Fate::Refused)));
        world.settle_for(3 * DAY);
        for name in [NAME.to_owned(), "1.a.test".to_owned()] {
            let times: Vec<_> =
                world.requests.iter().filter(|(_, of, _)| *of == name).map(|(time, ..)| *time).collect();
            prop_assert!(times.len() > 3);
            let least = world.backoff.first;
            for pair in times.windows(2) {
                let gap = pair[1].duration_since(pair[0]);
                prop_assert!(gap >= SignedDuration::try_from(least).unwrap(), "{gap}");
            }
            prop_assert!(times.len() < 25, "{}", times.len());
        }
        prop_assert!(world.dns.is_empty());
    }

    /// Whenever an issuer is deleted, its record is removed, or is given up in bounded time.
    #[test]
    fn whatever_happens_a_deleted_issuer_leaves_no_record(fates in fates(), steps in 1..12usize, fails in any::<bool>()) {
        let mut world = World::new(1);
        world.fates.extend(fates);
        world.reconcile_up_to(steps);
        world.provider_fails = fails;
        let took = world.end();
        prop_assert!(took <= SignedDuration::from_secs(60), "{took}");
        prop_assert!(fails || world.dns.is_empty());
        prop_assert_eq!(&world.status.dns_records, &[]);
    }
}

#[test]
fn a_name_is_proved_by_one_record_and_the_status_says_until_when() {
    let mut world = World::new(1);
    world.settle();
    let entry = world.status.authorizations[0].clone();
    assert_eq!((entry.dns_name.as_str(), entry.state.as_str()), (NAME, "valid"));
    assert_eq!(entry.expires.unwrap().0, world.ca[0].expires);
    assert!(entry.renewal_time.unwrap().0 < world.ca[0].expires);
    assert_eq!((world.added, world.removed), (1, 1));
    assert_eq!((world.requests.len(), world.ca.len()), (1, 1));
    assert!(entry.pending.is_none());
}

#[test]
fn subdomains_are_requested_for_the_names_that_want_them() {
    let mut world = World::new(3);
    world.wanted[1].subdomains = Some(true);
    world.wanted[2].subdomains = Some(false);
    world.settle();
    let requests: Vec<_> =
        world.requests.iter().map(|(_, name, subdomains)| (name.as_str(), *subdomains)).collect();
    assert_eq!(requests, [(NAME, false), ("1.a.test", true), ("2.a.test", false)]);
}

#[test]
fn a_valid_authorization_that_the_ca_has_already_is_taken() {
    let mut world = World::new(1);
    world.already_valid = true;
    world.settle();
    assert!(world.all_valid());
    assert_eq!(world.added, 0);
}

#[test]
fn a_ca_without_pre_authorization_is_told_of_and_asked_rarely() {
    let mut world = World::new(1);
    world.offers = false;
    world.settle_for(DAY);
    let (status, reason, message) = world.kept().unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", reason::PRE_AUTHORIZATION_NOT_OFFERED));
    assert!(message.contains("does not offer pre-authorization"), "{message}");
    assert!(world.requests.len() < 10, "{}", world.requests.len());
}

#[test]
fn a_name_without_a_dns01_solver_is_not_requested_until_the_spec_changes() {
    let mut world = World::new(1);
    let solvers = std::mem::replace(&mut world.solvers, vec![Solver::default()]);
    world.settle();
    assert_eq!(world.kept().unwrap().1, reason::NO_DNS01_SOLVER);
    assert!(world.requests.is_empty());
    world.solvers = solvers;
    world.generation += 1;
    world.settle();
    assert!(world.all_valid());
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn the_self_check_of_the_solver_applies() {
    let disabled = SolverSelfCheck { disabled: Some(true), ..SolverSelfCheck::default() };
    let timeout = Some("30s".parse().unwrap());
    let in_time = SolverSelfCheck { timeout, ..SolverSelfCheck::default() };
    for (check, is_told) in [(None, false), (Some(disabled), true), (Some(in_time), true)] {
        let mut world = World::new(1);
        world.visible = false;
        world.solvers[0].self_check = check.clone();
        world.settle_for(SignedDuration::from_mins(5));
        assert_eq!(world.all_valid(), is_told, "{check:?}");
    }
}

#[test]
fn a_solver_for_the_wildcard_proves_the_name() {
    let mut world = World::new(1);
    let selector = certwright_api::SolverSelector {
        dns_names: vec![format!("*.{NAME}")],
        ..certwright_api::SolverSelector::default()
    };
    world.solvers[0].selector = Some(selector);
    world.settle();
    assert!(world.all_valid());
}

#[test]
fn an_answer_about_another_name_is_not_used() {
    let mut world = World::new(1);
    world.other_name = Some("evil.test".to_owned());
    world.settle();
    assert_eq!(world.kept().unwrap().1, reason::ANSWER_REFUSED);
    assert_eq!(world.added, 0);
}

#[test]
fn a_name_that_is_no_longer_wanted_takes_its_record_along() {
    let mut world = World::new(1);
    world.visible = false;
    world.reconcile();
    assert_eq!(world.dns.len(), 1);
    world.wanted.clear();
    world.generation += 1;
    world.settle();
    assert!(world.dns.is_empty());
    assert_eq!(world.status, IssuerStatus::default());
    assert_eq!(world.pending_at_ca(), 0, "it does not count against the account");
}

#[test]
fn with_another_account_everything_is_proved_again() {
    let mut world = World::new(1);
    world.settle();
    world.account = "account/2".to_owned();
    world.settle();
    assert!(world.all_valid());
    assert_eq!(world.requests.len(), 2);
    assert_eq!(world.status.authorizations[0].account.as_deref(), Some("account/2"));
}

#[test]
fn after_a_key_rollover_the_record_is_replaced() {
    let mut world = World::new(1);
    world.visible = false;
    world.reconcile();
    let old = world.dns.clone();
    world.thumbprint = "key-2".to_owned();
    world.visible = true;
    world.settle();
    assert!(world.all_valid());
    assert!(world.dns.is_empty(), "neither the old one {old:?} nor the new one");
    assert_eq!(world.added, 2);
}

#[test]
fn an_authorization_that_cannot_be_renewed_is_reported_as_expired_only_when_it_is() {
    let mut world = World::new(1);
    world.lifetime = DAY * 30;
    world.settle();
    let expires = world.ca[0].expires;
    world.rejects = true;
    let begin = world.now;
    world.settle_for(DAY * 25);
    let (status, reason, message) = world.kept().unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Unauthorized"), "the CA's code");
    assert!(message.contains(&format!("It is valid until {expires}")), "{message}");
    let authorized = authorized(&world.status, &world.account, world.now);
    assert_eq!(authorized.len(), 1, "until then it counts");
    world.settle_for(DAY * 6);
    assert!(world.now.duration_since(begin) > DAY * 30);
    assert_eq!(world.kept().unwrap().1, reason::AUTHORIZATION_EXPIRED);
    assert_eq!(super::authorized(&world.status, &world.account, world.now), []);
}

#[test]
fn a_record_that_no_server_has_ends_the_attempt() {
    let mut world = World::new(1);
    world.visible = false;
    world.settle_for(SignedDuration::from_secs(640));
    let (_, reason, message) = world.kept().unwrap();
    assert_eq!(reason, reason::AUTHORIZATION_FAILED);
    assert!(message.contains("does not see the answer yet"), "{message}");
    assert!(world.dns.is_empty());
    world.visible = true;
    world.settle();
    assert!(world.all_valid());
    assert!(condition(&world.status.conditions, CONDITION_AUTHORIZATIONS_KEPT).is_some());
}
