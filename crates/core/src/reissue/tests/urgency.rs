//! How urgent an issuance is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use certwright_api::SuggestedWindowStatus;

#[test]
fn one_without_a_usable_certificate_comes_before_one_whose_certificate_expires() {
    for (fault, reason, _) in faults() {
        let mut case = Case::default();
        fault(&mut case);
        let usable = [
            reason::KEY_ALGORITHM_CHANGED,
            reason::ISSUER_CHANGED,
            reason::RENEWAL_DUE,
            reason::RENEWAL_REQUESTED,
        ];
        let expected = match usable.contains(&reason) {
            true => Urgency::UsableUntil(leaf().not_after),
            false => Urgency::Unusable,
        };
        assert_eq!(Urgency::of(&case.current()), expected, "{reason}");
    }
    assert!(Urgency::Unusable < Urgency::UsableUntil(Timestamp::MIN));
}

#[test]
fn the_certificate_that_expires_next_comes_first() {
    let mut case = Case::default();
    let late = Urgency::of(&case.current());
    case.leaf().not_after -= SignedDuration::from_secs(1);
    assert!(Urgency::of(&case.current()) < late);
}

#[test]
fn one_that_the_ca_wants_replaced_is_usable_for_a_day_after_the_window() {
    let until = |start: &str, end: &str| {
        let case = Case { suggestion: Some(suggested(start, end)), ..Case::default() };
        Urgency::of(&case.current())
    };
    assert_eq!(
        until("2026-01-08T00:00:00Z", "2026-01-09T00:00:00Z"),
        Urgency::UsableUntil("2026-01-10T00:00:00Z".parse().unwrap())
    );
    // The CA spreads its load.
    assert_eq!(until("2026-02-28T00:00:00Z", "2026-03-03T00:00:00Z"), Urgency::UsableUntil(leaf().not_after));
}

/// What the CA suggests about the certificate of a [`Case`]; the beginning of the window is chosen.
pub(super) fn suggested(start: &str, end: &str) -> RenewalInfoStatus {
    let time = |text: &str| Time(text.parse().unwrap());
    RenewalInfoStatus {
        certificate_id: "aYhb.AQ".to_owned(),
        account: "https://ca.example/account/1".to_owned(),
        first_checked: time("2026-01-01T00:00:00Z"),
        since: time("2026-01-01T00:00:00Z"),
        check_interval: None,
        suggested_window: Some(SuggestedWindowStatus { start: time(start), end: time(end) }),
        selected_time: Some(time(start)),
        earliest_time: None,
        explanation_url: None,
        early_renewals: None,
        last_error: None,
    }
}
