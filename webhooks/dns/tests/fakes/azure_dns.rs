//! Azure DNS and Azure Private DNS, as their API documents describe them: <https://learn.microsoft.com/rest/api/dns/record-sets>

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The zones of a resource group.
#[derive(Default)]
pub struct FakeAzureDns {
    /// The zones.
    pub zones: Vec<&'static str>,
    /// Whether they are private ones, whose API differs a little.
    pub private: bool,
    /// The TXT record sets, by zone and relative name.
    pub sets: BTreeMap<(String, String), Set>,
    /// What somebody else writes just before the next change. A set without values is deleted.
    pub before_change: Option<(String, String, Set)>,
    /// How many changes were requested.
    pub changes: usize,
}

/// A TXT record set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    /// The time to live.
    pub ttl: u64,
    /// The strings of each record.
    pub values: Vec<Vec<String>>,
    /// The user's notes.
    pub metadata: BTreeMap<String, String>,
    /// How often it was written.
    pub version: usize,
}

impl FakeAzureDns {
    /// The status and the body of the answer to a request.
    pub fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &BTreeMap<String, String>,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> (u16, Value) {
        let (zones, version) = match self.private {
            true => ("privateDnsZones", "2018-09-01"),
            false => ("dnsZones", "2018-05-01"),
        };
        if query.get("api-version").map(String::as_str) != Some(version) {
            return error(400, "InvalidApiVersionParameter", "The api-version is invalid.");
        }
        let path: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let (subscription, group, kind, zone, name) = match path.as_slice() {
            [_, subscription, _, group, _, "Microsoft.Network", kind, zone, "TXT", name] => {
                (subscription, group, kind, zone, name)
            }
            [_, "sub-1", _, "dns-rg", _, "Microsoft.Network", "dnsZones", rest @ ..] if method == "GET" => {
                return self.list(rest);
            }
            _ => return error(404, "InvalidResourceType", "The resource type could not be found."),
        };
        if (*subscription, *group) != ("sub-1", "dns-rg") {
            return error(
                403,
                "AuthorizationFailed",
                "The client does not have authorization to perform action.",
            );
        }
        if *kind != zones || !self.zones.contains(zone) {
            let message = format!(
                "Can not perform requested operation on nested resource. Parent resource '{zone}' not found."
            );
            return error(404, "ParentResourceNotFound", &message);
        }
        let key = ((*zone).to_owned(), (*name).to_owned());
        if method == "GET" {
            return match self.sets.get(&key) {
                Some(set) => (200, self.described(&key, set)),
                None => error(
                    404,
                    "NotFound",
                    &format!("The resource record '{name}' does not exist in resource group 'dns-rg'."),
                ),
            };
        }
        self.changes += 1;
        if let Some((zone, name, set)) = self.before_change.take() {
            match set.values.is_empty() {
                true => drop(self.sets.remove(&(zone, name))),
                false => drop(self.sets.insert((zone, name), set)),
            }
        }
        let etag = self.sets.get(&key).map(etag);
        let unmet = match (headers.get("if-match").map(String::as_str), headers.get("if-none-match")) {
            (Some("*"), _) => etag.is_none(),
            (Some(wanted), _) => etag.as_deref() != Some(wanted),
            (None, Some(_)) => etag.is_some(),
            (None, None) => false,
        };
        if unmet {
            return error(
                412,
                "PreconditionFailed",
                "The condition '*' in the If-None-Match header was not satisfied.",
            );
        }
        if method == "DELETE" {
            return (if self.sets.remove(&key).is_some() { 200 } else { 204 }, Value::Null);
        }
        self.put(key, &serde_json::from_slice(body).unwrap())
    }

    /// All public zones, or all record sets of one.
    fn list(&self, path: &[&str]) -> (u16, Value) {
        let id = |zone: &str| {
            format!("/subscriptions/sub-1/resourceGroups/dns-rg/providers/Microsoft.Network/dnsZones/{zone}")
        };
        let values: Vec<_> = match path {
            [] => self.zones.iter().map(|zone| json!({"id": id(zone), "name": zone})).collect(),
            [zone, "TXT"] => {
                let sets = self.sets.iter().filter(|((of, _), _)| of == zone);
                sets.map(|(key, set)| self.described(key, set)).collect()
            }
            _ => return error(404, "InvalidResourceType", "The resource type could not be found."),
        };
        (200, json!({"value": values}))
    }

    fn put(&mut self, key: (String, String), body: &Value) -> (u16, Value) {
        let properties = &body["properties"];
        let (ttl, records) = self.names();
        let values: Vec<Vec<String>> = properties[records]
            .as_array()
            .into_iter()
            .flatten()
            .map(|record| serde_json::from_value(record["value"].clone()).unwrap())
            .collect();
        if values.is_empty() || values.iter().flatten().any(|text| text.len() > 255) {
            return error(400, "BadRequest", "The TXT record set is invalid.");
        }
        let before = self.sets.get(&key);
        let status = if before.is_some() { 200 } else { 201 };
        let set = Set {
            ttl: properties[ttl].as_u64().unwrap(),
            values,
            metadata: serde_json::from_value(properties["metadata"].clone()).unwrap_or_default(),
            version: before.map_or(1, |set| set.version + 1),
        };
        let described = self.described(&key, &set);
        self.sets.insert(key, set);
        (status, described)
    }

    fn names(&self) -> (&'static str, &'static str) {
        if self.private { ("ttl", "txtRecords") } else { ("TTL", "TXTRecords") }
    }

    fn described(&self, (zone, name): &(String, String), set: &Set) -> Value {
        let (ttl, records) = self.names();
        let values: Vec<_> = set.values.iter().map(|strings| json!({"value": strings})).collect();
        let mut properties = json!({ttl: set.ttl, records: values, "fqdn": format!("{name}.{zone}."),
            "provisioningState": "Succeeded", "targetResource": {}});
        if !set.metadata.is_empty() {
            properties["metadata"] = json!(set.metadata);
        }
        json!({"id": format!("/subscriptions/sub-1/{zone}/TXT/{name}"), "name": name, "etag": etag(set),
            "type": "Microsoft.Network/dnszones/TXT", "properties": properties})
    }
}

fn etag(set: &Set) -> String {
    format!("{}-{}", set.version, set.values.len())
}

fn error(status: u16, code: &str, message: &str) -> (u16, Value) {
    // Some parts of Azure answer without the outer object.
    match code {
        "NotFound" => (status, json!({"code": code, "message": message})),
        _ => (status, json!({"error": {"code": code, "message": message}})),
    }
}
