//! What is counted: writes to the API server, and requests to the CA.

use std::collections::BTreeMap;

use anyhow::Result;
use certwright_cluster::ApiServerMetrics;
use kube::Client;

/// Kubernetes' own writes when a Service is created or deleted: its cluster address, and its EndpointSlices.
const CONSEQUENCES: [&str; 4] =
    ["DELETE endpoints", "POST ipaddresses", "DELETE ipaddresses", "DELETE endpointslices"];

/// Numbers by name, such as `PATCH certificates/status`.
pub type Counts = BTreeMap<String, u64>;

/// The writes that the API server has counted, without Leases.
pub async fn writes(client: &Client) -> Result<Counts> {
    let kinds = ApiServerMetrics::read(client).await?.writes().into_iter();
    let counted = kinds.filter(|(kind, _)| kind.resource != "leases").map(|(kind, count)| {
        let slash = if kind.subresource.is_empty() { "" } else { "/" };
        (format!("{} {}{slash}{}", kind.verb, kind.resource, kind.subresource), count)
    });
    Ok(counted.collect())
}

/// The operator's requests to ACME servers, by operation and HTTP status.
pub fn acme_requests(metrics: &str) -> Counts {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("certwright_acme_requests_total{"));
    let counts = lines.filter_map(|line| line.rsplit_once("} ")).map(|(labels, count)| {
        let values: Vec<&str> = labels.split('"').skip(1).step_by(2).collect();
        (values.join(" "), count.parse().unwrap_or_default())
    });
    counts.collect()
}

pub fn difference(before: &Counts, after: &Counts) -> Counts {
    let more = |(what, count): (&String, &u64)| (what.clone(), count - before.get(what).unwrap_or(&0));
    after.iter().map(more).filter(|(_, count)| *count > 0).collect()
}

pub fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}

pub fn print_counts(title: &str, counts: &Counts, n: usize) {
    println!("\n{title}: {}", rounded(total(counts) as f64 / n as f64));
    for (what, count) in counts {
        let mark = if is_consequence(what) { "  (by Kubernetes itself)" } else { "" };
        println!("  {:>8.2}  {what}{mark}", *count as f64 / n as f64);
    }
}

pub fn is_consequence(what: &str) -> bool {
    CONSEQUENCES.contains(&what)
}

pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

pub fn megabytes(bytes: u64) -> f64 {
    (bytes as f64 / 1e5).round() / 10.0
}
