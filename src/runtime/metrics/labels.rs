//! The values of labels.

use strum::IntoStaticStr;

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ReconcileOutcome {
    /// There was nothing to do.
    Unchanged,
    /// Something was done, or the reconcile waits.
    Progressed,
    /// It failed, and is retried.
    Failed,
    /// It panicked, and is retried.
    Panicked,
}

impl ReconcileOutcome {
    pub(super) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Which part of an object cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Part {
    /// The object: it is ignored.
    Object,
    /// A part of its status, which is ignored.
    Status,
}

impl Part {
    pub(super) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How an attempt to revoke a certificate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RevocationOutcome {
    /// It is revoked.
    Succeeded,
    /// It is not revoked, and that is retried.
    Failed,
    /// It is not revoked, and that is not retried.
    GivenUp,
}

impl RevocationOutcome {
    pub(super) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A verb of the Kubernetes API that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ApiVerb {
    /// `create`
    Create,
    /// `update`, which replaces
    Update,
    /// `patch`, which includes server-side apply
    Patch,
    /// `delete`
    Delete,
}

impl ApiVerb {
    pub(super) fn as_str(self) -> &'static str {
        self.into()
    }
}
