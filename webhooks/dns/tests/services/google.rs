//! Google Cloud DNS.

use std::sync::Arc;

use anyhow::Result;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use parking_lot::Mutex;
use serde_json::json;

use crate::cloud_dns::FakeCloudDns;
use crate::compare::{FOREIGN, Lego, NAME, Other, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;

#[tokio::test]
async fn google_cloud_dns_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zones) = (Lab::start().await?, zones());
    let served = Arc::clone(&zones);
    lab.host("oauth2.googleapis.com", fake(token))?;
    lab.host("dns.googleapis.com", fake(move |call| answer(call, &mut served.lock())))?;
    let key = key()?;
    let lego = Lego {
        provider: "gcloud",
        environment: environment(&[("GCE_PROJECT", "zones-project"), ("GCE_SERVICE_ACCOUNT", &key)]),
        nameserver: &lab.name_server(),
        // lego removes the whole record set.
        differs: &[(2, &[]), (3, &[])],
    };
    let config = json!({ "provider": "google", "settings": { "project": "zones-project" } });
    let given = Given::new(config, &[("serviceAccount", &key)]);
    let place = || ("public".to_owned(), format!("{NAME}."));
    let reset = async || {
        zones.lock().sets = [(place(), (300, vec![format!("\"{FOREIGN}\"")]))].into();
        Ok(())
    };
    let values = async || {
        let data = zones.lock().sets.get(&place()).map(|(_, data)| data.clone()).unwrap_or_default();
        Ok(data.iter().map(|data| data.trim_matches('"').to_owned()).collect())
    };
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, values).await
}

fn zones() -> Arc<Mutex<FakeCloudDns>> {
    let zones = vec![("private", "service.test.", "private"), ("public", "service.test.", "public")];
    Arc::new(Mutex::new(FakeCloudDns { zones, ..FakeCloudDns::default() }))
}

fn token(_: &Call) -> Answer {
    Answer::Json(200, json!({ "access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer" }))
}

fn answer(call: &Call, zones: &mut FakeCloudDns) -> Answer {
    if call.header("authorization") != "Bearer ya29.token" {
        return Answer::Json(401, json!({ "error": { "code": 401, "message": "Invalid Credentials" } }));
    }
    let query = call.query.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let body = call.json.to_string();
    let (status, body) = zones.answer(&call.method, &call.path.join("/"), &query, body.as_bytes());
    Answer::Json(status, body)
}

/// The key of a service account.
fn key() -> Result<String> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = key.as_der()?;
    let file = json!({
        "type": "service_account", "project_id": "zones-project", "private_key_id": "1f", "client_id": "1",
        "client_email": "certs@zones-project.iam.gserviceaccount.com",
        "private_key": pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())),
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    Ok(file.to_string())
}
