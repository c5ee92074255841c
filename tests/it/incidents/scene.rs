//! Where the incidents happen: an operator that lives through hours when told to, and a second one that nobody lets lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::dns::Ground;
use crate::common::http01::host;
use crate::common::{SOON, certificate, issued, issuer, of_issuer};
use anyhow::Result;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Bind, FakeClock, Operator, Proxy, TestNamespace};
use http::Method;
use serde_json::json;

/// The operator's pod.
pub const OPERATOR: &str = "certwright";
/// The pod of the other operator.
pub const STANDBY: &str = "standby";
/// A Certificate that nothing happens to.
pub const FINE: &str = "fine";
/// The zone with names for dns-01.
pub const ZONE: &str = "a.test";
/// Fifteen minutes pass in as many seconds.
const SPEED: u32 = 60;

pub struct Scene<'a> {
    pub ns: &'a TestNamespace,
    /// Name servers, a CA and an operator.
    pub ground: Ground,
    /// The clock of that operator.
    pub clock: FakeClock,
    /// An operator of another installation, for which time flies.
    pub standby: Operator,
    /// Between that and the API server.
    way: Proxy,
    blind: Arc<AtomicBool>,
}

impl<'a> Scene<'a> {
    pub async fn start(ns: &'a TestNamespace, apart: &TestNamespace) -> Result<Self> {
        let clock = FakeClock::fast(&ns.cluster, 1)?;
        let ground = Ground::start(ns, Bind::builder().zone(ZONE), &[ZONE], |operator| {
            operator
                .clock(&clock)
                .argument("--backoff-first", "1s")
                .argument("--backoff-longest", "2s")
                .argument("--http01-self-check-timeout", "4s")
                .argument("--served-check-interval", "18s")
                .argument("--dns-webhook-group", &group(ns, "missing"))
        });
        let way = Proxy::of_api_server(&apart.cluster).await?;
        let blind = Arc::new(AtomicBool::new(false));
        bar(&way, blind.clone());
        let fast = FakeClock::fast(&apart.cluster, SPEED)?;
        let standby = Operator::builder(apart).clock(&fast).api_server(&way.url);
        let standby = standby.argument("--leader-elect", "true").start();
        let (ground, standby) = tokio::try_join!(ground, standby)?;

        let scene = Self { ns, ground, clock, standby, way, blind };
        let main = issuer(&scene.ground.directory, &scene.ground.pebble.ca_pem, "");
        ns.apply(&of_issuer(FINE, &main)).await?;
        ns.apply(&of_issuer(FINE, &certificate(FINE, &[&host(ns, FINE)], ""))).await?;
        issued(ns, FINE).await?;
        Ok(scene)
    }

    /// Applies the Issuer `name` for the CA at `directory`, and waits until it is ready.
    pub async fn issuer(&self, name: &str, directory: &str) -> Result<()> {
        self.apply_issuer(name, directory, "").await?;
        self.ns.wait_condition(&format!("issuer/{name}"), "Ready", "True", SOON).await?;
        Ok(())
    }

    /// Applies the Issuer `name` for the CA at `directory`; `more` is as in [`issuer`].
    pub async fn apply_issuer(&self, name: &str, directory: &str, more: &str) -> Result<()> {
        let yaml = issuer(directory, &self.ground.pebble.ca_pem, more);
        self.ns.apply(&of_issuer(name, &yaml)).await?;
        Ok(())
    }

    /// Applies the Certificate `name` of an Issuer for a name that leads to the router; `more` goes into its spec.
    pub async fn certificate(&self, name: &str, issuer: &str, more: &str) -> Result<()> {
        let yaml = certificate(name, &[&host(self.ns, name)], more);
        self.ns.apply(&of_issuer(issuer, &yaml)).await?;
        Ok(())
    }

    /// From now on, the other operator gets no answer about issuers.
    pub fn blind_standby(&self) {
        self.blind.store(true, Ordering::Relaxed);
        self.way.go_away();
        bar(&self.way, self.blind.clone());
    }
}

/// The API server refuses whoever wants to lead, and, if `blind`, answers no question about issuers.
fn bar(way: &Proxy, blind: Arc<AtomicBool>) {
    way.script(move |request| {
        let refused = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
            "message": "leases.coordination.k8s.io is forbidden",
        });
        match request.method {
            Method::GET if request.path.contains("/issuers") && blind.load(Ordering::Relaxed) => Action::Hang,
            Method::GET => Action::Pass,
            _ if request.path.contains("/leases") => Action::Respond {
                status: 403,
                headers: vec![("content-type", "application/json".to_owned())],
                body: refused.to_string(),
            },
            _ => Action::Pass,
        }
    });
}

/// An API group that no other test uses.
pub fn group(ns: &TestNamespace, name: &str) -> String {
    format!("{name}.{}.example.test", ns.name)
}
