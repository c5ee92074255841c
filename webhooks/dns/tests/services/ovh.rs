//! OVHcloud: <https://eu.api.ovh.com/console/?section=%2Fdomain>.

use anyhow::Result;
use certwright_runtime::clock;
use serde_json::{Value, json};

use crate::compare::{FOREIGN, Lego, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Record, Zone, absolute, relative, unquoted};

const KEY: &str = "ovh-application-key";
const SECRET: &str = "ovh-application-secret";
const CONSUMER: &str = "ovh-consumer-key";

#[tokio::test]
async fn ovh_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("eu.api.ovh.com", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "ovh",
        environment: environment(&[
            ("OVH_ENDPOINT", "ovh-eu"),
            ("OVH_APPLICATION_KEY", KEY),
            ("OVH_APPLICATION_SECRET", SECRET),
            ("OVH_CONSUMER_KEY", CONSUMER),
        ]),
        nameserver: &lab.name_server(),
        // lego adds the value a second time, and removes only the second one.
        differs: &[(1, &["V", "V", FOREIGN]), (2, &["V", FOREIGN]), (3, &["V", FOREIGN])],
    };
    let secrets = [("applicationKey", KEY), ("applicationSecret", SECRET), ("consumerKey", CONSUMER)];
    let given = Given::new(json!({ "provider": "ovh" }), &secrets);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    let (method, path) = call.line();
    let path = path.get(1..).unwrap_or_default();
    if (method, path) == ("GET", &["auth", "time"]) {
        return Answer::Json(200, json!(clock::now().as_second()));
    }
    if call.header("x-ovh-application") != KEY || call.header("x-ovh-consumer") != CONSUMER {
        return Answer::Json(
            403,
            json!({ "errorCode": "INVALID_CREDENTIAL", "message": "This credential is not valid" }),
        );
    }
    let not_found = || Answer::Json(404, json!({ "message": "The requested object does not exist" }));
    let ["domain", "zone", ZONE, rest @ ..] = path else { return not_found() };
    match (method, rest) {
        ("GET", []) => Answer::Json(
            200,
            json!({ "name": ZONE, "nameServers": ["dns1.ovh.net"], "dnssecSupported": true }),
        ),
        ("GET", ["record"]) => {
            let (name, kind) = (absolute(call.parameter("subDomain"), ZONE), call.parameter("fieldType"));
            let found = zone.find(|record| record.name == name && record.kind == kind);
            Answer::Json(200, found.iter().map(|record| record.id).collect())
        }
        ("POST", ["record"]) => {
            let name = absolute(call.text("subDomain"), ZONE);
            let ttl = call.json["ttl"].as_u64().unwrap_or(3600);
            let record = zone.add(&name, call.text("fieldType"), &unquoted(call.text("target")), ttl);
            Answer::Json(200, shown(&record))
        }
        ("GET", ["record", id]) => match zone.find(|record| record.id.to_string() == *id).first() {
            Some(record) => Answer::Json(200, shown(record)),
            None => not_found(),
        },
        ("DELETE", ["record", id]) => match zone.remove(|record| record.id.to_string() == *id) {
            0 => not_found(),
            _ => Answer::Json(200, Value::Null),
        },
        ("POST", ["refresh"]) => Answer::Json(200, Value::Null),
        _ => not_found(),
    }
}

fn shown(record: &Record) -> Value {
    json!({
        "id": record.id, "zone": ZONE, "subDomain": relative(&record.name, ZONE, ""), "fieldType": record.kind,
        "target": format!("\"{}\"", record.value), "ttl": record.ttl,
    })
}
