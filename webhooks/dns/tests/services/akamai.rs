//! Akamai Edge DNS: <https://techdocs.akamai.com/edge-dns/reference/edge-dns-api>.

use anyhow::Result;
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certwright_solver::dns01::webhook::Action;
use serde_json::{Value, json};

use crate::compare::{NAME, Other, ZONE, compare};
use crate::driver::Driver;
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Zone, unquoted};

const HOST: &str = "akab-test.luna.akamaiapis.net";
const CLIENT_TOKEN: &str = "akab-client-token";
const CLIENT_SECRET: &str = "client-secret-0123456789=";
const ACCESS_TOKEN: &str = "akab-access-token";

#[tokio::test]
async fn akamai_is_left_as_its_own_plugin_for_certbot_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host(HOST, fake(move |call| answer(call, &served)))?;
    let other = Other::Python(
        "edgedns",
        json!({
            "host": HOST, "client_token": CLIENT_TOKEN, "client_secret": CLIENT_SECRET, "access_token": ACCESS_TOKEN,
        }),
    );
    let reset = async || zone.reset();
    let environment = lab.environment();
    compare(&lab.cluster, &given(CLIENT_SECRET), &environment, Some(other), reset, async || zone.values())
        .await?;
    // A name that has no record set yet.
    let mut driver = Driver::own(&environment)?;
    let name = "_acme-challenge.new.service.test";
    let given = given(CLIENT_SECRET);
    assert_eq!(driver.change(&given, Action::Present, name, ZONE, "value").await?, None);
    assert_eq!(zone.find(|record| record.name == name).len(), 1);
    assert_eq!(driver.change(&given, Action::CleanUp, name, ZONE, "value").await?, None);
    assert_eq!(zone.find(|record| record.name == name).len(), 0);
    Ok(())
}

#[tokio::test]
async fn akamais_words_are_quoted_without_secrets() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    lab.host(HOST, fake(move |call| answer(call, &zone)))?;
    let mut driver = Driver::own(&lab.environment())?;
    let said = driver.change(&given("wrong"), Action::Present, NAME, ZONE, "value").await?;
    assert_eq!(
        said.as_deref(),
        Some(
            "adding the TXT record failed: Akamai Edge DNS answered HTTP 401: Not authorized: The signature does not match; check \
             the credentials and their rights"
        )
    );
    Ok(())
}

fn given(secret: &str) -> Given {
    let config = json!({ "provider": "akamai", "settings": { "host": HOST } });
    let secrets = [("clientToken", CLIENT_TOKEN), ("clientSecret", secret), ("accessToken", ACCESS_TOKEN)];
    Given::new(config, &secrets)
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    let problem = |status: u16, title: &str, detail: &str| {
        let instance = "https://problems.luna.akamaiapis.net/-/pep-authn/1";
        Answer::Json(
            status,
            json!({ "title": title, "detail": detail, "status": status, "instance": instance }),
        )
    };
    if !is_signed(call) {
        return problem(401, "Not authorized", "The signature does not match");
    }
    let (method, path) = call.line();
    if path.as_slice() == ["config-dns", "v2", "zones", ZONE] {
        return Answer::Json(200, json!({ "zone": ZONE, "type": "PRIMARY", "activationState": "ACTIVE" }));
    }
    let ["config-dns", "v2", "zones", ZONE, "names", name, "types", kind] = path.as_slice() else {
        return problem(404, "Not Found", "The zone does not exist");
    };
    let set = zone.find(|record| record.name == *name && record.kind == *kind);
    match method {
        "GET" | "PUT" | "DELETE" if set.is_empty() => {
            problem(404, "Not Found", "The record set does not exist")
        }
        "POST" if !set.is_empty() => problem(409, "Conflict", "The record set exists"),
        "GET" => {
            let rdata: Vec<_> = set.iter().map(|record| format!("\"{}\"", record.value)).collect();
            Answer::Json(200, json!({ "name": name, "type": kind, "ttl": set[0].ttl, "rdata": rdata }))
        }
        "PUT" | "POST" => {
            let rdata = call.json["rdata"].as_array().cloned().unwrap_or_default();
            let values: Vec<_> = rdata.iter().filter_map(Value::as_str).map(unquoted).collect();
            if values.is_empty() || call.text("name") != *name || call.text("type") != *kind {
                return problem(422, "Unprocessable", "The record set is not valid");
            }
            zone.replace(name, kind, &values, call.json["ttl"].as_u64().unwrap_or_default());
            Answer::Json(if method == "POST" { 201 } else { 200 }, call.json.clone())
        }
        "DELETE" => {
            zone.remove(|record| record.name == *name && record.kind == *kind);
            Answer::Empty(204)
        }
        _ => problem(405, "Method Not Allowed", method),
    }
}

/// Whether the signature is that of <https://techdocs.akamai.com/developer/docs/authenticate-with-edgegrid>.
fn is_signed(call: &Call) -> bool {
    let hmac = |key: &str, data: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        STANDARD.encode(hmac::sign(&key, data.as_bytes()))
    };
    let Some((unsigned, signature)) = call.header("authorization").split_once("signature=") else {
        return false;
    };
    let field =
        |name: &str| unsigned.split([' ', ';']).find_map(|part| part.strip_prefix(name)).unwrap_or_default();
    let known = field("client_token=") == CLIENT_TOKEN && field("access_token=") == ACCESS_TOKEN;
    let content = match call.method.as_str() {
        "POST" => STANDARD.encode(digest::digest(&digest::SHA256, &call.body)),
        _ => String::new(),
    };
    let data = format!("{}\thttps\t{HOST}\t/{}\t\t{content}\t{unsigned}", call.method, call.path.join("/"));
    known && hmac(&hmac(CLIENT_SECRET, field("timestamp=")), &data) == signature
}
