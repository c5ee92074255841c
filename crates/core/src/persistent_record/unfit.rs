//! Why the TXT records at a name do not prove control of it, in words.

use std::fmt;

use jiff::Timestamp;

use super::PersistentRecord;
use certwright_text::clean;

/// The longest value that is quoted in full.
const LONGEST_VALUE: usize = 300;

/// Why the TXT records at the name do not prove control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is none.
    Missing,
    /// None of them is for this CA.
    OtherCas {
        /// How many there are.
        others: usize,
    },
    /// The record for this CA is malformed.
    Malformed {
        /// Its value.
        value: String,
    },
    /// The record for this CA is for another account.
    OtherAccount {
        /// Its value.
        value: String,
    },
    /// The record for this CA and account does not allow wildcards.
    NoWildcards {
        /// Its value.
        value: String,
    },
    /// The record has ended.
    Ended {
        /// When.
        until: Timestamp,
    },
}

impl Unfit {
    /// The larger, the less is wrong.
    pub(super) fn closeness(&self) -> u8 {
        match self {
            Self::Missing | Self::OtherCas { .. } => 0,
            Self::Malformed { .. } => 1,
            Self::OtherAccount { .. } => 2,
            Self::NoWildcards { .. } => 3,
            Self::Ended { .. } => 4,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no TXT record"),
            Self::OtherCas { others: 1 } => f.write_str("the TXT record is for another CA"),
            Self::OtherCas { others } => write!(f, "none of the {others} TXT records is for this CA"),
            Self::Malformed { value } => write!(f, "the TXT record is malformed ({value})"),
            Self::OtherAccount { value } => write!(f, "the TXT record is for another account ({value})"),
            Self::NoWildcards { value } => {
                write!(
                    f,
                    "the TXT record does not allow wildcards, because it has no policy=wildcard ({value})"
                )
            }
            Self::Ended { until } => write!(f, "the TXT record ended at {until}, which is its persistUntil"),
        }
    }
}

impl PersistentRecord {
    /// What is wrong, and the record to set.
    pub fn words(&self, unfit: &Unfit) -> String {
        format!("{} at {}: set {}", unfit, self.fqdn(), self.zone_line())
    }
}

/// A value as it is quoted.
pub(super) fn shown(value: &[u8]) -> String {
    format!("\"{}\"", clean(&String::from_utf8_lossy(value), LONGEST_VALUE))
}
