//! Vultr: <https://www.vultr.com/api/#tag/dns>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{FOREIGN, Lego, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Record, Zone, absolute, relative, unquoted};

const KEY: &str = "VULTR-API-KEY";

#[tokio::test]
async fn vultr_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.vultr.com", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "vultr",
        environment: environment(&[("VULTR_API_KEY", KEY)]),
        nameserver: &lab.name_server(),
        // lego adds the value a second time, and removes all values of the name.
        differs: &[(1, &["V", "V", FOREIGN]), (2, &[]), (3, &[])],
    };
    let given = Given::new(json!({ "provider": "vultr" }), &[("apiKey", KEY)]);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    if call.header("authorization") != format!("Bearer {KEY}") {
        return Answer::Json(401, json!({ "error": "Invalid API token.", "status": 401 }));
    }
    let (method, path) = call.line();
    let meta = |total: usize| json!({ "total": total, "links": { "next": "", "prev": "" } });
    match (method, path.get(1..).unwrap_or_default()) {
        ("GET", ["domains"]) => {
            let domain =
                json!({ "domain": ZONE, "date_created": "2026-01-01T00:00:00+00:00", "dns_sec": "disabled" });
            Answer::Json(200, json!({ "domains": [domain], "meta": meta(1) }))
        }
        ("GET", ["domains", ZONE, "records"]) => {
            let records: Vec<_> = zone.find(|_| true).iter().map(shown).collect();
            Answer::Json(200, json!({ "meta": meta(records.len()), "records": records }))
        }
        ("POST", ["domains", ZONE, "records"]) => {
            let value = unquoted(call.text("data"));
            let ttl = call.json["ttl"].as_u64().unwrap_or(300);
            let record = zone.add(&absolute(call.text("name"), ZONE), call.text("type"), &value, ttl);
            Answer::Json(201, json!({ "record": shown(&record) }))
        }
        ("DELETE", ["domains", ZONE, "records", id]) => {
            match zone.remove(|record| record.id.to_string() == *id) {
                0 => Answer::Json(404, json!({ "error": "Invalid record.", "status": 404 })),
                _ => Answer::Empty(204),
            }
        }
        _ => Answer::Json(404, json!({ "error": "Invalid domain.", "status": 404 })),
    }
}

fn shown(record: &Record) -> Value {
    let data = if record.kind == "TXT" { format!("\"{}\"", record.value) } else { record.value.clone() };
    json!({
        "id": record.id.to_string(), "type": record.kind, "name": relative(&record.name, ZONE, ""), "data": data, "priority": 0,
        "ttl": record.ttl,
    })
}
