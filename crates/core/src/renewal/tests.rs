use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

#[test]
fn by_default_a_third_of_the_lifetime_is_left_and_a_half_of_a_short_one() {
    for (lifetime, expected) in
        [(90 * DAY, 60 * DAY), (10 * DAY, 20 * DAY / 3), (6 * DAY, 3 * DAY), (6 * HOUR, 3 * HOUR)]
    {
        let used = used(lifetime, RenewalRule::Default, "uid");
        assert!(used <= expected && used >= expected - lifetime / 10 - 1, "{lifetime}: {used}");
    }
}

#[test]
fn a_rule_that_leaves_nothing_to_use_gives_way_to_the_default() {
    for silly in [
        RenewalRule::Before(SignedDuration::from_secs(90 * DAY)),
        RenewalRule::Before(SignedDuration::from_secs(82 * DAY)),
        RenewalRule::Before(SignedDuration::MAX),
        RenewalRule::BeforePercentage(100),
        RenewalRule::BeforePercentage(91),
        RenewalRule::BeforePercentage(u8::MAX),
    ] {
        assert_eq!(used(90 * DAY, silly, "uid"), used(90 * DAY, RenewalRule::Default, "uid"), "{silly:?}");
    }
}

#[test]
fn a_rule_that_renews_after_the_end_renews_at_the_end() {
    for late in [
        RenewalRule::Before(SignedDuration::ZERO),
        RenewalRule::Before(SignedDuration::MIN),
        RenewalRule::BeforePercentage(0),
    ] {
        let used = used(90 * DAY, late, "uid");
        assert!((81 * DAY..=90 * DAY).contains(&used), "{late:?}: {used}");
    }
}

#[test]
fn a_thousand_certificates_of_one_day_spread_their_renewals() {
    for lifetime in [6 * DAY, 45 * DAY, 90 * DAY, 200 * DAY] {
        let mut times: Vec<i64> =
            (0..1000).map(|n| used(lifetime, RenewalRule::Default, &format!("uid-{n}"))).collect();
        times.sort_unstable();
        let most =
            times.iter().map(|start| times.iter().filter(|t| (0..60).contains(&(*t - start))).count()).max();
        assert!(most.unwrap() <= 20, "{lifetime}: {most:?} of 1000 in one minute");
        assert!(times[999] - times[0] > lifetime * 98 / 1000, "{lifetime}: the whole tenth is used");
    }
}

#[test]
fn a_lifetime_of_nothing_is_renewed_at_once() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let before = start - SignedDuration::from_hours(1);
    assert_eq!(renewal_time(start, start, RenewalRule::Default, "uid"), start);
    assert_eq!(renewal_time(start, before, RenewalRule::Default, "uid"), before);
}

proptest! {
    #[test]
    fn a_renewal_falls_within_the_validity(start in start(), lifetime in lifetime(), rule in rule(), uid in uid()) {
        let end = start + SignedDuration::from_secs(lifetime);
        let time = renewal_time(start, end, rule, &uid);
        prop_assert!(start < time && time <= end, "{time}");
        prop_assert_eq!(time.subsec_nanosecond(), 0);
        prop_assert!(time.duration_since(start).as_secs() >= lifetime / 10 - 1, "a tenth is used in any case");
    }

    #[test]
    fn the_default_is_two_thirds_or_a_half_less_a_tenth_at_most(start in start(), lifetime in lifetime(), uid in uid()) {
        let end = start + SignedDuration::from_secs(lifetime);
        let used = renewal_time(start, end, RenewalRule::Default, &uid).duration_since(start).as_secs();
        let whole = if lifetime < 10 * DAY { lifetime / 2 } else { lifetime * 2 / 3 };
        prop_assert!(used <= whole, "{used} of {lifetime}");
        prop_assert!(used >= whole - lifetime / 10 - 2, "{used} of {lifetime}");
    }

    #[test]
    fn a_rule_is_followed_less_a_tenth_at_most(lifetime in lifetime(), part in 1..=89i64, uid in uid()) {
        let left = lifetime * part / 100;
        let by_time = used(lifetime, RenewalRule::Before(SignedDuration::from_secs(left)), &uid);
        let by_part = used(lifetime, RenewalRule::BeforePercentage(u8::try_from(part).unwrap()), &uid);
        for used in [by_time, by_part] {
            prop_assert!(used <= lifetime - left + 1, "{used} of {lifetime}");
            prop_assert!(used >= (lifetime - left - lifetime / 10 - 2).max(lifetime / 10 - 1), "{used} of {lifetime}");
        }
    }

    #[test]
    fn the_answer_is_always_the_same(start in start(), lifetime in lifetime(), rule in rule(), uid in uid()) {
        let end = start + SignedDuration::from_secs(lifetime);
        prop_assert_eq!(renewal_time(start, end, rule, &uid), renewal_time(start, end, rule, &uid));
    }

    /// Each renewal takes up to `delay` and the CA backdates by an hour.
    #[test]
    fn in_three_years_nothing_expires_and_no_order_is_wasted(
        lifetime in lifetime(), rule in rule(), uid in uid(), delay in 0..=30i64 * 60,
    ) {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let end = begin + SignedDuration::from_secs(3 * 365 * DAY);
        let backdated = SignedDuration::from_secs(HOUR.min(lifetime / 12));
        let (mut now, mut orders) = (begin, 0i64);
        while now < end {
            orders += 1;
            let not_before = now - backdated;
            let not_after = not_before + SignedDuration::from_secs(lifetime);
            let due = renewal_time(not_before, not_after, rule, &uid);
            prop_assert!(due > now, "a certificate is not due when it is issued");
            prop_assert!(due <= not_after);
            if rule == RenewalRule::Default {
                prop_assert!(not_after.duration_since(due).as_secs() >= delay, "expired while it was renewed");
            }
            now = due + SignedDuration::from_secs(delay);
        }
        // The minimum use that a rule may leave, minus the backdating.
        let least_use = lifetime / 10 - backdated.as_secs() - 1;
        prop_assert!(orders <= 3 * 365 * DAY / least_use + 1, "{orders}");
        if rule == RenewalRule::Default {
            let whole = if lifetime < 10 * DAY { lifetime / 2 } else { lifetime * 2 / 3 };
            let slack = lifetime * 15 / 1000;
            // Until it is in phase, it comes forward by one cycle in all, and then by the slack, unless the CA backdates by more.
            let forward = if backdated.as_secs() < slack { slack } else { lifetime / 10 };
            let least_use = whole - forward - backdated.as_secs() - 2;
            prop_assert!(orders <= (3 * 365 * DAY + whole) / least_use + 2, "{orders}");
        }
    }

    #[test]
    fn nothing_overflows(start in any::<i32>(), end in any::<i32>(), rule in rule(), uid in uid()) {
        let at = |second: i32| Timestamp::from_second(i64::from(second) * 100).unwrap();
        let time = renewal_time(at(start), at(end), rule, &uid);
        prop_assert!(time <= at(end));
        prop_assert!(time >= at(start).min(at(end)));
    }
}

/// Seconds from the beginning of the validity to the renewal.
fn used(lifetime: i64, rule: RenewalRule, uid: &str) -> i64 {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let end = start + SignedDuration::from_secs(lifetime);
    renewal_time(start, end, rule, uid).duration_since(start).as_secs()
}

fn start() -> impl Strategy<Value = Timestamp> {
    (1_700_000_000..2_000_000_000i64).prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// From 6 hours to 398 days, often one that some CA has.
fn lifetime() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 * HOUR..=398 * DAY,
        6 * HOUR..=20 * DAY,
        prop::sample::select(vec![
            6 * DAY,
            10 * DAY - 1,
            10 * DAY,
            45 * DAY,
            47 * DAY,
            90 * DAY,
            100 * DAY,
            200 * DAY,
            398 * DAY
        ]),
    ]
}

fn rule() -> impl Strategy<Value = RenewalRule> {
    prop_oneof![
        Just(RenewalRule::Default),
        (-10 * DAY..500 * DAY).prop_map(|left| RenewalRule::Before(SignedDuration::from_secs(left))),
        any::<u8>().prop_map(RenewalRule::BeforePercentage),
    ]
}

fn uid() -> impl Strategy<Value = String> {
    "[a-z0-9]{0,8}"
}
