//! `cluster bench`: what certificates cost in time, writes, ACME requests, processor time and memory.
//!
//! Writes are those that the API server has carried out, for all its clients, minus the benchmark's own. Leases, which the API
//! server renews for itself, do not count. What Kubernetes adds to the operator's writes, such as a Service's cluster address, is
//! counted separately and marked in the lists.

mod counts;
mod report;

use std::{
    collections::HashMap,
    fs,
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use certwright_cluster::{
    Bind, Cluster, Operator, StepCa, TestNamespace, TsigKey, description::Description, router,
};
use futures::{StreamExt, TryStreamExt, future::try_join, stream};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
    runtime::{watcher, watcher::Event},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use self::{
    counts::{
        Counts, acme_requests, difference, is_consequence, megabytes, print_counts, rounded, total, writes,
    },
    report::Report,
};
use crate::exec::start_cluster;

/// How many Certificates each scenario over HTTP applies.
const BATCHES: [usize; 3] = [1, 50, 500];
/// How many Certificates for wildcards each scenario over TXT records applies.
const RECORD_BATCHES: [usize; 2] = [1, 50];
/// The zone of these wildcards.
const ZONE: &str = "bench.test";
/// How many Certificates are applied concurrently: enough that the operator never waits for work.
const APPLIES: usize = 16;
/// Longer than any batch takes.
const LIMIT: Duration = Duration::from_secs(300);
/// Without a write for this long, the operator has finished.
const SETTLED: Duration = Duration::from_secs(1);
/// How long writes are counted while nothing changes.
const IDLE: Duration = Duration::from_secs(15);
/// How long writes are counted while a self-check fails.
const MINUTE: Duration = Duration::from_secs(60);

/// Runs every scenario, prints the figures and writes them to `bench.json` in cargo's target directory.
pub async fn run(state: &Path) -> Result<i32> {
    if cfg!(debug_assertions) {
        println!("This is a development build: its figures say nothing of a release. See `make bench`.");
    }
    let running = start_cluster(state).await?;
    let ca = StepCa::start(&Cluster::new(running.description.clone())).await?;
    let mut report = Report::create()?;
    for n in BATCHES {
        let scenario = format!("http01-{n}");
        let site = Site::create(&scenario, &running.description, &ca, &Proof::Http, &[]).await?;
        report.add(&scenario, site.batch(n).await?)?;
        if n == 500 {
            report.add("idle-500", json!({"writes": site.writes_in(IDLE).await?}))?;
        }
    }

    let arguments = [("--http01-self-check-timeout", "10m")];
    let site =
        Site::create("self-check-failing", &running.description, &ca, &Proof::Http, &arguments).await?;
    site.namespace.cluster.dns()?.set_servfail(&site.dns_name("web-0")).await?;
    site.apply(&certificates(&site.namespace), 0).await?;
    let failing = |object: &Value| object["status"]["challenges"][0]["reason"].is_string();
    site.namespace.wait("certificate.certwright.dev/web-0", LIMIT, failing).await?;
    report.add("self-check-failing", json!({"writes_per_minute": site.writes_in(MINUTE).await?}))?;
    with_records(&running.description, &mut report).await?;
    report.print();
    Ok(0)
}

/// The scenarios over TXT records: RFC 2136, with a bind9 that the CA also queries.
async fn with_records(description: &Description, report: &mut Report) -> Result<()> {
    let cluster = Cluster::new(description.clone());
    let key = TsigKey::new("bench", "hmac-sha256");
    let bind = Bind::builder().zone(ZONE).tsig_key(&key).start(&cluster).await?;
    let ca = StepCa::start_with_dns_server(&cluster, &bind.address()).await?;
    let proof = Proof::Records { nameserver: bind.address(), key };
    for n in RECORD_BATCHES {
        let scenario = format!("dns01-rfc2136-{n}");
        let address = bind.address();
        let arguments = [("--dns01-recursive-nameservers", address.as_str())];
        let site = Site::create(&scenario, description, &ca, &proof, &arguments).await?;
        bind.forget_queries()?;
        let mut figures = site.batch(n).await?;
        let queries = bind.queries()?;
        let mut kinds = Counts::new();
        for query in &queries {
            *kinds.entry(query.kind.clone()).or_default() += 1;
        }
        print_counts(&format!("DNS queries per certificate, of {n}, the CA's among them"), &kinds, n);
        figures["dns_queries_per_certificate"] = rounded(queries.len() as f64 / n as f64).into();
        report.add(&scenario, figures)?;
    }
    Ok(())
}

/// How control of the names is proved.
enum Proof {
    Http,
    Records { nameserver: String, key: TsigKey },
}

impl Proof {
    fn solver(&self) -> Value {
        match self {
            Self::Http => json!({"http01": {"ingress": {"ingressClassName": router::CLASS}}}),
            Self::Records { nameserver, key } => json!({"dns01": {"rfc2136": {
                "nameserver": nameserver, "tsigKeyName": key.name, "tsigAlgorithm": "HMACSHA256",
                "tsigSecretSecretRef": {"name": "tsig", "key": "secret"},
            }}}),
        }
    }

    fn dns_name(&self, name: &str, namespace: &str) -> String {
        match self {
            Self::Http => format!("{name}.{namespace}.example"),
            Self::Records { .. } => format!("*.{name}.{ZONE}"),
        }
    }
}

/// A namespace with an Issuer that is ready, and an idle operator.
struct Site<'a> {
    namespace: TestNamespace,
    operator: Operator,
    proof: &'a Proof,
}

impl<'a> Site<'a> {
    async fn create(
        name: &str,
        description: &Description,
        ca: &StepCa,
        proof: &'a Proof,
        arguments: &[(&str, &str)],
    ) -> Result<Self> {
        eprintln!("Measuring {name}");
        let namespace = TestNamespace::named(Cluster::new(description.clone()), name).await?;
        let builder = Operator::builder(&namespace);
        let builder = arguments.iter().fold(builder, |builder, (name, value)| builder.argument(name, value));
        let operator = builder.start().await?;
        let issuer = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer", "metadata": {"name": "ca"},
            "spec": {"acme": {
                "server": ca.directory_url,
                "caBundle": BASE64_STANDARD.encode(&ca.root_pem),
                "solvers": [proof.solver()],
            }},
        });
        if let Proof::Records { key, .. } = proof {
            namespace.apply(&key.object("tsig")).await?;
        }
        namespace.apply(&issuer.to_string()).await?;
        namespace.wait_condition("issuer.certwright.dev/ca", "Ready", "True", LIMIT).await?;
        let site = Self { namespace, operator, proof };
        site.settled().await?;
        Ok(site)
    }

    /// Issues `n` certificates, and returns the figures.
    async fn batch(&self, n: usize) -> Result<Value> {
        let idle = self.operator.memory()?;
        let cpu = self.operator.cpu_time()?;
        let requests = acme_requests(&self.operator.metrics().await?);
        let writes_before = writes(&self.namespace.client).await?;

        let (mut times, whole) = timeout(LIMIT, self.issue(n)).await.with_context(|| {
            format!("not all are Ready after {LIMIT:?}:\n{}", self.namespace.operator_log_tail(15))
        })??;
        let mut writes = difference(&writes_before, &self.settled().await?);
        let cpu = self.operator.cpu_time()? - cpu;
        let requests = difference(&requests, &acme_requests(&self.operator.metrics().await?));

        let own = writes.get_mut("APPLY certificates").context("the API server did not count the applies")?;
        *own = own.checked_sub(n as u64).context("the API server missed some applies")?;
        writes.retain(|_, count| *count > 0);
        print_counts(&format!("Writes per certificate, of {n}"), &writes, n);
        print_counts(&format!("ACME requests per certificate, of {n}"), &requests, n);
        times.sort();
        let median = (times[(n - 1) / 2] + times[n / 2]) / 2;
        let each = |total: f64| rounded(total / n as f64);
        let by_kubernetes =
            writes.iter().filter(|(what, _)| is_consequence(what)).map(|(_, count)| count).sum::<u64>();
        Ok(json!({
            "n": n,
            "median_s": rounded(median.as_secs_f64()),
            "max_s": rounded(times[n - 1].as_secs_f64()),
            "per_second": rounded(n as f64 / whole.as_secs_f64()),
            "writes_per_certificate": each((total(&writes) - by_kubernetes) as f64),
            "writes_by_kubernetes_per_certificate": each(by_kubernetes as f64),
            "acme_requests_per_certificate": each(total(&requests) as f64),
            "operator_cpu_ms_per_certificate": each(cpu.as_secs_f64() * 1000.0),
            "rss_mb_idle": megabytes(idle),
            "rss_mb_peak": megabytes(self.peak_memory()?),
            "rss_mb_after": megabytes(self.operator.memory()?),
        }))
    }

    /// Applies `n` Certificates and waits until a watch shows that all of them are Ready. Returns how long each one took after it
    /// was applied, and how long all of them took.
    async fn issue(&self, n: usize) -> Result<(Vec<Duration>, Duration)> {
        let api = certificates(&self.namespace);
        let mut events = pin!(watcher(api.clone(), watcher::Config::default()));
        while !matches!(events.try_next().await?, None | Some(Event::InitDone)) {}

        let start = Instant::now();
        let sent = stream::iter(0..n)
            .map(|number| self.apply(&api, number))
            .buffer_unordered(APPLIES)
            .try_collect::<HashMap<_, _>>();
        let ready = async {
            let mut ready = HashMap::new();
            while ready.len() < n {
                let event = events.try_next().await?.context("the watch of Certificates ended")?;
                if let Event::Apply(object) | Event::InitApply(object) = event
                    && is_ready(&object)
                {
                    ready.entry(object.name_any()).or_insert_with(Instant::now);
                }
            }
            anyhow::Ok(ready)
        };
        let (sent, ready) = try_join(sent, ready).await?;
        Ok((ready.into_iter().map(|(name, ready)| ready - sent[&name]).collect(), start.elapsed()))
    }

    /// Applies a Certificate; returns its name and when it was applied.
    async fn apply(&self, api: &Api<DynamicObject>, number: usize) -> Result<(String, Instant)> {
        let name = format!("web-{number}");
        let certificate = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate", "metadata": {"name": name},
            "spec": {
                "secretName": format!("{name}-tls"),
                "issuerRef": {"name": "ca"},
                "privateKey": {"algorithm": "ECDSA", "size": 256},
                "dnsNames": [self.dns_name(&name)],
            },
        });
        let sent = Instant::now();
        api.patch(&name, &PatchParams::apply("bench"), &Patch::Apply(certificate)).await?;
        Ok((name, sent))
    }

    fn dns_name(&self, name: &str) -> String {
        self.proof.dns_name(name, &self.namespace.name)
    }

    /// Counts and prints the writes of a period in which there is nothing to do.
    async fn writes_in(&self, period: Duration) -> Result<u64> {
        let writes = difference(&self.settled().await?, &self.quiet(period).await?);
        print_counts(&format!("Writes in {} s: {}", period.as_secs(), self.namespace.name), &writes, 1);
        Ok(total(&writes))
    }

    /// Waits until nothing is written any more, and returns the writes until then.
    async fn settled(&self) -> Result<Counts> {
        let mut last = writes(&self.namespace.client).await?;
        loop {
            let now = self.quiet(SETTLED).await?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
    }

    /// Waits, and returns the writes until then.
    async fn quiet(&self, period: Duration) -> Result<Counts> {
        sleep(period).await;
        writes(&self.namespace.client).await
    }

    /// The operator's peak memory, in bytes.
    fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.operator.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes * 1024)
    }
}

fn certificates(namespace: &TestNamespace) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("certwright.dev", "v1alpha1", "Certificate");
    Api::namespaced_with(namespace.client.clone(), &namespace.name, &ApiResource::from_gvk(&kind))
}

fn is_ready(certificate: &DynamicObject) -> bool {
    let conditions = certificate.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|found| found["type"] == "Ready" && found["status"] == "True")
}
