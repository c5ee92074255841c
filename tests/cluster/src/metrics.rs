//! The API server's counters.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::Client;

/// Requests to the API server since it started, by kind.
pub struct ApiServerMetrics {
    requests: BTreeMap<RequestKind, u64>,
    carried_out: BTreeMap<RequestKind, u64>,
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKind {
    /// `GET`, `LIST`, `WATCH`, `POST`, `PUT`, `PATCH`, `APPLY`, `DELETE` and so on.
    pub verb: String,
    /// The resource, in plural.
    pub resource: String,
    /// The subresource, or nothing.
    pub subresource: String,
}

impl ApiServerMetrics {
    /// Reads them from the API server.
    pub async fn read(client: &Client) -> Result<Self> {
        let text = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        Ok(Self::parse(&text))
    }

    /// The number of writes that succeeded, by kind. A rejected request, such as the deletion of an object that does not exist,
    /// writes nothing.
    pub fn writes(&self) -> BTreeMap<RequestKind, u64> {
        let writes = |kind: &&RequestKind| {
            ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"].contains(&kind.verb.as_str())
        };
        self.carried_out.keys().filter(writes).map(|kind| (kind.clone(), self.carried_out[kind])).collect()
    }

    /// The number of all requests, by kind.
    pub fn requests(&self) -> &BTreeMap<RequestKind, u64> {
        &self.requests
    }

    fn parse(text: &str) -> Self {
        let (mut requests, mut carried_out) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else { continue };
            let Some((labels, count)) = rest.rsplit_once("} ") else { continue };
            let label = |name: &str| {
                let start = format!("{name}=\"");
                let found = labels.split(',').find_map(|label| label.strip_prefix(start.as_str()));
                found.unwrap_or_default().trim_end_matches('"').to_owned()
            };
            let kind = RequestKind {
                verb: label("verb"),
                resource: label("resource"),
                subresource: label("subresource"),
            };
            // Prometheus writes large counts with an exponent.
            let count = count.trim().parse::<f64>().unwrap_or_default() as u64;
            if label("code").starts_with('2') {
                *carried_out.entry(kind.clone()).or_default() += count;
            }
            *requests.entry(kind).or_default() += count;
        }
        Self { requests, carried_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_what_was_carried_out_and_are_told_from_reads() {
        let metrics = ApiServerMetrics::parse(concat!(
            "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",",
            "resource=\"secrets\",scope=\"resource\",subresource=\"\",verb=\"PATCH\",version=\"v1\"} 3\n",
            "apiserver_request_total{code=\"201\",component=\"apiserver\",dry_run=\"\",group=\"\",",
            "resource=\"secrets\",scope=\"resource\",subresource=\"\",verb=\"PATCH\",version=\"v1\"} 1.2e+01\n",
            "apiserver_request_total{code=\"409\",component=\"apiserver\",dry_run=\"\",group=\"\",",
            "resource=\"secrets\",scope=\"resource\",subresource=\"\",verb=\"PATCH\",version=\"v1\"} 5\n",
            "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",",
            "resource=\"secrets\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\"} 7\n",
        ));
        let kind =
            RequestKind { verb: "PATCH".into(), resource: "secrets".into(), subresource: String::new() };
        assert_eq!(metrics.writes(), BTreeMap::from([(kind, 15)]));
        assert_eq!(metrics.requests().len(), 2);
    }
}
