//! `cluster dashboard`: a picture of the Grafana dashboard, from the data of an operator that issues certificates meanwhile.

mod panel;
mod picture;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use certwright_cluster::{Cluster, Operator, Pebble, Prometheus, Proxy, TestNamespace, proxy::Action};
use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use self::{panel::Panel, picture::picture};
use crate::exec::start_cluster;

/// How often Certificates are applied, and how many each time.
const STEP: Duration = Duration::from_secs(6);
const BATCHES: [usize; 20] = [1, 2, 1, 3, 5, 8, 5, 2, 1, 4, 2, 2, 12, 8, 3, 1, 0, 2, 1, 1];
/// From the first of these batches to the second, the CA is down.
const DOWN: [usize; 2] = [11, 14];

/// What is to be written.
#[derive(Clone, Debug, Args)]
pub struct Wanted {
    /// Where to write the picture (SVG).
    file: PathBuf,
}

/// Issues certificates for two minutes, and draws the dashboard of the chart.
pub async fn run(state: &Path, wanted: &Wanted) -> Result<i32> {
    let running = start_cluster(state).await?;
    let cluster = Cluster::new(running.description.clone());
    let pebble = Pebble::builder().start(&cluster).await?;
    let ca = Proxy::start(&cluster, &pebble.address).await?;
    let namespace = TestNamespace::named(cluster, "shop").await?;
    let operator = Operator::builder(&namespace).argument("--backoff-first", "5s").start().await?;
    let operators = [("certwright", &operator)];
    let prometheus = Prometheus::start(&namespace.cluster, &operators, &json!({ "groups": [] })).await?;

    namespace.apply(&issuer(&ca.url, &pebble.ca_pem)).await?;
    let mut count = 0;
    for (step, batch) in BATCHES.into_iter().enumerate() {
        match step {
            _ if step == DOWN[0] => ca.script(|_| Action::Respond {
                status: 503,
                headers: Vec::new(),
                body: "maintenance".to_owned(),
            }),
            _ if step == DOWN[1] => ca.pass(),
            _ => {}
        }
        for _ in 0..batch {
            count += 1;
            namespace.apply(&certificate(count)).await?;
        }
        sleep(STEP).await;
    }

    let dashboard =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/certwright/files/dashboard.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(dashboard)?)?;
    let lasted = STEP * u32::try_from(BATCHES.len())?;
    let mut panels = Vec::new();
    for described in dashboard["panels"].as_array().context("no panels")? {
        panels.push(Panel::read(described, &prometheus, lasted).await?);
    }
    fs::write(&wanted.file, picture(&panels))
        .with_context(|| format!("cannot write {}", wanted.file.display()))?;
    Ok(0)
}

fn issuer(ca: &str, ca_pem: &str) -> String {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer", "metadata": { "name": "ca" },
        "spec": { "acme": {
            "server": format!("{ca}/dir"), "caBundle": BASE64_STANDARD.encode(ca_pem),
            "solvers": [{ "http01": { "ingress": { "ingressClassName": "router" } } }],
        } },
    })
    .to_string()
}

/// The last of ten has a name that leads nowhere.
fn certificate(number: usize) -> String {
    let zone = if number.is_multiple_of(10) { "nowhere.invalid" } else { "example.com" };
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate", "metadata": { "name": format!("web-{number}") },
        "spec": {
            "secretName": format!("web-{number}-tls"), "issuerRef": { "name": "ca" },
            "privateKey": { "algorithm": "ECDSA" }, "dnsNames": [format!("web-{number}.{zone}")],
        },
    })
    .to_string()
}
