//! What a cluster may contain: the objects of a shop, which no operator has made.

use anyhow::Result;
use certwright_api::{Certificate, Issuer};
use certwright_cluster::TestNamespace;
use certwright_runtime::clock;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The namespace that the pictures of the documentation show.
pub const SHOP: &str = "shop";

/// Three issuers and sixty Certificates.
pub async fn fill(ns: &TestNamespace) -> Result<()> {
    let now = clock::now();
    let issuers = [
        (
            "letsencrypt",
            "https://acme-v02.api.letsencrypt.example/directory",
            "AccountRegistered",
            "The account is registered",
        ),
        (
            "atlas",
            "https://emea.acme.atlas.example/directory",
            "AccountRegistered",
            "The account is registered",
        ),
        (
            "sectigo",
            "https://acme.sectigo.example/v2/OV",
            "OUT_OF_CREDIT",
            "Placing the order failed: OUT_OF_CREDIT: the balance of the account is 0. Buy credit in the CA's portal. Then run \
             `certwright retry issuer sectigo`",
        ),
    ];
    for (name, server, reason, message) in issuers {
        let ready = if reason == "AccountRegistered" { "True" } else { "False" };
        let object = json!({
            "metadata": { "name": name },
            "spec": { "acme": { "server": server, "solvers": [{ "http01": { "ingress": { "ingressClassName": "nginx" } } }] } },
        });
        let status = json!({
            "conditions": [condition("Ready", ready, reason, message, ago(now, 5))],
            "acme": {
                "uri": format!("{}/account/8723", server.rsplit_once('/').map_or("", |(host, _)| host)), "server": server,
                "keyThumbprint": "", "keyAlgorithm": "ECDSA P-256", "maxConcurrentOrders": 50,
            },
        });
        create::<Issuer>(ns, &object, &status).await?;
    }
    let certificates = certificates(now);
    let writes = certificates.iter().map(|(object, status)| create::<Certificate>(ns, object, status));
    stream::iter(writes).buffer_unordered(8).try_collect().await
}

/// The Certificates and their statuses.
fn certificates(now: Timestamp) -> Vec<(Value, Value)> {
    const SERVICES: [&str; 12] = [
        "www", "api", "cart", "checkout", "login", "static", "images", "search", "mail", "admin", "status",
        "blog",
    ];
    const DOMAINS: [&str; 5] =
        ["shop.example", "shop.example.com", "shop.example.net", "store.example", "outlet.example"];
    let mut made = Vec::new();
    for (number, (domain, service)) in
        DOMAINS.iter().flat_map(|domain| SERVICES.map(|service| (domain, service))).enumerate()
    {
        let name = format!("{service}-{}", domain.replace('.', "-"));
        let issuer = ["letsencrypt", "letsencrypt", "atlas", "letsencrypt", "sectigo"][number % 5];
        let mut object = spec(&name, &format!("{service}.{domain}"), issuer);
        // Spread over the lifetime, not evenly.
        let spread = i64::try_from(number * 37 % 60).unwrap_or_default();
        let (lifetime, before) = match issuer {
            "letsencrypt" => (90, 30),
            _ => (365, 60),
        };
        let left = before + 1 + spread * (lifetime - before - 2) / 60;
        let mut status = ready(now, left, left - before);
        let reach = "Placing the order failed: CAA record for outlet.example prevents issuance (urn:ietf:params:acme:error:caa). Add a CAA \
                     record that allows this CA, with the domain in the CA's documentation, to the zone that the message names";
        let waits = format!(
            "{service}.{domain}: 198.51.100.7:80 refused the connection; check that the ingress controller listens there"
        );
        match number {
            49 | 51 => status = failed(now, "CAA", reach),
            8 => {
                status = working(now, "WaitingForSelfCheck", &waits);
                status["order"] = json!({
                    "url": "https://acme-v02.api.letsencrypt.example/order/8723/1", "state": "pending", "created": ago(now, 2),
                    "account": "https://acme-v02.api.letsencrypt.example/account/8723",
                });
            }
            14 | 24 | 34 => {
                let message = "Issuer sectigo is not ready: OUT_OF_CREDIT: the balance of the account is 0";
                status = working(now, "IssuerNotReady", message);
                status["notAfter"] = json!(whole(now + SignedDuration::from_hours(24 * 6 + number as i64)));
                status["renewalTime"] = whole(now - days(2));
                status["conditions"][0]["status"] = "True".into();
                status["conditions"][0]["reason"] = "Ready".into();
                status["conditions"][1]["lastTransitionTime"] = json!(whole(now - days(2)));
            }
            17 => object["spec"]["fallbackIssuerRefs"] = json!([{ "name": "letsencrypt" }]),
            _ => {}
        }
        made.push((object, status));
    }
    made
}

/// A Certificate at rest, as the API server would return it.
pub fn at_rest(namespace: &str, number: usize, now: Timestamp) -> Value {
    let name = format!("rest-{number}");
    let mut object = spec(&name, &format!("{name}.example.com"), &format!("ca-{}", number % 20));
    object["apiVersion"] = "certwright.dev/v1alpha1".into();
    object["kind"] = "Certificate".into();
    object["metadata"] = json!({
        "name": name, "namespace": namespace, "generation": 1, "uid": name, "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    let left = 31 + i64::try_from(number % 59).unwrap_or_default();
    object["status"] = ready(now, left, left - 30);
    object["status"]["conditions"][0]["observedGeneration"] = 1.into();
    object
}

fn spec(name: &str, dns_name: &str, issuer: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "secretName": format!("{name}-tls"), "dnsNames": [dns_name], "issuerRef": { "name": issuer } },
    })
}

fn ready(now: Timestamp, expires: i64, renews: i64) -> Value {
    json!({
        "conditions": [condition("Ready", "True", "Ready", "The certificate is valid", ago(now, 12 * 60))],
        "notAfter": whole(now + days(expires)), "renewalTime": whole(now + days(renews)),
    })
}

fn failed(now: Timestamp, reason: &str, message: &str) -> Value {
    json!({
        "conditions": [
            condition("Ready", "False", reason, message, ago(now, 150)),
            condition("Issuing", "False", reason, message, ago(now, 150)),
        ],
        "failedIssuanceAttempts": 3, "lastFailureTime": ago(now, 12), "nextAttemptTime": whole(now + SignedDuration::from_mins(108)),
    })
}

fn working(now: Timestamp, reason: &str, message: &str) -> Value {
    json!({ "conditions": [
        condition("Ready", "False", reason, message, ago(now, 2)), condition("Issuing", "True", reason, message, ago(now, 2)),
    ] })
}

pub fn condition(type_: &str, status: &str, reason: &str, message: &str, since: Value) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": since,
    })
}

fn ago(now: Timestamp, minutes: i64) -> Value {
    whole(now - SignedDuration::from_mins(minutes))
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn whole(time: Timestamp) -> Value {
    json!(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// Creates an object with this status.
pub async fn create<K>(ns: &TestNamespace, object: &Value, status: &Value) -> Result<()>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let mut object = object.clone();
    object["apiVersion"] = K::api_version(&()).into();
    object["kind"] = K::kind(&()).into();
    let object: K = serde_json::from_value(object)?;
    let api = ns.api::<K>();
    api.create(&PostParams::default(), &object).await?;
    let patch = Patch::Merge(json!({ "status": status }));
    api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await?;
    Ok(())
}
