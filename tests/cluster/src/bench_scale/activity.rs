//! What an operator does, and when it has done it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use certwright_cluster::Operator;
use tokio::time::sleep;

use super::audit::Audit;
use crate::bench::counts::{Counts, difference};

/// Without a request that succeeds, and without processor time worth mentioning, for so long, the operator is quiet.
const QUIET: Duration = Duration::from_secs(10);
/// How often that is looked at.
const SAMPLE: Duration = Duration::from_millis(500);
/// Processor time of a sample that is worth mentioning: 4 %.
const BUSY: Duration = Duration::from_millis(20);

/// What an operator does, from a moment on.
pub struct Activity<'a> {
    operator: &'a Operator,
    audit: &'a Audit,
    began: Instant,
    log_len: u64,
    cpu: Duration,
    reconciles: Counts,
}

/// What it did.
pub struct Done {
    /// How long it was busy.
    pub busy: Duration,
    /// Its requests to the API server.
    pub requests: Counts,
    /// Its processor time.
    pub cpu: Duration,
    /// The memory that it holds, and the most that it has held, in bytes.
    pub memory: (u64, u64),
    /// Its reconciles, by kind.
    pub reconciles: Counts,
}

impl<'a> Activity<'a> {
    /// From now on.
    pub async fn of(operator: &'a Operator, audit: &'a Audit) -> Result<Self> {
        let reconciles = reconciles(&operator.metrics().await?);
        let (cpu, log_len) = (operator.cpu_time()?, audit.len()?);
        Ok(Self { operator, audit, began: Instant::now(), log_len, cpu, reconciles })
    }

    /// From when it was started, at `began`; the audit log had this size.
    pub fn from_start(operator: &'a Operator, audit: &'a Audit, began: Instant, log_len: u64) -> Self {
        Self { operator, audit, began, log_len, cpu: Duration::ZERO, reconciles: Counts::new() }
    }

    /// Waits until it is quiet.
    pub async fn until_quiet(&self, limit: Duration) -> Result<Done> {
        let (mut cpu, mut len) = (self.operator.cpu_time()?, self.audit.len()?);
        let mut last = Instant::now();
        while last.elapsed() < QUIET {
            ensure!(self.began.elapsed() < limit, "the operator is not quiet after {limit:?}");
            sleep(SAMPLE).await;
            let (cpu_now, (works, read)) = (self.operator.cpu_time()?, self.audit.has_work_since(len)?);
            if works || cpu_now.saturating_sub(cpu) > BUSY {
                last = Instant::now();
            }
            (cpu, len) = (cpu_now, read);
        }
        self.done(last - self.began).await
    }

    /// Lets time pass.
    pub async fn during(&self, period: Duration) -> Result<Done> {
        sleep(period.saturating_sub(self.began.elapsed())).await;
        self.done(period).await
    }

    async fn done(&self, busy: Duration) -> Result<Done> {
        // Metrics cost processor time and memory, too.
        let memory = (self.operator.memory()?, self.operator.peak_memory()?);
        let cpu = self.operator.cpu_time()?.saturating_sub(self.cpu);
        let requests = self.audit.requests_since(self.log_len)?;
        let reconciles = difference(&self.reconciles, &reconciles(&self.operator.metrics().await?));
        Ok(Done { busy, requests, cpu, memory, reconciles })
    }
}

fn reconciles(metrics: &str) -> Counts {
    let mut counts = Counts::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("certwright_reconciles_total{kind=\"") else { continue };
        let (Some((kind, _)), Some((_, count))) = (rest.split_once('"'), rest.rsplit_once("} ")) else {
            continue;
        };
        *counts.entry(kind.to_owned()).or_default() += count.parse::<u64>().unwrap_or_default();
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconciles_are_counted_by_kind_whatever_their_outcome() {
        let counts = reconciles(concat!(
            "certwright_reconciles_total{kind=\"Certificate\",outcome=\"unchanged\"} 3\n",
            "certwright_reconciles_total{kind=\"Certificate\",outcome=\"done\"} 2\n",
            "certwright_reconciles_total{kind=\"Issuer\",outcome=\"unchanged\"} 1\n",
            "certwright_leader 1\n",
        ));
        assert_eq!(counts, Counts::from([("Certificate".into(), 5), ("Issuer".into(), 1)]));
    }
}
