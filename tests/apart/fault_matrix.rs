//! Every fault of a CA at every endpoint of RFC 8555: what the operator reports, how many requests it sends to the CA within an
//! hour, and that everything works again afterwards. The operator's clock runs sixty times as fast.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use crate::common::fault_cells::{Cell, Endpoint, pass};
use crate::common::faults::steady;
use crate::common::{SOON, certificate, condition, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Record;
use certwright_cluster::{FakeClock, Operator, Pebble, Proxy, TestNamespace};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

/// How many times faster the operator's clock runs. Its waits and timeouts shrink accordingly.
const SPEED: u32 = 60;
const HOUR: Duration = Duration::from_secs(3600 / SPEED as u64);
/// How many cells run concurrently.
const AT_ONCE: usize = 6;
/// Longer than anything takes.
const LATER: Duration = Duration::from_secs(36 * 3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_at_each_endpoint_is_told_costs_the_ca_little_and_is_recovered_from() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    TestNamespace::with("matrix", async |ns| {
        let clock = FakeClock::fast(&ns.cluster, SPEED)?;
        let _operator = Operator::builder(ns).clock(&clock).start().await?;
        let mut pebbles = BTreeMap::new();
        for cell in Cell::all() {
            if let Entry::Vacant(none) = pebbles.entry(cell.ca()) {
                none.insert(steady().start(&ns.cluster).await?);
            }
        }
        let cells = Cell::all();
        let begun = stream::iter(&cells).map(|cell| begin(ns, &pebbles[&cell.ca()], *cell));
        let begun: Vec<Begun> = begun.buffered(AT_ONCE).try_collect().await?;
        let last = begun.iter().filter_map(|begun| begun.since).max().context("no cells")?;
        tokio::time::sleep_until((last + HOUR).into()).await;

        let mut wrong = Vec::new();
        println!("{:32} {:>8} {:>5}  what people are told", "cell", "requests", "there");
        for begun in &begun {
            let told = told(ns, begun.cell).await?;
            let asked = begun.asked();
            println!("{:32} {:>8} {:>5}  {told}", begun.cell.name(), asked.in_all, asked.there);
            wrong.extend(begun.cell.complaints(&told, asked.there, asked.in_all));
        }
        begun.iter().for_each(|begun| begun.proxy.script(|_| pass()));
        clock.leap(LATER)?;
        for begun in &begun {
            let name = format!("certificate/{}", begun.cell.name());
            if let Err(error) = ns.wait_condition(&name, "Ready", "True", SOON).await {
                wrong.push(format!("{name} does not recover: {error:#}"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .await
}

/// A cell whose fault has occurred.
struct Begun {
    cell: Cell,
    proxy: Proxy,
    /// The first request there, or the first handshake that failed.
    since: Option<Instant>,
}

/// Requests in the hour after the fault occurred.
struct Asked {
    /// Those at the endpoint with the fault. A failed handshake counts as one.
    there: usize,
    in_all: usize,
}

impl Begun {
    fn asked(&self) -> Asked {
        let requests = self.proxy.requests();
        let within = |at: Instant| self.since.is_none_or(|since| (since..=since + HOUR).contains(&at));
        let requests: Vec<_> = requests.iter().filter(|request| within(request.at)).collect();
        let there =
            requests.iter().filter(|request| request.path.starts_with(self.cell.endpoint.path())).count();
        let handshakes = self.proxy.failed_handshakes().into_iter().filter(|at| within(*at)).count();
        Asked { there: there + handshakes, in_all: requests.len() + handshakes }
    }
}

/// Applies an Issuer and a Certificate, and waits until the fault of their CA has occurred.
async fn begin(ns: &TestNamespace, pebble: &Pebble, cell: Cell) -> Result<Begun> {
    let name = cell.name();
    let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
    cell.script(&proxy);
    let directory = format!("{}{}", proxy.url, Endpoint::Directory.path());
    ns.apply(&of_issuer(&name, &issuer(&directory, &pebble.ca_pem, ""))).await?;
    let host = format!("{name}.{}.test", ns.name);
    ns.apply(&of_issuer(&name, &certificate(&name, &[&host], ""))).await?;
    let settled = |object: &Value| {
        let (_, reason, message) = condition(object, "Issuing").unwrap_or_default();
        reason == "Issued" || cell.is_told_by(&message)
    };
    ns.wait(&format!("certificate/{name}"), SOON, settled).await.with_context(|| name.clone())?;
    let there = |request: &Record| request.path.starts_with(cell.endpoint.path()).then_some(request.at);
    let since = proxy.requests().iter().find_map(there);
    let since = since.or_else(|| proxy.failed_handshakes().first().copied());
    Ok(Begun { cell, proxy, since })
}

/// The reason and the message of the condition.
async fn told(ns: &TestNamespace, cell: Cell) -> Result<String> {
    let name = cell.name();
    let certificate = ns.get(&format!("certificate/{name}")).await?.context("it is gone")?;
    let (_, reason, message) = condition(&certificate, "Issuing").context("no condition Issuing")?;
    if reason != "IssuerNotReady" {
        return Ok(format!("{reason}: {message}"));
    }
    let issuer = ns.get(&format!("issuer/{name}")).await?.context("it is gone")?;
    let (_, reason, told) = condition(&issuer, "Ready").context("no condition Ready")?;
    ensure!(message.contains(&told), "the Issuer says {told:?}, its Certificate {message:?}");
    Ok(format!("{reason}: {told}"))
}
