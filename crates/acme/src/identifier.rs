//! The names in orders and certificates.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A name that a certificate can carry (RFC 8555 section 9.7.7, RFC 8738 for addresses).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identifier {
    /// `dns`, `ip`, or an unknown type.
    #[serde(rename = "type")]
    pub typ: String,
    /// The name.
    pub value: String,
    /// The domain above the name that the account has an authorization for, with its subdomains (RFC 9444 section 4.3). Only in
    /// requests for orders, and only to a CA that knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestor_domain: Option<String>,
}

impl Identifier {
    /// A DNS name, which may begin with `*.`.
    pub fn dns(name: impl Into<String>) -> Self {
        Self { typ: "dns".to_owned(), value: name.into(), ancestor_domain: None }
    }

    /// An IP address, in the text form of RFC 8738 section 3.
    #[must_use]
    pub fn ip(address: IpAddr) -> Self {
        Self { typ: "ip".to_owned(), value: address.to_string(), ancestor_domain: None }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}
