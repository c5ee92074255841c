//! Gandi LiveDNS: <https://api.gandi.net/docs/livedns/>.

use anyhow::Result;
use serde_json::json;

use crate::compare::{Lego, Other, ZONE, compare, environment};
use crate::fake::{Answer, Call, fake};
use crate::lab::Lab;
use crate::webhook::Given;
use crate::zone::{Zone, absolute, unquoted};

const TOKEN: &str = "gandi-personal-access-token";

#[tokio::test]
async fn gandi_is_left_as_lego_leaves_it() -> Result<()> {
    let (lab, zone) = (Lab::start().await?, Zone::default());
    let served = zone.clone();
    lab.host("api.gandi.net", fake(move |call| answer(call, &served)))?;
    let lego = Lego {
        provider: "gandiv5",
        environment: environment(&[("GANDIV5_PERSONAL_ACCESS_TOKEN", TOKEN)]),
        nameserver: &lab.name_server(),
        // lego removes the whole record set.
        differs: &[(2, &[]), (3, &[])],
    };
    let given = Given::new(json!({ "provider": "gandi" }), &[("token", TOKEN)]);
    let reset = async || zone.reset();
    compare(&lab.cluster, &given, &lab.environment(), Some(Other::Lego(lego)), reset, async || zone.values())
        .await
}

fn answer(call: &Call, zone: &Zone) -> Answer {
    if call.header("authorization") != format!("Bearer {TOKEN}") {
        return refusal(403, "Access was denied to this resource.", "Forbidden");
    }
    let (method, path) = call.line();
    let ["v5", "livedns", "domains", ZONE, "records", name, kind] = path.as_slice() else {
        return refusal(404, "The resource could not be found.", "Not Found");
    };
    let absolute = absolute(name, ZONE);
    let set = zone.find(|record| record.name == absolute && record.kind == *kind);
    match method {
        "GET" if set.is_empty() => refusal(404, "Can't find the DNS record", "Not Found"),
        "GET" => {
            let values: Vec<_> = set.iter().map(|record| format!("\"{}\"", record.value)).collect();
            let href = format!("https://api.gandi.net/v5/livedns/domains/{ZONE}/records/{name}/{kind}");
            Answer::Json(
                200,
                json!({
                    "rrset_name": name, "rrset_type": kind, "rrset_ttl": set[0].ttl, "rrset_values": values, "rrset_href": href,
                }),
            )
        }
        "PUT" => {
            let values = call.json["rrset_values"].as_array().cloned().unwrap_or_default();
            let mut values: Vec<_> = values.iter().filter_map(|value| value.as_str()).map(unquoted).collect();
            let ttl = call.json["rrset_ttl"].as_u64().unwrap_or(10_800);
            if !(300..=2_592_000).contains(&ttl) || values.is_empty() {
                return refusal(400, "rrset_ttl: must be between 300 and 2592000", "Bad Request");
            }
            // A record set is a set (RFC 2181 section 5).
            values.sort_unstable();
            values.dedup();
            zone.replace(&absolute, kind, &values, ttl);
            Answer::Json(201, json!({ "message": "DNS Record Created" }))
        }
        "DELETE" => {
            zone.remove(|record| record.name == absolute && record.kind == *kind);
            Answer::Empty(204)
        }
        _ => refusal(405, "The method is not allowed.", "Method Not Allowed"),
    }
}

fn refusal(status: u16, message: &str, cause: &str) -> Answer {
    Answer::Json(status, json!({ "code": status, "message": message, "object": "HTTPError", "cause": cause }))
}
