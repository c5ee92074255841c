//! What the two kinds of issuers have in common.

use kube::Resource;

use crate::{AcmeIssuer, Allow, ClusterIssuer, Issuer, IssuerKind, IssuerStatus};

/// An Issuer or a ClusterIssuer.
pub trait AnyIssuer: Resource<DynamicType = ()> {
    /// Which of them.
    const KIND: IssuerKind;

    /// Its spec.
    fn acme(&self) -> &AcmeIssuer;

    /// Which namespaces may use it; `None` means no restriction.
    fn allow(&self) -> Option<&Allow>;

    /// Its status.
    fn status(&self) -> Option<&IssuerStatus>;
}

impl AnyIssuer for Issuer {
    const KIND: IssuerKind = IssuerKind::Issuer;

    fn acme(&self) -> &AcmeIssuer {
        &self.spec.acme
    }

    fn allow(&self) -> Option<&Allow> {
        None
    }

    fn status(&self) -> Option<&IssuerStatus> {
        self.status.as_ref()
    }
}

impl AnyIssuer for ClusterIssuer {
    const KIND: IssuerKind = IssuerKind::ClusterIssuer;

    fn acme(&self) -> &AcmeIssuer {
        &self.spec.acme
    }

    fn allow(&self) -> Option<&Allow> {
        self.spec.allow.as_ref()
    }

    fn status(&self) -> Option<&IssuerStatus> {
        self.status.as_ref()
    }
}
