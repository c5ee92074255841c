//! The dns-01 challenge: proof of control with a TXT record (RFC 8555 section 8.4).
//!
//! [`Resolver::locate`] finds the name and the zone of the record. A provider adds it: [`rfc2136`], [`http_request`],
//! [`acme_dns`], or a [`webhook`] in the cluster, such as `certwright-dns` for several [`services`]. [`Resolver::visible`]
//! checks whether it is publicly visible, so that the CA is told to validate only then. [`Resolver::caa`] looks up CAA records,
//! which are checked before an order is placed.
//!
//! Nothing here waits for a record to appear or keeps state between calls. Every call ends within a bounded time.

pub mod acme_dns;
mod caa;
mod doh;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
pub mod http_request;
mod locate;
mod name_server;
mod propagation;
mod resolver;
pub mod rfc2136;
pub mod services;
mod transport;
mod unserved;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use self::caa::{CaaLookupError, CaaRecord, CaaRecords};
pub use self::http::{ClientError, Clients, HttpFailure};
pub use self::locate::{CHALLENGE_LABEL, LocateError, Location};
pub use self::name_server::{NameServer, NameServerError};
pub use self::propagation::{Lacking, NotVisible, ServerReport};
pub use self::resolver::{Resolver, ResolverSetupError, ServerFailure, ServerFailures, Whose};
pub use self::transport::NoAnswer;
pub use self::unserved::Unserved;

/// A TXT record to add or delete, and the challenge that it is for.
///
/// Unlike [`DnsRecordStatus`](certwright_api::DnsRecordStatus), this says nothing about the solver or about the removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name, with a trailing dot; see [`Location::fqdn`].
    pub fqdn: String,
    /// Its zone, with a trailing dot; see [`Location::zone`].
    pub zone: String,
    /// Its value: the digest of the key authorization (RFC 8555 section 8.4).
    pub value: String,
    /// The name that is being validated. A leading `*.` is ignored.
    pub domain: String,
    /// The challenge's token.
    pub token: String,
    /// The challenge's key authorization (RFC 8555 section 8.1), from which `value` is computed.
    pub key_authorization: String,
}

impl Record {
    /// The name that is being validated, without `*.`: a wildcard has the same challenge name.
    #[must_use]
    pub fn base_domain(&self) -> &str {
        base_domain(&self.domain)
    }
}

/// A name as shown in messages.
fn undotted(name: &str) -> &str {
    name.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn base_domain(domain: &str) -> &str {
    domain.strip_prefix("*.").unwrap_or(domain)
}
