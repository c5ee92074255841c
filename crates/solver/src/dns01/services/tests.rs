use certwright_api::Dns01Solver;
use serde_json::{Value, json};

use super::*;

const GROUP: &str = "dns.example.test";

/// What `certwright-dns` is sent for a solver.
fn config(dns01: Value) -> Result<Value, Refused> {
    let solver: Dns01Solver = serde_json::from_value(dns01).unwrap();
    let webhook = webhook(&solver.services, GROUP).unwrap()?;
    assert_eq!((webhook.group_name.as_str(), webhook.solver_name.as_str()), (GROUP, "dns"));
    Ok(webhook.config.unwrap().value().unwrap())
}

#[test]
fn each_service_of_cert_manager_becomes_a_configuration_of_certwright_dns() {
    let secret = |name: &str, key: &str| json!({ "name": name, "key": key });
    let reference = |name: &str, key: &str| json!({ "secretRef": { "name": name, "key": key } });
    let cases = [
        (
            json!({ "cloudflare": { "email": "you@example.com", "apiTokenSecretRef": secret("cf", "token") } }),
            json!({ "provider": "cloudflare", "credentials": { "apiToken": reference("cf", "token") } }),
        ),
        (
            json!({ "digitalocean": { "tokenSecretRef": secret("do", "access-token") } }),
            json!({ "provider": "digitalocean", "credentials": { "token": reference("do", "access-token") } }),
        ),
        (
            json!({ "akamai": {
                "serviceConsumerDomain": "akab-a.luna.akamaiapis.net",
                "clientTokenSecretRef": secret("ak", "a"), "clientSecretSecretRef": secret("ak", "b"),
                "accessTokenSecretRef": secret("ak", "c"),
            } }),
            json!({
                "provider": "akamai", "settings": { "host": "akab-a.luna.akamaiapis.net" },
                "credentials": {
                    "clientToken": reference("ak", "a"), "clientSecret": reference("ak", "b"),
                    "accessToken": reference("ak", "c"),
                },
            }),
        ),
        (
            json!({ "route53": {
                "region": "eu-west-1", "hostedZoneID": "Z1", "role": "arn:aws:iam::1:role/dns",
                "accessKeyID": "AKIA", "secretAccessKeySecretRef": secret("aws", "secret"),
            } }),
            json!({
                "provider": "route53",
                "settings": {
                    "region": "eu-west-1", "hostedZoneID": "Z1", "role": "arn:aws:iam::1:role/dns",
                    "accessKeyID": "AKIA",
                },
                "credentials": { "secretAccessKey": reference("aws", "secret") },
            }),
        ),
        (
            json!({ "route53": {
                "accessKeyIDSecretRef": secret("aws", "id"), "secretAccessKeySecretRef": secret("aws", "secret"),
            } }),
            json!({
                "provider": "route53",
                "credentials": {
                    "accessKeyID": reference("aws", "id"), "secretAccessKey": reference("aws", "secret"),
                },
            }),
        ),
        (json!({ "route53": {} }), json!({ "provider": "route53" })),
        (
            json!({ "cloudDNS": {
                "project": "my-project", "hostedZoneName": "example-com",
                "serviceAccountSecretRef": secret("gcp", "key.json"),
            } }),
            json!({
                "provider": "google",
                "settings": { "project": "my-project", "hostedZoneName": "example-com" },
                "credentials": { "serviceAccount": reference("gcp", "key.json") },
            }),
        ),
        (
            json!({ "cloudDNS": { "project": "my-project" } }),
            json!({ "provider": "google", "settings": { "project": "my-project" } }),
        ),
        (
            json!({ "azureDNS": {
                "subscriptionID": "s", "resourceGroupName": "g", "hostedZoneName": "example.com",
                "environment": "AzureUSGovernmentCloud", "tenantID": "t", "clientID": "c",
                "clientSecretSecretRef": secret("az", "password"),
            } }),
            json!({
                "provider": "azure", "zone": "example.com",
                "settings": {
                    "subscriptionID": "s", "resourceGroupName": "g", "environment": "AzureUSGovernmentCloud",
                    "tenantID": "t", "clientID": "c",
                },
                "credentials": { "clientSecret": reference("az", "password") },
            }),
        ),
        (
            json!({ "azureDNS": {
                "subscriptionID": "s", "resourceGroupName": "g", "zoneType": "AzurePrivateZone",
                "managedIdentity": { "clientID": "c", "tenantID": "t" },
            } }),
            json!({
                "provider": "azure",
                "settings": {
                    "subscriptionID": "s", "resourceGroupName": "g", "zoneType": "AzurePrivateZone",
                    "tenantID": "t", "clientID": "c",
                },
            }),
        ),
    ];
    for (solver, expected) in cases {
        assert_eq!(config(solver.clone()), Ok(expected), "{solver}");
    }
}

#[test]
fn an_empty_setting_is_left_out() {
    let empty = json!({ "route53": { "region": "", "hostedZoneID": "", "role": "", "accessKeyID": "" } });
    assert_eq!(config(empty), Ok(json!({ "provider": "route53" })));
}

#[test]
fn what_certwright_dns_cannot_follow_is_refused() {
    let secret = json!({ "name": "a", "key": "b" });
    let account = json!({ "kubernetes": { "serviceAccountRef": { "name": "dns" } } });
    for (solver, words) in [
        (
            json!({ "cloudflare": { "email": "a@example.com", "apiKeySecretRef": secret } }),
            "dns01.cloudflare.apiKeySecretRef: ",
        ),
        (
            json!({ "cloudflare": { "apiTokenSecretRef": secret, "apiKeySecretRef": secret } }),
            "dns01.cloudflare.apiKeySecretRef: ",
        ),
        (json!({ "route53": { "auth": account } }), "dns01.route53.auth: "),
        (
            json!({ "azureDNS": {
                "subscriptionID": "s", "resourceGroupName": "g", "environment": "AzureGermanCloud",
            } }),
            "dns01.azureDNS.environment: ",
        ),
    ] {
        let refused = config(solver.clone()).unwrap_err();
        assert!(refused.starts_with(words), "{solver}: {refused}");
    }
}

#[test]
fn other_providers_are_not_sent_to_certwright_dns() {
    let solver = json!({ "webhook": { "groupName": GROUP, "solverName": "dns" } });
    let solver: Dns01Solver = serde_json::from_value(solver).unwrap();
    assert_eq!(webhook(&solver.services, GROUP), None);
    assert_eq!(secrets(&solver.services), [""; 0]);
}

#[test]
fn the_secrets_of_a_service_are_named_once() {
    let secret = |name: &str| json!({ "name": name, "key": "a" });
    let solver = json!({ "akamai": {
        "serviceConsumerDomain": "a.test", "clientTokenSecretRef": secret("b"),
        "clientSecretSecretRef": secret("a"), "accessTokenSecretRef": secret("b"),
    } });
    let solver: Dns01Solver = serde_json::from_value(solver).unwrap();
    assert_eq!(secrets(&solver.services), ["a", "b"]);
}
