//! DNSimple: <https://developer.dnsimple.com/v2/zones/records/>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{Other, ZONE, compare};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Record, Zone, absolute, relative, unquoted};

const TOKEN: &str = "dnsimple_a_0123456789";

#[tokio::test]
async fn dnsimple_is_left_as_lexicon_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.dnsimple.com", fake(move |call| answer(call, &served)))?;
    let config = json!({ "provider": "dnsimple", "settings": { "accountID": 1010 } });
    let given = Given::new(config, &[("token", TOKEN)]);
    let other = Other::Python("dnsimple", json!({ "auth_token": TOKEN }));
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(other), reset, async || zone.values()).await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    let refusal = |status, message| Answer::Json(status, json!({ "message": message }));
    if call.header("authorization") != format!("Bearer {TOKEN}") {
        return refusal(401, "Authentication failed");
    }
    let (method, path) = call.line();
    match (method, path.as_slice()) {
        ("GET", ["v2", "accounts"]) => {
            let account =
                json!({ "id": 1010, "email": "you@service.test", "plan_identifier": "teams-v2-monthly" });
            Answer::Json(200, json!({ "data": [account] }))
        }
        ("GET", ["v2", "1010", "domains"]) => {
            Answer::Json(200, json!({ "data": [{ "id": 1, "account_id": 1010, "name": ZONE }] }))
        }
        ("GET", ["v2", "1010", "zones", ZONE, "records"]) => {
            let (name, kind) = (absolute(call.parameter("name"), ZONE), call.parameter("type"));
            let found = zone.find(|record| record.name == name && record.kind == kind);
            let pagination =
                json!({ "current_page": 1, "per_page": 100, "total_entries": found.len(), "total_pages": 1 });
            let data: Vec<_> = found.iter().map(shown).collect();
            Answer::Json(200, json!({ "data": data, "pagination": pagination }))
        }
        ("POST", ["v2", "1010", "zones", ZONE, "records"]) => {
            let (name, kind) = (absolute(call.text("name"), ZONE), call.text("type"));
            let value = unquoted(call.text("content"));
            if !zone
                .find(|record| record.name == name && record.kind == kind && record.value == value)
                .is_empty()
            {
                return refusal(400, "Zone record already exists");
            }
            let ttl = call.json["ttl"].as_u64().unwrap_or(3600);
            Answer::Json(201, json!({ "data": shown(&zone.add(&name, kind, &value, ttl)) }))
        }
        ("DELETE", ["v2", "1010", "zones", ZONE, "records", id]) => {
            match zone.remove(|record| record.id.to_string() == *id) {
                0 => refusal(404, "Record not found"),
                _ => Answer::Empty(204),
            }
        }
        _ => refusal(404, "Zone not found"),
    }
}

fn shown(record: &Record) -> Value {
    let content = if record.kind == "TXT" { format!("\"{}\"", record.value) } else { record.value.clone() };
    json!({
        "id": record.id, "zone_id": ZONE, "parent_id": null, "name": relative(&record.name, ZONE, ""), "content": content,
        "ttl": record.ttl, "priority": null, "type": record.kind, "regions": ["global"], "system_record": false,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}
