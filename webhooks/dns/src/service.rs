//! A DNS service, as far as the TXT values of one name are concerned.

use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};

/// A DNS service with the credentials for it.
pub enum Service {
    /// One that the crate `dns-update` knows.
    Known(Box<DnsUpdater>),
}

impl Service {
    /// Adds a value, and keeps others.
    ///
    /// # Errors
    /// What the service said.
    pub async fn add(&self, name: &str, zone: &str, ttl: u32, value: &str) -> Result<(), dns_update::Error> {
        let records = vec![DnsRecord::TXT(value.to_owned())];
        match self {
            Self::Known(updater) => updater.add_to_rrset(name, DnsRecordType::TXT, ttl, records, zone).await,
        }
    }
}
