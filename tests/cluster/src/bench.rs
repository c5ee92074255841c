//! `cluster bench`: what certificates cost in time, writes, ACME requests, processor time and memory.
//!
//! Writes are those that the API server has carried out, for all its clients, minus the benchmark's own. Leases, which the API
//! server renews for itself, do not count. What Kubernetes adds to the operator's writes, such as a Service's cluster address, is
//! counted separately and marked in the lists.

pub mod compare;
pub mod counts;
mod report;
pub mod site;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use certwright_cluster::{
    Bind, CertwrightDns, Cluster, Pebble, PowerDns, StepCa, TsigKey, description::Description,
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use self::{
    counts::{Counts, megabytes, print_counts, rounded},
    report::{Report, median_of},
    site::{Authority, LIMIT, Proof, Site, ZONE, certificates},
};
use crate::exec::start_cluster;

/// How many Certificates each scenario over HTTP applies.
const BATCHES: [usize; 3] = [1, 50, 500];
/// How many Certificates for wildcards each scenario over TXT records applies.
const RECORD_BATCHES: [usize; 2] = [1, 50];
/// How many Certificates for wildcards the scenario over records that are there already applies.
const PERSISTENT_BATCH: usize = 50;
/// How many Certificates for wildcards the scenario through `certwright-dns` applies.
const WEBHOOK_BATCH: usize = 50;
/// How long it is watched when nothing changes.
const IDLE: Duration = Duration::from_secs(15);
/// How long writes are counted while a self-check fails.
const MINUTE: Duration = Duration::from_secs(60);

/// What is to be measured.
#[derive(Clone, Debug, Args)]
pub struct Wanted {
    /// How often each scenario runs.
    #[arg(long, env = "RUNS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Which scenarios run, separated by commas; all by default.
    #[arg(long, env = "SCENARIOS", value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
}

/// Scenarios with the same way to prove control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// http-01 through an Ingress.
    Http01,
    /// http-01 that never succeeds.
    SelfCheckFailing,
    /// dns-01 with RFC 2136.
    Dns01Rfc2136,
    /// dns-persist-01.
    DnsPersist,
    /// dns-01 through `certwright-dns`.
    Dns01Webhook,
}

/// Runs the scenarios, prints the medians and writes all figures to `bench.json` in cargo's target directory.
pub async fn run(state: &Path, wanted: &Wanted) -> Result<i32> {
    if cfg!(debug_assertions) {
        println!("This is a development build: its figures say nothing of a release. See `make bench`.");
    }
    let running = start_cluster(state).await?;
    let (description, runs) = (&running.description, wanted.runs);
    let mut report = Report::create()?;
    let all = Scenario::value_variants();
    for scenario in if wanted.scenarios.is_empty() { all } else { &wanted.scenarios } {
        match scenario {
            Scenario::Http01 => over_http(description, &mut report, runs).await?,
            Scenario::SelfCheckFailing => self_check_failing(description, &mut report, runs).await?,
            Scenario::Dns01Rfc2136 => with_records(description, &mut report, runs).await?,
            Scenario::DnsPersist => with_persistent_records(description, &mut report, runs).await?,
            Scenario::Dns01Webhook => with_webhook(description, &mut report, runs).await?,
        }
    }
    report.print(runs);
    Ok(0)
}

/// The scenarios over HTTP.
async fn over_http(description: &Description, report: &mut Report, runs: u16) -> Result<()> {
    let ca = StepCa::start(&Cluster::new(description.clone())).await?;
    for n in BATCHES {
        let (mut figures, mut idle) = (Vec::new(), Vec::new());
        for run in 1..=runs {
            let name = format!("http01-{n}-run-{run}");
            let site = Site::create(&name, description, &ca, &Proof::Http, &[]).await?;
            figures.push(site.batch(n, LIMIT).await?);
            if n == 500 {
                idle.push(json!({"writes": site.writes_in(IDLE).await?}));
            }
        }
        report.add(&format!("http01-{n}"), median_of(&figures))?;
        if !idle.is_empty() {
            report.add(&format!("idle-{n}"), median_of(&idle))?;
        }
    }
    Ok(())
}

/// What is written while a self-check keeps failing.
async fn self_check_failing(description: &Description, report: &mut Report, runs: u16) -> Result<()> {
    let ca = StepCa::start(&Cluster::new(description.clone())).await?;
    let mut figures = Vec::new();
    for run in 1..=runs {
        let arguments = [("--http01-self-check-timeout", "10m")];
        let name = format!("self-check-failing-run-{run}");
        let site = Site::create(&name, description, &ca, &Proof::Http, &arguments).await?;
        site.namespace.cluster.dns()?.set_servfail(&site.dns_name("web-0")).await?;
        site.apply(&certificates(&site.namespace), 0).await?;
        let failing = |object: &Value| object["status"]["challenges"][0]["reason"].is_string();
        site.namespace.wait("certificate.certwright.dev/web-0", LIMIT, failing).await?;
        figures.push(json!({"writes_per_minute": site.writes_in(MINUTE).await?}));
    }
    report.add("self-check-failing", median_of(&figures))
}

/// The scenarios over TXT records: RFC 2136, with a bind9 that the CA asks as well.
async fn with_records(description: &Description, report: &mut Report, runs: u16) -> Result<()> {
    let cluster = Cluster::new(description.clone());
    let key = TsigKey::new("bench", "hmac-sha256");
    let bind = Bind::builder().zone(ZONE).tsig_key(&key).start(&cluster).await?;
    let ca = StepCa::start_with_dns_server(&cluster, &bind.address()).await?;
    let proof = Proof::Records { nameserver: bind.address(), key };
    for n in RECORD_BATCHES {
        let mut figures = Vec::new();
        for run in 1..=runs {
            let name = format!("dns01-rfc2136-{n}-run-{run}");
            figures.push(batch_with_records(n, &name, description, &ca, &proof, &bind).await?);
        }
        report.add(&format!("dns01-rfc2136-{n}"), median_of(&figures))?;
    }
    Ok(())
}

/// The scenario over TXT records that are there already, with the one CA here that offers dns-persist-01.
async fn with_persistent_records(description: &Description, report: &mut Report, runs: u16) -> Result<()> {
    let cluster = Cluster::new(description.clone());
    let bind = Bind::builder().zone(ZONE).start(&cluster).await?;
    let ca = Pebble::builder().dns_server(&bind.address()).start(&cluster).await?;
    let mut figures = Vec::new();
    for run in 1..=runs {
        let name = format!("dns-persist-{PERSISTENT_BATCH}-run-{run}");
        let proof = Proof::PersistentRecords;
        figures.push(batch_with_records(PERSISTENT_BATCH, &name, description, &ca, &proof, &bind).await?);
    }
    report.add(&format!("dns-persist-{PERSISTENT_BATCH}"), median_of(&figures))
}

/// The scenario through `certwright-dns`, at a PowerDNS that the CA asks as well.
async fn with_webhook(description: &Description, report: &mut Report, runs: u16) -> Result<()> {
    let cluster = Cluster::new(description.clone());
    let server = PowerDns::start(&cluster, &[ZONE]).await?;
    let address = server.server.address();
    let ca = StepCa::start_with_dns_server(&cluster, &address).await?;
    let arguments = [("--dns01-recursive-nameservers", address.as_str())];
    let mut figures = Vec::new();
    for run in 1..=runs {
        let name = format!("dns01-webhook-{WEBHOOK_BATCH}-run-{run}");
        let group = format!("{name}.dns.example.com");
        let proof = Proof::Webhook { group: group.clone(), url: server.url.clone() };
        let site = Site::create(&name, description, &ca, &proof, &arguments).await?;
        let (webhook, replica) = CertwrightDns::start(&site.namespace, &group).await?;
        webhook.allow_operator().await?;
        let mut batch = site.batch(WEBHOOK_BATCH, LIMIT).await?;
        batch["webhook_rss_mb"] = megabytes(replica.memory()?).into();
        figures.push(batch);
    }
    report.add(&format!("dns01-webhook-{WEBHOOK_BATCH}"), median_of(&figures))
}

/// Sets the records that prove the names of `n` Certificates.
async fn set_records(site: &Site<'_>, bind: &Bind, n: usize) -> Result<()> {
    let issuer = site.namespace.get("issuer.certwright.dev/ca").await?.context("no issuer")?;
    let account = issuer["status"]["acme"]["uri"].as_str().context("no account")?;
    let value = format!("pebble.letsencrypt.org; accounturi={account}; policy=wildcard");
    let updates =
        (0..n).map(|number| format!("update add _validation-persist.web-{number}.{ZONE}. 5 TXT \"{value}\""));
    bind.edit(&updates.collect::<Vec<_>>().join("\n")).await
}

async fn batch_with_records(
    n: usize,
    name: &str,
    description: &Description,
    ca: &impl Authority,
    proof: &Proof,
    bind: &Bind,
) -> Result<Value> {
    let address = bind.address();
    let arguments = [("--dns01-recursive-nameservers", address.as_str())];
    let site = Site::create(name, description, ca, proof, &arguments).await?;
    if let Proof::PersistentRecords = proof {
        set_records(&site, bind, n).await?;
    }
    bind.forget_queries()?;
    let mut figures = site.batch(n, LIMIT).await?;
    let queries = bind.queries()?;
    let mut kinds = Counts::new();
    for query in &queries {
        *kinds.entry(query.kind.clone()).or_default() += 1;
    }
    print_counts(&format!("DNS queries per certificate, of {n}, the CA's among them"), &kinds, n);
    figures["dns_queries_per_certificate"] = rounded(queries.len() as f64 / n as f64).into();
    Ok(figures)
}
