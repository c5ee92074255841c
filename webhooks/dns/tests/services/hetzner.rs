//! Hetzner: <https://docs.hetzner.cloud/reference/cloud#zone-rrset-actions>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{Lego, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Zone, absolute, unquoted};

const TOKEN: &str = "hetzner-console-token";

#[tokio::test]
async fn hetzner_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.hetzner.cloud", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "hetzner",
        environment: environment(&[("HETZNER_API_TOKEN", TOKEN)]),
        nameserver: &lab.name_server(),
        differs: &[],
    };
    let given = Given::new(json!({ "provider": "hetzner" }), &[("apiToken", TOKEN)]);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    if call.header("authorization") != format!("Bearer {TOKEN}") {
        return refusal(401, "unauthorized", "unable to authenticate");
    }
    let (method, path) = call.line();
    match (method, path.get(1..).unwrap_or_default()) {
        ("GET", ["zones", ZONE, "rrsets"]) => {
            let (name, kind) = (absolute(call.parameter("name"), ZONE), call.parameter("type"));
            let set = shown(zone, &name, kind);
            Answer::Json(200, json!({ "rrsets": set.into_iter().collect::<Vec<_>>() }))
        }
        ("POST", ["zones", ZONE, "rrsets", name, kind, "actions", action]) => {
            let name = absolute(name, ZONE);
            let values = call.json["records"].as_array().cloned().unwrap_or_default();
            let values: Vec<_> =
                values.iter().filter_map(|record| record["value"].as_str()).map(unquoted).collect();
            act(zone, &name, kind, action, &values, call.json["ttl"].as_u64())
        }
        ("GET", ["actions", "1"]) => success("unknown"),
        _ => refusal(404, "not_found", "resource not found"),
    }
}

fn act(zone: &Zone, name: &str, kind: &str, action: &str, values: &[String], ttl: Option<u64>) -> Answer {
    let set = zone.find(|record| record.name == name && record.kind == kind);
    let has = |value: &String| set.iter().any(|record| record.value == *value);
    let old: Vec<_> = set.iter().map(|record| record.value.clone()).collect();
    let old_ttl = set.first().map(|record| record.ttl);
    match action {
        // Creates the set if it does not exist.
        "add_records" => {
            if values.iter().any(has) {
                return refusal(409, "conflict", "record already exists");
            }
            let ttl = old_ttl.or(ttl).unwrap_or(3600);
            zone.replace(name, kind, &[&old, values].concat(), ttl);
        }
        "remove_records" => {
            if set.is_empty() || !values.iter().all(has) {
                return refusal(404, "not_found", "record not found");
            }
            zone.remove(|record| {
                record.name == name && record.kind == kind && values.contains(&record.value)
            });
        }
        "set_records" if set.is_empty() => return refusal(404, "not_found", "RRSet not found"),
        "set_records" => zone.replace(name, kind, values, old_ttl.unwrap_or(3600)),
        "change_ttl" if set.is_empty() => return refusal(404, "not_found", "RRSet not found"),
        "change_ttl" => zone.replace(name, kind, &old, ttl.unwrap_or(3600)),
        _ => return refusal(404, "not_found", "action not found"),
    }
    success(action)
}

fn shown(zone: &Zone, name: &str, kind: &str) -> Option<Value> {
    let set = zone.find(|record| record.name == name && record.kind == kind);
    let records = set.iter().map(|record| json!({ "value": format!("\"{}\"", record.value), "comment": "" }));
    let ttl = set.first()?.ttl;
    Some(
        json!({ "id": format!("{name}/{kind}"), "name": name, "type": kind, "ttl": ttl, "records": records.collect::<Vec<_>>() }),
    )
}

fn success(command: &str) -> Answer {
    let action = json!({
        "id": 1, "command": command, "status": "success", "progress": 100, "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:00:00Z", "resources": [], "error": null,
    });
    Answer::Json(201, json!({ "action": action }))
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    Answer::Json(status, json!({ "error": { "code": code, "message": message, "details": {} } }))
}
