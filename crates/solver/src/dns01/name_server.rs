//! How a recursive name server is written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use reqwest::Url;

/// The port of DNS over UDP and TCP (RFC 1035 section 4.2).
pub(super) const DNS_PORT: u16 = 53;

/// A recursive name server. It is written as `1.1.1.1`, `1.1.1.1:53`, `[2606:4700::1111]:53`, `2606:4700::1111` or
/// `https://dns.example/dns-query`, and displayed in the same way.
///
/// The solver's field is a text, so that one that cannot be parsed does not make the whole issuer unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NameServer {
    /// DNS over UDP, and over TCP for messages that are too long.
    Plain(SocketAddr),
    /// DNS over HTTPS (RFC 8484), by POST to this URL. The system's name servers look up the URL's host.
    Https(Url),
}

/// The text is not a name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name server; write an IP address, an IP address with a port, or an https:// URL")]
pub struct NameServerError(pub String);

impl FromStr for NameServer {
    type Err = NameServerError;

    fn from_str(text: &str) -> Result<Self, NameServerError> {
        let text = text.trim();
        let error = || NameServerError(text.to_owned());
        if text.contains("://") {
            let url = Url::parse(text).map_err(|_| error())?;
            let usable = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
            return usable.then_some(Self::Https(url)).ok_or_else(error);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Plain(SocketAddr::new(address, DNS_PORT))),
            Err(_) => text.parse().map(Self::Plain).map_err(|_| error()),
        }
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => f.write_str(&shown(*address)),
            Self::Https(url) => url.fmt(f),
        }
    }
}

/// An address without the default port.
pub(super) fn shown(address: SocketAddr) -> String {
    if address.port() == DNS_PORT { address.ip().to_string() } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_name_server_is_understood() {
        for (text, shown) in [
            ("1.1.1.1", "1.1.1.1"),
            (" 1.1.1.1:53 ", "1.1.1.1"),
            ("1.1.1.1:5353", "1.1.1.1:5353"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:53", "::1"),
            ("[::1]:5353", "[::1]:5353"),
            ("https://dns.example/dns-query", "https://dns.example/dns-query"),
        ] {
            let parsed = text.parse::<NameServer>().unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn what_is_no_name_server_is_refused() {
        for text in
            ["", "dns.example", "1.1.1.1:", "http://dns.example/", "https://", "https://a:b@dns.example/"]
        {
            let error = text.parse::<NameServer>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{text:?} is not a name server; ")), "{error}");
        }
    }
}
