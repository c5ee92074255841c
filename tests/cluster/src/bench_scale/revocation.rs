//! A day on which a CA is about to revoke all certificates, as its renewal information says (RFC 9773).

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use certwright_acme::SuggestedWindow;
use certwright_api::Certificate;
use certwright_cluster::{
    Cluster, Operator, Proxy, StepCa, TestNamespace,
    at_rest::ASKED_AGAIN,
    proxy::{Action, RequestInfo},
};
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt,
    runtime::{watcher, watcher::Event},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    Section, Wanted,
    at_rest::operator,
    audit::{Audit, writes},
    report::Report,
    stock::Stock,
};
use crate::bench::{
    counts::{megabytes, print_counts, rounded},
    site::Authority,
};

/// The name of the issuers.
const ISSUER: &str = "revoked";
/// The path of the renewal information.
const RENEWAL_INFO: &str = "/renewal-info";
/// What the CA suggests at all other times: its own certificates are valid for a day.
const USUAL: (i64, i64) = (12, 13);
/// Longer than the day takes.
const LONG: Duration = Duration::from_secs(1800);

/// step-ca, and what it lacks: renewal information.
struct RevokingCa {
    directory_url: String,
    trust_pem: String,
    told: Arc<Mutex<Told>>,
    _proxy: Proxy,
}

/// What the CA tells.
#[derive(Default)]
struct Told {
    /// On that day, with what the ids of the certificates begin that it will revoke.
    revokes: Option<String>,
    /// Those that it was asked about, and whether it revokes them before the others.
    revoked_first: HashMap<String, bool>,
}

impl Authority for RevokingCa {
    fn directory_url(&self) -> &str {
        &self.directory_url
    }

    fn trust_pem(&self) -> &str {
        &self.trust_pem
    }
}

impl RevokingCa {
    async fn start(cluster: &Cluster, ca: &StepCa) -> Result<Self> {
        let (scheme, rest) = ca.directory_url.split_once("://").context("a URL without a scheme")?;
        let (address, path) = rest.split_once('/').context("a URL without a path")?;
        let proxy = Proxy::start(cluster, address).await?;
        let directory_url = format!("{}/{path}", proxy.url);
        let told = Arc::new(Mutex::new(Told::default()));
        let (tells, here, there) = (told.clone(), proxy.url.clone(), format!("{scheme}://{address}"));
        proxy.script(move |request: &RequestInfo| match request.path.strip_prefix(RENEWAL_INFO) {
            Some(id) => tells.lock().renewal_info(id.trim_start_matches('/')),
            None => {
                let (here, there) = (here.clone(), there.clone());
                let replace = move |body: Bytes| directory(&body, &here, &there).into();
                Action::ReplaceBody(Box::new(replace))
            }
        });
        let trust_pem = format!("{}{}", ca.root_pem, cluster.ca()?.pem);
        Ok(Self { directory_url, trust_pem, told, _proxy: proxy })
    }
}

impl Told {
    /// Half of those that it will revoke are revoked a day before the others. All must be replaced at once.
    fn renewal_info(&mut self, id: &str) -> Action {
        let is_revoked = self.revokes.as_ref().is_some_and(|authority| id.starts_with(authority));
        let hours = if is_revoked {
            let first = self.revoked_first.len().is_multiple_of(2);
            if *self.revoked_first.entry(id.to_owned()).or_insert(first) { (-72, -48) } else { (-48, -24) }
        } else {
            USUAL
        };
        let SuggestedWindow { start, end } = window(hours);
        let body = json!({"suggestedWindow": {"start": start, "end": end}}).to_string();
        let headers = vec![("retry-after", ASKED_AGAIN.as_secs().to_string())];
        Action::Respond { status: 200, headers, body }
    }
}

/// From when until when to renew, in hours from now.
fn window((start, end): (i64, i64)) -> SuggestedWindow {
    let at = |hours: i64| Timestamp::now() + SignedDuration::from_hours(hours);
    SuggestedWindow { start: at(start), end: at(end) }
}

/// The directory of the CA. All requests go `there`, except those for renewal information.
fn directory(body: &[u8], here: &str, there: &str) -> String {
    let text = String::from_utf8_lossy(body).replace(here, there);
    let mut directory: Value = serde_json::from_str(&text).unwrap_or_default();
    directory["renewalInfo"] = format!("{here}{RENEWAL_INFO}").into();
    directory.to_string()
}

/// Has the CA revoke `ISSUE` certificates that are at rest, and measures how they are replaced.
pub async fn day(own: &TestNamespace, ca: &StepCa, wanted: &Wanted, report: &mut Report) -> Result<()> {
    let ca = RevokingCa::start(&own.cluster, ca).await?;
    eprintln!("Writing {} Certificates at rest, which will be revoked", wanted.issue);
    let usual = Some(window(USUAL));
    let stock = Stock::create(ISSUER, own, operator(own).start().await?, &ca, usual).await?;
    ca.told.lock().revokes = Some(stock.fill(wanted.issue).await?);
    let audit = Audit::of(&own.cluster.description.state);

    eprintln!("Starting an operator");
    let (began, log_len) = (Instant::now(), audit.len()?);
    let operator = operator(own).start().await?;
    let (mut day, mut most_queued) = (Day::default(), 0);
    {
        let mut replaced = pin!(timeout(LONG, day.follow(own, wanted.issue)));
        loop {
            tokio::select! {
                replaced = &mut replaced => break replaced.context("not all are replaced in time")??,
                () = sleep(Duration::from_secs(1)) => {
                    ensure!(operator.is_running()?, "the operator has ended");
                    most_queued = most_queued.max(queued(&operator).await?);
                }
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let requests = audit.requests_since(log_len)?;
    print_counts("Requests of the operator: revocation", &requests, 1);
    let told = ca.told.lock();
    let order: Vec<bool> = day.replaced.iter().filter_map(|id| told.revoked_first.get(id).copied()).collect();
    let n = wanted.issue;
    ensure!(order.len() == n, "the CA has asked for {} of {n} certificates to be replaced", order.len());
    let late = order.iter().skip(n * 3 / 4).filter(|first| **first).count();
    let each = |sum: f64| rounded(sum / n as f64);
    report.add(
        Section::Revocation,
        json!({
            "replaced_s": rounded(seconds),
            "per_second": rounded(n as f64 / seconds),
            "failed": day.failed.len(),
            "revoked_first_but_replaced_late": late,
            "queued_at_most": most_queued,
            "operator_cpu_ms_per_certificate": each(operator.cpu_time()?.as_secs_f64() * 1000.0),
            "writes_per_certificate": each(writes(&requests) as f64),
            "rss_mb_peak": megabytes(operator.peak_memory()?),
        }),
    )
}

/// What becomes of the certificates.
#[derive(Default)]
struct Day {
    /// The CA's ids of those that are not replaced yet, by the uid of the Certificate.
    ids: HashMap<String, String>,
    /// The ids of those that are replaced, in this order.
    replaced: Vec<String>,
    /// The Certificates of which an issuance has failed.
    failed: BTreeSet<String>,
}

impl Day {
    /// Watches until `n` certificates are replaced.
    async fn follow(&mut self, own: &TestNamespace, n: usize) -> Result<()> {
        let api = Api::<Certificate>::all(own.client.clone());
        let mut events = pin!(watcher(api, watcher::Config::default()));
        while self.replaced.len() < n {
            let event = events.try_next().await?.context("the watch of Certificates ended")?;
            if let Event::Apply(certificate) | Event::InitApply(certificate) = event
                && certificate.namespace().is_some_and(|name| name.starts_with(ISSUER))
            {
                self.see(&certificate);
            }
        }
        Ok(())
    }

    fn see(&mut self, certificate: &Certificate) {
        let (Some(uid), Some(status)) = (certificate.uid(), &certificate.status) else { return };
        if status.failed_issuance_attempts.is_some() {
            self.failed.insert(uid.clone());
        }
        let about = status.acme.as_ref().and_then(|acme| acme.ari.as_ref());
        if status.revision.is_some_and(|revision| revision > 1) {
            self.replaced.extend(self.ids.remove(&uid));
        } else if let Some(about) = about {
            self.ids.insert(uid, about.certificate_id.clone());
        }
    }
}

/// How many issuances wait for an order slot.
async fn queued(operator: &Operator) -> Result<u64> {
    let metrics = operator.metrics().await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("certwright_issuances_queued "));
    Ok(line.context("no such metric")?.parse()?)
}
