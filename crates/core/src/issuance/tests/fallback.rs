//! Other issuers, for when the first one cannot issue.

use proptest::prelude::*;

use super::*;
use crate::issuers::in_words;
use crate::renewal::whole_seconds;
use certwright_acme::{AcmeError, NewOrder};
use certwright_api::{CONDITION_ISSUING, FallbackAfter, FallbackPolicy};

const ONE: &str = "account/one";
const TWO: &str = "account/two";
const THREE: &str = "account/three";
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn with_fallback() -> World {
    let mut world = World::new();
    world.falls_back_to(&["two"]);
    world
}

fn refusal(code: &'static str, status: u16) -> Refusal {
    Refusal { code, status: Some(status), retry_after: None }
}

fn is_out(world: &mut World, account: &str, refusal: Refusal) {
    world.ca.accounts.out.insert(account.to_owned(), refusal);
}

/// Lets this much time pass, and returns for how long the first issuer was in use.
fn pass(world: &mut World, time: SignedDuration) -> SignedDuration {
    let (begin, end) = (world.now, world.now + time);
    let mut given_up = None;
    while world.now < end {
        let until = match world.run() {
            Turn::Waits(until) => until,
            Turn::Rests(until) => Some(until),
            turn => panic!("{turn:?} after {:?}", world.last_steps()),
        };
        if world.in_use() != "one" {
            given_up.get_or_insert(world.now);
        }
        world.now = until.unwrap_or(end).min(end);
    }
    given_up.unwrap_or(end).duration_since(begin)
}

#[test]
fn an_issuer_that_does_not_fail_leaves_nothing_in_the_status() {
    let (mut plain, mut world) = (World::new(), with_fallback());
    plain.run_until_rest();
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.step_names(), plain.step_names());
    assert_eq!((&world.state.status.attempt, &world.state.status.issued_by), (&None, &None));
    assert_eq!(world.ca.accounts.count(TWO), 0);
}

#[test]
fn a_certificate_with_one_issuer_never_records_an_attempt() {
    let mut world = World::new();
    is_out(&mut world, ONE, Refusal::no_answer());
    assert_eq!(pass(&mut world, DAY), DAY);
    assert_eq!((&world.state.status.attempt, &world.state.status.issued_by), (&None, &None));
}

#[test]
fn a_ca_that_cannot_issue_for_an_hour_is_given_up() {
    let causes = [
        Refusal::no_answer(),
        refusal("serverInternal", 500),
        refusal("", 503),
        refusal("rateLimited", 429),
        Refusal { retry_after: Some(Duration::from_secs(36_000)), ..refusal("rateLimited", 429) },
    ];
    for cause in causes {
        let mut world = with_fallback();
        is_out(&mut world, ONE, cause.clone());
        let used = pass(&mut world, HOUR * 2);
        assert!((HOUR..HOUR + SignedDuration::from_secs(5)).contains(&used), "{cause:?}: {used}");
        world.check_issued();
        let status = &world.state.status;
        let by = status.issued_by.as_ref().expect("a fallback issuer");
        assert_eq!(
            (in_words(&by.issuer_ref), in_words(&by.instead_of)),
            ("Issuer two".to_owned(), "Issuer one".to_owned())
        );
        assert!(!by.message.is_empty() && !by.reason.is_empty(), "{by:?}");
        assert_eq!((&status.attempt, world.in_use()), (&None, "two"));
        assert_eq!(
            world.events(reason::FALLING_BACK),
            [format!("Issuer two is tried, because Issuer one could not issue: {}", by.message)]
        );
        let issued = world.events(reason::ISSUED);
        assert!(
            issued[0].ends_with(&format!(
                ". Issuer two is used, because Issuer one could not issue: {}",
                by.message
            )),
            "{issued:?}"
        );
        assert_eq!(world.ca.accounts.count(TWO), 1);
    }
}

#[test]
fn an_account_that_cannot_be_used_is_given_up_after_an_hour() {
    let mut world = with_fallback();
    let message = "the account is deactivated".to_owned();
    world.issuers.insert("one".to_owned(), IssuerView::NotReady { message, ca_is_cause: true });
    assert_eq!(pass(&mut world, HOUR * 2), HOUR);
    world.check_issued();
    assert_eq!(world.state.status.issued_by.as_ref().unwrap().message, "the account is deactivated");
}

#[test]
fn a_mistake_in_a_spec_is_never_a_reason_for_another_issuer() {
    type Mistake = fn(&mut World);
    let mistakes: [Mistake; 6] = [
        |world| drop(world.issuers.remove("one")),
        |world| {
            let message = "Secret eab does not exist".to_owned();
            world.issuers.insert("one".to_owned(), IssuerView::NotReady { message, ca_is_cause: false });
        },
        |world| world.not_allowed = Some("not allowed".to_owned()),
        |world| is_out(world, ONE, refusal("rejectedIdentifier", 400)),
        |world| is_out(world, ONE, refusal("malformed", 400)),
        |world| world.ca.validation = Validation::Fails("caa"),
    ];
    for (number, mistake) in mistakes.into_iter().enumerate() {
        let mut world = with_fallback();
        mistake(&mut world);
        assert_eq!(pass(&mut world, DAY * 30), DAY * 30, "mistake {number}");
        assert_eq!(world.ca.accounts.count(TWO), 0);
    }
}

#[test]
fn an_issuer_that_is_deleted_during_an_outage_of_its_ca_is_waited_for() {
    let mut world = with_fallback();
    is_out(&mut world, ONE, Refusal::no_answer());
    pass(&mut world, HOUR / 2);
    world.issuers.remove("one");
    assert_eq!(pass(&mut world, DAY), DAY);
    assert_eq!(world.ca.accounts.count(TWO), 0);
}

#[test]
fn a_long_pause_of_the_account_ends_with_another_issuer() {
    let mut world = with_fallback();
    run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
    let until = world.now + DAY;
    let next = world.change(|state, seen, now| {
        let asked = NewOrder { identifiers: Vec::new(), not_after: None, profile: None, replaces: None };
        let answer = Err(AcmeError::Paused { until });
        state.apply(seen, Outcome::OrderPlaced { asked, account: ONE.to_owned(), answer }, now).next
    });
    assert_eq!(next, Next::Wait(Some(whole_seconds(world.now) + HOUR)));
    world.now += HOUR;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.in_use(), "two");
}

#[test]
fn a_ca_that_refuses_to_validate_is_given_up_an_hour_after_the_third_time() {
    let mut world = with_fallback();
    world.ca.accounts.refused.insert(ONE.to_owned());
    let third = loop {
        let Turn::Waits(Some(until)) = world.run() else { panic!("{:?}", world.last_steps()) };
        if world.state.status.failed_issuance_attempts == Some(3) {
            break world.now;
        }
        assert!(world.state.status.attempt.as_ref().is_none_or(|attempt| attempt.failing_since.is_none()));
        world.now = until;
    };
    let since = world.state.status.attempt.as_ref().unwrap().failing_since.clone().unwrap();
    assert_eq!(since.0, whole_seconds(third));
    pass(&mut world, HOUR - SignedDuration::from_secs(1));
    assert_eq!(world.in_use(), "one");
    pass(&mut world, HOUR);
    world.check_issued();
    assert_eq!(world.in_use(), "two");
}

#[test]
fn a_ca_that_recovers_in_time_is_not_given_up() {
    let mut world = with_fallback();
    is_out(&mut world, ONE, Refusal::no_answer());
    pass(&mut world, SignedDuration::from_mins(10));
    world.ca.accounts.out.clear();
    world.run_until_rest();
    world.check_issued();
    assert_eq!((&world.state.status.attempt, &world.state.status.issued_by), (&None, &None));
}

#[test]
fn how_long_to_wait_can_be_set() {
    let mut world = with_fallback();
    let after = Some(FallbackAfter::clamped(Duration::ZERO));
    world.edit(|spec| spec.fallback_policy = Some(FallbackPolicy { after, validation_failures: Some(1) }));
    is_out(&mut world, ONE, Refusal::no_answer());
    world.run_until_rest();
    world.check_issued();
    assert_eq!((world.in_use(), world.ca.accounts.count(ONE)), ("two", 3), "a call is repeated twice");
}

#[test]
fn a_renewal_begins_with_the_first_issuer_and_waits_until_a_third_of_the_time_is_left() {
    let mut world = with_fallback();
    is_out(&mut world, ONE, Refusal::no_answer());
    pass(&mut world, HOUR * 2);
    let (renewal, not_after) = (world.run_until_rest(), world.state.status.not_after.clone().unwrap().0);
    world.now = renewal;
    world.run();
    assert_eq!(world.in_use(), "one");
    let two_thirds = not_after.duration_since(renewal) * 2 / 3;
    let used = pass(&mut world, two_thirds + DAY);
    assert!(used >= two_thirds && used <= two_thirds + SignedDuration::from_secs(5), "{used}");
    assert_eq!(world.ca.accounts.count(TWO), 2);
    world.ca.accounts.out.clear();
    world.now = world.run_until_rest();
    world.run_until_rest();
    world.check_issued();
    assert_eq!(
        (world.in_use(), &world.state.status.issued_by),
        ("one", &None),
        "the first one is used again"
    );
}

#[test]
fn an_order_at_the_first_issuer_is_given_up_with_what_it_has_left() {
    let mut world = with_fallback();
    world.ca.finalization = Finalization::Hangs;
    run_to(&mut world, |step| matches!(step, IssuanceStep::Finalize(..)));
    is_out(&mut world, ONE, refusal("serverInternal", 500));
    world.ca.finalization = Finalization::Succeeds;
    pass(&mut world, HOUR * 2);
    world.check_issued();
    world.check_nothing_is_left();
    assert_eq!((world.ca.accounts.count(ONE), world.ca.accounts.count(TWO)), (1, 1));
}

#[test]
fn an_issuer_that_cannot_be_used_is_passed_over_and_named() {
    let mut world = World::new();
    world.falls_back_to(&["four", "two", "three"]);
    world.issuer_is_ready("three", THREE);
    let message = "no key".to_owned();
    world.issuers.insert("two".to_owned(), IssuerView::NotReady { message, ca_is_cause: true });
    is_out(&mut world, ONE, Refusal::no_answer());
    pass(&mut world, SignedDuration::from_mins(1));
    let (_, _, said) = world.condition(CONDITION_ISSUING).unwrap();
    let wanted = ". Issuer four cannot be used instead: it does not exist. Issuer two cannot be used instead: it is not ready: no key";
    assert!(said.ends_with(wanted), "{said}");
    pass(&mut world, HOUR * 2);
    world.check_issued();
    assert_eq!(world.in_use(), "three");
}

#[test]
fn without_a_fallback_that_can_be_used_the_first_issuer_is_waited_for() {
    let mut world = World::new();
    world.falls_back_to(&["four"]);
    let not_ready = IssuerView::NotReady { message: "down".to_owned(), ca_is_cause: true };
    let ready = world.issuers.insert("one".to_owned(), not_ready).unwrap();
    assert_eq!(world.run(), Turn::Waits(None));
    world.now += DAY;
    assert_eq!(world.run(), Turn::Waits(None));
    world.issuers.insert("four".to_owned(), ready);
    world.run_until_rest();
    assert_eq!(world.in_use(), "four");
}

#[test]
fn a_fallback_that_fails_is_given_up_for_the_next_one_and_then_for_the_first() {
    let mut world = World::new();
    world.falls_back_to(&["two", "three"]);
    world.issuer_is_ready("three", THREE);
    for account in [ONE, TWO, THREE] {
        is_out(&mut world, account, Refusal::no_answer());
    }
    pass(&mut world, HOUR * 4);
    let first = |account: &str| world.ca.accounts.placed.iter().position(|placed| placed == account);
    assert!(first(ONE) < first(TWO) && first(TWO) < first(THREE));
    let last = world.ca.accounts.placed.iter().rposition(|placed| placed == ONE);
    assert!(last > first(THREE), "the first one is tried again: {:?}", world.ca.accounts.placed);
    world.ca.accounts.out.remove(THREE);
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.in_use(), "three");
}

#[test]
fn another_spec_begins_with_its_first_issuer() {
    let mut world = with_fallback();
    is_out(&mut world, ONE, Refusal::no_answer());
    world.ca.validation = Validation::Hangs;
    pass(&mut world, HOUR * 2);
    assert_eq!(world.in_use(), "two");
    world.ca.accounts.out.clear();
    world.ca.validation = Validation::Succeeds;
    world.names_are(&["c.test"]);
    world.run_until_rest();
    world.check_issued();
    assert_eq!((world.in_use(), &world.state.status.issued_by), ("one", &None));
}

#[test]
fn an_edit_of_issuer_ref_replaces_a_certificate_also_if_the_old_issuer_becomes_a_fallback() {
    let mut world = with_fallback();
    world.run_until_rest();
    world.edit(|spec| {
        spec.issuer_ref.name = "two".to_owned();
        spec.fallback_issuer_refs[0].name = "one".to_owned();
    });
    assert_eq!(world.due().unwrap().reason, reason::ISSUER_CHANGED);
    world.run_until_rest();
    assert_eq!((world.in_use(), world.ca.accounts.count(TWO)), ("two", 1));

    let mut world = with_fallback();
    is_out(&mut world, ONE, Refusal::no_answer());
    pass(&mut world, HOUR * 2);
    world.issuer_is_ready("three", THREE);
    world.edit(|spec| spec.issuer_ref.name = "three".to_owned());
    assert_eq!(world.due().unwrap().reason, reason::ISSUER_CHANGED);
    world.run_until_rest();
    assert_eq!((world.in_use(), &world.state.status.issued_by), ("three", &None));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(40) })]

    /// However all issuers fail, and whenever the operator crashes, none is asked more often than if it were the only one.
    #[test]
    fn no_ca_is_asked_more_often_than_without_fallbacks(
        validates in any::<[bool; 3]>(),
        crashes in prop::collection::vec(0..12u32, 0..4),
    ) {
        let week = |world: &mut World| {
            let mut crashes = crashes.iter();
            let end = world.now + SignedDuration::from_hours(7 * 24);
            while world.now < end {
                world.crash_after = crashes.next().copied();
                match world.run() {
                    Turn::Waits(Some(until)) => world.now = until,
                    turn => panic!("{turn:?} after {:?}", world.last_steps()),
                }
            }
        };
        let accounts = [ONE, TWO, THREE];
        let fail = |world: &mut World| {
            world.issuer_is_ready("three", THREE);
            for (account, out) in accounts.iter().zip(validates) {
                match out {
                    true => is_out(world, account, Refusal::no_answer()),
                    false => drop(world.ca.accounts.refused.insert((*account).to_owned())),
                }
            }
        };
        let mut world = World::new();
        world.falls_back_to(&["two", "three"]);
        fail(&mut world);
        week(&mut world);
        for (name, account) in ["one", "two", "three"].into_iter().zip(accounts) {
            let mut alone = World::new();
            fail(&mut alone);
            alone.edit(|spec| spec.issuer_ref.name = name.to_owned());
            week(&mut alone);
            let (with, without) = (world.ca.accounts.count(account), alone.ca.accounts.count(account));
            // A crash may repeat a request.
            prop_assert!(with <= without + crashes.len(), "{account}: {with} and {without}");
            prop_assert!(with > 1, "{account} is tried again");
        }
    }
}
