//! ACME servers by several authors, each with all of its features enabled.

use std::any::Any;
use std::time::Duration;

use anyhow::Result;
use certwright_cluster::{Acme2certifier, Pebble, Resolver, StepCa, TestNamespace};

/// The external account of the CAs that have any.
pub const KEY_ID: &str = "kid-1";
pub const MAC_KEY: &str = "bWFjLWtleS1vZi1hLXRlc3QtMDEyMzQ1Njc4OWFiY2RlZg";
pub const WRONG_MAC_KEY: &str = "YW5vdGhlci1tYWMta2V5LTAxMjM0NTY3ODlhYmNkZWYwMQ";

/// A CA; it is stopped when this is dropped.
pub struct Ca {
    /// Its name in the table.
    pub title: &'static str,
    /// Its name in the names of objects.
    pub name: &'static str,
    pub directory_url: String,
    pub ca_pem: String,
    _server: Box<dyn Any>,
}

impl Ca {
    pub async fn pebble(ns: &TestNamespace) -> Result<Self> {
        let month = Duration::from_secs(30 * 24 * 3600);
        let pebble = Pebble::builder()
            .eab(KEY_ID, MAC_KEY)
            .profile("default", "a month", month)
            .profile("other", "two months", 2 * month)
            .start(&ns.cluster)
            .await?;
        Ok(Self {
            title: "Pebble",
            name: "pebble",
            directory_url: pebble.directory_url.clone(),
            ca_pem: pebble.ca_pem.clone(),
            _server: Box::new(pebble),
        })
    }

    pub async fn step_ca(ns: &TestNamespace) -> Result<Self> {
        let step_ca = StepCa::start(&ns.cluster).await?;
        Ok(Self {
            title: "step-ca",
            name: "step",
            directory_url: step_ca.directory_url.clone(),
            ca_pem: step_ca.root_pem.clone(),
            _server: Box::new(step_ca),
        })
    }

    pub async fn acme2certifier(ns: &TestNamespace, resolver: &Resolver) -> Result<Self> {
        let server = Acme2certifier::start(&ns.cluster, resolver.ip().parse()?, KEY_ID, MAC_KEY).await?;
        Ok(Self {
            title: "acme2certifier",
            name: "a2c",
            directory_url: server.directory_url.clone(),
            ca_pem: server.ca_pem.clone(),
            _server: Box::new(server),
        })
    }
}
