//! Azure DNS.

use std::sync::Arc;

use anyhow::Result;
use parking_lot::Mutex;
use serde_json::json;

use crate::azure_dns::{FakeAzureDns, Set};
use crate::compare::{FOREIGN, Other, ZONE, compare};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;

#[tokio::test]
async fn azure_dns_is_left_as_lexicon_leaves_it() -> Result<()> {
    let lab = Lab::start().await?;
    let zones = Arc::new(Mutex::new(FakeAzureDns { zones: vec![ZONE], ..FakeAzureDns::default() }));
    let served = Arc::clone(&zones);
    lab.host("login.microsoftonline.com", fake(token))?;
    lab.host("management.azure.com", fake(move |call| answer(call, &mut served.lock())))?;
    let settings = json!({
        "subscriptionID": "sub-1", "resourceGroupName": "dns-rg", "tenantID": "tenant", "clientID": "client",
    });
    let given =
        Given::new(json!({ "provider": "azure", "settings": settings }), &[("clientSecret", "a-secret")]);
    let place = || (ZONE.to_owned(), "_acme-challenge.www".to_owned());
    let other = Other::Python(
        "azure",
        json!({
            "auth_tenant_id": "tenant", "auth_client_id": "client", "auth_client_secret": "a-secret", "auth_subscription_id": "sub-1",
            "resource_group": "dns-rg",
        }),
    );
    let reset = async || {
        let set = Set { ttl: 300, values: vec![vec![FOREIGN.to_owned()]], version: 1, ..Set::default() };
        zones.lock().sets = [(place(), set)].into();
        Ok(())
    };
    let values = async || {
        let set = zones.lock().sets.get(&place()).cloned().unwrap_or_default();
        Ok(set.values.iter().map(|strings| strings.concat()).collect())
    };
    compare(&lab.cluster, &given, &lab.environment(), Some(other), reset, values).await
}

fn token(call: &Call) -> Answer {
    match call.path.join("/").as_str() {
        "tenant/oauth2/v2.0/token" | "tenant/oauth2/token" => Answer::Json(
            200,
            json!({ "access_token": "eyJ.token", "expires_in": 3599, "token_type": "Bearer" }),
        ),
        _ => Answer::Json(
            400,
            json!({ "error": "invalid_request", "error_description": "AADSTS90002: Tenant not found." }),
        ),
    }
}

fn answer(call: &Call, zones: &mut FakeAzureDns) -> Answer {
    if call.header("authorization") != "Bearer eyJ.token" {
        return Answer::Json(
            401,
            json!({ "error": { "code": "InvalidAuthenticationToken", "message": "invalid" } }),
        );
    }
    let query = call.query.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let header = |name: &'static str| (name.to_owned(), call.header(name).to_owned());
    let headers =
        ["if-match", "if-none-match"].map(header).into_iter().filter(|(_, value)| !value.is_empty());
    let body = call.json.to_string();
    let path = call.path.join("/");
    let (status, body) = zones.answer(&call.method, &path, &query, &headers.collect(), body.as_bytes());
    Answer::Json(status, body)
}
