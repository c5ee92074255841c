//! The services that take short-lived credentials.

#[cfg(test)]
mod tests;

use certwright_egress::Egress;

use super::missing;
use crate::azure::{AzureDns, AzureDnsSettings};
use crate::call::Caller;
use crate::error::ServiceError;
use crate::google::{CloudDns, CloudDnsSettings};
use crate::identity::{Ambient, AwsCredentials, AwsSource, AzureSource, GoogleSource, Identity};
use crate::providers::{Given, Provider};
use crate::route53::{Route53, Route53Settings, Server};
use crate::service::Service;

pub(super) async fn aws(
    given: &Given,
    egress: &Egress,
    identity: &Identity,
    ambient: Option<Ambient>,
) -> Result<Service, ServiceError> {
    let source = match ambient {
        Some(_) if given.get("endpoint").is_some() => {
            return Err(ServiceError::new(
                "config.settings.endpoint needs credentials of its own: those of certwright-dns are sent only to AWS; add the \
                 Secret under credentials, or remove endpoint",
            ));
        }
        Some(ambient) => AwsSource::Ambient(ambient),
        None => AwsSource::Key(AwsCredentials {
            access_key_id: given.need("accessKeyID").to_owned(),
            secret_access_key: given.need("secretAccessKey").into(),
            session_token: given.get("sessionToken").map(Into::into),
        }),
    };
    let credentials = identity.aws(&source, given.get("region"), given.get("role")).await?;
    let settings = Route53Settings {
        region: given.need("region").to_owned(),
        hosted_zone_id: given.owned("hostedZoneID"),
        private: given.is("privateZone"),
    };
    let server = match given.get("endpoint") {
        Some(endpoint) => Server::of_the_issuers_author(endpoint, Caller::restricted(egress)?)?,
        None => Server::of_aws(identity.caller())?,
    };
    Ok(Service::Aws(Box::new(Route53::new(server, credentials, settings))))
}

pub(super) async fn google(
    given: &Given,
    identity: &Identity,
    ambient: Option<Ambient>,
) -> Result<Service, ServiceError> {
    let source = match ambient {
        Some(ambient) => GoogleSource::Ambient(ambient),
        None => GoogleSource::ServiceAccountKey(given.need("serviceAccount").into()),
    };
    let settings = CloudDnsSettings {
        project: given.need("project").to_owned(),
        managed_zone: given.owned("hostedZoneName"),
        private: given.is("privateZone"),
    };
    let service = CloudDns::connect(identity, &source, given.get("impersonate"), settings).await?;
    Ok(Service::Google(Box::new(service)))
}

pub(super) async fn azure(
    provider: &Provider,
    given: &Given,
    identity: &Identity,
    ambient: Option<Ambient>,
) -> Result<Service, ServiceError> {
    // An application's secret is useless without them.
    let needed = |name| match (given.owned(name), provider.field(name)) {
        (None, Some(field)) => Err(ServiceError::new(missing(provider, field).to_string())),
        (value, _) => Ok(value.unwrap_or_default()),
    };
    let source = match ambient {
        Some(ambient) => AzureSource::Ambient {
            ambient,
            tenant_id: given.owned("tenantID"),
            client_id: given.owned("clientID"),
            resource_id: given.owned("resourceID"),
        },
        None => AzureSource::ClientSecret {
            tenant_id: needed("tenantID")?,
            client_id: needed("clientID")?,
            client_secret: given.need("clientSecret").into(),
        },
    };
    let settings = AzureDnsSettings {
        cloud: given.need("environment").parse().unwrap_or_default(),
        subscription: given.need("subscriptionID").to_owned(),
        resource_group: given.need("resourceGroupName").to_owned(),
        private: given.need("zoneType") == "AzurePrivateZone",
    };
    let service = AzureDns::connect(identity, &source, settings).await?;
    Ok(Service::Azure(Box::new(service)))
}
