//! `certwright list`: lists Certificates, when they expire, and what happens next.

mod follow;
pub(super) mod table;

use std::cmp::Ordering;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use self::table::{Columns, Presence, ready};
use super::output::{self, print_objects, shown, tell};
use super::shards::{Shard, divide, shards};
use super::values::length;
use super::{Cluster, ClusterArgs, Error, Exit, outlook, print};
use certwright_api::{CONDITION_ISSUING, Certificate};
use certwright_runtime::clock;

/// Which Certificates to list, and how.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// List the Certificates of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// List only Certificates with these labels, such as `app=web,tier!=test`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// List only those whose certificate expires within this time, such as `14d` or `36h`. The exit code is 3 if there are any.
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub expiring: Option<SignedDuration>,
    /// List only those that are being issued or renewed, or wait for that, with the phase. Those that expire first come first.
    #[arg(long)]
    pub renewing: bool,
    /// Keep watching, and print each change.
    #[arg(short, long)]
    pub watch: bool,
    /// Sort by this column. Rows with the same value are in the order of their names.
    #[arg(long, value_enum, value_name = "COLUMN")]
    pub sort_by: Option<Column>,
    /// Do not print the headings of the table.
    #[arg(long)]
    pub no_headers: bool,
    /// The operator's own namespace: if several installations share the cluster, their Leases there tell which one serves what.
    #[arg(long, value_name = "NAMESPACE", default_value = "certwright")]
    pub operator_namespace: String,
    /// Output format.
    #[arg(short, long, value_enum)]
    pub output: Option<Format>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table with more columns.
    Wide,
    /// The names alone, in the form that commands accept.
    Name,
    /// The objects as JSON, like kubectl.
    Json,
    /// The objects as YAML, like kubectl.
    Yaml,
}

/// What to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// The name, in any namespace.
    Name,
    /// Those that are not ready first.
    Ready,
    /// The issuer in use.
    Issuer,
    /// When the certificate expires: those without one first.
    Expires,
    /// When the certificate is renewed: those without a time last.
    Renews,
    /// When the Certificate was created, the oldest first.
    Age,
}

impl List {
    /// Lists the Certificates.
    ///
    /// # Errors
    /// [`Error`], if they cannot be read.
    pub async fn execute(self) -> Result<Exit, Error> {
        let cluster = self.cluster.connect().await?;
        let namespace = Some(cluster.namespace.as_str()).filter(|_| !self.all_namespaces);
        let shards = self.shards(&cluster).await;
        if self.watch {
            return follow::follow(&self, &cluster, namespace, &shards).await;
        }
        let mut parameters = ListParams::default();
        if let Some(selector) = &self.selector {
            parameters = parameters.labels(selector);
        }
        let now = clock::now();
        let found = self.selected(cluster.certificates(namespace, &parameters).await?, now);
        match self.output {
            Some(Format::Json) => print_objects(&output::json(&objects(&found))?)?,
            Some(Format::Yaml) => {
                print_objects(&serde_yaml::to_string(&objects(&found)).map_err(Error::Yaml)?)?;
            }
            Some(Format::Name) => print(&found.iter().map(name).collect::<String>())?,
            None | Some(Format::Wide) if found.is_empty() => tell(&self.nothing(namespace))?,
            None | Some(Format::Wide) => {
                let found = found.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
                let columns = self.columns(&shards, is_any_checked(&found));
                let rows: Vec<_> = found.iter().map(|one| columns.row(one, Presence::Exists, now)).collect();
                let text = output::table(&columns.head(), &rows);
                print(if self.no_headers { without_head(&text) } else { &text })?;
            }
        }
        Ok(if self.expiring.is_some() && !found.is_empty() { Exit::NotWell } else { Exit::Fine })
    }

    /// The installations that divide the objects, if the table is to show them. Without permission to list Leases, there are none.
    async fn shards(&self, cluster: &Cluster) -> Vec<Shard> {
        if !matches!(self.output, None | Some(Format::Wide)) {
            return Vec::new();
        }
        let found = shards(&cluster.client, &self.operator_namespace).await.unwrap_or_default();
        if divide(&found) { found } else { Vec::new() }
    }

    fn columns<'a>(&self, shards: &'a [Shard], served: bool) -> Columns<'a> {
        Columns {
            shards,
            namespace: self.all_namespaces,
            phase: self.renewing,
            wide: self.output == Some(Format::Wide),
            served,
        }
    }

    /// Whether to list a Certificate.
    fn selects(&self, certificate: &Certificate, now: Timestamp) -> bool {
        let limit = self.expiring.map(|within| now.saturating_add(within).unwrap_or(Timestamp::MAX));
        (!self.renewing
            || issuing(certificate).is_some()
            || outlook::of_certificate(certificate, now).is_due(now))
            && limit.is_none_or(|limit| expiry(certificate).is_some_and(|end| end <= limit))
    }

    /// The Certificates to list, in order.
    fn selected(&self, mut found: Vec<Certificate>, now: Timestamp) -> Vec<Certificate> {
        found.retain(|one| self.selects(one, now));
        self.sort(&mut found, now);
        found
    }

    /// Sorts Certificates. Unless the user says otherwise, their order is that of the API server, or those with the greatest hurry come
    /// first.
    fn sort(&self, found: &mut [Certificate], now: Timestamp) {
        let hurry = self.renewing || self.expiring.is_some();
        if let Some(column) = self.sort_by.or(hurry.then_some(Column::Expires)) {
            found.sort_by(|one, other| compared(column, one, other, now));
        }
    }

    fn nothing(&self, namespace: Option<&str>) -> String {
        let place = namespace.map_or("any namespace".to_owned(), |name| format!("namespace {name}"));
        let what = match (self.renewing, self.expiring.is_some()) {
            (true, true) => " that expires soon is being issued",
            (true, false) => " is being issued",
            (false, true) => " expires soon",
            (false, false) => "",
        };
        format!("No Certificate{what} in {place}.\n")
    }
}

/// Whether it is checked of any of them what servers show.
fn is_any_checked(certificates: &[Certificate]) -> bool {
    certificates.iter().any(|one| outlook::served(one).is_some())
}

/// Compares Certificates by a column, and by their names if they are equal in it.
fn compared(column: Column, one: &Certificate, other: &Certificate, now: Timestamp) -> Ordering {
    let issuer = |of: &Certificate| {
        let reference = outlook::issuer_in_use(of);
        (reference.kind.as_str(), reference.name.clone())
    };
    let renewal = |of: &Certificate| {
        let renewal = of.status.as_ref().and_then(|status| outlook::time(status.renewal_time.as_ref()));
        renewal.unwrap_or(Timestamp::MAX)
    };
    let readiness = |of: &Certificate| ready(&outlook::of_certificate(of, now));
    let created = |of: &Certificate| of.metadata.creation_timestamp.as_ref().map(|created| created.0);
    let order = match column {
        Column::Name => Ordering::Equal,
        Column::Ready => readiness(one).cmp(readiness(other)),
        Column::Issuer => issuer(one).cmp(&issuer(other)),
        Column::Expires => expiry(one).cmp(&expiry(other)),
        Column::Renews => renewal(one).cmp(&renewal(other)),
        Column::Age => created(one).cmp(&created(other)),
    };
    let named = |of: &Certificate| (of.name_any(), of.namespace());
    order.then_with(|| named(one).cmp(&named(other)))
}

/// When the certificate expires, if there is one.
fn expiry(certificate: &Certificate) -> Option<Timestamp> {
    Some(certificate.status.as_ref()?.not_after.as_ref()?.0)
}

/// The condition `Issuing`, if it is true.
fn issuing(certificate: &Certificate) -> Option<&Condition> {
    let conditions = &certificate.status.as_ref()?.conditions;
    outlook::condition(conditions, CONDITION_ISSUING).filter(|issuing| issuing.status == "True")
}

/// The name of a Certificate, as `kubectl get -o name` prints it.
fn name(certificate: &Certificate) -> String {
    format!("certificate.certwright.dev/{}\n", certificate.name_any())
}

fn without_head(table: &str) -> &str {
    table.split_once('\n').map_or("", |(_, rows)| rows)
}

/// A list of objects in the form of kubectl.
fn objects(certificates: &[Certificate]) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": certificates, "metadata": {} })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        list: List,
    }

    /// Names in the order in which these flags list them. b has no certificate and is being issued; a expires first; d is due, and n is
    /// new.
    fn listed(arguments: &[&str]) -> String {
        let list = Given::parse_from([&["list"], arguments].concat()).list;
        let certificate = |name: &str, issuer: &str, status: serde_json::Value| -> Certificate {
            serde_json::from_value(json!({
                "metadata": { "name": name, "namespace": "shop", "generation": 1 },
                "spec": { "secretName": "s", "dnsNames": ["a.example.com"], "issuerRef": { "name": issuer } },
                "status": status,
            }))
            .unwrap()
        };
        let condition = |type_: &str, status: &str| {
            json!({ "type": type_, "status": status, "reason": "R", "message": "", "observedGeneration": 1,
                    "lastTransitionTime": NOW })
        };
        let found = vec![
            certificate("n", "w", json!(null)),
            certificate(
                "d",
                "w",
                json!({ "notAfter": "2026-04-01T00:00:00Z", "renewalTime": "2025-12-31T00:00:00Z",
                                          "conditions": [condition("Ready", "True")] }),
            ),
            certificate(
                "c",
                "y",
                json!({ "notAfter": "2026-03-01T00:00:00Z", "renewalTime": "2026-01-20T00:00:00Z",
                                          "conditions": [condition("Ready", "True")] }),
            ),
            certificate(
                "b",
                "z",
                json!({ "conditions": [condition("Ready", "False"), condition("Issuing", "True")] }),
            ),
            certificate(
                "a",
                "x",
                json!({ "notAfter": "2026-02-01T00:00:00Z", "renewalTime": "2026-01-31T00:00:00Z",
                                          "conditions": [condition("Ready", "True")] }),
            ),
        ];
        list.selected(found, NOW.parse().unwrap()).iter().map(ResourceExt::name_any).collect()
    }

    #[test]
    fn rows_are_filtered_and_sorted() {
        assert_eq!(listed(&[]), "ndcba", "as the API server has them");
        assert_eq!(listed(&["--renewing"]), "bnd");
        assert_eq!(listed(&["--expiring", "60d"]), "ac", "the next one first");
        assert_eq!(listed(&["--expiring", "60d", "--sort-by", "renews"]), "ca");
        assert_eq!(listed(&["--sort-by", "name"]), "abcdn");
        assert_eq!(listed(&["--sort-by", "ready"]), "bacdn");
        assert_eq!(listed(&["--sort-by", "issuer"]), "dnacb");
        assert_eq!(listed(&["--sort-by", "expires"]), "bnacd");
        assert_eq!(listed(&["--sort-by", "renews"]), "dcabn");
    }
}
