//! What the operator does for a Certificate does not depend on how many others there are. This counts work, and not time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certwright_api::IssuerKind;
use certwright_cluster::at_rest::{Writer, certificate as at_rest, issued as issued_at, issuer_ref};
use certwright_cluster::{Operator, TestNamespace};
use certwright_runtime::clock;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{interval, timeout};

use crate::common::accounts::uri;
use crate::common::annotations::requests;
use crate::common::faults::{ready_behind_proxy, steady};
use crate::common::program::completed;
use crate::common::{SOON, certificate, issued};

const FEW: usize = 20;
const MANY: usize = 2000;
/// How many certificates are issued beside them.
const NEW: usize = 5;

#[tokio::test]
async fn a_start_and_an_issuance_cost_the_same_beside_two_thousand_certificates() -> Result<()> {
    TestNamespace::with("scale", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).start().await?;
        let _proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let account = uri(&ns.get("issuer/ca").await?.context("no Issuer")?);
        operator.terminate().await?;

        fill(ns, &account, 0, FEW).await?;
        let few = Work::of(ns, "few", FEW).await?;
        fill(ns, &account, FEW, MANY).await?;
        let many = Work::of(ns, "many", MANY + NEW).await?;
        let names = completed(&["--namespace", &ns.name, "renew", "rest-99"]).await?;
        assert_eq!(names.len(), 11, "the API server lists names in pages: {names:?}");

        for work in [&few, &many] {
            let writes = ["create", "update", "patch", "delete"];
            let written: Vec<_> = work
                .start
                .keys()
                .filter(|request| writes.iter().any(|verb| request.starts_with(verb)))
                .collect();
            ensure!(written.is_empty(), "{written:?} at the start");
        }
        // The keys of the account and of the ledger.
        let reads = many.start.get("get secrets").copied().unwrap_or_default();
        ensure!(reads < 10, "{reads} Secrets are read at the start");
        assert_eq!(few.start.len(), many.start.len(), "{:?} became {:?}", few.start, many.start);
        let no_more = |few: usize, many: usize| 4 * many <= 5 * few;
        ensure!(no_more(few.requests, many.requests), "{} requests became {}", few.requests, many.requests);
        ensure!(no_more(few.lookups, many.lookups), "{} lookups became {}", few.lookups, many.lookups);
        Ok(())
    })
    .await
}

/// What an operator does.
#[derive(Debug)]
struct Work {
    /// Its requests until it has looked at every Certificate.
    start: BTreeMap<String, usize>,
    /// The number of requests and of lookups in its cache for the issuance of [`NEW`] certificates.
    requests: usize,
    lookups: usize,
}

impl Work {
    /// The work of an operator that is started beside `n` Certificates at rest, and issues certificates.
    async fn of(ns: &TestNamespace, name: &str, n: usize) -> Result<Self> {
        let before = requests(ns)?.len();
        let operator = Operator::builder(ns).start().await?;
        let all = async {
            let reconciles = "certwright_reconciles_total{kind=\"Certificate\"";
            let mut again = interval(Duration::from_millis(100));
            while sum(&operator.metrics().await?, reconciles) < n {
                again.tick().await;
            }
            anyhow::Ok(())
        };
        timeout(SOON, all).await.context("not all Certificates were looked at in time")??;
        let mut start = BTreeMap::new();
        let until = requests(ns)?;
        for request in &until[before..] {
            *start.entry(request.clone()).or_default() += 1;
        }
        let lookups = async || anyhow::Ok(sum(&operator.metrics().await?, "certwright_cache_lookups_total"));
        let begun = lookups().await?;
        for number in 0..NEW {
            let name = format!("{name}-{number}");
            ns.apply(&certificate(&name, &[&format!("{name}.{}.test", ns.name)], "")).await?;
            issued(ns, &name).await?;
        }
        let lookups = lookups().await? - begun;
        operator.terminate().await?;
        Ok(Self { start, requests: requests(ns)?.len() - until.len(), lookups })
    }
}

/// Writes the Certificates from number `from` up to `to`, at rest.
async fn fill(ns: &TestNamespace, account: &str, from: usize, to: usize) -> Result<()> {
    const AT_ONCE: usize = 16;
    let (writer, now) = (Writer::new(ns.client.clone())?, clock::now());
    let issuer = issuer_ref(IssuerKind::Issuer, "ca");
    let writes = stream::iter(from..to).map(|number| {
        let (certificate, writer) = (at_rest(&ns.name, &format!("rest-{number}"), &issuer), &writer);
        async move { writer.write(&certificate, account, issued_at(number, MANY, now)).await }
    });
    writes.buffer_unordered(AT_ONCE).try_collect().await
}

/// The sum of the series that start with `name`.
fn sum(metrics: &str, name: &str) -> usize {
    let series = metrics.lines().filter(|line| line.starts_with(name));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}
