//! What an operator costs while all Certificates are at rest.

use std::time::{Duration, Instant};

use anyhow::Result;
use certwright_cluster::{Cluster, Operator, OperatorBuilder, StepCa, TestNamespace};
use serde_json::{Value, json};

use super::{
    Section, Wanted,
    activity::{Activity, Done},
    audit::{Audit, secret_reads, writes},
    report::Report,
    stock::Stock,
};
use crate::bench::{
    counts::{megabytes, print_counts, rounded},
    site::Proof,
};

/// The name of the issuers.
const ISSUER: &str = "rest";
/// Longer than any start takes.
const LIMIT: Duration = Duration::from_secs(1200);
/// How long it is watched when nothing changes.
const IDLE: Duration = Duration::from_secs(60);

/// An operator as it is usually installed: for all namespaces.
pub fn operator(own: &TestNamespace) -> OperatorBuilder<'_> {
    Operator::builder(own).argument("--watch-namespaces", "").argument("--cluster-issuers", "true")
}

/// Creates Certificates at rest, and runs the wanted ones of these sections.
pub async fn run(own: &TestNamespace, ca: &StepCa, wanted: &Wanted, report: &mut Report) -> Result<()> {
    eprintln!("Writing {} Certificates at rest", wanted.n);
    let stock = Stock::create(ISSUER, own, operator(own).start().await?, ca, None).await?;
    stock.fill(wanted.n).await?;
    let audit = Audit::of(&own.cluster.description.state);

    eprintln!("Starting an operator");
    let (began, log_len) = (Instant::now(), audit.len()?);
    let operator = operator(own).spawn().await?;
    operator.wait_ready(LIMIT).await?;
    let ready = began.elapsed();
    let start = Activity::from_start(&operator, &audit, began, log_len).until_quiet(LIMIT).await?;
    if wanted.has(Section::Start) {
        let mut figures = figures("start", &start);
        figures["certificates"] = stock.count().await?.into();
        figures["ready_s"] = rounded(ready.as_secs_f64()).into();
        figures["rss_mb_peak"] = megabytes(start.memory.1).into();
        figures["rss_mb_after"] = megabytes(start.memory.0).into();
        figures["rss_mb_peak_with_metrics"] = megabytes(operator.peak_memory()?).into();
        report.add(Section::Start, figures)?;
    }
    if wanted.has(Section::Idle) {
        eprintln!("Watching it for {} s", IDLE.as_secs());
        let idle = Activity::of(&operator, &audit).await?.during(IDLE).await?;
        let mut figures = figures("idle", &idle);
        figures["cpu_percent"] = rounded(100.0 * idle.cpu.as_secs_f64() / IDLE.as_secs_f64()).into();
        figures["rss_mb"] = megabytes(idle.memory.0).into();
        report.add(Section::Idle, figures)?;
    }
    if wanted.has(Section::Issuer) {
        let annotation = json!({"metadata": {"annotations": {"example.com/touched": "1"}}});
        // Nobody has this label, so that nothing changes but the issuer.
        let mut other = Proof::Http.solver();
        other["selector"] = json!({"matchLabels": {"example.com/none": "none"}});
        let spec = json!({"spec": {"acme": {"solvers": [Proof::Http.solver(), other]}}});
        let mut both = json!({});
        for (name, patch) in [("annotated", annotation), ("changed", spec)] {
            eprintln!("Issuer {name}");
            let activity = Activity::of(&operator, &audit).await?;
            own.patch(&format!("clusterissuer.certwright.dev/{ISSUER}"), patch).await?;
            both[name] = figures(&format!("issuer {name}"), &activity.until_quiet(LIMIT).await?);
        }
        report.add(Section::Issuer, both)?;
    }
    Ok(())
}

fn figures(what: &str, done: &Done) -> Value {
    print_counts(&format!("Requests of the operator: {what}"), &done.requests, 1);
    json!({
        "quiet_s": rounded(done.busy.as_secs_f64()),
        "cpu_s": rounded(done.cpu.as_secs_f64()),
        "secret_reads": secret_reads(&done.requests),
        "writes": writes(&done.requests),
        "certificate_reconciles": done.reconciles.get("Certificate").copied().unwrap_or_default(),
        "requests": done.requests,
        "reconciles": done.reconciles,
    })
}

/// The namespace of operators for all namespaces.
pub async fn own_namespace(cluster: Cluster) -> Result<TestNamespace> {
    TestNamespace::named(cluster, "operators").await
}
