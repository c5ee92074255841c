//! What the operator sends for cert-manager's own solvers.

use std::collections::BTreeSet;

use certwright_api::Dns01Services;
use certwright_solver::dns01::services;

use super::*;

#[test]
fn what_the_operator_sends_for_each_solver_of_cert_manager_can_be_read() {
    let secret = json!({ "name": "a", "key": "b" });
    for (solver, provider) in [
        (json!({ "cloudflare": { "email": "a@example.com", "apiTokenSecretRef": secret } }), "cloudflare"),
        (json!({ "digitalocean": { "tokenSecretRef": secret } }), "digitalocean"),
        (
            json!({ "akamai": {
                "serviceConsumerDomain": "akab-1.luna.akamaiapis.net", "clientTokenSecretRef": secret,
                "clientSecretSecretRef": secret, "accessTokenSecretRef": secret,
            } }),
            "akamai",
        ),
        (
            json!({ "route53": {
                "region": "eu-west-1", "hostedZoneID": "Z1", "role": "arn:aws:iam::1:role/dns", "accessKeyID": "AKIA",
                "secretAccessKeySecretRef": secret,
            } }),
            "route53",
        ),
        (
            json!({ "route53": { "accessKeyIDSecretRef": secret, "secretAccessKeySecretRef": secret } }),
            "route53",
        ),
        (json!({ "route53": { "region": "eu-west-1" } }), "route53"),
        (
            json!({ "cloudDNS": { "project": "p", "hostedZoneName": "z", "serviceAccountSecretRef": secret } }),
            "google",
        ),
        (json!({ "cloudDNS": { "project": "p" } }), "google"),
        (
            json!({ "azureDNS": {
                "subscriptionID": "s", "resourceGroupName": "g", "hostedZoneName": "example.com",
                "environment": "AzureUSGovernmentCloud", "zoneType": "AzurePrivateZone", "tenantID": "t", "clientID": "c",
                "clientSecretSecretRef": secret,
            } }),
            "azure",
        ),
        (
            json!({ "azureDNS": {
                "subscriptionID": "s", "resourceGroupName": "g", "managedIdentity": { "clientID": "c", "tenantID": "t" },
            } }),
            "azure",
        ),
        (
            json!({ "azureDNS": {
                "subscriptionID": "s", "resourceGroupName": "g", "managedIdentity": { "resourceID": "r" },
            } }),
            "azure",
        ),
    ] {
        let settings: Dns01Services = serde_json::from_value(solver.clone()).unwrap();
        let sent = services::webhook(&settings, services::DEFAULT_GROUP).unwrap().unwrap();
        let config =
            parse(&sent.config.unwrap().value().unwrap()).unwrap_or_else(|error| panic!("{solver}: {error}"));
        assert_eq!(config.provider.name, provider, "{solver}");
        let names: BTreeSet<String> = config.secrets().into_iter().map(|secret| secret.name).collect();
        assert_eq!(names, BTreeSet::from_iter(services::secrets(&settings)), "{solver}");
    }
}
