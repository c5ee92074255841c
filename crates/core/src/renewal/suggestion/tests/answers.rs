//! Which answers are retried soon, and which answers change what is recorded.

use super::*;
use certwright_acme::Operation;

const HOUR: i64 = 3600;

#[test]
fn only_an_error_that_may_be_temporary_is_retried_soon() {
    let http = |status| {
        NoSuggestion::Call(AcmeError::Http {
            operation: Operation::RenewalInfo,
            host: "ca.example".to_owned(),
            status,
            kind: String::new(),
            retry_after: None,
        })
    };
    let malformed = NoSuggestion::Call(AcmeError::Malformed {
        operation: Operation::RenewalInfo,
        host: "ca.example".to_owned(),
        what: "no window".to_owned(),
    });
    let cases = [
        (http(500), true),
        (http(503), true),
        (http(429), true),
        (http(499), false),
        (http(404), false),
        (malformed, false),
        (NoSuggestion::TooSlow, true),
        (NoSuggestion::AfterExpiry { start: at(0) }, false),
    ];
    for (why, is_temporary) in cases {
        let (status, asked) = ask(None, 0).failed(&why);
        let wait = asked.again.unwrap().duration_since(at(0)).as_secs();
        if is_temporary {
            assert!((60..=72).contains(&wait) && asked.failures == 1 && status.is_none(), "{why}: {wait} s");
        } else {
            assert_eq!((wait, asked.failures), (6 * HOUR, 0), "{why}");
            assert_eq!(status.unwrap().last_error, Some(why.to_string()));
        }
    }
}

#[test]
fn an_error_with_retry_after_is_not_retried_earlier() {
    for (status, said, wait) in [(503, 2 * HOUR, 2 * HOUR), (404, HOUR, 6 * HOUR), (404, 9 * HOUR, 9 * HOUR)]
    {
        let why = NoSuggestion::Call(AcmeError::Http {
            operation: Operation::RenewalInfo,
            host: "ca.example".to_owned(),
            status,
            kind: String::new(),
            retry_after: Some(Duration::from_secs(said.unsigned_abs())),
        });
        let (_, asked) = ask(None, 0).failed(&why);
        let waits = asked.again.unwrap().duration_since(at(0)).as_secs();
        assert!((wait..=wait * 6 / 5).contains(&waits), "HTTP {status}, {said} s: {waits} s");
    }
}

#[test]
fn after_a_restart_what_was_never_answered_is_asked_within_ten_minutes() {
    let (status, _) = ask(None, 0).failed(&NoSuggestion::AfterExpiry { start: at(0) });
    let began = at(DAY);
    let next = RenewalInfoPolling { wanted: true, asked: None, began }.next(&leaf(), status.as_ref(), "seed");
    let wait = next.unwrap().duration_since(began).as_secs();
    assert!((0..600).contains(&wait), "{wait} s");
}

#[test]
fn a_ca_that_wants_many_more_requests_gets_them() {
    let info = suggests(58 * DAY, 60 * DAY);
    let (rarely, _) = ask(None, 0).answered(&info, Some(Duration::from_secs(21_600)));
    let (often, _) = ask(Some(&rarely), DAY).answered(&info, Some(Duration::from_secs(3600)));
    assert_eq!(often.check_interval.map(Duration::from), Some(Duration::from_secs(3600)));
}

#[test]
fn the_earliest_time_that_the_ca_wanted_is_kept_when_it_wants_a_later_one() {
    let (first, _) = ask(None, 0).answered(&suggests(30 * DAY, 32 * DAY), None);
    assert_eq!(first.earliest_time, None);
    let (later, _) = ask(Some(&first), DAY).answered(&suggests(58 * DAY, 60 * DAY), None);
    assert_eq!(later.earliest_time, first.selected_time);
    assert!(later.selected_time > first.selected_time);
    let (earlier, _) = ask(Some(&later), 2 * DAY).answered(&suggests(10 * DAY, 12 * DAY), None);
    assert_eq!(earlier.earliest_time, None, "the selected time is the earliest");
}

#[test]
fn two_windows_in_the_past_say_the_same() {
    let (first, _) = ask(None, 20 * DAY).answered(&suggests(10 * DAY, 12 * DAY), None);
    let (again, _) = ask(Some(&first), 20 * DAY).answered(&suggests(11 * DAY, 13 * DAY), None);
    assert_eq!(again, first);
    let (future, _) = ask(Some(&first), 20 * DAY).answered(&suggests(50 * DAY, 52 * DAY), None);
    assert!(future.selected_time.unwrap().0 >= at(50 * DAY));
}

#[test]
fn a_series_of_early_renewals_ends_only_with_a_certificate_that_the_ca_let_be_used() {
    for (wish, replaced, expected) in [
        // The CA wanted it replaced after this day, and it was replaced on that day.
        (20, 25, Some(2)),
        (40, 45, None),
        (40, 30, Some(2)),
        (5, 6, Some(3)),
    ] {
        let (mut before, _) = ask(None, 0).answered(&suggests(wish * DAY, wish * DAY + HOUR), None);
        before.early_renewals = Some(2);
        let successor = leaf_from(replaced * DAY, "aYhb.02");
        let request = RenewalInfoRequest {
            leaf: &successor,
            certificate_id: "aYhb.02",
            ..ask(Some(&before), replaced * DAY)
        };
        let (next, _) = request.answered(&suggests(100 * DAY, 101 * DAY), None);
        assert_eq!(next.early_renewals, expected, "wanted on day {wish}, replaced on day {replaced}");
    }
}
