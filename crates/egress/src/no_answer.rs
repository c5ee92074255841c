//! Why an HTTP request had no answer, in a message that is the same for each attempt.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use crate::{Forbidden, SendError};

/// Why an HTTP request had no answer.
pub enum NoAnswer {
    /// The egress rules forbid the connection; nothing was sent.
    Forbidden(Forbidden),
    /// There was no answer in time.
    Timeout,
    /// The TLS handshake failed, with the cause.
    Tls(String),
    /// The server could not be reached, with the cause.
    Unreachable(&'static str),
}

impl NoAnswer {
    /// The cause of `error`.
    ///
    /// The messages of lower layers contain ports, times and error numbers of the operating system, so only the kind of each
    /// error in the chain is used.
    pub fn of(error: SendError) -> Self {
        let error = match error {
            SendError::Forbidden(forbidden) => return Self::Forbidden(forbidden),
            SendError::Http(error) => error,
        };
        if error.is_timeout() {
            return Self::Timeout;
        }
        match chain(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::Tls(tls_detail(tls)),
            None => Self::Unreachable(cause(&error)),
        }
    }
}

fn cause(error: &reqwest::Error) -> &'static str {
    if error.is_dns() {
        let temporary = chain(error).any(|cause| {
            let text = cause.to_string();
            text.contains("Temporary failure") || text.contains("Try again")
        });
        return if temporary { "its name cannot be resolved at the moment" } else { "no such host" };
    }
    let words = |cause: &(dyn Error + 'static)| match cause.downcast_ref::<io::Error>() {
        Some(io) => io_cause(io.kind()),
        None => text_cause(&cause.to_string()),
    };
    let otherwise = if error.is_connect() { "the connection failed" } else { "the connection was lost" };
    chain(error).find_map(words).unwrap_or(otherwise)
}

fn io_cause(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("connection refused"),
        io::ErrorKind::ConnectionReset => Some("connection reset"),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            Some("connection closed")
        }
        io::ErrorKind::HostUnreachable => Some("no route to host"),
        io::ErrorKind::NetworkUnreachable => Some("network unreachable"),
        io::ErrorKind::PermissionDenied => Some("not permitted by this host"),
        _ => None,
    }
}

/// Errors of crates that do not expose their kinds.
fn text_cause(text: &str) -> Option<&'static str> {
    match text {
        "connection closed before message completed" => Some("connection closed"),
        "tunnel error: proxy authorization required" => Some("the proxy requires authentication"),
        "tunnel error: unsuccessful" | "tunnel error: unexpected end of file" => {
            Some("the proxy rejected the request")
        }
        "tunnel error: failed to create underlying connection" => Some("the proxy cannot be reached"),
        _ if text.starts_with("invalid HTTP") => Some("the server does not speak HTTP"),
        _ => None,
    }
}

fn tls_detail(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => {
            format!("certificate not trusted: {}", certificate(error))
        }
        rustls::Error::AlertReceived(alert) => format!("the server aborted the handshake with {alert:?}"),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        rustls::Error::PeerIncompatible(_) => "no protocol version or cipher suite in common".to_owned(),
        _ => "the handshake failed".to_owned(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "unknown issuer (is a CA bundle missing?)",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not valid yet",
        // A user who can only name the server must not learn which names its certificate has.
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "issued for another name"
        }
        CertificateError::Revoked => "revoked",
        CertificateError::BadEncoding => "damaged",
        CertificateError::BadSignature => "its signature is invalid",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "not a server certificate"
        }
        _ => "rejected",
    }
    .to_owned()
}

/// `error` and its sources, including the error inside an `io::Error`, which is not one of its sources.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}
