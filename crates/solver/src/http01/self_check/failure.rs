//! What keeps a challenge from being fetched, in words that stay the same while the situation does.

use std::fmt;
use std::net::SocketAddr;

use super::dns::NameServerFailure;
use certwright_egress::Forbidden;

/// Why a challenge could not be fetched as a CA would fetch it, and what to do about it.
///
/// The texts go into conditions: they name no ephemeral port, no token and no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfCheckFailure {
    /// The identifier cannot stand in a URL.
    #[error("{identifier:?} is neither a DNS name nor an IP address; correct the Certificate's names")]
    NotAnAddressOrName {
        /// The identifier as given, or the host a redirect named.
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
    /// The name exists, with neither A nor AAAA records.
    #[error("{name} has no A or AAAA record in DNS; create one that points to the ingress controller")]
    NoAddress {
        /// The name looked up.
        name: String,
    },
    /// No name server gave an answer.
    #[error(
        "looking up {name} failed: {}; check the domain's name servers, its DNSSEC, and the operator's way to DNS",
        list(failures)
    )]
    Dns {
        /// The name looked up.
        name: String,
        /// What each server did, in the configured order.
        failures: Vec<NameServerFailure>,
    },
    /// The egress rules forbid all addresses of the host.
    #[error("{host} {forbidden}")]
    Forbidden {
        /// The host, as the Certificate or a redirect names it.
        host: String,
        /// What the rules say.
        forbidden: Forbidden,
    },
    /// A connection was refused.
    #[error(
        "{at} refused the connection{others}; check that the ingress controller listens there and a firewall lets port 80 in"
    )]
    Refused {
        /// Where the last connection was tried.
        at: SocketAddr,
        /// What became of the addresses before it.
        others: OtherAddresses,
    },
    /// A connection was not accepted in time.
    #[error(
        "{at} did not accept a connection in time{others}; check that the DNS record points to the ingress controller and a firewall lets port 80 in"
    )]
    ConnectTimeout {
        /// Where the last connection was tried.
        at: SocketAddr,
        /// What became of the addresses before it.
        others: OtherAddresses,
    },
    /// The operator's pod has no way to the address.
    #[error(
        "there is no way from the operator's pod to {at}{others}; check the DNS record, and NetworkPolicies for the operator"
    )]
    NoRoute {
        /// Where the last connection was tried.
        at: SocketAddr,
        /// What became of the addresses before it.
        others: OtherAddresses,
    },
    /// A connection was accepted, then broken off before an answer.
    #[error(
        "{at} closed the connection without an answer; check what listens there and whether it speaks plain HTTP on port 80"
    )]
    Reset {
        /// Who broke it off.
        at: SocketAddr,
    },
    /// A connection was accepted, and nothing more.
    #[error(
        "{at} accepted the connection but did not answer in time; check the ingress controller and its load"
    )]
    NoAnswer {
        /// Who stayed silent.
        at: SocketAddr,
    },
    /// What came back is not HTTP.
    #[error(
        "{at} did not answer in HTTP; let the ingress controller serve plain HTTP on port 80, without the PROXY protocol towards clients"
    )]
    NotHttp {
        /// Who answered.
        at: SocketAddr,
    },
    /// An https URL's server could not agree on TLS. Its certificate is not looked at.
    #[error("the TLS handshake with {at} failed ({reason}); do not redirect {prefix} to it", prefix = crate::http01::CHALLENGE_PREFIX)]
    Tls {
        /// Whose handshake failed.
        at: SocketAddr,
        /// The TLS library's words, or why the connection ended.
        reason: String,
    },
    /// Status 200 with something other than the key authorization.
    #[error("{at} answered with {got} instead of the key authorization; another Ingress or server takes {prefix} for this name: make it let that path through", prefix = crate::http01::CHALLENGE_PREFIX)]
    WrongAnswer {
        /// Who answered.
        at: SocketAddr,
        /// What came, in words that quote nothing of it.
        got: &'static str,
    },
    /// The right token's key authorization with the thumbprint of another account key.
    #[error(
        "{at} answered for another ACME account; another ACME client answers challenges for this name: stop it, or let it pass these on"
    )]
    OtherAccount {
        /// Who answered.
        at: SocketAddr,
    },
    /// The request came to one of our replicas, which does not know the token.
    #[error(
        "the request reached certwright through {at}, which has no such challenge pending; if this stays, check for a second installation, and that the ingress controller keeps the Host header"
    )]
    UnknownToken {
        /// Who answered.
        at: SocketAddr,
    },
    /// A status that is neither 200 nor a redirect.
    #[error("{at} answered with status {status}{}: {hint}", by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default())]
    Status {
        /// Who answered.
        at: SocketAddr,
        /// The HTTP status code.
        status: u16,
        /// Whose default page it looks like.
        by: Option<&'static str>,
        /// What to do.
        hint: &'static str,
    },
    /// A redirect to a place seen before, or the eleventh in a row.
    #[error("redirects lead nowhere: the last goes to {to}, {why}; take {prefix} out of the redirect", prefix = crate::http01::CHALLENGE_PREFIX)]
    RedirectLoop {
        /// Where the last redirect led.
        to: String,
        /// Whether it was there before, or there were too many.
        why: &'static str,
    },
    /// A redirect a CA does not follow.
    #[error("{at} answered with a redirect (status {status}) to {to}, {why}; take {prefix} out of the redirect", prefix = crate::http01::CHALLENGE_PREFIX)]
    BadRedirect {
        /// Who answered.
        at: SocketAddr,
        /// The HTTP status code.
        status: u16,
        /// Where it points.
        to: String,
        /// What is wrong with that.
        why: &'static str,
    },
    /// A redirect was followed, and what it led to fails.
    #[error("after a redirect to {to}: {failure}")]
    AfterRedirect {
        /// The URL that failed, without its query.
        to: String,
        /// How it failed.
        failure: Box<SelfCheckFailure>,
    },
}

impl SelfCheckFailure {
    /// The variant's name, as event reason and metric label; that of the cause for what failed after a redirect.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAnAddressOrName { .. } => "NotAnAddressOrName",
            Self::NoSuchName { .. } => "NoSuchName",
            Self::NoAddress { .. } => "NoAddress",
            Self::Dns { .. } => "Dns",
            Self::Forbidden { .. } => "EgressForbidden",
            Self::Refused { .. } => "Refused",
            Self::ConnectTimeout { .. } => "ConnectTimeout",
            Self::NoRoute { .. } => "NoRoute",
            Self::Reset { .. } => "Reset",
            Self::NoAnswer { .. } => "NoAnswer",
            Self::NotHttp { .. } => "NotHttp",
            Self::Tls { .. } => "Tls",
            Self::WrongAnswer { .. } => "WrongAnswer",
            Self::OtherAccount { .. } => "OtherAccount",
            Self::UnknownToken { .. } => "UnknownToken",
            Self::Status { .. } => "Status",
            Self::RedirectLoop { .. } => "RedirectLoop",
            Self::BadRedirect { .. } => "BadRedirect",
            Self::AfterRedirect { failure, .. } => failure.reason(),
        }
    }
}

/// Addresses of the same name that could not be connected to either.
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

/// How connecting failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The other end refused.
    Refused,
    /// Nothing came back in time.
    Timeout,
    /// This end has no way there, or may not use it.
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

fn list(failures: &[NameServerFailure]) -> String {
    match failures {
        [] => "no name server answered".to_owned(),
        _ => failures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
