use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use strum::IntoStaticStr;

use crate::Problem;
use certwright_egress::{Forbidden, NoAnswer, SendError};
use certwright_pki::KeyError;

/// Why a call to a CA failed.
///
/// `Display` is stable: the same problem gives the same text, so that a condition does not change with each attempt. It
/// contains no ports, request ids or times. Problem documents of an ACME server are quoted. Other answers are not, because they
/// may come from a server that the reader has no access to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcmeError {
    /// The CA rejected the request, with a problem document (RFC 8555 section 6.7).
    #[error("{operation} failed: {}", Refusal(problem))]
    Problem {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status of the answer.
        status: u16,
        /// What the CA said.
        problem: Box<Problem>,
        /// How long the CA asks to wait, from 1 s to 24 h.
        retry_after: Option<Duration>,
    },
    /// An answer that is neither success nor a problem document, such as a proxy's HTML page.
    #[error("{operation} failed: {host} answered HTTP {status}{}", InParentheses(kind))]
    Http {
        /// The operation that failed.
        operation: Operation,
        /// The host that the request was sent to.
        host: String,
        /// The HTTP status of the answer.
        status: u16,
        /// What the answer is: its media type, or that it is a redirect. It contains nothing from the body, which the reader
        /// may not be allowed to see.
        kind: String,
        /// How long the server asks to wait, from 1 s to 24 h.
        retry_after: Option<Duration>,
    },
    /// A successful answer that does not conform to the RFC.
    #[error("{operation} failed: the answer of {host} does not conform to {}: {what}", operation.standard())]
    Malformed {
        /// The operation that failed.
        operation: Operation,
        /// The host that the request was sent to.
        host: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// A successful answer that is larger than any CA needs, or contains something that must not be used.
    #[error(
        "{operation} failed: the answer of {host} is not accepted: {what}; check the issuer's server URL, or contact the CA's \
         operator"
    )]
    OutOfBounds {
        /// The operation that failed.
        operation: Operation,
        /// The host that the request was sent to.
        host: String,
        /// What was sent, and what the limit is.
        what: String,
    },
    /// No answer: the name does not resolve, or the connection is refused or lost.
    #[error("{operation} failed: cannot reach {host}: {cause}")]
    Unreachable {
        /// The operation that failed.
        operation: Operation,
        /// The host that the request was sent to.
        host: String,
        /// The cause.
        cause: &'static str,
    },
    /// The operator's egress rules forbid the connection; nothing was sent.
    #[error("{operation} failed: {host} {forbidden}")]
    Forbidden {
        /// The operation that failed.
        operation: Operation,
        /// The host that the request was for.
        host: String,
        /// Why the rules forbid it.
        forbidden: Forbidden,
    },
    /// No answer in time.
    #[error("{operation} failed: no answer from {host} in time")]
    Timeout {
        /// The operation that failed.
        operation: Operation,
        /// The host that the request was sent to.
        host: String,
    },
    /// The server's certificate is not trusted, or the TLS handshake failed.
    #[error("{operation} failed: cannot reach {host}: TLS: {detail}")]
    Tls {
        /// The operation that failed.
        operation: Operation,
        /// The host that the request was sent to.
        host: String,
        /// What went wrong.
        detail: String,
    },
    /// The CA asked this account to slow down; nothing was sent.
    #[error("the CA asked this account to pause, and the pause is not over")]
    Paused {
        /// When the pause ends.
        until: Timestamp,
    },
    /// The directory has no such entry.
    #[error("{operation} is not possible: the directory of {host} has no {entry}")]
    NotOffered {
        /// The operation that is not possible.
        operation: Operation,
        /// The host of the CA.
        host: String,
        /// The entry.
        entry: &'static str,
    },
    /// A key rollover is in progress, and the CA has not yet confirmed which key it has; nothing was sent.
    #[error(
        "the account key is being rolled over, and the CA has not yet confirmed which key the account has"
    )]
    KeyInDoubt,
    /// The account key could not sign.
    #[error("the account key: {0}")]
    Key(#[from] KeyError),
    /// The directory's URL cannot be used.
    #[error("the server URL {0:?} is not an http or https URL")]
    DirectoryUrl(String),
    /// The CA bundle cannot be used.
    #[error("the CA bundle contains no usable PEM certificate")]
    Bundle,
    /// The HTTP client could not be created.
    #[error("creating the HTTPS client failed: {0}")]
    Client(String),
}

impl AcmeError {
    /// The error for a request to `host` without an answer.
    pub(crate) fn no_answer(operation: Operation, host: &str, error: SendError) -> Self {
        let host = host.to_owned();
        match NoAnswer::of(error) {
            NoAnswer::Forbidden(forbidden) => Self::Forbidden { operation, host, forbidden },
            NoAnswer::Timeout => Self::Timeout { operation, host },
            NoAnswer::Tls(detail) => Self::Tls { operation, host, detail },
            NoAnswer::Unreachable(cause) => Self::Unreachable { operation, host, cause },
        }
    }

    /// A short code: that of the problem document (see [`Problem::code`]), otherwise one word for the kind of failure.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Problem { problem, .. } => problem.code(),
            Self::Http { .. } => "unexpectedStatus",
            Self::Malformed { .. } => "malformedAnswer",
            Self::OutOfBounds { .. } => "answerOutOfBounds",
            Self::Unreachable { .. } => "unreachable",
            Self::Forbidden { .. } => "egressForbidden",
            Self::Timeout { .. } => "timeout",
            Self::Tls { .. } => "tls",
            Self::Paused { .. } => "paused",
            Self::NotOffered { .. } => "notOffered",
            Self::KeyInDoubt => "keyInDoubt",
            Self::Key(_) => "accountKey",
            Self::DirectoryUrl(_) => "directoryUrl",
            Self::Bundle => "caBundle",
            Self::Client(_) => "client",
        }
    }

    /// The operation, if a request was made.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        match self {
            Self::Problem { operation, .. }
            | Self::Http { operation, .. }
            | Self::Malformed { operation, .. }
            | Self::OutOfBounds { operation, .. }
            | Self::Unreachable { operation, .. }
            | Self::Forbidden { operation, .. }
            | Self::Timeout { operation, .. }
            | Self::Tls { operation, .. } => Some(*operation),
            _ => None,
        }
    }

    /// The HTTP status of the answer, if it was not a success.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem { status, .. } | Self::Http { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the CA asks to wait, from 1 s to 24 h, if it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Http { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The CA's problem document, if there is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

/// An operation of the ACME client. `Display` begins a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "camelCase")]
pub enum Operation {
    /// The directory (RFC 8555 section 7.1.1).
    Directory,
    /// newNonce (section 7.2).
    NewNonce,
    /// newAccount (section 7.3).
    NewAccount,
    /// newAccount with `onlyReturnExisting` (section 7.3.1).
    LookUpAccount,
    /// The account object, read.
    Account,
    /// The account object, changed (section 7.3.2).
    UpdateAccount,
    /// The account object, deactivated (section 7.3.6).
    DeactivateAccount,
    /// keyChange (section 7.3.5).
    KeyChange,
    /// newOrder (section 7.4).
    NewOrder,
    /// The order object.
    Order,
    /// The authorization object (section 7.5).
    Authorization,
    /// The challenge object, to start the validation (section 7.5.1).
    Challenge,
    /// The authorization object, deactivated (section 7.5.2).
    DeactivateAuthorization,
    /// The order's finalize URL (section 7.4).
    Finalize,
    /// The certificate (section 7.4.2).
    Certificate,
    /// The renewal information of a certificate (RFC 9773 section 4.1).
    RenewalInfo,
    /// revokeCert (section 7.6).
    RevokeCertificate,
    /// newAuthz (section 7.4.1).
    NewAuthorization,
}

impl Operation {
    /// The value of the metrics' label `operation`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Operation {
    /// The standard that specifies the answer.
    fn standard(self) -> &'static str {
        match self {
            Self::RenewalInfo => "RFC 9773",
            _ => "RFC 8555",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "reading the directory",
            Self::NewNonce => "fetching a nonce",
            Self::NewAccount => "registering the account",
            Self::LookUpAccount => "looking up the account",
            Self::Account => "reading the account",
            Self::UpdateAccount => "updating the account",
            Self::DeactivateAccount => "deactivating the account",
            Self::KeyChange => "changing the account key",
            Self::NewOrder => "placing the order",
            Self::Order => "reading the order",
            Self::Authorization => "reading the authorization",
            Self::Challenge => "answering the challenge",
            Self::DeactivateAuthorization => "deactivating the authorization",
            Self::Finalize => "finalizing the order",
            Self::Certificate => "downloading the certificate",
            Self::RenewalInfo => "fetching the renewal information",
            Self::RevokeCertificate => "revoking the certificate",
            Self::NewAuthorization => "requesting the authorization",
        })
    }
}

/// A problem document as part of a stable message.
struct Refusal<'a>(&'a Problem);

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.code() {
            // The detail quotes the nonce, which differs with each attempt.
            "badNonce" => write!(f, "the CA rejected every nonce ({})", self.0.typ),
            _ => self.0.fmt(f),
        }
    }
}

struct InParentheses<'a>(&'a str);

impl fmt::Display for InParentheses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}
