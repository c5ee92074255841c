//! For how long the exchange of an issuer with its CA is logged.

use jiff::{SignedDuration, Timestamp};

use certwright_api::ANNOTATION_LOG_ACME;
use certwright_text::escaped;

/// How long after the time in the annotation.
pub const LOGGED: SignedDuration = SignedDuration::from_hours(1);
/// How far the clock of a user may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// How much of an annotation that makes no sense is quoted.
const QUOTED: usize = 40;

/// Until when the exchange is logged, according to the value of the annotation; `None` if that time has passed. So nothing is
/// logged for longer than an hour if the annotation is forgotten.
///
/// # Errors
/// If the value is not a time, or not a present one: why, and what to do.
pub fn until(annotation: &str, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let wrong = |why: &str| {
        let quoted = escaped(annotation, QUOTED);
        format!(
            "the annotation {ANNOTATION_LOG_ACME} is ignored: {quoted:?} {why}; set it to the current time, such as {now:.0}"
        )
    };
    let asked: Timestamp =
        annotation.parse().map_err(|_| wrong("is not a time in the format of RFC 3339"))?;
    if asked.duration_since(now) > AHEAD {
        return Err(wrong("is in the future"));
    }
    let until = asked.checked_add(LOGGED).map_err(|_| wrong("is out of range"))?;
    Ok((now < until).then_some(until))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-30T12:00:00Z";

    #[test]
    fn the_exchange_is_logged_for_an_hour_from_the_time_in_the_annotation() {
        let now: Timestamp = NOW.parse().unwrap();
        let ends = |text: &str| until(text, now).unwrap().map(|until| until.to_string());
        assert_eq!(ends(NOW).as_deref(), Some("2026-11-30T13:00:00Z"));
        assert_eq!(ends("2026-11-30T11:00:01Z").as_deref(), Some("2026-11-30T12:00:01Z"));
        assert_eq!(ends("2026-11-30T11:00:00Z"), None, "the hour is over");
        assert_eq!(
            ends("2026-11-30T14:05:00+02:00").as_deref(),
            Some("2026-11-30T13:05:00Z"),
            "a fast clock"
        );
    }

    #[test]
    fn what_is_not_the_current_time_is_refused_with_what_to_set() {
        let now: Timestamp = NOW.parse().unwrap();
        assert_eq!(
            until("true\n", now).unwrap_err(),
            "the annotation certwright.dev/log-acme-exchange is ignored: \"true\\\\n\" is not a time in the format of RFC 3339; \
             set it to the current time, such as 2026-11-30T12:00:00Z"
        );
        assert!(until("2027-11-30T12:00:00Z", now).unwrap_err().contains("is in the future"));
    }

    proptest! {
        #[test]
        fn nothing_is_logged_for_more_than_an_hour_and_ten_minutes(text in "\\PC{0,30}|20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:00:00Z") {
            let now: Timestamp = NOW.parse().unwrap();
            if let Ok(Some(until)) = until(&text, now) {
                prop_assert!(until > now && until.duration_since(now) <= LOGGED + AHEAD);
            }
        }
    }
}
