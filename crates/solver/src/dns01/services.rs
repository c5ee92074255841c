//! The DNS services that cert-manager has built in: their settings become a call of `certwright-dns`, a [`webhook`](super::webhook).

use certwright_api::{
    AZURE_GERMAN_CLOUD, AzureEnvironment, AzureZoneType, CLOUDFLARE_API_KEY, Dns01Akamai, Dns01AzureDns,
    Dns01CloudDns, Dns01Cloudflare, Dns01DigitalOcean, Dns01Route53, Dns01SecretKey, Dns01Services,
    Dns01Webhook, OpaqueJson, ROUTE53_AUTH,
};
use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

/// The API group that `certwright-dns` serves, unless it is told another.
pub const DEFAULT_GROUP: &str = "dns.certwright.dev";
/// The name of the solver in that group.
pub const SOLVER: &str = "dns";

/// Settings that `certwright-dns` cannot follow: a sentence, without a full stop. The schema rejects them with the same one.
pub type Refused = &'static str;

/// The webhook in `group` that changes records at the service of a solver, with its configuration; `None` if the solver has no
/// such service.
pub fn webhook(services: &Dns01Services, group: &str) -> Option<Result<Dns01Webhook, Refused>> {
    let config = config(services)?;
    Some(config.map(|config| Dns01Webhook {
        group_name: group.to_owned(),
        solver_name: SOLVER.to_owned(),
        config: Some(OpaqueJson::from(&config)),
    }))
}

/// The names of the Secrets that `certwright-dns` reads for a service, each once.
pub fn secrets(services: &Dns01Services) -> Vec<String> {
    let config = config(services).and_then(Result::ok).unwrap_or_default();
    let credentials = config["credentials"].as_object().into_iter().flatten();
    let mut names: Vec<String> =
        credentials.filter_map(|(_, value)| value["secretRef"]["name"].as_str().map(str::to_owned)).collect();
    names.sort();
    names.dedup();
    names
}

fn config(services: &Dns01Services) -> Option<Result<Value, Refused>> {
    let Dns01Services { akamai, azure_dns, cloud_dns, cloudflare, digitalocean, route53 } = services;
    None.or_else(|| akamai.as_ref().map(|settings| Ok(of_akamai(settings))))
        .or_else(|| azure_dns.as_ref().map(of_azure_dns))
        .or_else(|| cloud_dns.as_ref().map(|settings| Ok(of_cloud_dns(settings))))
        .or_else(|| cloudflare.as_ref().map(of_cloudflare))
        .or_else(|| digitalocean.as_ref().map(|settings| Ok(of_digitalocean(settings))))
        .or_else(|| route53.as_ref().map(of_route53))
}

fn of_akamai(akamai: &Dns01Akamai) -> Value {
    Config::new("akamai")
        .setting("host", Some(&akamai.service_consumer_domain))
        .credential("clientToken", Some(&akamai.client_token_secret_ref))
        .credential("clientSecret", Some(&akamai.client_secret_secret_ref))
        .credential("accessToken", Some(&akamai.access_token_secret_ref))
        .end()
}

fn of_azure_dns(azure: &Dns01AzureDns) -> Result<Value, Refused> {
    let environment = match azure.environment {
        None => None,
        Some(AzureEnvironment::AzurePublicCloud) => Some("AzurePublicCloud"),
        Some(AzureEnvironment::AzureChinaCloud) => Some("AzureChinaCloud"),
        Some(AzureEnvironment::AzureUSGovernmentCloud) => Some("AzureUSGovernmentCloud"),
        Some(AzureEnvironment::AzureGermanCloud) => return Err(AZURE_GERMAN_CLOUD),
    };
    let zone_type = azure.zone_type.map(|zone_type| match zone_type {
        AzureZoneType::AzurePublicZone => "AzurePublicZone",
        AzureZoneType::AzurePrivateZone => "AzurePrivateZone",
    });
    let identity = azure.managed_identity.clone().unwrap_or_default();
    let config = Config::new("azure")
        .zone(azure.hosted_zone_name.as_deref())
        .setting("subscriptionID", Some(&azure.subscription_id))
        .setting("resourceGroupName", Some(&azure.resource_group_name))
        .setting("environment", environment)
        .setting("zoneType", zone_type)
        .setting("clientID", azure.client_id.as_deref().or(identity.client_id.as_deref()))
        .setting("tenantID", azure.tenant_id.as_deref().or(identity.tenant_id.as_deref()))
        .setting("resourceID", identity.resource_id.as_deref())
        .credential("clientSecret", azure.client_secret_secret_ref.as_ref());
    Ok(config.end())
}

fn of_cloud_dns(google: &Dns01CloudDns) -> Value {
    Config::new("google")
        .setting("project", Some(&google.project))
        .setting("hostedZoneName", google.hosted_zone_name.as_deref())
        .credential("serviceAccount", google.service_account_secret_ref.as_ref())
        .end()
}

fn of_cloudflare(cloudflare: &Dns01Cloudflare) -> Result<Value, Refused> {
    match (&cloudflare.api_token_secret_ref, &cloudflare.api_key_secret_ref) {
        (Some(token), None) => Ok(Config::new("cloudflare").credential("apiToken", Some(token)).end()),
        _ => Err(CLOUDFLARE_API_KEY),
    }
}

fn of_digitalocean(digitalocean: &Dns01DigitalOcean) -> Value {
    Config::new("digitalocean").credential("token", Some(&digitalocean.token_secret_ref)).end()
}

fn of_route53(route53: &Dns01Route53) -> Result<Value, Refused> {
    if route53.auth.is_some() {
        return Err(ROUTE53_AUTH);
    }
    let config = Config::new("route53")
        .setting("region", route53.region.as_deref())
        .setting("hostedZoneID", route53.hosted_zone_id.as_deref())
        .setting("role", route53.role.as_deref())
        .setting("accessKeyID", route53.access_key_id.as_deref())
        .credential("accessKeyID", route53.access_key_id_secret_ref.as_ref())
        .credential("secretAccessKey", route53.secret_access_key_secret_ref.as_ref());
    Ok(config.end())
}

/// A configuration of `certwright-dns`. What is empty is left out, as in cert-manager.
struct Config(Map<String, Value>);

impl Config {
    fn new(provider: &str) -> Self {
        Self(Map::from_iter([("provider".to_owned(), provider.into())]))
    }

    fn zone(mut self, zone: Option<&str>) -> Self {
        if let Some(zone) = zone.filter(|zone| !zone.is_empty()) {
            self.0.insert("zone".to_owned(), zone.into());
        }
        self
    }

    fn setting(self, name: &str, value: Option<&str>) -> Self {
        self.with("settings", name, value.filter(|value| !value.is_empty()).map(Value::from))
    }

    fn credential(self, name: &str, secret: Option<&Dns01SecretKey>) -> Self {
        let reference =
            |secret: &Dns01SecretKey| json!({ "secretRef": { "name": secret.name, "key": secret.key } });
        self.with("credentials", name, secret.map(reference))
    }

    fn with(mut self, section: &str, name: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            let section = self.0.entry(section).or_insert_with(|| json!({}));
            section[name] = value;
        }
        self
    }

    fn end(self) -> Value {
        Value::Object(self.0)
    }
}
