//! Some of the tests, for one of several machines that run all of them.

use std::str::FromStr;

use anyhow::{Context, Error, ensure};
use sha2::{Digest, Sha256};

/// A part of the tests, such as the second of four: `2/4`.
#[derive(Clone, Copy, Debug)]
pub struct Shard {
    number: u64,
    of: u64,
}

impl Shard {
    /// Whether a test is in this part. Only its name decides, so that exactly one part has it, whatever other tests there are.
    pub fn has(self, test: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(test).into();
        let hash = digest.iter().take(7).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        hash % self.of == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (number, of) = text.split_once('/').context("it is no part such as 2/4")?;
        let (number, of) = (number.parse()?, of.parse()?);
        ensure!((1..=of).contains(&number), "there is no part {number} of {of}");
        Ok(Self { number, of })
    }
}

/// The names of the tests in what test programs print for `--list --format terse`.
pub fn listed(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter_map(|line| line.strip_suffix(": test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_is_in_exactly_one_part_and_no_part_has_many_more_than_another() {
        let names: Vec<String> = (0..1000).map(|number| format!("module::test_{number}")).collect();
        for of in 1..9 {
            let parts: Vec<Shard> =
                (1..=of).map(|number| format!("{number}/{of}").parse().unwrap()).collect();
            for name in &names {
                assert_eq!(parts.iter().filter(|part| part.has(name)).count(), 1, "{name} of {of}");
            }
            for part in parts {
                let count = names.iter().filter(|name| part.has(name)).count();
                let fair = names.len() / of;
                assert!(count > fair * 3 / 4 && count < fair * 5 / 4, "{part:?} has {count} of 1000");
            }
        }
    }

    #[test]
    fn a_part_that_does_not_exist_is_refused() {
        for text in ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_taken_from_lists_and_nothing_else() {
        let output =
            "issuance::one: test\nqueue::two: test\nbench::three: benchmark\n\n2 tests, 1 benchmark\n";
        assert_eq!(Vec::from_iter(listed(output)), ["issuance::one", "queue::two"]);
    }
}
