//! What the decision on the next step is based on.

use jiff::{SignedDuration, Timestamp};

use crate::backoff::Backoff;
use certwright_api::{KeptAuthorization, Solver};

/// What was gathered about an issuer whose account can be used. The state machine does not change any of it.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The authorizations in the spec.
    pub wanted: &'a [KeptAuthorization],
    /// The solvers in the spec.
    pub solvers: &'a [Solver],
    /// `metadata.uid` of the issuer.
    pub uid: &'a str,
    /// `metadata.generation` of the issuer.
    pub generation: i64,
    /// URL of the directory of the CA.
    pub server: &'a str,
    /// URL of the account.
    pub account: &'a str,
    /// RFC 7638 thumbprint of the account key.
    pub thumbprint: &'a str,
    /// How far the clock of the CA is ahead of the local one; `None` if that is not known yet.
    pub ca_ahead: Option<SignedDuration>,
    /// Bounds of the wait after failures.
    pub backoff: Backoff,
}

impl Snapshot<'_> {
    /// The CA's time when it is `now` here.
    pub(super) fn at_ca(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.ca_ahead.unwrap_or_default()).unwrap_or(now)
    }

    /// The local time when it is `then` at the CA.
    pub(super) fn here(&self, then: Timestamp) -> Timestamp {
        then.saturating_sub(self.ca_ahead.unwrap_or_default()).unwrap_or(then)
    }

    /// The names to keep, in the order of the spec, each once, in lower case, and whether with subdomains.
    pub(super) fn names(&self) -> Vec<(String, bool)> {
        let mut names: Vec<(String, bool)> = Vec::new();
        for one in self.wanted {
            let name = one.dns_name.to_ascii_lowercase();
            if names.iter().all(|(known, _)| *known != name) {
                names.push((name, one.subdomains == Some(true)));
            }
        }
        names
    }
}
