//! Two installations, and what they serve.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::http01::host;
use crate::common::overheard::Overheard;
use crate::common::{CLUSTER_ISSUERS, SOON, certificate, issuer, of_issuer};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use serde_json::{Value, json};
use tokio::time::timeout;

pub const LABEL: &str = "certwright.dev/shard";

/// One of the installations, with its connection to the API server.
pub struct Shard {
    pub operator: Operator,
    pub api: Proxy,
}

/// The installation that serves what has no label, and the one for `a`.
pub struct Shards {
    pub main: Shard,
    pub a: Shard,
    pub ca: Proxy,
    pub heard: Overheard,
}

impl Shard {
    pub async fn start(ns: &TestNamespace, identity: &str, selector: &str) -> Result<Self> {
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let operator = Operator::builder(ns)
            .api_server(&api.url)
            .argument("--cluster-issuers", "true")
            .argument("--leader-elect", "true")
            .argument("--identity", identity)
            .argument("--watch-label-selector", selector)
            .start()
            .await?;
        Ok(Self { operator, api })
    }

    /// The names of the objects of this resource that it has written.
    pub fn written(&self, resource: &str) -> BTreeSet<String> {
        let beginning = format!("/{resource}/");
        let writes = self.api.requests().into_iter().filter(|request| request.method != http::Method::GET);
        let paths = writes.filter(|request| request.status.is_some_and(|status| status.is_success()));
        let names = paths.filter_map(|request| {
            let (_, rest) = request.path.split_once(&beginning)?;
            Some(rest.split(['/', '?']).next()?.to_owned())
        });
        names.collect()
    }

    /// Waits until its metrics have this sample, or no longer have it.
    pub async fn shows(&self, sample: &str, wanted: bool) -> Result<()> {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        let shown = async {
            while self.operator.metrics().await?.contains(sample) != wanted {
                interval.tick().await;
            }
            Ok(())
        };
        timeout(SOON, shown).await.with_context(|| format!("{sample} is not shown: {wanted}"))?
    }
}

/// Runs `test` with two shards and a ready ClusterIssuer that has the name of the namespace.
pub async fn with_shards(test: impl AsyncFnOnce(&TestNamespace, &Shards) -> Result<()>) -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("shards", async |ns| {
        let pebble = Pebble::builder()
            .nonce_reject_percent(0)
            .authorization_reuse_percent(0)
            .start(&ns.cluster)
            .await?;
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        let heard = Overheard::at(&ca);
        let main = Shard::start(ns, "main", &format!("!{LABEL}")).await?;
        let a = Shard::start(ns, "a", &format!("{LABEL}=a")).await?;
        let shards = Shards { main, a, ca, heard };
        let yaml = of_issuer(&ns.name, &issuer(&format!("{}/dir", shards.ca.url), &pebble.ca_pem, ""));
        ns.apply(&yaml.replace("kind: Issuer", "kind: ClusterIssuer")).await?;
        let outcome = async {
            ns.wait_condition(&cluster_issuer(ns), "Ready", "True", SOON).await?;
            test(ns, &shards).await
        }
        .await;
        ns.delete_object(&cluster_issuer(ns)).await?;
        outcome
    })
    .await
}

pub fn cluster_issuer(ns: &TestNamespace) -> String {
    format!("clusterissuer/{}", ns.name)
}

/// A Certificate for a name of its own, with the label of a shard.
pub fn labelled(ns: &TestNamespace, name: &str, shard: Option<&str>) -> String {
    let reference = format!("issuerRef: {{ name: {}, kind: ClusterIssuer }}", ns.name);
    let yaml = certificate(name, &[&host(ns, name)], "").replace("issuerRef: { name: ca }", &reference);
    match shard {
        Some(shard) => {
            yaml.replace("metadata: { ", &format!("metadata: {{ labels: {{ {LABEL}: {shard} }}, "))
        }
        None => yaml,
    }
}

pub fn relabel(shard: Option<&str>) -> Value {
    json!({ "metadata": { "labels": { (LABEL): shard } } })
}
