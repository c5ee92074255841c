use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use certwright_api::{RenewalWindow, SuggestedWindowStatus};

const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

/// 2026-01-01, where the certificates of 90 days begin, is a Thursday.
const BEGIN: &str = "2026-01-01T00:00:00Z";

#[test]
fn without_windows_a_certificate_is_renewed_when_it_is_due() {
    let case = Case::default();
    let plan = case.plan(0);
    assert_eq!(plan.windows, Placement::Anytime);
    assert!(at(51 * DAY) <= plan.time && plan.time <= at(60 * DAY));
    assert_eq!(case.plan(80 * DAY), plan, "the time that passes changes nothing");
}

#[test]
fn a_renewal_that_is_due_within_a_window_begins_then() {
    let due = Case::default().plan(0).time;
    let case = Case::with(&[("0 0 * * *", "25h")]);
    assert_eq!((case.plan(0).time, case.plan(0).windows), (due, Placement::Within));
}

#[test]
fn a_renewal_waits_for_the_next_window_and_those_who_waited_do_not_begin_at_once() {
    let mut times: Vec<_> = (0..100)
        .map(|n| {
            let case = Case { uid: format!("uid-{n}"), ..Case::with(&[("0 2 * * 6", "4h")]) };
            let due = Case { uid: case.uid.clone(), ..Case::default() }.plan(0).time;
            let plan = case.plan(0);
            assert_eq!(plan.windows, Placement::Within);
            let after_opening =
                (plan.time.as_second() - at(2 * DAY + 2 * HOUR).as_second()).rem_euclid(7 * DAY);
            assert!((0..=2 * HOUR).contains(&after_opening) || plan.time == due, "{}", plan.time);
            assert!(plan.time >= due && plan.time < due + SignedDuration::from_secs(7 * DAY + 2 * HOUR));
            plan.time
        })
        .collect();
    times.sort();
    times.dedup();
    assert!(times.len() > 80, "{} different times", times.len());
}

#[test]
fn a_renewal_comes_forward_if_the_next_window_is_too_late() {
    // Once in a quarter: at day 0 + 31 + 28 + 1 = 60 (2 March), and then long after.
    let case = Case::with(&[("0 0 10 2 *", "24h")]);
    let plan = case.plan(0);
    assert_eq!(plan.windows, Placement::Within);
    assert!(at(40 * DAY) <= plan.time && plan.time <= at(41 * DAY), "{}", plan.time);
}

#[test]
fn windows_that_do_not_open_in_time_do_not_count() {
    // Day 9 is too early, day 85 too late.
    for cron in ["0 0 10 1 *", "0 0 27 3 *", "0 0 1 7 *"] {
        let due = Case::default().plan(0).time;
        let plan = Case::with(&[(cron, "4h")]).plan(0);
        assert_eq!(plan.time, due);
        assert_eq!(plan.windows, Placement::NoneInTime { due, latest: at(83 * DAY) });
    }
}

#[test]
fn a_renewal_that_missed_its_window_waits_for_the_next_one() {
    let case = Case::with(&[("0 2 * * 6", "4h")]);
    let planned = case.plan(0).time;
    let missed = planned.duration_since(at(0)).as_secs() + 4 * HOUR;
    let plan = case.plan(missed);
    assert_eq!(plan.windows, Placement::Missed);
    assert!(plan.time > planned && plan.time < at(missed + 7 * DAY));
    // An order that was placed within it continues.
    let begun = Case { under_way: true, ..case.clone() }.plan(missed);
    assert_eq!((begun.time, begun.windows), (planned, Placement::Within));
    // The last one has passed.
    let plan = case.plan(82 * DAY);
    assert!(plan.time <= at(82 * DAY) && matches!(plan.windows, Placement::NoneInTime { .. }), "{plan:?}");
}

#[test]
fn windows_that_cannot_be_read_are_not_followed() {
    let due = Case::default().plan(0).time;
    let plan = Case { windows: Err(InvalidWindow::Zone(0, "Mars".to_owned())), ..Case::default() }.plan(0);
    assert_eq!(plan.time, due);
    assert!(matches!(plan.windows, Placement::Invalid(_)));
}

#[test]
fn the_ca_decides_but_for_a_rule_of_the_spec_that_is_earlier() {
    let suggested = Case { suggestion: Some(suggestion(62 * DAY, 64 * DAY)), ..Case::default() };
    assert_eq!((suggested.plan(0).time, suggested.plan(0).suggested), (at(63 * DAY), true));
    let earlier = Case { rule: RenewalRule::BeforePercentage(50), ..suggested.clone() };
    assert!(!earlier.plan(0).suggested && earlier.plan(0).time <= at(45 * DAY));
    let later = Case { rule: RenewalRule::BeforePercentage(10), ..suggested };
    assert_eq!(later.plan(0).time, at(63 * DAY));
}

#[test]
fn what_the_ca_suggests_about_its_load_waits_for_a_window() {
    let suggestion = Some(suggestion(62 * DAY, 64 * DAY));
    let plan = Case { suggestion, ..Case::with(&[("0 2 * * 6", "4h")]) }.plan(0);
    assert_eq!((plan.suggested, plan.windows), (true, Placement::Within));
    assert!(at(65 * DAY) < plan.time && plan.time < at(66 * DAY), "{}", plan.time);
}

#[test]
fn a_ca_that_wants_a_certificate_replaced_early_does_not_wait_for_a_window_beyond_that() {
    // A Tuesday, well before it would be renewed.
    let suggestion = Some(suggestion(19 * DAY, 19 * DAY + 12 * HOUR));
    let weekly = Case { suggestion: suggestion.clone(), ..Case::with(&[("0 2 * * 6", "4h")]) };
    let plan = weekly.plan(15 * DAY);
    // Last Saturday would have been early enough.
    assert_eq!(plan.windows, Placement::Within);
    let due = at(19 * DAY + 6 * HOUR);
    let plan = weekly.plan(19 * DAY + 10 * HOUR);
    assert_eq!(
        (plan.time, plan.windows),
        (due, Placement::CaInsists { due, latest: at(19 * DAY + 12 * HOUR) })
    );
    let nightly = Case { suggestion, ..Case::with(&[("0 8 * * *", "4h")]) }.plan(19 * DAY);
    assert!(nightly.windows == Placement::Within && nightly.time >= at(19 * DAY + 8 * HOUR), "{nightly:?}");
}

#[derive(Clone)]
struct Case {
    leaf: Leaf,
    rule: RenewalRule,
    suggestion: Option<RenewalInfoStatus>,
    windows: Result<Windows, InvalidWindow>,
    under_way: bool,
    uid: String,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            leaf: Leaf {
                not_before: at(0),
                not_after: at(90 * DAY),
                serial_number: "01".to_owned(),
                common_name: None,
                dns_names: BTreeSet::new(),
                ip_addresses: BTreeSet::new(),
                public_key_der: Vec::new(),
                public_key_algorithm: None,
                issuer_name: "Intermediate".to_owned(),
                certificate_id: Some("aYhb.01".to_owned()),
                revocation_list_url: None,
                der: Vec::new(),
            },
            rule: RenewalRule::Default,
            suggestion: None,
            windows: Ok(Windows::default()),
            under_way: false,
            uid: "uid".to_owned(),
        }
    }
}

impl Case {
    fn with(windows: &[(&str, &str)]) -> Self {
        let window = |(cron, length): &(&str, &str)| RenewalWindow {
            cron: (*cron).to_owned(),
            window_duration: length.parse().unwrap(),
            timezone: None,
        };
        let windows: Vec<_> = windows.iter().map(window).collect();
        Self { windows: Windows::new(&windows), ..Self::default() }
    }

    fn plan(&self, now: i64) -> Plan {
        plan(&Reasons {
            leaf: &self.leaf,
            rule: self.rule,
            suggestion: self.suggestion.as_ref(),
            windows: &self.windows,
            under_way: self.under_way,
            uid: &self.uid,
            now: at(now),
        })
    }
}

/// The middle of the window is chosen.
fn suggestion(start: i64, end: i64) -> RenewalInfoStatus {
    RenewalInfoStatus {
        certificate_id: "aYhb.01".to_owned(),
        account: "https://ca.example/account/1".to_owned(),
        first_checked: Time(at(0)),
        since: Time(at(0)),
        check_interval: None,
        suggested_window: Some(SuggestedWindowStatus { start: Time(at(start)), end: Time(at(end)) }),
        selected_time: Some(Time(at((start + end) / 2))),
        earliest_time: None,
        explanation_url: None,
        early_renewals: None,
        last_error: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    BEGIN.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}
