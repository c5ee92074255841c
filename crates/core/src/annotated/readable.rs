//! Ingresses, Gateways and ListenerSets as the API server sends them.

use super::names::is_annotated;
use super::object::{Gateway, Ingress, ListenerSet, reduce};
use crate::reading::{Bounds, Readable};

impl Readable for Ingress {
    const BOUNDS: Bounds = only("tls");

    fn reduce(&mut self, also: &[String]) {
        reduce(self, also);
    }

    fn concerns_us(&self) -> bool {
        is_annotated(self)
    }
}

impl Readable for Gateway {
    const BOUNDS: Bounds = only("listeners");

    fn reduce(&mut self, also: &[String]) {
        reduce(self, also);
    }

    fn concerns_us(&self) -> bool {
        is_annotated(self)
    }
}

impl Readable for ListenerSet {
    const BOUNDS: Bounds = Bounds { metadata_only: false, spec: 128 << 10, only: None, text: usize::MAX };

    fn reduce(&mut self, also: &[String]) {
        reduce(self, also);
    }

    fn concerns_us(&self) -> bool {
        is_annotated(self)
    }
}

/// Only this field of the spec is read.
const fn only(field: &'static str) -> Bounds {
    Bounds { metadata_only: false, spec: 128 << 10, only: Some(field), text: usize::MAX }
}
