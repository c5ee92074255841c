//! Linode: <https://techdocs.akamai.com/linode-api/reference/get-domain-records>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compare::{Other, ZONE, compare};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Record, Zone, absolute, relative};

const TOKEN: &str = "linode-token";

#[tokio::test]
async fn linode_is_left_as_lexicon_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.linode.com", fake(move |call| answer(call, &served)))?;
    let given = Given::new(json!({ "provider": "linode" }), &[("token", TOKEN)]);
    let other = Other::Python("linode", json!({ "auth_token": TOKEN }));
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(other), reset, async || zone.values()).await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    let refusal = |status, reason| Answer::Json(status, json!({ "errors": [{ "reason": reason }] }));
    if call.header("authorization") != format!("Bearer {TOKEN}") {
        return refusal(401, "Invalid Token");
    }
    // A filter is a JSON document in a header.
    let filter: Value = serde_json::from_str(call.header("x-filter")).unwrap_or_default();
    let page = |data: Vec<Value>| {
        Answer::Json(200, json!({ "page": 1, "pages": 1, "results": data.len(), "data": data }))
    };
    let (method, path) = call.line();
    match (method, path.get(1..).unwrap_or_default()) {
        ("GET", ["domains"]) => match filter["domain"].as_str() {
            None | Some(ZONE) => {
                page(vec![json!({ "id": 1, "domain": ZONE, "type": "master", "status": "active" })])
            }
            Some(_) => page(vec![]),
        },
        ("GET", ["domains", "1", "records"]) => {
            let kind = filter["type"].as_str();
            page(zone.find(|record| kind.is_none_or(|kind| record.kind == kind)).iter().map(shown).collect())
        }
        ("POST", ["domains", "1", "records"]) => {
            let ttl = call.json["ttl_sec"].as_u64().unwrap_or(0);
            let record =
                zone.add(&absolute(call.text("name"), ZONE), call.text("type"), call.text("target"), ttl);
            Answer::Json(200, shown(&record))
        }
        ("DELETE", ["domains", "1", "records", id]) => {
            match zone.remove(|record| record.id.to_string() == *id) {
                0 => refusal(404, "Not found"),
                _ => Answer::Json(200, json!({})),
            }
        }
        _ => refusal(404, "Not found"),
    }
}

fn shown(record: &Record) -> Value {
    json!({
        "id": record.id, "type": record.kind, "name": relative(&record.name, ZONE, ""), "target": record.value,
        "ttl_sec": record.ttl, "priority": 0, "weight": 0, "port": 0, "service": null, "protocol": null, "tag": null,
        "created": "2026-01-01T00:00:00", "updated": "2026-01-01T00:00:00",
    })
}
