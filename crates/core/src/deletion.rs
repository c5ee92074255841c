//! How long a deletion waits for others, such as a CA or a DNS provider.

use jiff::{SignedDuration, Timestamp};

/// The maximum wait if the whole namespace is being deleted, whatever the spec says: its Secrets are deleted too, so the
/// cleanup will hardly succeed, and an administrator is waiting for the namespace.
const LONGEST_WITH_NAMESPACE: SignedDuration = SignedDuration::from_secs(20);

/// The deletion of an object that has our finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Since when the object is being deleted.
    pub since: Timestamp,
    /// Whether its namespace is being deleted, too.
    pub with_namespace: bool,
}

impl Deletion {
    /// When the wait for others ends, if it may take `timeout`.
    pub fn end(self, timeout: SignedDuration) -> Timestamp {
        let timeout = if self.with_namespace { timeout.min(LONGEST_WITH_NAMESPACE) } else { timeout };
        self.since.saturating_add(timeout).unwrap_or(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_with_its_namespace_waits_briefly_whatever_its_spec_says() {
        let since = Timestamp::UNIX_EPOCH;
        let waits = |with_namespace, seconds| {
            let end = Deletion { since, with_namespace }.end(SignedDuration::from_secs(seconds));
            end.duration_since(since).as_secs()
        };
        assert_eq!(waits(false, 3600), 3600);
        assert_eq!(waits(true, 3600), 20);
        assert_eq!(waits(true, 5), 5);
    }
}
