//! Proving control of a name by a TXT record (RFC 8555 section 8.4).
//!
//! [`Resolver::locate`] says at which name the record belongs and in which zone that is; one of the providers puts
//! it there: [`rfc2136`], [`http_request`], [`acme_dns`], or a [`webhook`] in the cluster; [`Resolver::visible`]
//! says when the world can see it, so that the CA is told no sooner. Nothing here waits for a record to appear or
//! keeps anything from one call to the next; every call ends by itself within a bounded time.

pub mod acme_dns;
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
mod transport;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use self::http::{ClientError, Clients, HttpFailure};
pub use self::locate::{CnameStrategy, LocateError, Location};
pub use self::name_server::{NameServer, NameServerError};
pub use self::propagation::{Lacking, NotVisible, PropagationMode, ServerReport};
pub use self::resolver::{Resolver, ResolverSetupError, ServerFailure, ServerFailures, Whose};
pub use self::transport::NoAnswer;

/// A TXT record to put into a zone, or to take out of it, and the challenge that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it belongs, with the trailing dot; see [`Location::fqdn`].
    pub fqdn: String,
    /// The zone that holds that name, with the trailing dot; see [`Location::zone`].
    pub zone: String,
    /// What it says: the digest of the key authorization (RFC 8555 section 8.4).
    pub value: String,
    /// The name that is being validated; a leading `*.` does not matter.
    pub domain: String,
    /// The challenge's token.
    pub token: String,
    /// The challenge's key authorization (RFC 8555 section 8.1), from which `value` is made.
    pub key_authorization: String,
}

impl Record {
    /// The name that is being validated without `*.`, which the challenge of a wildcard shares.
    #[must_use]
    pub fn base_domain(&self) -> &str {
        base_domain(&self.domain)
    }
}

/// A name as it stands in a sentence.
fn undotted(name: &str) -> &str {
    name.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn base_domain(domain: &str) -> &str {
    domain.strip_prefix("*.").unwrap_or(domain)
}
