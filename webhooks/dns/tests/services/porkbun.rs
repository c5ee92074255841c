//! Porkbun: <https://porkbun.com/api/json/v3/documentation>.

use anyhow::Result;
use serde_json::json;

use crate::compare::{FOREIGN, Lego, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Zone, absolute, unquoted};

const KEY: &str = "pk1_0123456789";
const SECRET: &str = "sk1_0123456789";

#[tokio::test]
async fn porkbun_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.porkbun.com", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "porkbun",
        environment: environment(&[("PORKBUN_API_KEY", KEY), ("PORKBUN_SECRET_API_KEY", SECRET)]),
        nameserver: &lab.name_server(),
        // lego adds the value a second time, and removes only the second one.
        differs: &[(1, &["V", "V", FOREIGN]), (2, &["V", FOREIGN]), (3, &["V", FOREIGN])],
    };
    let given = Given::new(json!({ "provider": "porkbun" }), &[("apiKey", KEY), ("secretAPIKey", SECRET)]);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    let refusal = |message: &str| Answer::Json(400, json!({ "status": "ERROR", "message": message }));
    if call.text("apikey") != KEY || call.text("secretapikey") != SECRET {
        return refusal("Invalid API key. (002)");
    }
    let (method, path) = call.line();
    match (method, path.get(3..).unwrap_or_default()) {
        ("POST", ["dns", "create", ZONE]) => {
            let ttl = call.json["ttl"].as_u64().or_else(|| call.text("ttl").parse().ok()).unwrap_or(600);
            let value = unquoted(call.text("content"));
            let record = zone.add(&absolute(call.text("name"), ZONE), call.text("type"), &value, ttl);
            Answer::Json(200, json!({ "status": "SUCCESS", "id": record.id }))
        }
        ("POST", ["dns", "retrieveByNameType", ZONE, kind, name]) => {
            let found = zone.find(|record| record.name == absolute(name, ZONE) && record.kind == *kind);
            let records = found.iter().map(|record| {
                json!({
                    "id": record.id.to_string(), "name": record.name, "type": record.kind, "content": record.value,
                    "ttl": record.ttl.to_string(), "prio": "0", "notes": "",
                })
            });
            Answer::Json(
                200,
                json!({ "status": "SUCCESS", "cloudflare": "enabled", "records": records.collect::<Vec<_>>() }),
            )
        }
        ("POST", ["dns", "delete", ZONE, id]) => match zone.remove(|record| record.id.to_string() == *id) {
            0 => refusal("Invalid record ID."),
            _ => Answer::Json(200, json!({ "status": "SUCCESS" })),
        },
        _ => refusal("Invalid domain."),
    }
}
