//! The proof of control over the names of an order: answers to challenges, as far as this process knows of them.

use std::time::Duration;

use jiff::Timestamp;

use super::{Challenged, ValueCount};
use crate::backoff::look_again;
use certwright_acme::ChallengeType;
use certwright_api::certificate_reason;

/// The proof of control over the names of an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Proof {
    /// This process has presented nothing.
    #[default]
    Absent,
    /// Some answers could not be presented.
    Failed(PresentFailed),
    /// The answers are presented.
    Presented(Presented),
    /// All answers are being removed, and that is not known to be finished.
    Withdrawing,
}

/// Answers that are presented.
#[derive(Clone, Debug, PartialEq)]
pub struct Presented {
    /// The challenges, and how they are answered.
    pub challenged: Vec<Challenged>,
    /// Since when.
    pub since: Timestamp,
    /// What the last self-check saw.
    pub self_check: Option<SelfCheckResult>,
}

/// Answers could not be presented.
#[derive(Clone, Debug, PartialEq)]
pub struct PresentFailed {
    /// The challenges, and how they were to be answered.
    pub challenged: Vec<Challenged>,
    /// When the first attempt failed.
    pub since: Timestamp,
    /// When the last attempt failed.
    pub at: Timestamp,
    /// The cause, for each challenge.
    pub failures: Vec<Unseen>,
}

impl Proof {
    /// The challenges whose answers are presented, or were to be.
    pub fn challenged(&self) -> &[Challenged] {
        match self {
            Self::Failed(failed) => &failed.challenged,
            Self::Presented(presented) => &presented.challenged,
            Self::Absent | Self::Withdrawing => &[],
        }
    }

    /// The answers, if they are presented.
    pub fn presented(&self) -> Option<&Presented> {
        match self {
            Self::Presented(presented) => Some(presented),
            _ => None,
        }
    }

    /// What the last self-check saw.
    pub fn self_check(&self) -> Option<&SelfCheckResult> {
        self.presented()?.self_check.as_ref()
    }

    /// What is not visible, or could not be presented.
    pub fn failures(&self) -> &[Unseen] {
        match self {
            Self::Failed(failed) => &failed.failures,
            _ => self.self_check().map_or(&[], |result| &result.failures),
        }
    }

    /// Records that the answers to `challenged` were presented at `now`, or why not.
    pub fn saw_presented(&mut self, challenged: Vec<Challenged>, failures: Vec<Unseen>, now: Timestamp) {
        *self = match std::mem::take(self) {
            before if failures.is_empty() => {
                let since = before.presented().map_or(now, |before| before.since);
                Self::Presented(Presented { challenged, since, self_check: None })
            }
            Self::Failed(before) if before.challenged == challenged => {
                Self::Failed(PresentFailed { at: now, failures, ..before })
            }
            _ => Self::Failed(PresentFailed { challenged, since: now, at: now, failures }),
        };
    }

    /// Records what a self-check saw.
    pub fn saw_self_check(&mut self, result: SelfCheckResult) {
        if let Self::Presented(presented) = self {
            presented.self_check = Some(result);
        }
    }

    /// Forgets what the last self-check saw.
    pub fn forget_self_check(&mut self) {
        if let Self::Presented(presented) = self {
            presented.self_check = None;
        }
    }
}

/// What a self-check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheckResult {
    /// When it ended.
    pub at: Timestamp,
    /// The challenges whose answer was not seen.
    pub failures: Vec<Unseen>,
    /// How many TXT records there are at the names of those that were seen.
    pub counts: Vec<ValueCount>,
    /// When the first of the persistent records ends.
    pub persist_until: Option<Timestamp>,
}

/// A challenge whose answer is not visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// URL of the challenge.
    pub challenge: String,
    /// Its type.
    pub typ: ChallengeType,
    /// What was seen instead, or the cause.
    pub words: String,
    /// Whether the cause is that `certwright-dns` is not installed, does not answer, or may not be called.
    pub unserved: bool,
    /// How long to wait before another attempt, if the provider says so.
    pub retry_after: Option<Duration>,
}

impl Challenged {
    /// Its answer is not there, for this reason.
    pub fn unseen(&self, words: String) -> Unseen {
        let (challenge, typ) = (self.url.clone(), self.typ.clone());
        Unseen { challenge, typ, words, unserved: false, retry_after: None }
    }
}

impl PresentFailed {
    /// The reason of the condition.
    pub fn reason(&self) -> &'static str {
        match self.failures.iter().any(|failure| failure.unserved) {
            true => certificate_reason::DNS_WEBHOOK_UNAVAILABLE,
            false => certificate_reason::PRESENTING,
        }
    }

    /// When to try again, within these bounds: when the providers say, if they do.
    pub fn next_attempt(&self, bounds: (Duration, Duration)) -> Timestamp {
        let retry_after = self.failures.iter().filter_map(|failure| failure.retry_after).max();
        look_again(self.since, self.at, retry_after.map(|wait| wait.min(bounds.1)), bounds)
    }

    /// The cause, as a message.
    pub fn message(&self) -> String {
        format!("The answer cannot be presented yet: {}", joined(&self.failures))
    }
}

impl SelfCheckResult {
    /// What was seen, as a message.
    pub fn message(&self) -> String {
        format!("The self-check does not see the answer yet: {}", joined(&self.failures))
    }

    /// Which TXT records have to be set, as a message.
    pub fn missing_record(&self) -> String {
        let persistent = |failure: &&Unseen| failure.typ == ChallengeType::DnsPersist01;
        let missing: Vec<Unseen> = self.failures.iter().filter(persistent).cloned().collect();
        format!("Waiting for a TXT record that you set: {}", joined(&missing))
    }

    /// Whether a TXT record that a person sets was not seen.
    pub fn lacks_persistent_record(&self) -> bool {
        self.failures.iter().any(|failure| failure.typ == ChallengeType::DnsPersist01)
    }

    /// Whether a TXT record was not seen.
    pub fn lacks_record(&self) -> bool {
        let records = [ChallengeType::Dns01, ChallengeType::DnsAccount01];
        self.failures.iter().any(|failure| records.contains(&failure.typ))
    }
}

fn joined(failures: &[Unseen]) -> String {
    // A wildcard and its apex may have the same text.
    let mut words: Vec<&str> = failures.iter().map(|failure| failure.words.as_str()).collect();
    words.dedup();
    words.join("; ")
}
