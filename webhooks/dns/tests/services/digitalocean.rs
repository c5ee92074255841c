//! DigitalOcean: <https://docs.digitalocean.com/reference/api/reference/domain-records/>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{FOREIGN, Lego, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Record, Zone, absolute, relative};

const TOKEN: &str = "dop_v1_0123456789";

#[tokio::test]
async fn digitalocean_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.digitalocean.com", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "digitalocean",
        environment: environment(&[("DO_AUTH_TOKEN", TOKEN)]),
        nameserver: &lab.name_server(),
        // lego adds the value a second time, and removes only the second one.
        differs: &[(1, &["V", "V", FOREIGN]), (2, &["V", FOREIGN]), (3, &["V", FOREIGN])],
    };
    let given = Given::new(json!({ "provider": "digitalocean" }), &[("token", TOKEN)]);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    if call.header("authorization") != format!("Bearer {TOKEN}") {
        return refusal(401, "Unauthorized", "Unable to authenticate you");
    }
    let (method, path) = call.line();
    match (method, path.as_slice()) {
        ("GET", ["v2", "domains", ZONE, "records"]) => {
            let (name, kind) = (call.parameter("name"), call.parameter("type"));
            let found = zone.find(|record| {
                (name.is_empty() || record.name == name) && (kind.is_empty() || record.kind == kind)
            });
            let records: Vec<_> = found.iter().map(shown).collect();
            Answer::Json(
                200,
                json!({ "domain_records": records, "links": {}, "meta": { "total": records.len() } }),
            )
        }
        ("POST", ["v2", "domains", ZONE, "records"]) => {
            let ttl = call.json["ttl"].as_u64().unwrap_or(1800);
            if ttl < 30 {
                return refusal(422, "unprocessable_entity", "Ttl must be greater than or equal to 30");
            }
            let name = absolute(call.text("name"), ZONE);
            let record = zone.add(&name, call.text("type"), call.text("data"), ttl);
            Answer::Json(201, json!({ "domain_record": shown(&record) }))
        }
        ("DELETE", ["v2", "domains", ZONE, "records", id]) => {
            match zone.remove(|record| record.id.to_string() == *id) {
                0 => refusal(404, "not_found", "The resource you were accessing could not be found."),
                _ => Answer::Empty(204),
            }
        }
        _ => refusal(404, "not_found", "The resource you were accessing could not be found."),
    }
}

fn shown(record: &Record) -> Value {
    json!({
        "id": record.id, "type": record.kind, "name": relative(&record.name, ZONE, "@"), "data": record.value, "ttl": record.ttl,
        "priority": null, "port": null, "weight": null, "flags": null, "tag": null,
    })
}

fn refusal(status: u16, id: &str, message: &str) -> Answer {
    Answer::Json(
        status,
        json!({ "id": id, "message": message, "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9" }),
    )
}
