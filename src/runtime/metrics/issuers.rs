use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Kind, namespace (empty for a ClusterIssuer) and name.
type Id = (&'static str, String, String);

/// Whether each issuer is ready.
#[derive(Clone, Debug, Default)]
pub(super) struct Issuers(Arc<Mutex<BTreeMap<Id, bool>>>);

impl Issuers {
    pub(super) fn set(&self, kind: &'static str, namespace: &str, name: &str, ready: bool) {
        self.lock().insert((kind, namespace.to_owned(), name.to_owned()), ready);
    }

    pub(super) fn forget(&self, kind: &'static str, namespace: &str, name: &str) {
        self.lock().remove(&(kind, namespace.to_owned(), name.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, bool>> {
        self.0.lock()
    }
}

impl Collector for Issuers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "1 if the issuer is ready, 0 if not";
        let mut family = encoder.encode_descriptor("issuer_ready", help, None, MetricType::Gauge)?;
        for ((kind, namespace, name), ready) in self.lock().iter() {
            let labels = [("kind", *kind), ("namespace", namespace.as_str()), ("name", name.as_str())];
            ConstGauge::new(i64::from(*ready)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
