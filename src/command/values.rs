//! Parsers for the values of flags.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::{SignedDuration, SpanRelativeTo};

/// Parses the name of one of `all`. Help and error messages list the names.
pub fn one_of<T>(all: &[T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T> + use<T>
where
    T: Copy + Send + Sync + 'static,
{
    let all = all.to_vec();
    let names: Vec<_> = all.iter().copied().map(name).collect();
    PossibleValuesParser::new(names)
        .try_map(move |given| all.iter().copied().find(|value| name(*value) == given).ok_or("unknown value"))
}

/// Parses a duration, in which a day has 24 hours.
pub fn length(text: &str) -> Result<SignedDuration, String> {
    let span: jiff::Span =
        text.parse().map_err(|_| "expected a time such as 14d, 36h or 1h30m".to_owned())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    if length.is_negative() { Err("a time cannot be negative".to_owned()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;
    use certwright_api::RevocationReason;

    #[test]
    fn a_name_becomes_its_value_and_an_error_lists_the_names() {
        let parsed = |given: &str| {
            let parser = one_of(RevocationReason::ALL, RevocationReason::as_str);
            let matches = Command::new("test")
                .arg(Arg::new("reason").value_parser(parser))
                .try_get_matches_from(["test", given])
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(matches.get_one::<RevocationReason>("reason").copied())
        };
        for reason in RevocationReason::ALL {
            assert_eq!(parsed(reason.as_str()), Ok(Some(*reason)));
        }
        let error = parsed("KeyCompromise").unwrap_err();
        assert!(error.contains("keyCompromise, affiliationChanged"), "{error}");
    }

    #[test]
    fn a_time_is_given_in_days_hours_and_minutes() {
        assert_eq!(length("14d"), Ok(SignedDuration::from_hours(14 * 24)));
        assert_eq!(length("1h30m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(length("90s"), Ok(SignedDuration::from_secs(90)));
        assert!(length("soon").is_err() && length("-1h").is_err() && length("14").is_err());
    }
}
