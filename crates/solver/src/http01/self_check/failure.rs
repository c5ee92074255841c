//! Why a challenge could not be fetched, in messages that are the same as long as the problem is.

use std::fmt;
use std::net::SocketAddr;

use certwright_egress::Forbidden;

/// Why fetching a challenge as a CA would failed, and what to do about it.
///
/// The messages appear in conditions: they contain no ephemeral port, no token and no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfCheckFailure {
    /// The identifier is not valid in a URL.
    #[error("{identifier:?} is neither a DNS name nor an IP address; correct the Certificate's names")]
    NotAnAddressOrName {
        /// The identifier as given, or the host in a redirect.
        identifier: String,
    },
    /// NXDOMAIN.
    #[error(
        "DNS has no name {name} (NXDOMAIN); create an A or AAAA record that points to the ingress controller"
    )]
    NoSuchName {
        /// The name looked up.
        name: String,
    },
    /// The name exists, but has neither A nor AAAA records.
    #[error("{name} has no A or AAAA record in DNS; create one that points to the ingress controller")]
    NoAddress {
        /// The name looked up.
        name: String,
    },
    /// No name server gave an answer.
    #[error(
        "looking up {name} failed: {}; check the domain's name servers, its DNSSEC, and the operator's access to DNS",
        list(failures)
    )]
    Dns {
        /// The name looked up.
        name: String,
        /// Why each server failed, in the configured order.
        failures: Vec<NameServerFailure>,
    },
    /// The egress rules forbid all addresses of the host.
    #[error("{host} {forbidden}")]
    Forbidden {
        /// The host, as in the Certificate or a redirect.
        host: String,
        /// Why the rules forbid it.
        forbidden: Forbidden,
    },
    /// A connection was refused.
    #[error(
        "{at} refused the connection{others}; check that the ingress controller listens there and that firewalls allow port 80"
    )]
    Refused {
        /// The last address that was tried.
        at: SocketAddr,
        /// The addresses that were tried before it.
        others: OtherAddresses,
    },
    /// A connection was not accepted in time.
    #[error(
        "{at} did not accept a connection in time{others}; check that the DNS record points to the ingress controller and that firewalls allow port 80"
    )]
    ConnectTimeout {
        /// The last address that was tried.
        at: SocketAddr,
        /// The addresses that were tried before it.
        others: OtherAddresses,
    },
    /// The operator's pod has no route to the address.
    #[error(
        "there is no route from the operator's pod to {at}{others}; check the DNS record, and NetworkPolicies for the operator"
    )]
    NoRoute {
        /// The last address that was tried.
        at: SocketAddr,
        /// The addresses that were tried before it.
        others: OtherAddresses,
    },
    /// A connection was accepted, but closed before an answer.
    #[error(
        "{at} closed the connection without an answer; check what listens there and whether it speaks plain HTTP on port 80"
    )]
    Reset {
        /// The address of the server.
        at: SocketAddr,
    },
    /// A connection was accepted, but there was no answer.
    #[error(
        "{at} accepted the connection but did not answer in time; check the ingress controller and its load"
    )]
    NoAnswer {
        /// The address of the server.
        at: SocketAddr,
    },
    /// The answer is not HTTP.
    #[error(
        "{at} did not answer with HTTP; let the ingress controller serve plain HTTP on port 80, without the PROXY protocol for clients"
    )]
    NotHttp {
        /// The address of the server.
        at: SocketAddr,
    },
    /// The TLS handshake with the server of an https URL failed. Its certificate is not checked.
    #[error("the TLS handshake with {at} failed ({reason}); do not redirect {prefix} to it", prefix = crate::http01::CHALLENGE_PREFIX)]
    Tls {
        /// The address of the server.
        at: SocketAddr,
        /// The TLS library's message, or why the connection ended.
        reason: String,
    },
    /// Status 200 with something other than the key authorization.
    #[error("{at} answered with {got} instead of the key authorization; another Ingress or server handles {prefix} for this name: exclude that path there", prefix = crate::http01::CHALLENGE_PREFIX)]
    WrongAnswer {
        /// The address of the server.
        at: SocketAddr,
        /// The kind of content, without quoting it.
        got: &'static str,
    },
    /// The key authorization has the right token, but the thumbprint of another account key.
    #[error(
        "{at} answered for another ACME account; another ACME client answers challenges for this name: stop it, or let it forward these"
    )]
    OtherAccount {
        /// The address of the server.
        at: SocketAddr,
    },
    /// The request reached one of our replicas, which does not know the token.
    #[error(
        "the request reached Certwright through {at}, but this challenge is not pending there; if this persists, check for a second installation, and that the ingress controller preserves the Host header"
    )]
    UnknownToken {
        /// The address of the server.
        at: SocketAddr,
    },
    /// A status that is neither 200 nor a redirect.
    #[error("{at} answered with status {status}{}: {hint}", by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default())]
    Status {
        /// The address of the server.
        at: SocketAddr,
        /// The HTTP status code.
        status: u16,
        /// Whose default page it looks like, if known.
        by: Option<&'static str>,
        /// What to do.
        hint: &'static str,
    },
    /// A redirect to a URL seen before, or the eleventh redirect in a row.
    #[error("the redirects do not end: the last one goes to {to}, {why}; exclude {prefix} from the redirect", prefix = crate::http01::CHALLENGE_PREFIX)]
    RedirectLoop {
        /// The target of the last redirect.
        to: String,
        /// Whether the target was seen before, or there were too many redirects.
        why: &'static str,
    },
    /// A redirect that a CA does not follow.
    #[error("{at} answered with a redirect (status {status}) to {to}, {why}; exclude {prefix} from the redirect", prefix = crate::http01::CHALLENGE_PREFIX)]
    BadRedirect {
        /// The address of the server.
        at: SocketAddr,
        /// The HTTP status code.
        status: u16,
        /// The target of the redirect.
        to: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// A redirect was followed, and its target failed.
    #[error("after a redirect to {to}: {failure}")]
    AfterRedirect {
        /// The target that failed, without path and query.
        to: String,
        /// The failure.
        failure: Box<SelfCheckFailure>,
    },
}

/// Other addresses of the same name that also could not be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherAddresses(pub Vec<(SocketAddr, ConnectFailure)>);

impl fmt::Display for OtherAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in &self.0 {
            write!(f, ", {at} {failure}")?;
        }
        Ok(())
    }
}

/// Why connecting failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The connection was refused.
    Refused,
    /// There was no answer in time.
    Timeout,
    /// There is no route to the address, or it may not be used.
    NoRoute,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused too",
            Self::Timeout => "did not accept one in time either",
            Self::NoRoute => "cannot be reached either",
        })
    }
}

/// One server's failure to answer a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServerFailure {
    /// The server's address and port.
    pub server: String,
    /// Why it did not answer.
    pub failure: DnsFailure,
}

impl fmt::Display for NameServerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name server {} {}", self.server, self.failure)
    }
}

/// Why a name server did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFailure {
    /// The response code SERVFAIL: it could not get an answer, or the answer's DNSSEC signatures are invalid.
    ServFail,
    /// The response code REFUSED: it does not serve us, or not this name.
    Refused,
    /// Another error response code.
    Code(&'static str),
    /// There was no answer in time.
    Timeout,
    /// The query could not be sent, or the answer could not be read.
    Unreachable,
    /// The answer is not a valid DNS answer.
    Garbled,
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServFail => f.write_str("answered SERVFAIL"),
            Self::Refused => f.write_str("answered REFUSED"),
            Self::Code(code) => write!(f, "answered \"{code}\""),
            Self::Timeout => f.write_str("did not answer in time"),
            Self::Unreachable => f.write_str("cannot be reached"),
            Self::Garbled => f.write_str("sent an answer that cannot be parsed"),
        }
    }
}

fn list(failures: &[NameServerFailure]) -> String {
    match failures {
        [] => "no name server answered".to_owned(),
        _ => failures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
