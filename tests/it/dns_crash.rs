//! `certwright-dns` is killed before or after each of its calls of a DNS service.

use std::sync::Arc;
use std::time::Duration;

use crate::common::dns::{Ground, values};
use crate::common::{SOON, certificate, is_issued};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{ADDRESS, CertwrightDns, PowerDns, Proxy, TestNamespace};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

const ZONE: &str = "crash.test";
/// The value of somebody else, at each name.
const FOREIGN: &str = "of somebody else";
/// Another replica leads after this time at the latest.
const LEASE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

#[tokio::test]
async fn whichever_call_it_is_killed_at_nothing_is_lost_and_nothing_is_left() -> Result<()> {
    TestNamespace::with("dns-crash", async |ns| {
        let server = PowerDns::start(&ns.cluster, &[ZONE]).await?;
        let ground = Ground::builder().zone_at(ZONE, &server.server).start(ns).await?;
        let front = Proxy::without_tls(&ns.cluster, server.url.trim_start_matches("http://")).await?;
        let striker = Striker::at(&front);
        let group = format!("{}.dns.test", ns.name);
        let dns = CertwrightDns::register(ns, &group).await?;
        let dns = dns.argument(&format!("--lease-duration={}s", LEASE.as_secs()));
        let mut replica = dns.replica(ADDRESS).await?;
        replica.wait_ready(SOON).await?;
        dns.lead_to(&[&replica]).await?;
        dns.wait_available().await?;
        dns.allow_operator().await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "powerdns" },
            "stringData": { "api-key": PowerDns::API_KEY },
        });
        ns.apply(&secret.to_string()).await?;
        let config = json!({
            "provider": "powerdns", "settings": { "url": front.url },
            "credentials": { "apiKey": { "secretRef": { "name": "powerdns", "key": "api-key" } } },
        });
        let webhook = json!({ "groupName": group, "solverName": CertwrightDns::SOLVER, "config": config });
        ground.solve_by(ns, json!({ "webhook": webhook })).await?;

        let mut calls = Vec::new();
        for when in [When::Before, When::After] {
            for call in 0.. {
                let name = format!("{}-{call}", format!("{when:?}").to_lowercase());
                let record = format!("_acme-challenge.{name}.{ZONE}");
                server.set_txt(ZONE, &record, FOREIGN).await?;
                striker.arm(when, call);
                ns.apply(&certificate(&name, &[&format!("*.{name}.{ZONE}")], "")).await?;
                let target = format!("certificate/{name}");
                let done = |object: &Value| is_issued(object) && object["status"]["dnsRecords"].is_null();
                let killed = tokio::select! {
                    waited = ns.wait(&target, SOON * 2, done) => waited.map(|_| false)?,
                    () = striker.struck.notified() => true,
                };
                if killed {
                    replica.kill9().await?;
                    replica = dns.replica(ADDRESS).await?;
                    replica.wait_ready(SOON).await?;
                    dns.lead_to(&[&replica]).await?;
                    ns.wait(&target, SOON * 2, done)
                        .await
                        .with_context(|| format!("killed {when:?} call {call}"))?;
                }
                let left = values(&server.server, &record).await?;
                ensure!(left == [FOREIGN], "{when:?} call {call}: {left:?}");
                if !killed {
                    calls.push(call);
                    break;
                }
            }
        }
        // It looks, writes and looks again, to add the value and to remove it.
        ensure!(calls.iter().all(|calls| *calls >= 6), "killed at {calls:?} calls");
        Ok(())
    })
    .await
}

/// Strikes at one of the calls of a DNS service: the caller gets no answer, and has to be killed.
#[derive(Default)]
struct Striker {
    armed: Mutex<Option<(When, u32)>>,
    struck: Notify,
}

impl Striker {
    /// One that stands at `proxy`.
    fn at(proxy: &Proxy) -> Arc<Self> {
        let striker = Arc::new(Self::default());
        let judge = striker.clone();
        proxy.script(move |_| match judge.strikes() {
            None => Action::Pass,
            Some(When::Before) => {
                judge.struck.notify_one();
                Action::Hang
            }
            Some(When::After) => {
                let judge = judge.clone();
                Action::PassThenHang(Box::new(move || judge.struck.notify_one()))
            }
        });
        striker
    }

    /// The caller is killed before or after this call, counted from now on.
    fn arm(&self, when: When, call: u32) {
        *self.armed.lock() = Some((when, call));
    }

    /// Whether the caller is killed at this call.
    fn strikes(&self) -> Option<When> {
        let mut armed = self.armed.lock();
        let (when, call) = (*armed)?;
        *armed = call.checked_sub(1).map(|call| (when, call));
        (call == 0).then_some(when)
    }
}
