//! Why the handshake of a challenge did not give the answer, in messages that are the same as long as the problem is.

use std::net::SocketAddr;

use crate::http01::SelfCheckFailure;

/// Why the handshake of a challenge failed, and what to do about it.
///
/// The messages appear in conditions: they contain no ephemeral port, no token and no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeFailure {
    /// No connection could be made.
    #[error("{}", unreached(.0))]
    Unreached(SelfCheckFailure),
    /// A connection was accepted, but the handshake does not end.
    #[error(
        "{at} accepted the connection but did not complete a TLS handshake in time; check what listens there and its load"
    )]
    NoAnswer {
        /// The address of the server.
        at: SocketAddr,
    },
    /// The connection ended during the handshake.
    #[error("{at} closed the connection during the TLS handshake with the protocol acme-tls/1; {remedy}")]
    Closed {
        /// The address of the server.
        at: SocketAddr,
        /// What to do.
        remedy: String,
    },
    /// The server does not speak TLS.
    #[error("{at} does not speak TLS; {remedy}")]
    NotTls {
        /// The address of the server.
        at: SocketAddr,
        /// What to do.
        remedy: String,
    },
    /// The server refused the handshake.
    #[error("{at} rejected the TLS handshake with the protocol acme-tls/1 ({alert}); {remedy}")]
    Alert {
        /// The address of the server.
        at: SocketAddr,
        /// The name of the alert, such as `NoApplicationProtocol`.
        alert: String,
        /// What to do.
        remedy: String,
    },
    /// The handshake failed in another way.
    #[error("the TLS handshake with {at} failed ({reason}); check what listens there")]
    Tls {
        /// The address of the server.
        at: SocketAddr,
        /// The TLS library's message.
        reason: String,
    },
    /// A server that does not know the protocol.
    #[error(
        "{at} answers with {got}, without the protocol acme-tls/1: something else serves port 443 of {identifier}; {remedy}"
    )]
    SomethingElse {
        /// The address of the server.
        at: SocketAddr,
        /// The name or address.
        identifier: String,
        /// The kind of certificate.
        got: &'static str,
        /// What to do.
        remedy: String,
    },
    /// The protocol was chosen, but the certificate answers no challenge.
    #[error("{at} speaks acme-tls/1, but its certificate does not answer a challenge; {remedy}")]
    NoIdentifier {
        /// The address of the server.
        at: SocketAddr,
        /// What to do.
        remedy: String,
    },
    /// The certificate answers another challenge.
    #[error(
        "{at} answers another tls-alpn-01 challenge for this name; a handshake can answer only one: wait for the other Certificate for it, or stop the other ACME client"
    )]
    OtherChallenge {
        /// The address of the server.
        at: SocketAddr,
    },
}

impl HandshakeFailure {
    /// Whether something answers on the port, though not the challenge.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        !matches!(self, Self::Unreached(_) | Self::NoAnswer { .. })
    }
}

fn unreached(failure: &SelfCheckFailure) -> String {
    use SelfCheckFailure::{ConnectTimeout, NoAddress, NoRoute, NoSuchName, Refused};
    const LISTENS: &str = "check that the proxy or Gateway listens there and that firewalls allow port 443";
    match failure {
        NoSuchName { name } => {
            format!(
                "DNS has no name {name} (NXDOMAIN); create an A or AAAA record that points to the proxy or Gateway"
            )
        }
        NoAddress { name } => {
            format!("{name} has no A or AAAA record in DNS; create one that points to the proxy or Gateway")
        }
        Refused { at, others } => format!("{at} refused the connection{others}; {LISTENS}"),
        ConnectTimeout { at, others } => {
            format!("{at} did not accept a connection in time{others}; {LISTENS}")
        }
        NoRoute { at, others } => format!(
            "there is no route from the operator's pod to {at}{others}; check the DNS record, and NetworkPolicies for the operator"
        ),
        other => other.to_string(),
    }
}
