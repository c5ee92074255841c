//! Labels and their values.

use prometheus_client::encoding::EncodeLabelSet;
use strum::{EnumIter, IntoStaticStr};

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, IntoStaticStr)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, IntoStaticStr)]
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reconciles {
    pub(super) kind: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ForPurpose {
    pub(super) purpose: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfKind {
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AcmeRequests {
    pub(super) operation: &'static str,
    pub(super) status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfOperation {
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByResult {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Issuances {
    pub(super) result: &'static str,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Revocations {
    pub(super) result: &'static str,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ApiWrites {
    pub(super) kind: &'static str,
    pub(super) verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Watched {
    pub(super) kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UnreadableObjects {
    pub(super) kind: String,
    pub(super) part: &'static str,
}
