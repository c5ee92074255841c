//! Cloudflare: <https://developers.cloudflare.com/api/resources/dns/subresources/records/>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{Lego, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Record, Zone, unquoted};

const TOKEN: &str = "cloudflare-api-token";
const ZONE_ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

#[tokio::test]
async fn cloudflare_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.cloudflare.com", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "cloudflare",
        environment: environment(&[("CLOUDFLARE_DNS_API_TOKEN", TOKEN)]),
        nameserver: &lab.name_server(),
        differs: &[],
    };
    let given = Given::new(json!({ "provider": "cloudflare" }), &[("apiToken", TOKEN)]);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    if call.header("authorization") != format!("Bearer {TOKEN}") {
        return refusal(403, 9109, "Invalid access token");
    }
    let (method, path) = call.line();
    match (method, path.get(2..).unwrap_or_default()) {
        ("GET", ["zones"]) => {
            let zones = match call.parameter("name") {
                "" | ZONE => vec![json!({ "id": ZONE_ID, "name": ZONE, "status": "active" })],
                _ => vec![],
            };
            success(&json!(zones))
        }
        ("GET", ["zones", ZONE_ID, "dns_records"]) => {
            let (name, kind) = (call.parameter("name").to_ascii_lowercase(), call.parameter("type"));
            let found = zone.find(|record| {
                (name.is_empty() || record.name == name) && (kind.is_empty() || record.kind == kind)
            });
            success(&found.iter().map(shown).collect())
        }
        ("POST", ["zones", ZONE_ID, "dns_records"]) => {
            let (name, kind) = (call.text("name").to_ascii_lowercase(), call.text("type"));
            let value = unquoted(call.text("content"));
            if !zone
                .find(|record| record.name == name && record.kind == kind && record.value == value)
                .is_empty()
            {
                return refusal(400, 81058, "An identical record already exists.");
            }
            let ttl = call.json["ttl"].as_u64().unwrap_or(1);
            if ttl != 1 && !(60..=86_400).contains(&ttl) {
                return refusal(
                    400,
                    9021,
                    "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.",
                );
            }
            success(&shown(&zone.add(&name, kind, &value, ttl)))
        }
        ("DELETE", ["zones", ZONE_ID, "dns_records", id]) => {
            match zone.remove(|record| record.id.to_string() == *id) {
                0 => refusal(404, 81044, "Record does not exist."),
                _ => success(&json!({ "id": id })),
            }
        }
        _ => refusal(404, 7000, "No route for that URI"),
    }
}

fn shown(record: &Record) -> Value {
    let content = if record.kind == "TXT" { format!("\"{}\"", record.value) } else { record.value.clone() };
    json!({
        "id": record.id.to_string(), "name": record.name, "type": record.kind, "content": content, "ttl": record.ttl,
        "proxiable": false, "proxied": false, "settings": {}, "meta": {}, "comment": null, "tags": [],
        "created_on": "2026-01-01T05:20:00.12345Z", "modified_on": "2026-01-01T05:20:00.12345Z",
    })
}

fn success(result: &Value) -> Answer {
    Answer::Json(200, json!({ "success": true, "errors": [], "messages": [], "result": result }))
}

fn refusal(status: u16, code: u32, message: &str) -> Answer {
    let errors = [json!({ "code": code, "message": message })];
    Answer::Json(status, json!({ "success": false, "errors": errors, "messages": [], "result": null }))
}
