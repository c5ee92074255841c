//! The first page: which objects are not ready, and why.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::{Objects, name_of};
use crate::command::outlook::{self, Outlook};
use crate::command::output::{plain, table};
use certwright_api::{AnyIssuer, Certificate, ClusterIssuer, Issuer};

/// A table of all objects, those that are not ready first, and below it what is wrong with each of these.
pub(super) fn rendered(objects: &Objects, now: Timestamp) -> String {
    let certificates = objects.certificates.iter().map(|object| {
        Row::of("Certificate", object, |certificate: &Certificate| outlook::of_certificate(certificate, now))
    });
    let issuers = objects.issuers.iter().map(|object| issuer::<Issuer>("Issuer", object));
    let cluster_issuers =
        objects.cluster_issuers.iter().map(|object| issuer::<ClusterIssuer>("ClusterIssuer", object));
    let mut rows: Vec<Row> = cluster_issuers.chain(issuers).chain(certificates).collect();
    rows.sort_by_key(|row| row.is_ready());
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.cells(now)).collect();
    let mut text = table(&["KIND", "NAME", "READY", "REASON", "NEXT"], &cells);
    for row in rows.iter().filter_map(|row| row.trouble()) {
        text.push_str(&row);
    }
    text
}

struct Row {
    kind: &'static str,
    name: String,
    /// Why there is none, if the object cannot be read.
    outlook: Result<Outlook, String>,
}

fn issuer<K: AnyIssuer + DeserializeOwned>(kind: &'static str, object: &Value) -> Row {
    Row::of(kind, object, |issuer: &K| outlook::of_issuer(issuer, issuer.status()))
}

impl Row {
    fn of<K: DeserializeOwned>(kind: &'static str, object: &Value, outlook: impl Fn(&K) -> Outlook) -> Self {
        let read = serde_json::from_value::<K>(object.clone());
        let outlook = read.map(|object| outlook(&object)).map_err(|error| error.to_string());
        Self { kind, name: name_of(object), outlook }
    }

    fn is_ready(&self) -> bool {
        self.outlook.as_ref().is_ok_and(|outlook| outlook.ready == Some(true) && outlook.problem().is_none())
    }

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let (ready, reason, next) = match &self.outlook {
            Err(_) => ("Unknown", "cannot be read", String::new()),
            Ok(outlook) => {
                let ready = match outlook.ready {
                    Some(true) => "True",
                    Some(false) => "False",
                    None => "Unknown",
                };
                let reason = outlook.problem().map_or("-", |trouble| trouble.reason.as_str());
                (ready, reason, outlook.next.brief(now))
            }
        };
        vec![self.kind.to_owned(), self.name.clone(), ready.to_owned(), reason.to_owned(), next]
    }

    fn trouble(&self) -> Option<String> {
        let (since, message) = match &self.outlook {
            Err(error) => (String::new(), format!("cannot be read: {error}")),
            Ok(outlook) => {
                let trouble = outlook.problem()?;
                let since = trouble.since.map(|since| format!(", since {since}")).unwrap_or_default();
                (since, format!("{}: {}", trouble.reason, trouble.message))
            }
        };
        Some(format!("\n{} {}{since}\n    {}\n", self.kind, plain(&self.name), plain(&message)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_ready_comes_first_with_the_cas_words() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let certificate = |name: &str, ready: &str, message: &str| {
            json!({
                "metadata": { "namespace": "shop", "name": name, "generation": 1 },
                "spec": { "secretName": "s", "dnsNames": ["a.example"], "issuerRef": { "name": "ca" } },
                "status": {
                    "renewalTime": "2026-01-02T00:00:00Z",
                    "conditions": [{
                        "type": "Ready", "status": ready, "reason": "CAA", "message": message, "observedGeneration": 1,
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }],
                },
            })
        };
        let objects = Objects {
            certificates: vec![certificate("a", "True", "fine"), certificate("b", "False", "CAA forbids it")],
            issuers: vec![json!({ "metadata": { "namespace": "shop", "name": "ca" }, "spec": 7 })],
            ..Objects::default()
        };
        let text = rendered(&objects, now);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines[..4],
            [
                "KIND NAME READY REASON NEXT",
                "Issuer shop/ca Unknown cannot be read",
                "Certificate shop/b False CAA nothing until something changes",
                "Certificate shop/a True - renews in 1d",
            ]
        );
        assert!(lines[5..].contains(&"CAA: CAA forbids it".to_owned()), "{text}");
    }
}
