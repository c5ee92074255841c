//! A namespace in which certificates are issued, and what that costs.

use std::{
    collections::HashMap,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use certwright_cluster::{
    CertwrightDns, Cluster, Operator, Pebble, PowerDns, StepCa, TestNamespace, TsigKey,
    description::Description, router,
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

use super::counts::{
    Counts, acme_requests, difference, is_consequence, megabytes, print_counts, rounded, total, writes,
};

/// The zone of the wildcards.
pub const ZONE: &str = "bench.test";
/// How many requests apply Certificates at a time: enough for the operator never to wait for work.
pub const APPLIES: usize = 16;
/// Longer than any batch of `make bench` takes.
pub const LIMIT: Duration = Duration::from_secs(300);
/// Without a write for so long, the operator has done what there was to do.
const SETTLED: Duration = Duration::from_secs(1);

/// How control of the names is proved.
pub enum Proof {
    Http,
    Records {
        nameserver: String,
        key: TsigKey,
    },
    /// By `certwright-dns` at a PowerDNS with this API.
    Webhook {
        group: String,
        url: String,
    },
    /// By records that are there before the Certificates are.
    PersistentRecords,
}

/// A CA, as an issuer names it.
pub trait Authority {
    /// URL of its directory.
    fn directory_url(&self) -> &str;
    /// The certificate that it can be verified against.
    fn trust_pem(&self) -> &str;
}

impl Authority for StepCa {
    fn directory_url(&self) -> &str {
        &self.directory_url
    }

    fn trust_pem(&self) -> &str {
        &self.root_pem
    }
}

impl Authority for Pebble {
    fn directory_url(&self) -> &str {
        &self.directory_url
    }

    fn trust_pem(&self) -> &str {
        &self.ca_pem
    }
}

impl Proof {
    /// The solver of an issuer.
    pub fn solver(&self) -> Value {
        match self {
            Self::Http => json!({"http01": {"ingress": {"ingressClassName": router::CLASS}}}),
            Self::Records { nameserver, key } => json!({"dns01": {"rfc2136": {
                "nameserver": nameserver, "tsigKeyName": key.name, "tsigAlgorithm": "HMACSHA256",
                "tsigSecretSecretRef": {"name": "tsig", "key": "secret"},
            }}}),
            Self::Webhook { group, url } => json!({"dns01": {"webhook": {
                "groupName": group, "solverName": CertwrightDns::SOLVER, "config": {
                    "provider": "powerdns", "settings": {"url": url},
                    "credentials": {"apiKey": {"secretRef": {"name": "powerdns", "key": "api-key"}}},
                },
            }}}),
            Self::PersistentRecords => json!({"dnsPersist01": {}}),
        }
    }

    /// A name for the Certificate `name`.
    pub fn dns_name(&self, name: &str, namespace: &str) -> String {
        match self {
            Self::Http => format!("{name}.{namespace}.example"),
            Self::Records { .. } | Self::Webhook { .. } | Self::PersistentRecords => {
                format!("*.{name}.{ZONE}")
            }
        }
    }
}

/// A namespace with an Issuer that is ready, and an operator of its own that has nothing to do yet.
pub struct Site<'a> {
    pub namespace: TestNamespace,
    operator: Operator,
    proof: &'a Proof,
}

impl<'a> Site<'a> {
    pub async fn create(
        name: &str,
        description: &Description,
        ca: &impl Authority,
        proof: &'a Proof,
        arguments: &[(&str, &str)],
    ) -> Result<Self> {
        eprintln!("Measuring {name}");
        let namespace = TestNamespace::named(Cluster::new(description.clone()), name).await?;
        let builder = Operator::builder(&namespace);
        let builder = arguments.iter().fold(builder, |builder, (name, value)| builder.argument(name, value));
        let operator = builder.start().await?;
        let issuer = issuer("Issuer", "ca", ca, &[proof.solver()]);
        let _secrets = match proof {
            Proof::Records { key, .. } => namespace.apply(&key.object("tsig")).await?,
            Proof::Webhook { .. } => namespace.apply(&api_key().to_string()).await?,
            Proof::Http | Proof::PersistentRecords => Vec::new(),
        };
        namespace.apply(&issuer.to_string()).await?;
        namespace.wait_condition("issuer.certwright.dev/ca", "Ready", "True", LIMIT).await?;
        let site = Self { namespace, operator, proof };
        site.settled().await?;
        Ok(site)
    }

    /// Has `n` certificates issued within `limit`, and returns the figures.
    pub async fn batch(&self, n: usize, limit: Duration) -> Result<Value> {
        let idle = self.operator.memory()?;
        let cpu = self.operator.cpu_time()?;
        let requests = acme_requests(&self.operator.metrics().await?);
        let writes_before = writes(&self.namespace.client).await?;

        let issued = timeout(limit, self.issue(n)).await.with_context(|| {
            format!("not all are Ready after {limit:?}:\n{}", self.namespace.operator_log_tail(15))
        })??;
        let mut writes = difference(&writes_before, &self.settled().await?);
        let cpu = self.operator.cpu_time()? - cpu;
        let requests = difference(&requests, &acme_requests(&self.operator.metrics().await?));

        let own = writes.get_mut("APPLY certificates").context("the API server did not count the applies")?;
        *own = own.checked_sub(n as u64).context("the API server missed some applies")?;
        writes.retain(|_, count| *count > 0);
        print_counts(&format!("Writes per certificate, of {n}"), &writes, n);
        print_counts(&format!("ACME requests per certificate, of {n}"), &requests, n);
        let Issued { times, whole, slowest_tenth, slowest_tenth_once_applied } = issued;
        let median = (times[(n - 1) / 2] + times[n / 2]) / 2;
        let each = |total: f64| rounded(total / n as f64);
        let by_kubernetes =
            writes.iter().filter(|(what, _)| is_consequence(what)).map(|(_, count)| count).sum::<u64>();
        Ok(json!({
            "n": n,
            "median_s": rounded(median.as_secs_f64()),
            "max_s": rounded(times[n - 1].as_secs_f64()),
            "per_second": rounded(n as f64 / whole.as_secs_f64()),
            "per_second_slowest_tenth": rounded(slowest_tenth),
            "per_second_slowest_tenth_once_applied": rounded(slowest_tenth_once_applied),
            "writes_per_certificate": each((total(&writes) - by_kubernetes) as f64),
            "writes_by_kubernetes_per_certificate": each(by_kubernetes as f64),
            "acme_requests_per_certificate": each(total(&requests) as f64),
            "operator_cpu_ms_per_certificate": each(cpu.as_secs_f64() * 1000.0),
            "rss_mb_idle": megabytes(idle),
            "rss_mb_peak": megabytes(self.operator.peak_memory()?),
            "rss_mb_after": megabytes(self.operator.memory()?),
        }))
    }

    /// Applies `n` Certificates and waits until a watch shows all of them Ready.
    async fn issue(&self, n: usize) -> Result<Issued> {
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
        Ok(Issued::new(start, &sent, &ready))
    }

    /// Applies a Certificate; returns its name and when it was sent.
    pub async fn apply(&self, api: &Api<DynamicObject>, number: usize) -> Result<(String, Instant)> {
        let name = format!("web-{number}");
        let sent = apply(api, &name, &json!({"name": "ca"}), &self.dns_name(&name)).await?;
        Ok((name, sent))
    }

    pub fn dns_name(&self, name: &str) -> String {
        self.proof.dns_name(name, &self.namespace.name)
    }

    /// Counts and prints the writes of a period that begins when there is nothing new to do.
    pub async fn writes_in(&self, period: Duration) -> Result<u64> {
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

    /// Lets time pass, and returns the writes until then.
    async fn quiet(&self, period: Duration) -> Result<Counts> {
        sleep(period).await;
        writes(&self.namespace.client).await
    }
}

/// How long certificates took.
struct Issued {
    /// Each one, from when it was sent until it was Ready, in order.
    times: Vec<Duration>,
    /// All of them.
    whole: Duration,
    /// Certificates per second in the slowest tenth of them.
    slowest_tenth: f64,
    /// The same of those that are issued after all are applied.
    slowest_tenth_once_applied: f64,
}

impl Issued {
    fn new(start: Instant, sent: &HashMap<String, Instant>, ready: &HashMap<String, Instant>) -> Self {
        let mut times: Vec<Duration> = ready.iter().map(|(name, ready)| *ready - sent[name]).collect();
        times.sort();
        let mut after: Vec<f64> = ready.values().map(|ready| (*ready - start).as_secs_f64()).collect();
        after.sort_by(f64::total_cmp);
        let applied = sent.values().max().map_or(0.0, |last| (*last - start).as_secs_f64());
        let before = after.partition_point(|ready| *ready <= applied);
        Self {
            times,
            whole: start.elapsed(),
            slowest_tenth: slowest_tenth(0.0, &after),
            slowest_tenth_once_applied: slowest_tenth(applied, &after[before..]),
        }
    }
}

/// How many per second, in the slowest tenth of these, which began at `began` and ended at these times, in order.
fn slowest_tenth(mut began: f64, ended: &[f64]) -> f64 {
    let rates = ended.chunks(ended.len().div_ceil(10).max(1)).map(|tenth| {
        let last = tenth[tenth.len() - 1];
        tenth.len() as f64 / (last - std::mem::replace(&mut began, last))
    });
    rates.fold(f64::INFINITY, f64::min)
}

/// The Secret with the key of PowerDNS's API.
fn api_key() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "powerdns"},
        "stringData": {"api-key": PowerDns::API_KEY},
    })
}

/// An issuer at `ca`.
pub fn issuer(kind: &str, name: &str, ca: &impl Authority, solvers: &[Value]) -> Value {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": kind, "metadata": {"name": name},
        "spec": {"acme": {
            "server": ca.directory_url(),
            "caBundle": BASE64_STANDARD.encode(ca.trust_pem()),
            "solvers": solvers,
        }},
    })
}

/// Applies a Certificate for `dns_name`; returns when it was sent.
pub async fn apply(api: &Api<DynamicObject>, name: &str, issuer: &Value, dns_name: &str) -> Result<Instant> {
    let certificate = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate", "metadata": {"name": name},
        "spec": {
            "secretName": format!("{name}-tls"),
            "issuerRef": issuer,
            "privateKey": {"algorithm": "ECDSA", "size": 256},
            "dnsNames": [dns_name],
        },
    });
    let sent = Instant::now();
    api.patch(name, &PatchParams::apply("bench"), &Patch::Apply(certificate)).await?;
    Ok(sent)
}

pub fn certificates(namespace: &TestNamespace) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("certwright.dev", "v1alpha1", "Certificate");
    Api::namespaced_with(namespace.client.clone(), &namespace.name, &ApiResource::from_gvk(&kind))
}

pub fn is_ready(certificate: &DynamicObject) -> bool {
    let conditions = certificate.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|found| found["type"] == "Ready" && found["status"] == "True")
}
