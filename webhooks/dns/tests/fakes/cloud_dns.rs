//! Google Cloud DNS, as its API documents describe it: <https://cloud.google.com/dns/docs/reference/rest/v1>

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The managed zones of one project, and their record sets.
#[derive(Default)]
pub struct FakeCloudDns {
    /// Name, DNS name, visibility.
    pub zones: Vec<(&'static str, &'static str, &'static str)>,
    /// The TXT record sets, by managed zone and name: time to live, and data.
    pub sets: BTreeMap<(String, String), (u64, Vec<String>)>,
    /// What somebody else writes just before the next change.
    pub before_change: Option<(String, String, u64, Vec<String>)>,
    /// How many changes were requested.
    pub changes: usize,
}

impl FakeCloudDns {
    /// The status and the body of the answer to a request.
    pub fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &[u8],
    ) -> (u16, Value) {
        let path: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let ["dns", "v1", "projects", "zones-project", "managedZones", rest @ ..] = path.as_slice() else {
            return error(403, "forbidden", "Permission denied on resource project");
        };
        match (method, rest) {
            ("GET", []) => (200, self.zones(query)),
            ("GET", [zone]) => self.zone(zone),
            ("GET", [zone, "rrsets"]) if self.has(zone) => (200, self.list(zone, query)),
            ("POST", [zone, "changes"]) if self.has(zone) => {
                self.change(zone, &serde_json::from_slice(body).unwrap())
            }
            ("GET", [zone, "changes", id]) if self.has(zone) => (200, json!({"id": id, "status": "done"})),
            _ => error(404, "notFound", "The 'parameters.managedZone' resource does not exist."),
        }
    }

    fn has(&self, zone: &str) -> bool {
        self.zones.iter().any(|(name, _, _)| *name == zone)
    }

    fn zones(&self, query: &BTreeMap<String, String>) -> Value {
        let dns_name = query.get("dnsName");
        let zones =
            self.zones.iter().filter(|zone| dns_name.is_none_or(|wanted| wanted == zone.1)).map(described);
        json!({"kind": "dns#managedZonesListResponse", "managedZones": zones.collect::<Vec<_>>()})
    }

    fn zone(&self, name: &str) -> (u16, Value) {
        match self.zones.iter().find(|zone| zone.0 == name) {
            Some(zone) => (200, described(zone)),
            None => error(404, "notFound", "The 'parameters.managedZone' resource does not exist."),
        }
    }

    fn list(&self, zone: &str, query: &BTreeMap<String, String>) -> Value {
        let wanted = |(of, name): &&(String, String)| {
            of == zone && query.get("name").is_none_or(|wanted| wanted == name)
        };
        let sets = self.sets.keys().filter(wanted).map(|key| self.set(key)).collect::<Vec<_>>();
        match sets.is_empty() {
            // The list is left out if it is empty.
            true => json!({"kind": "dns#resourceRecordSetsListResponse"}),
            false => json!({"kind": "dns#resourceRecordSetsListResponse", "rrsets": sets}),
        }
    }

    fn set(&self, key: &(String, String)) -> Value {
        let (ttl, data) = &self.sets[key];
        json!({"kind": "dns#resourceRecordSet", "name": key.1, "type": "TXT", "ttl": ttl, "rrdatas": data,
            "signatureRrdatas": []})
    }

    /// All of a change, or nothing of it.
    fn change(&mut self, zone: &str, change: &Value) -> (u16, Value) {
        self.changes += 1;
        if let Some((zone, name, ttl, data)) = self.before_change.take() {
            match data.is_empty() {
                true => drop(self.sets.remove(&(zone, name))),
                false => drop(self.sets.insert((zone, name), (ttl, data))),
            }
        }
        let listed = |field: &str| change[field].as_array().cloned().unwrap_or_default();
        let mut sets = self.sets.clone();
        for deletion in listed("deletions") {
            let key = (zone.to_owned(), deletion["name"].as_str().unwrap().to_owned());
            match sets.remove(&key) {
                None => {
                    let name = &key.1;
                    let message = format!(
                        "The 'entity.change.deletions[0]' resource named '{name} (TXT)' does not exist."
                    );
                    return error(404, "notFound", &message);
                }
                Some((ttl, data)) if deletion["ttl"] != ttl || !same(&deletion["rrdatas"], &data) => {
                    return error(
                        412,
                        "conditionNotMet",
                        "Precondition not met for 'entity.change.deletions[0]'",
                    );
                }
                Some(_) => {}
            }
        }
        for addition in listed("additions") {
            let name = addition["name"].as_str().unwrap().to_owned();
            let data: Vec<String> = serde_json::from_value(addition["rrdatas"].clone()).unwrap();
            let is_quoted = |data: &String| data.starts_with('"') && data.ends_with('"') && data.len() <= 257;
            let is_within = |data: &String| is_quoted(data) || !data.contains([' ', '"']);
            if data.is_empty() || !name.ends_with('.') || !data.iter().all(is_within) {
                return error(400, "invalid", "Invalid value for 'entity.change.additions[0].rrdata'");
            }
            let ttl = addition["ttl"].as_u64().unwrap();
            let data = data.iter().map(|data| quoted(data)).collect();
            if sets.insert((zone.to_owned(), name.clone()), (ttl, data)).is_some() {
                let message =
                    format!("The resource 'entity.change.additions[0]' named '{name} (TXT)' already exists");
                return error(409, "alreadyExists", &message);
            }
        }
        self.sets = sets;
        (200, json!({"kind": "dns#change", "id": self.changes.to_string(), "status": "pending"}))
    }
}

/// Data is stored and listed in quotes, however it was written.
fn quoted(data: &str) -> String {
    if data.starts_with('"') { data.to_owned() } else { format!("\"{data}\"") }
}

/// Whether a deletion names what is there, in any order.
fn same(named: &Value, data: &[String]) -> bool {
    let mut named: Vec<_> =
        named.as_array().into_iter().flatten().filter_map(Value::as_str).map(quoted).collect();
    let mut data: Vec<_> = data.iter().map(|data| quoted(data)).collect();
    named.sort();
    data.sort();
    named == data
}

fn described((name, dns_name, visibility): &(&str, &str, &str)) -> Value {
    json!({"kind": "dns#managedZone", "name": name, "dnsName": dns_name, "visibility": visibility, "id": "1"})
}

fn error(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let errors = [json!({"message": message, "domain": "global", "reason": reason})];
    (code, json!({"error": {"code": code, "message": message, "errors": errors}}))
}
