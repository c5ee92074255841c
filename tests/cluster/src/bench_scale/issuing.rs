//! What issuing many certificates costs, and how long one waits that comes later.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use certwright_cluster::{Cluster, StepCa, TestNamespace, description::Description};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::DynamicObject,
    runtime::{watcher, watcher::Event},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

use super::{Section, Wanted, at_rest::operator, report::Report};
use crate::bench::{
    counts::rounded,
    site::{APPLIES, LIMIT, Proof, Site, apply, certificates, is_ready, issuer},
};

/// What a batch is compared with.
const FEW: usize = 500;
/// Longer than any batch takes.
const LONG: Duration = Duration::from_secs(1800);
/// How often the time of a single Certificate is measured.
const PROBES: usize = 3;
/// The name of the issuers.
const ISSUER: &str = "queue";

/// Has `ISSUE` certificates issued at once, and fewer before that.
pub async fn batch(
    description: &Description,
    ca: &StepCa,
    wanted: &Wanted,
    report: &mut Report,
) -> Result<()> {
    let few = FEW.min(wanted.issue);
    let mut figures = json!({});
    for (name, n) in [("few", few), ("many", wanted.issue)] {
        let site = Site::create(&format!("issue-{name}"), description, ca, &Proof::Http, &[]).await?;
        figures[name] = site.batch(n, LONG).await?;
    }
    let figure = |batch: &str, name: &str| figures[batch][name].as_f64().unwrap_or(f64::NAN);
    let cpu = "operator_cpu_ms_per_certificate";
    let ratio = figure("many", cpu) / figure("few", cpu);
    // All of them, whoever makes them.
    let kinds = ["writes_per_certificate", "writes_by_kubernetes_per_certificate"];
    let writes: f64 = kinds.iter().map(|kind| figure("many", kind)).sum();
    figures["cpu_ratio"] = rounded(ratio).into();
    figures["writes_per_certificate"] = rounded(writes).into();
    report.add(Section::Issue, figures)
}

/// Measures how long single Certificates take while `ISSUE` others of another namespace are queued.
pub async fn queue(own: &TestNamespace, ca: &StepCa, wanted: &Wanted, report: &mut Report) -> Result<()> {
    eprintln!("Queuing {} Certificates", wanted.issue);
    let operator = operator(own).start().await?;
    let solver = [Proof::Http.solver()];
    own.apply(&issuer("ClusterIssuer", ISSUER, ca, &solver).to_string()).await?;
    let target = format!("clusterissuer.certwright.dev/{ISSUER}");
    own.wait_condition(&target, "Ready", "True", LIMIT).await?;
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for number in 0..PROBES {
        same.push(namespace(own, &format!("queue-same-{number}")).await?);
        let apart = namespace(own, &format!("queue-other-{number}")).await?;
        apart.apply(&issuer("Issuer", ISSUER, ca, &solver).to_string()).await?;
        apart.wait_condition(&format!("issuer.certwright.dev/{ISSUER}"), "Ready", "True", LIMIT).await?;
        other.push(apart);
    }

    let many = namespace(own, "queue-many").await?;
    let ready = Ready::follow(certificates(&many));
    let queued = || wanted.issue.saturating_sub(ready.count());
    apply_all(&many, wanted.issue).await?;
    // The queue is not new any more.
    while ready.count() < wanted.issue.div_ceil(100) {
        ensure!(operator.is_running()?, "the operator has ended");
        sleep(Duration::from_millis(100)).await;
    }
    let mut figures = json!({"queued_at_first": queued()});
    let (mut of_same, mut of_other) = (Vec::new(), Vec::new());
    for (same, other) in same.iter().zip(&other) {
        of_same.push(time_to_ready(same, &json!({"name": ISSUER, "kind": "ClusterIssuer"})).await?);
        of_other.push(time_to_ready(other, &json!({"name": ISSUER})).await?);
    }
    figures["queued_at_last"] = queued().into();
    if queued() == 0 {
        println!("Nothing was queued any more at the end: ISSUE is too small for the section queue.");
    }
    figures["same_account_s"] = json!(of_same);
    figures["other_account_s"] = json!(of_other);
    report.add(Section::Queue, figures)
}

async fn namespace(like: &TestNamespace, name: &str) -> Result<TestNamespace> {
    TestNamespace::named(Cluster::new(like.cluster.description.clone()), name).await
}

async fn apply_all(namespace: &TestNamespace, n: usize) -> Result<()> {
    let (api, issuer) = (certificates(namespace), json!({"name": ISSUER, "kind": "ClusterIssuer"}));
    let sent = stream::iter(0..n).map(|number| {
        let name = format!("web-{number}");
        let dns_name = Proof::Http.dns_name(&name, &namespace.name);
        let (api, issuer) = (&api, &issuer);
        async move { apply(api, &name, issuer, &dns_name).await }
    });
    sent.buffer_unordered(APPLIES).try_for_each(|_| async { Ok(()) }).await
}

/// Applies a Certificate; returns the seconds until it is Ready.
async fn time_to_ready(namespace: &TestNamespace, issuer: &Value) -> Result<f64> {
    let dns_name = Proof::Http.dns_name("web", &namespace.name);
    let sent: Instant = apply(&certificates(namespace), "web", issuer, &dns_name).await?;
    namespace.wait_condition("certificate.certwright.dev/web", "Ready", "True", LONG).await?;
    Ok(rounded(sent.elapsed().as_secs_f64()))
}

/// How many Certificates are Ready.
struct Ready {
    count: Arc<AtomicUsize>,
    task: JoinHandle<Result<()>>,
}

impl Ready {
    fn follow(api: Api<DynamicObject>) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let task = tokio::spawn(async move {
            let (mut events, mut ready) = (pin!(watcher(api, watcher::Config::default())), HashSet::new());
            loop {
                let event = events.try_next().await?.context("the watch of Certificates ended")?;
                if let Event::Apply(object) | Event::InitApply(object) = event
                    && is_ready(&object)
                    && ready.insert(object.name_any())
                {
                    counted.store(ready.len(), Ordering::Relaxed);
                }
            }
        });
        Self { count, task }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.task.abort();
    }
}
