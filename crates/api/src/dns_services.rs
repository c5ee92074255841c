//! The DNS services that cert-manager has built in, in the same form. `certwright-dns` changes the records there.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, MAX_DNS_NAME};
use crate::schema;

/// Why `dns01.cloudflare.apiKeySecretRef` is rejected.
pub const CLOUDFLARE_API_KEY: &str = "dns01.cloudflare.apiKeySecretRef: the API key of a whole Cloudflare account is not supported; create an API token with the permission Zone / DNS / Edit, and set apiTokenSecretRef";
/// Why `dns01.route53.auth` is rejected.
pub const ROUTE53_AUTH: &str = "dns01.route53.auth: the operator does not request tokens of other service accounts; give the service account of certwright-dns the role (IRSA or EKS Pod Identity) and remove auth, or set accessKeyIDSecretRef and secretAccessKeySecretRef";
/// Why the environment `AzureGermanCloud` is rejected.
pub const AZURE_GERMAN_CLOUD: &str = "dns01.azureDNS.environment: AzureGermanCloud was shut down in 2021; use AzurePublicCloud, AzureChinaCloud or AzureUSGovernmentCloud";

/// The DNS services that `certwright-dns` changes records at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01Services {
    /// Akamai Edge DNS, through `certwright-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub akamai: Option<Dns01Akamai>,
    /// Azure DNS, through `certwright-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "azureDNS")]
    pub azure_dns: Option<Dns01AzureDns>,
    /// Google Cloud DNS, through `certwright-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cloudDNS")]
    pub cloud_dns: Option<Dns01CloudDns>,
    /// Cloudflare, through `certwright-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudflare: Option<Dns01Cloudflare>,
    /// DigitalOcean, through `certwright-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digitalocean: Option<Dns01DigitalOcean>,
    /// Amazon Route 53, through `certwright-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route53: Option<Dns01Route53>,
}

/// Akamai Edge DNS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01Akamai {
    /// Host name of the API client, such as `akab-0000000000000000-0000000000000000.luna.akamaiapis.net`.
    #[serde(deserialize_with = "bounds::dns_name")]
    #[schemars(length(min = 1, max = MAX_DNS_NAME), regex(pattern = bounds::DNS_NAME))]
    pub service_consumer_domain: String,
    /// Secret with the client token of the API client.
    pub client_token_secret_ref: Dns01SecretKey,
    /// Secret with the client secret of the API client.
    pub client_secret_secret_ref: Dns01SecretKey,
    /// Secret with the access token of the API client.
    pub access_token_secret_ref: Dns01SecretKey,
}

/// Azure DNS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.clientID) == has(self.clientSecretSecretRef) && has(self.clientID) == has(self.tenantID)")
        .message("dns01.azureDNS: set all of clientID, clientSecretSecretRef and tenantID, or none of them"),
    validation = Rule::new("!(has(self.clientID) && has(self.managedIdentity))")
        .message("dns01.azureDNS: managedIdentity cannot be combined with clientID, clientSecretSecretRef and tenantID; remove one"),
)]
pub struct Dns01AzureDns {
    /// Application (client) id of a service principal. Without one, the identity of `certwright-dns` is used.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "clientID",
        deserialize_with = "bounds::optional_text::<_, 64>"
    )]
    #[schemars(length(max = 64))]
    pub client_id: Option<String>,
    /// Secret with the password of the service principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_secret_ref: Option<Dns01SecretKey>,
    /// Id of the Azure subscription.
    #[serde(rename = "subscriptionID", deserialize_with = "bounds::text::<_, 64>")]
    #[schemars(length(min = 1, max = 64))]
    pub subscription_id: String,
    /// Id of the tenant that the service principal belongs to.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "tenantID",
        deserialize_with = "bounds::optional_text::<_, MAX_DNS_NAME>"
    )]
    #[schemars(length(max = MAX_DNS_NAME))]
    pub tenant_id: Option<String>,
    /// Resource group of the zone.
    #[serde(deserialize_with = "bounds::text::<_, 90>")]
    #[schemars(length(min = 1, max = 90))]
    pub resource_group_name: String,
    /// Name of the zone. By default, the zone that the name servers report.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, MAX_DNS_NAME>"
    )]
    #[schemars(length(max = MAX_DNS_NAME))]
    pub hosted_zone_name: Option<String>,
    /// Which Azure cloud. Defaults to `AzurePublicCloud`. `AzureGermanCloud` no longer exists, and is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self != 'AzureGermanCloud'").message(AZURE_GERMAN_CLOUD))]
    pub environment: Option<AzureEnvironment>,
    /// Use the identity of `certwright-dns`: workload identity, or a managed identity of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<AzureManagedIdentity>,
    /// `AzurePublicZone` (the default), or `AzurePrivateZone` for a zone of Azure Private DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_type: Option<AzureZoneType>,
}

/// An Azure cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum AzureEnvironment {
    /// The public cloud.
    #[default]
    AzurePublicCloud,
    /// The cloud in China.
    AzureChinaCloud,
    /// The cloud in Germany, which no longer exists.
    AzureGermanCloud,
    /// The cloud of the government of the United States.
    AzureUSGovernmentCloud,
}

/// A type of zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum AzureZoneType {
    /// A zone that everybody sees.
    #[default]
    AzurePublicZone,
    /// A zone of virtual networks.
    AzurePrivateZone,
}

/// Which identity of Azure `certwright-dns` uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.resourceID) || !(has(self.clientID) || has(self.tenantID))")
        .message("dns01.azureDNS.managedIdentity: resourceID cannot be combined with clientID and tenantID; remove one"),
    validation = Rule::new("!has(self.tenantID) || has(self.clientID)")
        .message("dns01.azureDNS.managedIdentity: tenantID requires clientID"),
)]
pub struct AzureManagedIdentity {
    /// Client id of the identity.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "clientID",
        deserialize_with = "bounds::optional_text::<_, 64>"
    )]
    #[schemars(length(max = 64))]
    pub client_id: Option<String>,
    /// Resource id of the identity, as an alternative to its client id. Not with workload identity.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "resourceID",
        deserialize_with = "bounds::optional_text::<_, 2048>"
    )]
    #[schemars(length(max = 2048))]
    pub resource_id: Option<String>,
    /// Id of the tenant that the identity belongs to.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "tenantID",
        deserialize_with = "bounds::optional_text::<_, MAX_DNS_NAME>"
    )]
    #[schemars(length(max = MAX_DNS_NAME))]
    pub tenant_id: Option<String>,
}

/// Google Cloud DNS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01CloudDns {
    /// Secret with the key of a service account, in JSON. Without one, the identity of `certwright-dns` is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_secret_ref: Option<Dns01SecretKey>,
    /// Id of the Google Cloud project.
    #[serde(deserialize_with = "bounds::text::<_, 128>")]
    #[schemars(length(min = 1, max = 128))]
    pub project: String,
    /// Name of the managed zone in Cloud DNS, such as `example-com`. By default, the public one for the name.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, 63>"
    )]
    #[schemars(length(max = 63))]
    pub hosted_zone_name: Option<String>,
}

/// Cloudflare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.apiTokenSecretRef) || has(self.apiKeySecretRef)")
    .message("dns01.cloudflare: set apiTokenSecretRef"))]
pub struct Dns01Cloudflare {
    /// Accepted, but has no effect: an API token needs no email address.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, 254>"
    )]
    #[schemars(length(max = 254))]
    pub email: Option<String>,
    /// Not supported: an API key gives access to the whole account. Use `apiTokenSecretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(CLOUDFLARE_API_KEY))]
    pub api_key_secret_ref: Option<Dns01SecretKey>,
    /// Secret with an API token that may edit the DNS records of the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_token_secret_ref: Option<Dns01SecretKey>,
}

/// DigitalOcean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns01DigitalOcean {
    /// Secret with a personal access token that may read and write domains.
    pub token_secret_ref: Dns01SecretKey,
}

/// Amazon Route 53.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.accessKeyID) && has(self.accessKeyIDSecretRef))")
        .message("dns01.route53: accessKeyID and accessKeyIDSecretRef are mutually exclusive; remove one"),
    validation = Rule::new("(has(self.accessKeyID) || has(self.accessKeyIDSecretRef)) == has(self.secretAccessKeySecretRef)")
        .message("dns01.route53: set both an access key id (accessKeyID or accessKeyIDSecretRef) and secretAccessKeySecretRef, or neither"),
)]
pub struct Dns01Route53 {
    /// Not supported: the operator does not request tokens of other service accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(ROUTE53_AUTH))]
    pub auth: Option<Route53Auth>,
    /// Id of an access key. Without one, the identity of `certwright-dns` is used.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "accessKeyID",
        deserialize_with = "bounds::optional_text::<_, 128>"
    )]
    #[schemars(length(max = 128))]
    pub access_key_id: Option<String>,
    /// Secret with the id of an access key, as an alternative to `accessKeyID`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "accessKeyIDSecretRef")]
    pub access_key_id_secret_ref: Option<Dns01SecretKey>,
    /// Secret with the secret of the access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key_secret_ref: Option<Dns01SecretKey>,
    /// ARN of a role to assume with these credentials.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, 2048>"
    )]
    #[schemars(length(max = 2048))]
    pub role: Option<String>,
    /// Id of the hosted zone. By default, it is looked up by name; set it if there is a private zone of the same name, too.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "hostedZoneID",
        deserialize_with = "bounds::optional_text::<_, 64>"
    )]
    #[schemars(length(max = 64))]
    pub hosted_zone_id: Option<String>,
    /// AWS region that requests are signed for. Defaults to `us-east-1`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_text::<_, 64>"
    )]
    #[schemars(length(max = 64))]
    pub region: Option<String>,
}

/// How cert-manager authenticates at Route 53.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Route53Auth {
    /// By the token of a service account.
    pub kubernetes: Route53KubernetesAuth,
}

/// The token of a service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route53KubernetesAuth {
    /// Which service account.
    pub service_account_ref: Route53ServiceAccountRef,
}

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Route53ServiceAccountRef {
    /// Its name.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = bounds::MAX_OBJECT_NAME), regex(pattern = bounds::OBJECT_NAME))]
    pub name: String,
    /// Audiences of the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounds::list::<_, _, 16>")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 300)))]
    pub audiences: Vec<String>,
}

/// Reference to a value in a Secret, without a default for its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dns01SecretKey {
    /// Name of the Secret, in the Issuer's namespace; for a ClusterIssuer, in the operator's namespace.
    #[serde(deserialize_with = "bounds::object_name")]
    #[schemars(length(min = 1, max = bounds::MAX_OBJECT_NAME), regex(pattern = bounds::OBJECT_NAME))]
    pub name: String,
    /// Key in the Secret's data.
    #[serde(deserialize_with = "bounds::text::<_, 253>")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
