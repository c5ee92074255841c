//! Durations with bounds: the type of a field has its bounds. The schema and the parser enforce the same ones.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 366 * DAY;
const TEN_YEARS: u64 = 87_600 * HOUR;

/// A lifetime to request.
pub type Lifetime = Bounded<MINUTE, TEN_YEARS>;
/// A time before expiry.
pub type RenewBefore = Bounded<0, TEN_YEARS>;
/// The maximum age of an account key.
pub type RolloverInterval = Bounded<HOUR, TEN_YEARS>;
/// How long a renewal window stays open.
pub type WindowDuration = Bounded<MINUTE, YEAR>;
/// How long a deletion may be delayed.
pub type DeletionTimeout = Bounded<0, HOUR>;
/// How long a CA may take to answer a request.
pub type AcmeRequestTimeout = Bounded<5, { 5 * MINUTE }>;
/// How long a provider may take to respond.
pub type RequestTimeout = Bounded<1, { 5 * MINUTE }>;
/// How long an order keeps its place while its record is not visible.
pub type PropagationTimeout = Bounded<1, DAY>;
/// `solvers[].selfCheck.timeout`.
pub type SelfCheckTimeout = Bounded<0, DAY>;
/// How often a CA is asked for a suggested renewal time.
pub type CheckInterval = Bounded<MINUTE, DAY>;

/// How long an issuer has to be unable to issue before another one is tried.
pub type FallbackAfter = Bounded<0, { 30 * DAY }>;

/// A duration in the operator's settings.
pub type SettingDuration = Bounded<0, TEN_YEARS>;

/// The longest text of a duration, in characters.
const MAX_TEXT: usize = 64;
/// The maximum number of digits before and after a decimal point. No sum of such numbers overflows.
const MAX_DIGITS: usize = 18;
/// The pattern in the schema. Within [`MAX_TEXT`] characters, no matching text overflows in the API server. An overflow would
/// be an error in the rule, not a violation of it, and objects that are already stored are exempt only from violations.
const PATTERN: &str = "^([0-9]{1,5}([.][0-9]{1,9})?h|[0-9]{1,7}([.][0-9]{1,9})?m|[0-9]{1,9}([.][0-9]{1,9})?s|[0-9]{1,12}([.][0-9]{1,9})?ms|[0-9]{1,15}([.][0-9]{1,9})?(us|µs)|[0-9]{1,18}ns)+$";
/// The longest part of a wrong value that is quoted.
const MAX_QUOTED: usize = 40;

/// A duration of `MIN` to `MAX` seconds, as Go writes it, such as `720h` or `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounded<const MIN: u64, const MAX: u64>(Duration);

/// Why a text is not a valid duration for a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// The text is not a duration.
    #[error(
        "'{0}' is not a duration: write numbers with a unit (h, m, s, ms, us or ns), such as 720h or 1h30m"
    )]
    Syntax(String),
    /// The duration is too short or too long.
    #[error("'{text}' is out of bounds: write a duration from {least} to {most}")]
    OutOfBounds {
        /// The text.
        text: String,
        /// The shortest valid duration.
        least: String,
        /// The longest valid duration.
        most: String,
    },
}

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// The shortest valid duration.
    pub const LEAST: Duration = Duration::from_secs(MIN);
    /// The longest valid duration.
    pub const MOST: Duration = Duration::from_secs(MAX);

    /// `duration`, moved to the nearest bound if it is out of bounds.
    #[must_use]
    pub fn clamped(duration: Duration) -> Self {
        Self(duration.clamp(Self::LEAST, Self::MOST))
    }

    /// The schema of a field of this type.
    pub fn schema(_: &mut SchemaGenerator) -> Schema {
        let (least, most) = (go(Self::LEAST), go(Self::MOST));
        json_schema!({
            "type": "string",
            "maxLength": MAX_TEXT,
            "pattern": PATTERN,
            "x-kubernetes-validations": [{
                "rule": format!(
                    "self.matches('{PATTERN}') && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"
                ),
                "message": format!("must be a duration from {least} to {most}"),
            }]
        })
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Bounded<MIN, MAX> {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let out_of_bounds = || InvalidDuration::OutOfBounds {
            text: quoted(text),
            least: go(Self::LEAST),
            most: go(Self::MOST),
        };
        let nanoseconds = match parse(text) {
            Parsed::Nanoseconds(nanoseconds) => nanoseconds,
            Parsed::Negative | Parsed::Huge => return Err(out_of_bounds()),
            Parsed::Nothing => return Err(InvalidDuration::Syntax(quoted(text))),
        };
        if !(Self::LEAST.as_nanos()..=Self::MOST.as_nanos()).contains(&nanoseconds) {
            return Err(out_of_bounds());
        }
        let (seconds, rest) = (nanoseconds / NANOS, nanoseconds % NANOS);
        match (u64::try_from(seconds), u32::try_from(rest)) {
            (Ok(seconds), Ok(rest)) => Ok(Self(Duration::new(seconds, rest))),
            _ => Err(out_of_bounds()),
        }
    }
}

impl<const MIN: u64, const MAX: u64> From<Bounded<MIN, MAX>> for Duration {
    fn from(bounded: Bounded<MIN, MAX>) -> Self {
        bounded.0
    }
}

impl<const MIN: u64, const MAX: u64> From<Bounded<MIN, MAX>> for SignedDuration {
    fn from(bounded: Bounded<MIN, MAX>) -> Self {
        // The bounds are far below the maximum of either type.
        Self::try_from(bounded.0).unwrap_or(Self::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Decimal, with one unit: Go can parse it.
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Debug for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Bounded<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const MIN: u64, const MAX: u64>;
        impl<const MIN: u64, const MAX: u64> de::Visitor<'_> for Visitor<MIN, MAX> {
            type Value = Bounded<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration, such as 720h or 1h30m")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

const NANOS: u128 = 1_000_000_000;

/// The result of parsing a text.
enum Parsed {
    Nanoseconds(u128),
    Negative,
    /// It has too many digits.
    Huge,
    /// It is not a duration.
    Nothing,
}

/// Parses a duration as Go's `time.ParseDuration` does. Fractions of a nanosecond are cut off.
fn parse(text: &str) -> Parsed {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Parsed::Nanoseconds(0);
    }
    if rest.is_empty() {
        return Parsed::Nothing;
    }
    let (mut sum, mut huge) = (0_u128, text.len() > MAX_TEXT);
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let Some(unit) = nanoseconds(unit) else { return Parsed::Nothing };
        if whole.is_empty() && fraction.is_empty() {
            return Parsed::Nothing;
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() > MAX_DIGITS {
            huge = true;
        } else {
            let fraction = &fraction[..fraction.len().min(MAX_DIGITS)];
            let number = |digits: &str| digits.parse::<u128>().unwrap_or_default();
            let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
            sum = sum.saturating_add(number(whole) * unit).saturating_add(number(fraction) * unit / scale);
        }
        rest = after;
    }
    match (negative && (huge || sum > 0), huge) {
        (true, _) => Parsed::Negative,
        (false, true) => Parsed::Huge,
        (false, false) => Parsed::Nanoseconds(sum),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanoseconds(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS,
        "m" => 60 * NANOS,
        "h" => 3_600 * NANOS,
        _ => return None,
    })
}

/// Formats whole seconds with the largest unit that divides them.
fn go(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "0s".to_owned(),
        seconds if seconds % HOUR == 0 => format!("{}h", seconds / HOUR),
        seconds if seconds % MINUTE == 0 => format!("{}m", seconds / MINUTE),
        seconds => format!("{seconds}s"),
    }
}

/// An invalid value, escaped and shortened for a message.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().count() > MAX_QUOTED {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Any = Bounded<0, { 1 << 40 }>;

    #[test]
    fn durations_of_go_are_parsed() {
        let seconds = |text: &str| Duration::from(text.parse::<Any>().unwrap()).as_secs_f64();
        for (text, expected) in [
            ("0", 0.0),
            ("+0", 0.0),
            ("-0", 0.0),
            ("0s", 0.0),
            ("720h", 2_592_000.0),
            ("2160h0m0s", 7_776_000.0),
            ("1h30m", 5_400.0),
            ("1.5h", 5_400.0),
            (".5s", 0.5),
            ("1.s", 1.0),
            ("+3m", 180.0),
            ("100ms", 0.1),
            ("1us1\u{b5}s1\u{3bc}s", 0.000_003),
            ("10ns", 0.000_000_01),
            ("00000000000000000000000000001s", 1.0),
            ("0.000000000000000000000000000001s", 0.0),
        ] {
            assert!((seconds(text) - expected).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn an_invalid_duration_is_rejected_with_an_example() {
        for text in
            ["", "-", "+", "1", "h", "1d", "1h 30m", "1h30", "1..s", "..s", "1e3s", "٣s", "1hh", "1h-1m"]
        {
            let refused = text.parse::<Any>().unwrap_err();
            assert!(matches!(refused, InvalidDuration::Syntax(_)), "{text}: {refused}");
        }
        assert_eq!(
            "90d".parse::<RenewBefore>().unwrap_err().to_string(),
            "'90d' is not a duration: write numbers with a unit (h, m, s, ms, us or ns), such as 720h or 1h30m"
        );
    }

    #[test]
    fn a_duration_out_of_bounds_is_rejected_with_the_bounds() {
        for text in ["99999999999999999999h", "999999999999999999h", "3601s", "1h1ns", "-1s"] {
            let refused = text.parse::<DeletionTimeout>().unwrap_err().to_string();
            assert_eq!(refused, format!("'{text}' is out of bounds: write a duration from 0s to 1h"));
        }
        assert!("59s".parse::<Lifetime>().is_err() && "60s".parse::<Lifetime>().is_ok());
        assert!("1h".parse::<DeletionTimeout>().is_ok());
        let long = format!("{}h", "9".repeat(5000));
        assert!(long.parse::<Lifetime>().unwrap_err().to_string().len() < 200);
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "[-+0-9.hmsnuµμ]{0,80}|\\PC{0,40}") {
            let _ = text.parse::<Any>();
        }

        #[test]
        fn a_displayed_duration_parses_to_itself(nanoseconds in 0_u64..u64::MAX / 2) {
            let duration = Any::clamped(Duration::from_nanos(nanoseconds));
            prop_assert_eq!(duration.to_string().parse::<Any>(), Ok(duration));
        }
    }
}
