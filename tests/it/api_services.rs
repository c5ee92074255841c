//! Which settings of DNS services the API rejects, with which messages, and that it accepts those of cert-manager's documentation.

use crate::api_solvers::{accepts_for_cert_manager, refuses};
use anyhow::Result;
use serde_json::{Value, json};

#[tokio::test]
async fn settings_of_a_dns_service_that_cannot_be_used_are_refused() -> Result<()> {
    let dns01 = |service: &str, fields: Value| json!({ "dns01": { service: fields } });
    let secret = json!({ "name": "a", "key": "b" });
    let azure = |fields: Value| {
        let mut all = json!({ "subscriptionID": "a", "resourceGroupName": "b" });
        fields.as_object().into_iter().flatten().for_each(|(key, value)| all[key] = value.clone());
        dns01("azureDNS", all)
    };
    let identity = |fields: Value| azure(json!({ "managedIdentity": fields }));
    let principal =
        "dns01.azureDNS: set all of clientID, clientSecretSecretRef and tenantID, or none of them";
    let keys = "dns01.route53: set both an access key id (accessKeyID or accessKeyIDSecretRef) and secretAccessKeySecretRef";
    let account = json!({ "kubernetes": { "serviceAccountRef": { "name": "dns" } } });
    refuses(&[
        (dns01("cloudflare", json!({})), "dns01.cloudflare: set apiTokenSecretRef"),
        (
            dns01("cloudflare", json!({ "email": "a@example.com", "apiKeySecretRef": secret })),
            "dns01.cloudflare.apiKeySecretRef: the API key of a whole Cloudflare account is not supported; create an API token \
             with the permission Zone / DNS / Edit, and set apiTokenSecretRef",
        ),
        (dns01("cloudflare", json!({ "apiTokenSecretRef": { "name": "a" } })), "apiTokenSecretRef.key: Required value"),
        (dns01("digitalocean", json!({})), "digitalocean.tokenSecretRef: Required value"),
        (dns01("akamai", json!({ "serviceConsumerDomain": "a.test" })), "akamai.accessTokenSecretRef: Required value"),
        (dns01("cloudDNS", json!({})), "cloudDNS.project: Required value"),
        (dns01("route53", json!({ "auth": account })), "dns01.route53.auth: the operator does not request tokens of other"),
        (dns01("route53", json!({ "accessKeyID": "a" })), keys),
        (dns01("route53", json!({ "secretAccessKeySecretRef": secret })), keys),
        (
            dns01(
                "route53",
                json!({ "accessKeyID": "a", "accessKeyIDSecretRef": secret, "secretAccessKeySecretRef": secret }),
            ),
            "dns01.route53: accessKeyID and accessKeyIDSecretRef are mutually exclusive; remove one",
        ),
        (dns01("azureDNS", json!({ "subscriptionID": "a" })), "azureDNS.resourceGroupName: Required value"),
        (azure(json!({ "clientID": "a" })), principal),
        (azure(json!({ "clientID": "a", "tenantID": "b" })), principal),
        (
            azure(json!({
                "clientID": "a", "tenantID": "b", "clientSecretSecretRef": secret, "managedIdentity": {},
            })),
            "dns01.azureDNS: managedIdentity cannot be combined with clientID",
        ),
        (
            azure(json!({ "environment": "AzureGermanCloud" })),
            "dns01.azureDNS.environment: AzureGermanCloud was shut down in 2021",
        ),
        (azure(json!({ "zoneType": "Private" })), "supported values: \"AzurePublicZone\", \"AzurePrivateZone\""),
        (identity(json!({ "tenantID": "a" })), "dns01.azureDNS.managedIdentity: tenantID requires clientID"),
        (
            identity(json!({ "resourceID": "a", "clientID": "b" })),
            "dns01.azureDNS.managedIdentity: resourceID cannot be combined with clientID and tenantID; remove one",
        ),
    ])
    .await
}

#[tokio::test]
async fn the_services_in_cert_managers_documentation_are_accepted() -> Result<()> {
    accepts_for_cert_manager(FOR_CERT_MANAGER).await
}

/// Each service, as in cert-manager's documentation.
const FOR_CERT_MANAGER: &str = "
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: services
spec:
  acme:
    email: admin@example.com
    server: https://acme-v02.api.letsencrypt.org/directory
    privateKeySecretRef:
      name: example-issuer-account-key
    solvers:
    - dns01:
        cloudflare:
          email: my-cloudflare-acc@example.com
          apiTokenSecretRef:
            name: cloudflare-api-token-secret
            key: api-token
    - dns01:
        route53:
          region: us-east-1
          role: arn:aws:iam::YYYYYYYYYYYY:role/dns-manager
    - dns01:
        route53:
          region: eu-central-1
          hostedZoneID: DIKER8JEXAMPLE
          accessKeyID: AKIAIOSFODNN7EXAMPLE
          secretAccessKeySecretRef:
            name: prod-route53-credentials-secret
            key: secret-access-key
    - dns01:
        cloudDNS:
          project: my-project
          hostedZoneName: my-zone
          serviceAccountSecretRef:
            name: clouddns-dns01-solver-svc-acct
            key: key.json
    - dns01:
        azureDNS:
          clientID: app-id
          clientSecretSecretRef:
            name: azuredns-config
            key: client-secret
          subscriptionID: subscription-id
          tenantID: tenant-id
          resourceGroupName: group
          hostedZoneName: example.com
          environment: AzurePublicCloud
    - dns01:
        azureDNS:
          resourceGroupName: group
          subscriptionID: subscription-id
          hostedZoneName: example.com
          environment: AzurePublicCloud
          managedIdentity:
            clientID: identity-client-id
    - dns01:
        digitalocean:
          tokenSecretRef:
            name: digitalocean-dns
            key: access-token
    - dns01:
        akamai:
          serviceConsumerDomain: akab-tho6xie2aiteip8p-poith5aej0ughaba.luna.akamaiapis.net
          clientTokenSecretRef:
            name: akamai-secret
            key: clientToken
          clientSecretSecretRef:
            name: akamai-secret
            key: clientSecret
          accessTokenSecretRef:
            name: akamai-secret
            key: accessToken
";
