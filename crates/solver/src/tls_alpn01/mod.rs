//! The tls-alpn-01 challenge ([RFC 8737](https://www.rfc-editor.org/rfc/rfc8737)).
//!
//! `route` renders the object that routes a CA's handshake to the operator's own pods, `responder` answers it there on every
//! replica, and `self_check` makes the same handshake first, to report problems before the CA encounters them.

use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;

mod responder;
mod route;
mod self_check;

pub use responder::{PendingChallenge, PendingChallenges, Responder, ResponderSetupError};
pub use route::{TlsRoute, TlsRouteSpec, tls_route};
pub use self_check::HandshakeFailure;

/// The protocol that a CA offers in its handshake.
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// The server name in a CA's handshake for `identifier`, a DNS name or an IP address, which has a name of its own (RFC 8738
/// section 6).
pub fn server_name(identifier: &str) -> String {
    match identifier.parse::<IpAddr>() {
        Ok(address) => Name::from(address).to_ascii().trim_end_matches('.').to_owned(),
        Err(_) => identifier.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_name_of_its_reverse_mapping() {
        assert_eq!(server_name("A.test"), "a.test");
        assert_eq!(server_name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        // RFC 3596 section 2.5
        let six = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa";
        assert_eq!(server_name("4321:0:1:2:3:4:567:89ab"), six);
    }
}
