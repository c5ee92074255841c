//! Histograms of durations, each family with buckets of its own.

use std::hash::Hash;

use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;

/// Durations by labels.
pub(super) type Durations<L> = Family<L, Histogram, Buckets>;

/// The bounds of the buckets.
#[derive(Clone, Debug)]
pub(super) struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// No durations yet.
pub(super) fn durations<L: Clone + Hash + Eq>(buckets: &'static [f64]) -> Durations<L> {
    Family::new_with_constructor(Buckets(buckets))
}
