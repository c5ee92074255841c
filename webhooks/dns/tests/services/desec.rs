//! deSEC: <https://desec.readthedocs.io/en/latest/dns/rrsets.html>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{Other, ZONE, compare};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Zone, absolute, unquoted};

const TOKEN: &str = "desec-token";

#[tokio::test]
async fn desec_is_left_as_lexicon_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("desec.io", fake(move |call| answer(call, &served)))?;
    let given = Given::new(json!({ "provider": "desec" }), &[("token", TOKEN)]);
    let other = Other::Python("desec", json!({ "auth_token": TOKEN }));
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(other), reset, async || zone.values()).await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    if call.header("authorization") != format!("Token {TOKEN}")
        && call.header("authorization") != format!("Bearer {TOKEN}")
    {
        return Answer::Json(401, json!({ "detail": "Invalid token." }));
    }
    let (method, path) = call.line();
    let not_found = || Answer::Json(404, json!({ "detail": "Not found." }));
    let ["api", "v1", "domains", ZONE, rest @ ..] = path.as_slice() else { return not_found() };
    match (method, rest) {
        ("GET", []) => Answer::Json(200, json!({ "name": ZONE, "minimum_ttl": 3600 })),
        ("POST", ["rrsets"]) => {
            let (subname, kind) = (call.text("subname").to_owned(), call.text("type").to_owned());
            let name = absolute(&subname, ZONE);
            if !zone.find(|record| record.name == name && record.kind == kind).is_empty() {
                return Answer::Json(
                    400,
                    json!({ "non_field_errors": ["Another RRset with the same subdomain and type exists."] }),
                );
            }
            write(call, zone, &subname, &kind, 201)
        }
        ("GET", ["rrsets"]) => {
            let (subname, kind) = (call.parameter("subname"), call.parameter("type"));
            Answer::Json(200, shown(zone, subname, kind).into_iter().collect())
        }
        ("GET", ["rrsets", subname, kind]) => match shown(zone, subname, kind) {
            Some(set) => Answer::Json(200, set),
            None => not_found(),
        },
        ("PUT" | "PATCH", ["rrsets", subname, kind]) if shown(zone, subname, kind).is_some() => {
            write(call, zone, subname, kind, 200)
        }
        ("DELETE", ["rrsets", subname, kind]) => {
            let name = absolute(subname, ZONE);
            zone.remove(|record| record.name == name && record.kind == *kind);
            Answer::Empty(204)
        }
        _ => not_found(),
    }
}

fn write(call: &Call, zone: &Zone, subname: &str, kind: &str, status: u16) -> Answer {
    let values = call.json["records"].as_array().cloned().unwrap_or_default();
    let ttl = call.json["ttl"].as_u64().unwrap_or(3600);
    if ttl < 3600 {
        return Answer::Json(400, json!({ "ttl": ["Ensure this value is greater than or equal to 3600."] }));
    }
    let values: Vec<_> = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    // The text of a TXT record must be quoted.
    if values.iter().any(|value| kind == "TXT" && !(value.starts_with('"') && value.ends_with('"'))) {
        return Answer::Json(400, json!({ "records": ["Record content of type TXT malformed."] }));
    }
    let values: Vec<_> = values.iter().map(|value| unquoted(value)).collect();
    zone.replace(&absolute(subname, ZONE), kind, &values, ttl);
    match shown(zone, subname, kind) {
        Some(set) => Answer::Json(status, set),
        None => Answer::Empty(204),
    }
}

fn shown(zone: &Zone, subname: &str, kind: &str) -> Option<Value> {
    let name = absolute(subname, ZONE);
    let set = zone.find(|record| record.name == name && record.kind == kind);
    let records: Vec<_> = set.iter().map(|record| format!("\"{}\"", record.value)).collect();
    Some(json!({
        "created": "2026-01-01T00:00:00.000000Z", "domain": ZONE, "subname": subname, "name": format!("{name}."), "type": kind,
        "records": records, "ttl": set.first()?.ttl, "touched": "2026-01-01T00:00:00.000000Z",
    }))
}
