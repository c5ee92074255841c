//! Rehearsals at a CA for tests, after a failed validation.

use proptest::prelude::*;

use super::*;
use certwright_api::CONDITION_ISSUING;

const ONE: &str = "account/one";
const TWO: &str = "account/two";
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn with_rehearsal() -> World {
    let mut world = World::new();
    world.rehearses_with("two");
    world
}

fn refuses(world: &mut World, accounts: &[&str]) {
    world.ca.accounts.refused = accounts.iter().map(|account| (*account).to_owned()).collect();
}

/// Waits until this many orders were requested with the account, and returns the accounts of all.
fn run_to_order<'a>(world: &'a mut World, account: &str, count: usize) -> &'a [String] {
    for _ in 0..500 {
        if world.ca.accounts.count(account) >= count {
            return &world.ca.accounts.placed;
        }
        if let Turn::Waits(Some(until)) = world.step() {
            world.now = until;
        }
    }
    panic!("never ordered: {:#?}", world.last_steps());
}

fn pass(world: &mut World, time: SignedDuration) {
    let end = world.now + time;
    while world.now < end {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until.min(end),
            turn => panic!("{turn:?} after {:?}", world.last_steps()),
        }
    }
}

#[test]
fn without_a_failed_validation_nothing_is_rehearsed() {
    let mut world = with_rehearsal();
    world.run_until_rest();
    world.check_issued();
    assert_eq!((world.ca.accounts.count(TWO), &world.state.status.attempt), (0, &None));
    world.ca.accounts.out.insert(ONE.to_owned(), Refusal::no_answer());
    world.renew_request = Some("please".to_owned());
    pass(&mut world, DAY);
    assert_eq!(world.ca.accounts.count(TWO), 0, "an outage is no failed validation");
}

#[test]
fn after_a_failed_validation_the_first_issuer_is_asked_once_a_rehearsal_has_passed() {
    let mut world = with_rehearsal();
    refuses(&mut world, &[ONE, TWO]);
    assert_eq!(run_to_order(&mut world, TWO, 4), [ONE, TWO, TWO, TWO, TWO]);
    let said = "Issuer two is asked to validate the names, until it succeeds; then Issuer one is asked again";
    assert_eq!(world.events(reason::REHEARSING), [said]);
    refuses(&mut world, &[]);
    let before = world.ca.accounts.count(TWO);
    world.run_until_rest();
    world.check_issued();
    world.check_nothing_is_left();
    assert!(world.ca.accounts.count(TWO) <= before + 1);
    assert_eq!((world.ca.accounts.count(ONE), world.in_use()), (2, "one"));
    assert_eq!((&world.state.status.attempt, &world.state.status.issued_by), (&None, &None));
    let said = "Issuer two has validated all names, so Issuer one is asked again";
    assert_eq!(world.events(reason::REHEARSED), [said]);
    let finalized = world.ca.orders.iter().filter(|order| order.status == OrderStatus::Valid).count();
    assert_eq!(finalized, 1, "no certificate is requested in a rehearsal");
}

#[test]
fn if_the_first_issuer_refuses_again_the_next_attempt_is_a_rehearsal_again() {
    let mut world = with_rehearsal();
    refuses(&mut world, &[ONE]);
    assert_eq!(run_to_order(&mut world, ONE, 4), [ONE, TWO, ONE, TWO, ONE, TWO, ONE]);
}

#[test]
fn the_condition_says_that_it_is_a_rehearsal() {
    let mut world = with_rehearsal();
    refuses(&mut world, &[ONE, TWO]);
    run_to_order(&mut world, TWO, 2);
    let (_, _, message) = world.condition(CONDITION_ISSUING).unwrap();
    let wanted = ". Issuer two is asked first, because Issuer one could not validate the names";
    assert!(message.ends_with(wanted), "{message}");
}

#[test]
fn a_rehearsal_issuer_that_cannot_be_used_does_not_hold_up_the_first_one() {
    type Fault = fn(&mut World);
    let faults: [Fault; 5] = [
        |world| drop(world.issuers.remove("two")),
        |world| {
            let message = "no key".to_owned();
            world.issuers.insert("two".to_owned(), IssuerView::NotReady { message, ca_is_cause: false });
        },
        |world| world.account_is_out("two", true),
        |world| {
            let retry_after = Some(Duration::from_secs(36_000));
            let refusal = Refusal { code: "rateLimited", status: Some(429), retry_after };
            world.ca.accounts.out.insert(TWO.to_owned(), refusal);
        },
        |world| {
            let refusal = Refusal { code: "rejectedIdentifier", status: Some(400), retry_after: None };
            world.ca.accounts.out.insert(TWO.to_owned(), refusal);
        },
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let mut world = with_rehearsal();
        refuses(&mut world, &[ONE]);
        fault(&mut world);
        let begin = world.now;
        run_to_order(&mut world, ONE, 3);
        assert!(world.now.duration_since(begin) < SignedDuration::from_mins(30), "{number}");
        assert!(!world.events(reason::REHEARSAL_SKIPPED).is_empty(), "{number}");
        refuses(&mut world, &[]);
        world.run_until_rest();
        world.check_issued();
        world.check_nothing_is_left();
    }
}

#[test]
fn refused_rehearsals_count_for_a_fallback() {
    let mut world = with_rehearsal();
    world.issuer_is_ready("three", "account/three");
    world.falls_back_to(&["three"]);
    refuses(&mut world, &[ONE, TWO]);
    pass(&mut world, SignedDuration::from_mins(50));
    assert_eq!((world.ca.accounts.count(ONE), world.ca.accounts.count("account/three")), (1, 0));
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.in_use(), "three");
    assert_eq!(world.ca.accounts.count(ONE), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(40) })]

    /// The first CA is never asked more often than without rehearsals, and after a refusal only when a rehearsal has passed.
    #[test]
    fn the_first_ca_is_asked_less(
        rehearsal_fails in any::<bool>(),
        crashes in prop::collection::vec(0..12u32, 0..4),
    ) {
        let week = |world: &mut World| {
            let mut crashes = crashes.iter();
            let end = world.now + DAY * 7;
            while world.now < end {
                world.crash_after = crashes.next().copied();
                match world.run() {
                    Turn::Waits(Some(until)) => world.now = until,
                    turn => panic!("{turn:?} after {:?}", world.last_steps()),
                }
            }
        };
        let (mut world, mut alone) = (with_rehearsal(), World::new());
        refuses(&mut world, if rehearsal_fails { &[ONE, TWO] } else { &[ONE] });
        refuses(&mut alone, &[ONE]);
        week(&mut world);
        week(&mut alone);
        let (with, without) = (world.ca.accounts.count(ONE), alone.ca.accounts.count(ONE));
        prop_assert!(with <= without + crashes.len(), "{with} and {without}");
        let rehearsed = world.ca.accounts.count(TWO);
        prop_assert!(rehearsed <= without + crashes.len(), "{rehearsed} and {without}");
        prop_assert!(!rehearsal_fails || with <= 1 + crashes.len(), "{with}");
    }
}
