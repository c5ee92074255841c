//! Prometheus, which scrapes operators.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{ADDRESS, Cluster, Operator, ports, process::Process};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running Prometheus; it is stopped when this is dropped.
pub struct Prometheus {
    url: String,
    http: reqwest::Client,
    process: Process,
}

impl Prometheus {
    /// Starts one that scrapes each operator every second, as the job and the pod of that name, and evaluates `rules`, a file's
    /// content.
    pub async fn start(cluster: &Cluster, operators: &[(&str, &Operator)], rules: &Value) -> Result<Self> {
        let state = &cluster.description.state;
        let name = format!("prometheus-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = state.join(&name);
        fs::create_dir_all(&directory)?;
        let file = |name: &str| directory.join(name).display().to_string();
        let scrapes = operators.iter().map(|(name, operator)| {
            let target = operator.metrics_url.trim_start_matches("http://");
            json!({ "job_name": name, "static_configs": [{ "targets": [target], "labels": { "pod": name } }] })
        });
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [file("rules.json")],
            "scrape_configs": scrapes.collect::<Vec<_>>(),
        });
        fs::write(file("rules.json"), rules.to_string())?;
        fs::write(file("prometheus.json"), config.to_string())?;
        let address = format!("{ADDRESS}:{}", ports::free(ADDRESS)?);
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file("prometheus.json")))
            .arg(format!("--storage.tsdb.path={}", file("data")))
            .arg(format!("--web.listen-address={address}"))
            .env("PATH", crate::packages::search_path());
        let mut process = Process::start(&name, command, &state.join("logs"))?;
        let url = format!("http://{address}");
        let http = reqwest::Client::builder().no_proxy().build()?;
        let probe = format!("{url}/-/ready");
        let ready =
            || async { http.get(&probe).send().await.is_ok_and(|answer| answer.status().is_success()) };
        process.wait_ready(Duration::from_secs(30), ready).await?;
        Ok(Self { url, http, process })
    }

    /// The samples that a query has now.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let answer = self.get("query", &[("query", query)]).await?;
        Ok(answer["result"].as_array().context("no vector")?.clone())
    }

    /// The samples of each second that a query had during this time until now.
    pub async fn query_range(&self, query: &str, lasted: Duration) -> Result<Vec<Value>> {
        let end = Timestamp::now();
        let start = end - SignedDuration::try_from(lasted)?;
        let [start, end] = [start, end].map(|time| time.to_string());
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", "1s")];
        let answer = self.get("query_range", &parameters).await?;
        Ok(answer["result"].as_array().context("no matrix")?.clone())
    }

    /// Waits until a query has a sample that is a number.
    pub async fn wait_data(&self, query: &str, limit: Duration) -> Result<()> {
        self.wait_sample(query, &[], limit).await
    }

    /// Waits until a query has a sample with these labels that is a number. A label that is empty is one that it lacks.
    pub async fn wait_sample(&self, query: &str, labels: &[(&str, &str)], limit: Duration) -> Result<()> {
        let wanted = |sample: &Value| {
            let is_number = sample["value"][1].as_str().is_some_and(|value| value != "NaN");
            let of = |label: &str| sample["metric"][label].as_str().unwrap_or_default();
            is_number && labels.iter().all(|(label, value)| of(label) == *value)
        };
        let mut last = Vec::new();
        let has_data = async {
            while !last.iter().any(wanted) {
                tokio::time::sleep(Duration::from_millis(200)).await;
                last = self.query(query).await?;
            }
            Ok(())
        };
        let waited = tokio::time::timeout(limit, has_data).await;
        waited.with_context(|| {
            format!("no data with {labels:?} for {query}, but {last:?}\n{}", self.process.log_tail(5))
        })?
    }

    /// The rules and their states.
    pub async fn rules(&self) -> Result<Vec<Value>> {
        let answer = self.get("rules", &[]).await?;
        let groups = answer["groups"].as_array().context("no groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let url = Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), parameters)?;
        let answer: Value = serde_json::from_slice(&self.http.get(url).send().await?.bytes().await?)?;
        ensure!(answer["status"] == "success", "{answer}\n{}", self.process.log_tail(10));
        Ok(answer["data"].clone())
    }
}
