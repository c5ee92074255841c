//! Parsers for the values of flags.

use clap::builder::{PossibleValuesParser, TypedValueParser};

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
}
