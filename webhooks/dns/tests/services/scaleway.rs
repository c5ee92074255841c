//! Scaleway: <https://www.scaleway.com/en/developers/api/domains-and-dns/>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{Lego, NAME, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Zone, absolute, relative, unquoted};

const KEY: &str = "7f9d3f8e-5f1b-4b3e-9d5c-0123456789ab";

#[tokio::test]
async fn scaleway_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.scaleway.com", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "scaleway",
        environment: environment(&[
            ("SCW_ACCESS_KEY", "SCWXXXXXXXXXXXXXXXXX"),
            ("SCW_SECRET_KEY", KEY),
            ("SCW_PROJECT_ID", KEY),
        ]),
        nameserver: &lab.name_server(),
        differs: &[],
    };
    let given = Given::new(json!({ "provider": "scaleway" }), &[("secretKey", KEY)]);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    if call.header("x-auth-token") != KEY {
        return Answer::Json(
            401,
            json!({ "type": "denied_authentication", "method": "api_key", "reason": "invalid_argument" }),
        );
    }
    let (method, path) = call.line();
    let ["domain", "v2beta1", "dns-zones", zone_name, "records"] = path.as_slice() else {
        return Answer::Json(404, json!({ "type": "not_found", "message": "resource is not found" }));
    };
    // A name in the zone stands for the zone, as lego relies on.
    if *zone_name != ZONE && zone_name.trim_end_matches('.') != NAME {
        return Answer::Json(404, json!({ "type": "not_found", "message": "resource is not found" }));
    }
    match method {
        "GET" => {
            let (name, kind) = (absolute(call.parameter("name"), ZONE), call.parameter("type"));
            let found = zone.find(|record| record.name == name && record.kind == kind);
            let records = found.iter().map(|record| {
                json!({
                    "id": record.id.to_string(), "name": relative(&record.name, ZONE, ""), "type": record.kind, "ttl": record.ttl,
                    "data": format!("\"{}\"", record.value), "priority": 0, "comment": null,
                })
            });
            Answer::Json(200, json!({ "total_count": found.len(), "records": records.collect::<Vec<_>>() }))
        }
        "PATCH" => {
            for change in call.json["changes"].as_array().cloned().unwrap_or_default() {
                for record in change["add"]["records"].as_array().cloned().unwrap_or_default() {
                    let (name, kind, value, ttl) = read(&record);
                    // Record sets are sets.
                    zone.remove(|record| record.name == name && record.kind == kind && record.value == value);
                    zone.add(&name, &kind, &value, ttl);
                }
                if let Some(fields) = change["delete"].get("id_fields") {
                    let (name, kind, value, _) = read(fields);
                    let any = fields["data"].is_null();
                    zone.remove(|record| {
                        record.name == name && record.kind == kind && (any || record.value == value)
                    });
                }
            }
            Answer::Json(200, json!({ "records": [] }))
        }
        _ => Answer::Empty(405),
    }
}

/// The name, the type, the value and the time to live of a record.
fn read(record: &Value) -> (String, String, String, u64) {
    let text = |field: &str| record[field].as_str().unwrap_or_default();
    let ttl = record["ttl"].as_u64().unwrap_or(3600);
    (absolute(text("name"), ZONE), text("type").to_owned(), unquoted(text("data")), ttl)
}
