use super::*;

#[test]
fn a_window_opens_as_cron_says_and_stays_open_for_its_length() {
    let windows = read(&[("0 2 * * 6", "4h", None)]);
    // 2026-01-03 is a Saturday.
    assert_eq!(
        opening(windows.next(at("2026-01-01T00:00:00Z"))),
        "2026-01-03T02:00:00Z/2026-01-03T06:00:00Z"
    );
    for (time, open) in [
        ("2026-01-03T01:59:59Z", false),
        ("2026-01-03T02:00:00Z", true),
        ("2026-01-03T05:59:59Z", true),
        ("2026-01-03T06:00:00Z", false),
        ("2026-01-04T03:00:00Z", false),
    ] {
        assert_eq!(windows.open_at(at(time)).is_some(), open, "{time}");
    }
    assert_eq!(
        opening(windows.last(at("2026-01-09T00:00:00Z"))),
        "2026-01-03T02:00:00Z/2026-01-03T06:00:00Z"
    );
}

#[test]
fn of_several_windows_the_next_counts_and_the_one_that_is_open_longest() {
    let windows = read(&[("0 2 * * *", "1h", None), ("30 2 * * *", "4h", None), ("0 1 * * 0", "30m", None)]);
    assert_eq!(
        opening(windows.open_at(at("2026-01-05T02:45:00Z"))),
        "2026-01-05T02:30:00Z/2026-01-05T06:30:00Z"
    );
    assert_eq!(
        opening(windows.next(at("2026-01-03T12:00:00Z"))),
        "2026-01-04T01:00:00Z/2026-01-04T01:30:00Z"
    );
}

#[test]
fn a_window_that_is_longer_than_until_the_next_is_always_open() {
    let windows = read(&[("0 0 * * *", "25h", None)]);
    assert!((0..200).all(|hour| {
        windows.open_at(at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(hour)).is_some()
    }));
}

#[test]
fn the_time_zone_decides_and_so_does_its_summer() {
    let paris = read(&[("0 2 * * *", "1h", Some("Europe/Paris"))]);
    assert_eq!(opening(paris.next(at("2026-01-10T12:00:00Z"))), "2026-01-11T01:00:00Z/2026-01-11T02:00:00Z");
    assert_eq!(opening(paris.next(at("2026-07-10T12:00:00Z"))), "2026-07-11T00:00:00Z/2026-07-11T01:00:00Z");
}

#[test]
fn a_time_that_a_change_of_the_clock_leaves_out_opens_right_after_it() {
    // On 2026-03-29 Paris goes from 02:00 to 03:00, which is 01:00 UTC.
    let paris = read(&[("30 2 * * *", "2h", Some("Europe/Paris"))]);
    assert_eq!(opening(paris.next(at("2026-03-28T12:00:00Z"))), "2026-03-29T01:00:00Z/2026-03-29T03:00:00Z");
    assert_eq!(
        opening(paris.open_at(at("2026-03-29T02:59:59Z"))),
        "2026-03-29T01:00:00Z/2026-03-29T03:00:00Z"
    );
}

#[test]
fn a_time_that_a_change_of_the_clock_repeats_opens_once() {
    // On 2026-10-25 Paris goes from 03:00 back to 02:00: 02:30 is at 00:30 and at 01:30 UTC.
    let paris = read(&[("30 2 * * *", "30m", Some("Europe/Paris"))]);
    let first = paris.next(at("2026-10-24T12:00:00Z")).unwrap();
    assert_eq!(opening(Some(first)), "2026-10-25T00:30:00Z/2026-10-25T01:00:00Z");
    assert_eq!(opening(paris.next(first.opens)), "2026-10-26T01:30:00Z/2026-10-26T02:00:00Z");
    assert_eq!(paris.open_at(at("2026-10-25T01:45:00Z")), None);
    assert!(paris.open_at(at("2026-10-25T00:45:00Z")).is_some());
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    for (cron, length, zone, word) in [
        ("61 * * * *", "1h", None, "windows[0].cron: '61 * * * *' is not a cron expression"),
        ("* * * *", "1h", None, "is not a cron expression"),
        ("0 0 2 * * *", "1h", None, "is not a cron expression"),
        ("at noon", "1h", None, "is not a cron expression"),
        ("0 0 30 2 *", "1h", None, "never occurs"),
        ("0 0 31 4,6,9,11 *", "1h", None, "never occurs"),
        ("0 2 * * *", "1h", Some("Mars/Olympus"), "'Mars/Olympus' is not an IANA time zone"),
    ] {
        let refused = Windows::new(&[window(cron, length, zone)]).unwrap_err();
        assert!(refused.to_string().contains(word), "{refused}");
    }
    assert!(Windows::new(&[window("0 0 29 2 *", "1h", None)]).is_ok(), "it comes, if seldom");
    assert!(Windows::new(&[window("0 2 * JAN-MAR MON,wed", "1h", Some("america/new_york"))]).is_ok());
}

pub(super) fn read(windows: &[(&str, &str, Option<&str>)]) -> Windows {
    let spec: Vec<_> = windows.iter().map(|(cron, length, zone)| window(cron, length, *zone)).collect();
    Windows::new(&spec).unwrap()
}

fn window(cron: &str, length: &str, zone: Option<&str>) -> RenewalWindow {
    RenewalWindow {
        cron: cron.to_owned(),
        window_duration: length.parse().unwrap(),
        timezone: zone.map(str::to_owned),
    }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn opening(opening: Option<Opening>) -> String {
    opening.map_or("none".to_owned(), |opening| format!("{}/{}", opening.opens, opening.closes))
}
