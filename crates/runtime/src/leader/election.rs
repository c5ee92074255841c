//! The Lease that replicas compete for, and who is told.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// The Lease and the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease, which is created if necessary.
    pub name: String,
    /// Annotations of the Lease, for people who look at it.
    pub annotations: BTreeMap<String, String>,
    /// Our identity, which must be unique among replicas. The name of the pod is a good choice: a container that restarts
    /// within its pod leads immediately.
    pub identity: String,
    /// How long the holder may be silent until another replica takes over. The renewal interval is a third of it.
    pub lease_duration: Duration,
}

/// Who counts what a candidate does.
pub trait Observer: Debug + Send + Sync {
    /// The Lease is written.
    fn writing(&self, write: LeaseWrite);
    /// The candidate leads, or no longer does.
    fn leading(&self, leads: bool);
}

/// How a Lease is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseWrite {
    /// It is created.
    Create,
    /// It is replaced.
    Update,
}

impl Election {
    pub(super) fn renewal(&self) -> Duration {
        self.lease_duration / 3
    }

    pub(super) fn deadline(&self) -> Duration {
        self.lease_duration * 2 / 3
    }

    /// How long one request may take.
    pub(super) fn patience(&self) -> Duration {
        self.lease_duration / 5
    }

    pub(super) fn retry(&self) -> Duration {
        self.lease_duration * 2 / 15
    }
}
