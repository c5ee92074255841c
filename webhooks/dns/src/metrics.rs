//! The metrics of the process, for Prometheus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use certwright_runtime::leader::{LeaseWrite, Observer};
use certwright_runtime::process_metrics::Process;
use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use strum::IntoStaticStr;

/// The content type of what [`Metrics::encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Family<Requests, Counter>,
    duration: Family<Durations, Histogram, fn() -> Histogram>,
    expiry: Gauge,
    leader: Gauge,
    ready: Gauge,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The value is there, or is gone.
    Success,
    /// The request, or the configuration in it, is wrong.
    Invalid,
    /// A Secret cannot be used.
    SecretUnavailable,
    /// The DNS service refused, or did not answer.
    ServiceFailed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    provider: &'static str,
    action: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Durations {
    provider: &'static str,
    action: &'static str,
}

impl Outcome {
    /// The value of the label `result`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The reason in the answer.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Invalid => "Invalid",
            Self::SecretUnavailable => "SecretUnavailable",
            Self::ServiceFailed => "ServiceFailed",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(Process));
        let registry = root.sub_registry_with_prefix("certwright_dns");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of this process", build);
        let requests = Family::default();
        registry.register("requests", "Challenges, by provider, action and result", requests.clone());
        let new: fn() -> Histogram = || Histogram::new([0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]);
        let duration = Family::new_with_constructor(new);
        let help = "Duration of challenges, by provider and action";
        registry.register_with_unit("request_duration", help, Unit::Seconds, duration.clone());
        let expiry = Gauge::default();
        let help =
            "When the certificate for the API server expires, since the Unix epoch; 0 if there is none";
        registry.register_with_unit("certificate_expiry", help, Unit::Seconds, expiry.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 if this replica carries out challenges", leader.clone());
        let ready = Gauge::default();
        registry.register("ready", "1 if /readyz answers 200", ready.clone());
        Self(Arc::new(Inner { registry: root, requests, duration, expiry, leader, ready }))
    }
}

impl Metrics {
    /// A challenge was carried out, or failed.
    pub fn solved(&self, provider: &'static str, action: &'static str, outcome: Outcome, took: Duration) {
        let requests = Requests { provider, action, result: outcome.as_str() };
        self.0.requests.get_or_create(&requests).inc();
        self.0.duration.get_or_create(&Durations { provider, action }).observe(took.as_secs_f64());
    }

    /// When the certificate that is served expires.
    pub fn serves_until(&self, expires: Timestamp) {
        self.0.expiry.set(expires.as_second());
    }

    /// All metrics, with whether this replica is ready.
    ///
    /// # Errors
    /// None in practice: memory does not fail to be written to.
    pub fn encode(&self, ready: bool) -> Result<String, fmt::Error> {
        self.0.ready.set(ready.into());
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.0.registry)?;
        Ok(encoded)
    }
}

impl Observer for Metrics {
    fn writing(&self, _: LeaseWrite) {}

    fn leading(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_provider_action_and_result() {
        let metrics = Metrics::default();
        metrics.solved("cloudflare", "present", Outcome::ServiceFailed, Duration::from_secs(2));
        metrics.serves_until(Timestamp::from_second(1_800_000_000).unwrap());
        let text = metrics.encode(true).unwrap();
        for line in [
            r#"certwright_dns_requests_total{provider="cloudflare",action="present",result="service_failed"} 1"#,
            r#"certwright_dns_request_duration_seconds_bucket{le="3.0",provider="cloudflare",action="present"} 1"#,
            "certwright_dns_certificate_expiry_seconds 1800000000",
            "certwright_dns_ready 1",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
