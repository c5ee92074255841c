use proptest::prelude::*;

use super::super::renewal::whole_seconds;
use super::*;

#[test]
fn the_wait_begins_at_a_minute_and_doubles_to_eight_hours() {
    let backoff = Backoff::default();
    let minutes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 480, 480, 480];
    for (failures, minutes) in (1..).zip(minutes) {
        let wait = wait(&backoff, failures, None, now());
        let (least, most) = (minutes * 60, minutes * 72 + 1);
        assert!((least..=most).contains(&wait), "{failures}: {wait}");
    }
}

#[test]
fn no_failure_at_all_waits_like_one() {
    let backoff = Backoff::default();
    assert!((60..=73).contains(&wait(&backoff, 0, None, now())));
}

#[test]
fn what_only_a_human_can_mend_waits_an_hour_at_least() {
    let slow = Backoff::default().slow();
    for (failures, hours) in (1..).zip([1, 2, 4, 8, 8]) {
        let wait = wait(&slow, failures, None, now());
        assert!((hours * 3600..=hours * 4320 + 1).contains(&wait), "{failures}: {wait}");
    }
    let impatient = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(10) };
    assert_eq!(impatient.slow(), Backoff { first: impatient.longest, ..impatient });
}

#[test]
fn what_failed_together_is_not_tried_again_together() {
    let backoff = Backoff::default();
    let mut times: Vec<_> =
        (0..1000).map(|n| backoff.next_attempt(8, None, now(), &format!("uid-{n}"))).collect();
    times.sort();
    times.dedup();
    assert!(times.len() > 400, "{} different times", times.len());
}

#[test]
fn a_wait_without_end_does_not_overflow() {
    let endless = Backoff { first: Duration::MAX, longest: Duration::MAX };
    for backoff in [Backoff::default(), endless] {
        for at_least in [None, Some(Duration::MAX)] {
            for at in [now(), Timestamp::MAX, Timestamp::MIN] {
                for failures in [0, 1, 31, 32, 33, 64, u32::MAX - 1, u32::MAX] {
                    assert!(
                        backoff.next_attempt(failures, at_least, at, "seed") >= at.min(whole_seconds(at))
                    );
                }
            }
        }
    }
}

#[test]
fn a_fraction_of_a_second_is_waited_for_too() {
    let backoff = Backoff { first: Duration::ZERO, longest: Duration::ZERO };
    let nearly_over = now() + SignedDuration::from_micros(999_999);
    for at in [now() + SignedDuration::from_nanos(1), nearly_over] {
        let retry_after = Some(Duration::from_micros(1));
        assert!(
            backoff.next_attempt(1, retry_after, at, "seed") >= at + SignedDuration::from_micros(1),
            "{at}"
        );
    }
}

#[test]
fn an_error_of_the_api_server_is_retried_within_seconds_and_another_one_within_a_minute() {
    for (may_pass, waits) in [
        (true, [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]),
        (false, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]),
    ] {
        for (failures, least) in (1..).zip(waits) {
            let wait = after_error(failures, may_pass, "seed").as_millis();
            assert!(least < wait && wait < least * 6 / 5, "{failures}: {wait} ms");
        }
        assert_eq!(after_error(0, may_pass, "seed").as_secs(), 0);
        assert!(after_error(u32::MAX, may_pass, "seed").as_millis() >= waits[8]);
    }
}

#[test]
fn an_older_thing_is_looked_at_less_often() {
    let bounds = (Duration::from_secs(1), Duration::from_secs(60));
    for (age, wait) in [(0, 1), (1, 1), (4, 2), (60, 30), (120, 60), (86_400, 60)] {
        let since = now() - SignedDuration::from_secs(age);
        assert_eq!(look_again(since, now(), None, bounds), now() + SignedDuration::from_secs(wait), "{age}");
    }
}

#[test]
fn what_begins_in_the_future_is_young() {
    let bounds = (Duration::from_secs(1), Duration::from_secs(60));
    let since = now() + SignedDuration::from_hours(1);
    assert_eq!(look_again(since, now(), None, bounds), now() + SignedDuration::from_secs(1));
}

#[test]
fn the_other_side_says_when_to_look_again_but_not_at_once() {
    let bounds = (Duration::from_millis(100), Duration::from_secs(60));
    let at = |retry_after| look_again(now(), now(), Some(retry_after), bounds);
    assert_eq!(at(Duration::from_secs(5)), now() + SignedDuration::from_secs(5));
    assert_eq!(at(Duration::from_secs(7200)), now() + SignedDuration::from_hours(2));
    assert_eq!(at(Duration::ZERO), now() + SignedDuration::from_millis(100));
    assert_eq!(at(Duration::MAX), Timestamp::MAX);
}

proptest! {
    #[test]
    fn the_jitter_is_a_fifth_at_most_and_never_shortens(
        failures in 0..=u32::MAX, retry_after in retry_after(), at in at(), seed in seed(),
    ) {
        let exponent = failures.saturating_sub(1).min(20);
        let doubled = Duration::from_secs((60u64 << exponent).min(8 * 3600));
        let least = doubled.max(retry_after.unwrap_or_default());
        let until = Backoff::default().next_attempt(failures, retry_after, at, &seed);
        let wait = Duration::try_from(until.duration_since(at)).unwrap();
        prop_assert!(wait >= least, "{wait:?} is under {least:?}");
        prop_assert!(wait <= least.mul_f64(1.2) + Duration::from_secs(1), "{wait:?} is far over {least:?}");
        prop_assert_eq!(until.subsec_nanosecond(), 0);
    }

    #[test]
    fn another_failure_never_shortens_the_wait_before_the_longest(failures in 1..9u32, at in at(), seed in seed()) {
        let next = |failures| Backoff::default().next_attempt(failures, None, at, &seed);
        prop_assert!(next(failures) <= next(failures + 1));
    }

    #[test]
    fn a_longer_retry_after_never_shortens_the_wait(
        failures in 0..20u32, a in retry_after(), b in retry_after(), at in at(), seed in seed(),
    ) {
        let next = |retry_after| Backoff::default().next_attempt(failures, retry_after, at, &seed);
        prop_assert!(next(a.min(b)) <= next(a.max(b)));
    }

    #[test]
    fn looking_again_keeps_the_bounds(age in 0..=10_000_000i64, at in at()) {
        let bounds = (Duration::from_millis(100), Duration::from_secs(300));
        let until = look_again(at - SignedDuration::from_secs(age), at, None, bounds);
        let wait = Duration::try_from(until.duration_since(at)).unwrap();
        prop_assert!(wait >= bounds.0 && wait <= bounds.1);
    }

    /// Something that takes `takes` is noticed after at most half as long again, with few checks.
    #[test]
    fn checks_are_repeated_soon_enough_but_rarely(takes in 0..=3 * 86_400i64) {
        let bounds = (Duration::from_millis(100), Duration::from_secs(300));
        let done = now() + SignedDuration::from_secs(takes);
        let (mut at, mut looks) = (now(), 0i64);
        while at < done {
            at = look_again(now(), at, None, bounds);
            looks += 1;
        }
        prop_assert!(at.duration_since(done).as_secs() <= (takes / 2).clamp(1, 300));
        prop_assert!(looks <= 25 + takes / 300, "{looks} looks in {takes} s");
    }
}

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().unwrap()
}

/// The wait in seconds, rounded up.
fn wait(backoff: &Backoff, failures: u32, at_least: Option<Duration>, now: Timestamp) -> i64 {
    backoff.next_attempt(failures, at_least, now, "seed").duration_since(now).as_secs()
}

fn at() -> impl Strategy<Value = Timestamp> {
    (1_700_000_000..2_000_000_000i64, 0..1_000_000_000i32)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
}

fn retry_after() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of(
        (0..=86_400u64, 0..1_000_000_000u32)
            .prop_map(|(second, nanosecond)| Duration::new(second, nanosecond)),
    )
}

fn seed() -> impl Strategy<Value = String> {
    "[a-z0-9]{0,8}"
}
