mod answers;

use std::collections::BTreeSet;

use super::*;

const DAY: i64 = 86_400;

#[test]
fn a_moment_in_the_window_is_chosen_once_and_for_good() {
    let info = suggests(58 * DAY, 60 * DAY);
    let (first, _) = ask(None, 0).answered(&info, None);
    let chosen = first.selected_time.clone().unwrap().0;
    assert!(at(58 * DAY) <= chosen && chosen <= at(60 * DAY));
    for later in [DAY, 20 * DAY] {
        let (again, _) = ask(Some(&first), later).answered(&info, None);
        assert_eq!(again, first, "an answer that says nothing new changes nothing");
    }
    let (moved, _) = ask(Some(&first), 20 * DAY).answered(&suggests(30 * DAY, 32 * DAY), None);
    let chosen = moved.selected_time.clone().unwrap().0;
    assert!(at(30 * DAY) <= chosen && chosen <= at(32 * DAY));
    assert_eq!((moved.since.0, moved.first_checked.0), (at(20 * DAY), at(0)));
}

#[test]
fn the_moments_of_many_certificates_spread_over_the_window() {
    let window = recorded(suggests(58 * DAY, 60 * DAY).suggested_window);
    let mut chosen: Vec<_> = (0..1000).map(|n| select(&window, &leaf(), &format!("uid-{n}"))).collect();
    chosen.sort();
    assert!(chosen[999].duration_since(chosen[0]).as_secs() > 2 * DAY * 98 / 100);
    assert!(chosen[250] < at(59 * DAY) && at(59 * DAY) < chosen[750]);
}

#[test]
fn what_cannot_be_followed_is_refused_with_a_sentence() {
    for (start, end, word) in [
        (60 * DAY, 60 * DAY, "not after its start"),
        (60 * DAY, 58 * DAY, "not after its start"),
        (10 * DAY, 60 * DAY, "longer than half of the lifetime"),
        (90 * DAY, 91 * DAY, "after the certificate expires"),
    ] {
        let (status, asked) = ask(None, 0).answered(&suggests(start, end), Some(Duration::from_secs(3600)));
        assert!(status.last_error.as_ref().unwrap().contains(word), "{status:?}");
        assert_eq!(status.suggested_window, None);
        assert_eq!(asked.again, Some(at(3600)));
        assert_eq!(suggested_time(&leaf(), Some(&status), at(60 * DAY)), None);
    }
}

#[test]
fn no_number_of_early_renewals_in_a_status_does_harm() {
    let (mut status, _) = ask(None, 0).answered(&suggests(58 * DAY, 60 * DAY), None);
    for renewals in [i32::MIN, -1, 0, i32::MAX] {
        status.early_renewals = Some(renewals);
        assert!(suggested_time(&leaf(), Some(&status), at(60 * DAY)).is_some(), "{renewals}");
    }
}

#[test]
fn what_the_ca_suggested_before_counts_while_it_cannot_be_asked() {
    let (good, _) = ask(None, 0).answered(&suggests(58 * DAY, 60 * DAY), None);
    let why = NoSuggestion::Call(AcmeError::Timeout {
        operation: certwright_acme::Operation::RenewalInfo,
        host: "ca.example".to_owned(),
    });
    let mut question = ask(Some(&good), DAY);
    let mut waits = Vec::new();
    for failures in 0..12 {
        question.failures = failures;
        let (status, asked) = question.failed(&why);
        let status = status.unwrap();
        assert_eq!(status.last_error.is_some(), failures >= 2, "two failures in a row are no news");
        assert_eq!(status.selected_time, good.selected_time);
        waits.push(asked.again.unwrap().duration_since(at(DAY)).as_secs());
    }
    for (wait, least) in waits.iter().zip([60, 120, 240, 480, 960]) {
        assert!((least..=least * 6 / 5 + 1).contains(wait), "{waits:?}");
    }
    assert!(waits.iter().all(|wait| *wait <= 6 * 3600 * 6 / 5), "{waits:?}");
}

#[test]
fn a_pause_of_the_account_is_no_failure() {
    let until = at(300);
    let (status, asked) = ask(None, 0).failed(&NoSuggestion::Call(AcmeError::Paused { until }));
    assert_eq!((status, asked.failures, asked.again), (None, 0, Some(until)));
}

#[test]
fn retry_after_says_when_to_ask_again_within_bounds() {
    for (said, interval) in [
        (None, 6 * 3600),
        (Some(1), 60),
        (Some(3600), 3600),
        (Some(86_400), 86_400),
        (Some(10_000_000), 86_400),
    ] {
        let info = suggests(58 * DAY, 60 * DAY);
        let (status, asked) = ask(None, 0).answered(&info, said.map(Duration::from_secs));
        assert_eq!(next(Some(&status), Some(&asked)), Some(at(interval)), "{said:?}");
        // The same after a restart: from the status alone, and not immediately.
        let began = at(interval * 5 / 2);
        let asking = RenewalInfoPolling { wanted: true, asked: None, began };
        assert_eq!(asking.next(&leaf(), Some(&status), "uid"), Some(at(interval * 3)));
    }
}

#[test]
fn a_retry_after_that_differs_each_time_is_not_written_each_time() {
    let info = suggests(58 * DAY, 60 * DAY);
    let mut status = None;
    let mut writes = 0;
    for n in 0..100u64 {
        let wait = Duration::from_secs(21_600 + (n * 7919) % 2000);
        let (new, _) = ask(status.as_ref(), 0).answered(&info, Some(wait));
        assert!(Duration::from(new.check_interval.unwrap()) >= wait, "the CA is not asked too early");
        writes += usize::from(status.as_ref() != Some(&new));
        status = Some(new);
    }
    assert!(writes < 10, "{writes}");
}

#[test]
fn the_ca_is_not_asked_about_expired_certificates_or_those_without_an_id() {
    let asked = RenewalInfoPoll { certificate_id: ID.to_owned(), at: at(91 * DAY), failures: 0, again: None };
    let (status, _) = ask(None, 0).answered(&suggests(58 * DAY, 60 * DAY), None);
    assert_eq!(next(Some(&status), Some(&asked)), None);
    let asking = RenewalInfoPolling { wanted: true, asked: None, began: at(0) };
    assert_eq!(asking.next(&Leaf { certificate_id: None, ..leaf() }, None, "uid"), None);
    assert_eq!(RenewalInfoPolling { wanted: false, ..asking }.next(&leaf(), None, "uid"), None);
    assert_eq!(asking.next(&leaf(), None, "uid"), Some(Timestamp::MIN), "a new one is asked about at once");
}

#[test]
fn a_window_in_the_past_is_followed_at_once_but_not_without_end() {
    let mut now = 0;
    let mut before: Option<RenewalInfoStatus> = None;
    let mut lived = Vec::new();
    for n in 0..6 {
        let leaf = leaf_from(now, &format!("aYhb.{n}"));
        let question = RenewalInfoRequest {
            leaf: &leaf,
            certificate_id: leaf.certificate_id.as_deref().unwrap(),
            ..ask(before.as_ref(), now)
        };
        let (status, _) = question.answered(&suggests(now - 2 * DAY, now - DAY), None);
        let time = suggested_time(&leaf, Some(&status), at(now + 60 * DAY)).unwrap();
        let next = time.duration_since(at(0)).as_secs().max(now);
        lived.push(next - now);
        (now, before) = (next, Some(status));
    }
    const HOUR: i64 = 3600;
    assert_eq!(lived, [0, 2 * HOUR, 12 * HOUR, 72 * HOUR, 432 * HOUR, 60 * DAY]);
}

#[test]
fn a_certificate_that_was_used_for_long_is_replaced_at_once() {
    let (first, _) = ask(None, 0).answered(&suggests(58 * DAY, 60 * DAY), None);
    let (revoked, _) = ask(Some(&first), 20 * DAY).answered(&suggests(19 * DAY, 20 * DAY), None);
    assert!(suggested_time(&leaf(), Some(&revoked), at(60 * DAY)).unwrap() <= at(20 * DAY));
    let successor = leaf_from(20 * DAY, "aYhb.02");
    let question =
        RenewalInfoRequest { leaf: &successor, certificate_id: "aYhb.02", ..ask(Some(&revoked), 20 * DAY) };
    let (next, _) = question.answered(&suggests(78 * DAY, 80 * DAY), None);
    assert_eq!(next.early_renewals, None, "that was no early renewal");
}

#[test]
fn what_the_ca_suggests_is_never_later_than_is_safe() {
    let (late, _) = ask(None, 0).answered(&suggests(88 * DAY, 95 * DAY), None);
    assert_eq!(suggested_time(&leaf(), Some(&late), at(60 * DAY)), Some(at(83 * DAY)));
}

#[test]
fn what_is_said_of_another_certificate_does_not_count() {
    let (status, _) = ask(None, 0).answered(&suggests(58 * DAY, 60 * DAY), None);
    let other = leaf_from(0, "aYhb.02");
    assert_eq!(suggested_time(&other, Some(&status), at(60 * DAY)), None);
}

#[test]
fn only_a_page_is_shown_as_one() {
    for (url, shown) in [
        ("https://ca.example/why?x=1", true),
        ("http://ca.example/", true),
        ("javascript:alert(1)", false),
        ("why", false),
        ("", false),
    ] {
        let info = RenewalInfo { explanation_url: Some(url.to_owned()), ..suggests(58 * DAY, 60 * DAY) };
        let (status, _) = ask(None, 0).answered(&info, None);
        assert_eq!(status.explanation_url.is_some(), shown, "{url}");
    }
}

const ID: &str = "aYhb.01";

fn next(status: Option<&RenewalInfoStatus>, asked: Option<&RenewalInfoPoll>) -> Option<Timestamp> {
    RenewalInfoPolling { wanted: true, asked, began: at(0) }.next(&leaf(), status, "uid")
}

/// A request about a certificate of 90 days, this many seconds after its start.
fn ask(before: Option<&RenewalInfoStatus>, now: i64) -> RenewalInfoRequest<'_> {
    RenewalInfoRequest {
        leaf: Box::leak(Box::new(leaf())),
        certificate_id: ID,
        uid: "uid",
        account: "https://ca.example/account/1",
        before,
        failures: 0,
        now: at(now),
        at_ca: at(now),
    }
}

fn suggests(start: i64, end: i64) -> RenewalInfo {
    RenewalInfo {
        suggested_window: SuggestedWindow { start: at(start), end: at(end) },
        explanation_url: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    begin + SignedDuration::from_secs(seconds)
}

fn leaf() -> Leaf {
    leaf_from(0, ID)
}

fn leaf_from(seconds: i64, id: &str) -> Leaf {
    Leaf {
        not_before: at(seconds),
        not_after: at(seconds + 90 * DAY),
        serial_number: "01".to_owned(),
        common_name: None,
        dns_names: BTreeSet::new(),
        ip_addresses: BTreeSet::new(),
        public_key_der: Vec::new(),
        public_key_algorithm: None,
        issuer_name: "Intermediate".to_owned(),
        certificate_id: Some(id.to_owned()),
        revocation_list_url: None,
        der: Vec::new(),
    }
}
