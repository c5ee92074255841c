//! Errors of reconciles, mostly of requests to the API server.

use kube::core::Status;
use strum::IntoStaticStr;

use certwright_core::reading::Fault;
use certwright_pki::KeyError;
use certwright_pki::keystore::KeystoreError;
use certwright_runtime::panics::Panic;

/// Which request to the API server failed. A reconcile that ends with it is retried.
#[derive(Debug, thiserror::Error, IntoStaticStr)]
pub enum Error {
    /// A Secret could not be read.
    #[error("Secret {name} cannot be read")]
    ReadSecret {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A Secret could not be written.
    #[error("Secret {name} cannot be written")]
    WriteSecret {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// cert-manager's Certificate could not be read.
    #[error("cert-manager's Certificate {name} cannot be read")]
    ReadKeeper {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A status could not be written.
    #[error("the status cannot be written")]
    WriteStatus(#[source] kube::Error),
    /// An object that leads to an http-01 answer could not be written.
    #[error("{kind} {name} cannot be written")]
    Present {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object that leads to an http-01 answer could not be removed.
    #[error("{kind} of an http-01 answer cannot be removed")]
    Withdraw {
        /// Kind of the objects.
        kind: &'static str,
        /// What the API server said.
        source: kube::Error,
    },
    /// An existing Ingress could not be edited.
    #[error("Ingress {name} cannot be edited")]
    EditIngress {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// HTTPRoutes or TLSRoutes could not be read.
    #[error("{kind}s cannot be read")]
    ReadRoutes {
        /// Their kind.
        kind: &'static str,
        /// What the API server said.
        source: kube::Error,
    },
    /// The Certificates of other shards could not be listed.
    #[error("the Certificates of other shards cannot be listed")]
    ListCertificates {
        /// What the API server said.
        source: kube::Error,
    },
    /// A Certificate that annotations request could not be read.
    #[error("Certificate {name} cannot be read")]
    ReadCertificate {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A Certificate that annotations request could not be written.
    #[error("Certificate {name} cannot be written")]
    WriteCertificate {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The API server could not be asked whether a user may use an Issuer.
    #[error("a SubjectAccessReview failed; the operator needs the role for --certificate-signing-requests")]
    ReviewAccess(#[source] kube::Error),
    /// The system has no random bytes.
    #[error("generating a random key failed")]
    NoRandomness,
    /// Reporting on an unreadable object failed, because it could not be read from the API server.
    #[error("the object cannot be read from the API server")]
    ReadObject(#[source] kube::Error),
    /// The object was changed in the meantime, and can no longer be read.
    #[error("the object can no longer be read: {0}")]
    Unreadable(Fault),
    /// The finalizer could not be set or removed.
    #[error("the finalizer cannot be written")]
    WriteFinalizer(#[source] kube::Error),
    /// A private key could not be generated.
    #[error("generating a private key failed: {0}")]
    Key(#[from] KeyError),
    /// The keystores could not be created.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A bug: the reconcile panicked.
    #[error("the reconcile {0}")]
    Panicked(Panic),
    /// Something that a step names is not there: everything is read again.
    #[error("{0} is no longer there")]
    Missing(&'static str),
    /// A bug: the issuance takes more steps than any issuance needs.
    #[error("the issuance does not get past {0}")]
    Circles(String),
}

impl Error {
    /// Name of the variant: a label of metrics and logs.
    pub fn step(&self) -> &'static str {
        self.into()
    }

    /// The API server's error about an object that leads to an http-01 answer, if only a person can fix it: the object is
    /// invalid, or we lack a permission.
    pub fn refusal(&self) -> Option<String> {
        let (Self::Present { source, .. } | Self::EditIngress { source, .. }) = self else { return None };
        match source {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
                Some(format!("{self}: the API server rejects it: {}", status.message))
            }
            _ => None,
        }
    }

    /// Whether it may be temporary: there was no answer, a server error, or a conflict.
    pub fn may_pass(&self) -> bool {
        std::error::Error::source(self).and_then(|source| source.downcast_ref()).is_some_and(may_pass)
    }

    /// Whether the object of the reconcile, or its namespace, is gone or can no longer be read, so that there is nothing to
    /// retry.
    pub fn object_is_gone(&self) -> bool {
        match self {
            Self::Unreadable(_) => true,
            Self::WriteStatus(kube::Error::Api(status)) | Self::WriteFinalizer(kube::Error::Api(status)) => {
                status.is_not_found()
            }
            _ => false,
        }
    }
}

/// Whether an error of the API server may be temporary; see [`Error::may_pass`].
pub fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 409 | 429 | 500..=599),
        _ => true,
    }
}

/// Whether an object does not exist, or the API server does not know its kind. In that case it answers in plain text, in which
/// `kube` finds no reason, so only the code counts.
pub fn is_absent(status: &Status) -> bool {
    status.code == 404
}
