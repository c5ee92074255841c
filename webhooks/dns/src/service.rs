//! A DNS service, as far as the TXT values of one name are concerned.

use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};

use crate::akamai::EdgeDns;
use crate::azure::AzureDns;
use crate::error::ServiceError;
use crate::google::CloudDns;
use crate::providers::{Holds, Provider};
use crate::redact::Redactor;
use crate::relay::Relay;
use crate::route53::Route53;

/// A DNS service with the credentials for it.
pub enum Service {
    /// One that the crate `dns-update` knows.
    Known(Box<Known>),
    /// Google Cloud DNS.
    Google(Box<CloudDns>),
    /// Azure DNS.
    Azure(Box<AzureDns>),
    /// Akamai Edge DNS.
    Akamai(Box<EdgeDns>),
    /// Amazon Route 53.
    Aws(Box<Route53>),
}

/// A service that the crate `dns-update` knows.
pub struct Known {
    pub(crate) provider: &'static Provider,
    pub(crate) updater: DnsUpdater,
    pub(crate) redactor: Redactor,
    /// What leads to the server, if the issuer's author chose it.
    pub(crate) relay: Option<Relay>,
    /// Whether what it says may be shown: not if the issuer's author chose the server, which may be one that only this process can
    /// reach.
    pub(crate) may_be_quoted: bool,
}

impl Service {
    /// How many values it keeps at a name.
    #[must_use]
    pub fn holds(&self) -> Holds {
        match self {
            Self::Known(known) => known.provider.holds,
            Self::Google(_) | Self::Azure(_) | Self::Akamai(_) | Self::Aws(_) => Holds::Many,
        }
    }

    /// The values at a name, in any order, as the service shows them: some services add quotes.
    ///
    /// # Errors
    /// What the service said.
    pub async fn values(&self, name: &str, zone: &str) -> Result<Vec<String>, ServiceError> {
        match self {
            Self::Known(known) => {
                let records = known.updater.list_rrset(name, DnsRecordType::TXT, zone).await;
                let values =
                    records.map_err(|error| known.error(&error))?.into_iter().filter_map(
                        |record| match record {
                            DnsRecord::TXT(value) => Some(value),
                            _ => None,
                        },
                    );
                Ok(values.collect())
            }
            Self::Google(service) => service.values(name, zone).await,
            Self::Azure(service) => service.values(name, zone).await,
            Self::Akamai(service) => service.values(name, zone).await,
            Self::Aws(service) => service.values(name, zone).await,
        }
    }

    /// Adds a value, and keeps others if it can ([`Service::holds`]).
    ///
    /// # Errors
    /// What the service said.
    pub async fn add(&self, name: &str, zone: &str, ttl: u32, value: &str) -> Result<(), ServiceError> {
        let records = vec![DnsRecord::TXT(value.to_owned())];
        match self {
            Self::Known(known) => {
                let done = match known.provider.holds {
                    Holds::Many => {
                        known.updater.add_to_rrset(name, DnsRecordType::TXT, ttl, records, zone).await
                    }
                    Holds::One => known.updater.set_rrset(name, DnsRecordType::TXT, ttl, records, zone).await,
                };
                done.map_err(|error| known.error(&error))
            }
            Self::Google(service) => service.add(name, zone, ttl, value).await,
            Self::Azure(service) => service.add(name, zone, ttl, value).await,
            Self::Akamai(service) => service.add(name, zone, ttl, value).await,
            Self::Aws(service) => service.add(name, zone, ttl, value).await,
        }
    }

    /// Removes a value that [`Service::values`] has shown, and keeps others if it can ([`Service::holds`]).
    ///
    /// # Errors
    /// What the service said.
    pub async fn remove(&self, name: &str, zone: &str, ttl: u32, value: &str) -> Result<(), ServiceError> {
        match self {
            Self::Known(known) => {
                let records = vec![DnsRecord::TXT(value.to_owned())];
                let done = match known.provider.holds {
                    Holds::Many => {
                        known.updater.remove_from_rrset(name, DnsRecordType::TXT, records, zone).await
                    }
                    Holds::One => {
                        known.updater.set_rrset(name, DnsRecordType::TXT, ttl, Vec::new(), zone).await
                    }
                };
                done.map_err(|error| known.error(&error))
            }
            Self::Google(service) => service.remove(name, zone, value).await,
            Self::Azure(service) => service.remove(name, zone, value).await,
            Self::Akamai(service) => service.remove(name, zone, value).await,
            Self::Aws(service) => service.remove(name, zone, value).await,
        }
    }
}

impl Known {
    fn error(&self, error: &dns_update::Error) -> ServiceError {
        if let Some(failure) = self.relay.as_ref().and_then(Relay::failure) {
            return failure;
        }
        ServiceError::of(error, self.provider.title, &self.redactor, self.may_be_quoted)
    }
}
