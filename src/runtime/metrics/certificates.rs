use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use certwright_api::certificate_reason;
use certwright_runtime::clock;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Whether every Certificate has its own metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PerCertificate {
    /// Three time series for each Certificate.
    #[default]
    On,
    /// None: for clusters with more Certificates than the monitoring can take.
    Off,
}

/// An issuance in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    reason: &'static str,
    since: Timestamp,
}

impl Waiting {
    /// The reason comes from a status, which others may write: only known ones become values of a label.
    #[must_use]
    pub fn of(reason: &str, since: Timestamp) -> Self {
        let known = certificate_reason::ALL.iter().find(|known| **known == reason);
        Self { reason: known.copied().unwrap_or("Other"), since }
    }
}

/// What servers show of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// The one in the Secret.
    Right,
    /// An older one.
    Old,
    /// Another one.
    Other,
}

impl Served {
    /// From the condition `Served`. `None` if it is not known what servers show.
    #[must_use]
    pub fn of(condition: &Condition) -> Option<Self> {
        match (condition.status.as_str(), condition.reason.as_str()) {
            ("True", _) => Some(Self::Right),
            ("False", certificate_reason::OLD_CERTIFICATE_SERVED) => Some(Self::Old),
            ("False", _) => Some(Self::Other),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Right => "stored",
            Self::Old => "old",
            Self::Other => "other",
        }
    }
}

/// The facts about a Certificate that are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whether its condition `Ready` is true.
    pub ready: bool,
    /// When the certificate in its Secret expires.
    pub not_after: Option<Timestamp>,
    /// When it will be renewed.
    pub renewal: Option<Timestamp>,
    /// Whether an issuance has begun and has neither ended nor failed.
    pub issuing: bool,
    /// Whether it waits for an order slot.
    pub queued: bool,
    /// What its issuance waits for, and since when it is in progress.
    pub waiting: Option<Waiting>,
    /// Whether the CA has revoked the certificate in its Secret without being asked by the operator.
    pub revoked: bool,
    /// What servers show of it, if that is known.
    pub served: Option<Served>,
}

/// The gauges of all Certificates, written from one map so that each name is stored once.
#[derive(Clone, Debug)]
pub(super) struct Certificates {
    facts: Arc<Mutex<BTreeMap<(String, String), CertificateFacts>>>,
    of_each: PerCertificate,
}

impl Certificates {
    pub(super) fn new(of_each: PerCertificate) -> Self {
        Self { facts: Arc::default(), of_each }
    }

    pub(super) fn set(&self, namespace: &str, name: &str, facts: CertificateFacts) {
        self.lock().insert((namespace.to_owned(), name.to_owned()), facts);
    }

    pub(super) fn forget(&self, namespace: &str, name: &str) {
        self.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), CertificateFacts>> {
        self.facts.lock()
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let certificates = self.lock();
        let counts: [Counted; 2] = [
            (
                "issuances_queued",
                "Certificates that wait because their account has its maximum number of orders",
                |facts| facts.queued,
            ),
            ("issuances_in_progress", "Certificates whose issuance is in progress and not queued", |facts| {
                facts.issuing && !facts.queued
            }),
        ];
        for (metric, help, counts) in counts {
            let number = certificates.values().filter(|facts| counts(facts)).count();
            let family = encoder.encode_descriptor(metric, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX)).encode(family)?;
        }
        encode_waiting(&mut encoder, certificates.values().filter_map(|facts| facts.waiting))?;
        if self.of_each == PerCertificate::Off {
            return Ok(());
        }
        let gauges: [Described; 4] = [
            (
                "certificate_not_after_timestamp",
                "When the certificate expires",
                Some(Unit::Seconds),
                |facts| facts.not_after.map(Timestamp::as_second),
            ),
            (
                "certificate_renewal_timestamp",
                "When the certificate is to be renewed",
                Some(Unit::Seconds),
                |facts| facts.renewal.map(Timestamp::as_second),
            ),
            ("certificate_ready", "1 if the Certificate is ready, 0 if not", None, |facts| {
                Some(facts.ready.into())
            }),
            (
                "certificate_revoked",
                "1 if the CA has revoked the certificate without being asked by the operator",
                None,
                |facts| facts.revoked.then_some(1),
            ),
        ];
        for (metric, help, unit, value) in gauges {
            let mut family = encoder.encode_descriptor(metric, help, unit.as_ref(), MetricType::Gauge)?;
            for ((namespace, name), facts) in certificates.iter() {
                let Some(value) = value(facts) else { continue };
                let labels = [("namespace", namespace.as_str()), ("name", name.as_str())];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "1 if servers show the certificate in the Secret, 0 if not; absent if that is not known";
        let mut family = encoder.encode_descriptor("certificate_served", help, None, MetricType::Gauge)?;
        for ((namespace, name), facts) in certificates.iter() {
            let Some(served) = facts.served else { continue };
            let labels = [
                ("namespace", namespace.as_str()),
                ("name", name.as_str()),
                ("certificate", served.as_str()),
            ];
            ConstGauge::new(i64::from(served == Served::Right)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// For each reason, the age of the oldest issuance in progress.
fn encode_waiting(
    encoder: &mut DescriptorEncoder<'_>,
    issuances: impl Iterator<Item = Waiting>,
) -> fmt::Result {
    let now = clock::now();
    let mut oldest = BTreeMap::new();
    for Waiting { reason, since } in issuances {
        let age = now.duration_since(since).as_secs().max(0);
        oldest.entry(reason).and_modify(|most: &mut i64| *most = age.max(*most)).or_insert(age);
    }
    let help = "How long the oldest issuance in progress that waits for this reason has been in progress";
    let unit = Some(&Unit::Seconds);
    let mut family = encoder.encode_descriptor("issuance_waiting", help, unit, MetricType::Gauge)?;
    for (reason, age) in oldest {
        ConstGauge::new(age).encode(family.encode_family(&[("reason", reason)])?)?;
    }
    Ok(())
}

type Counted = (&'static str, &'static str, fn(&CertificateFacts) -> bool);

type Described = (&'static str, &'static str, Option<Unit>, fn(&CertificateFacts) -> Option<i64>);
