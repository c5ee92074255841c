use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;

use crate::time::sent_at;

/// The shortest wait for a `Retry-After`; also used for 0 and times in the past.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);
/// The longest wait for a `Retry-After`.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses `Retry-After` in either of its forms (RFC 9110 section 10.2.3), clamped to [`SHORTEST`]..[`LONGEST`].
///
/// A date is compared with the answer's own `Date`, so that a wrong local clock does not matter; `clock` is used only if there
/// is no `Date`. `None` if the header is absent or has neither form.
pub(super) fn retry_after(headers: &HeaderMap, clock: fn() -> Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that overflows is absurd, and is clamped like any other absurd value.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let sent = SystemTime::from(sent_at(headers).unwrap_or_else(clock));
        until.duration_since(sent).unwrap_or_default()
    };
    Some(wait.clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use http::header::DATE;

    use super::*;

    #[test]
    fn seconds_are_taken_as_they_are() {
        assert_eq!(read("120", None), Some(Duration::from_secs(120)));
    }

    #[test]
    fn a_date_is_measured_against_the_date_of_the_answer() {
        let wait = read("Sun, 06 Nov 1994 08:51:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(wait, Some(Duration::from_secs(120)));
    }

    #[test]
    fn a_date_is_measured_against_the_clock_when_the_answer_has_no_date_or_a_broken_one() {
        assert_eq!(read("Thu, 01 Jan 1970 00:05:00 GMT", None), Some(Duration::from_secs(300)));
        assert_eq!(read("Thu, 01 Jan 1970 00:05:00 GMT", Some("yesterday")), Some(Duration::from_secs(300)));
    }

    #[test]
    fn the_past_becomes_a_second_and_absurd_values_a_day() {
        for past in ["0", "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(read(past, Some("Sun, 06 Nov 1994 08:49:37 GMT")), Some(SHORTEST), "{past}");
        }
        for absurd in ["86401", "99999999999999999999999999", "Fri, 06 Nov 2093 08:49:37 GMT"] {
            assert_eq!(read(absurd, Some("Sun, 06 Nov 1994 08:49:37 GMT")), Some(LONGEST), "{absurd}");
        }
    }

    #[test]
    fn a_value_in_neither_form_is_ignored() {
        for nonsense in ["", "soon", "-5", "1.5"] {
            assert_eq!(read(nonsense, None), None, "{nonsense}");
        }
    }

    fn read(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers, || Timestamp::UNIX_EPOCH)
    }
}
