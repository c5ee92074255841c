//! The wait until all name servers have a TXT record: the message names those that do not, and the CA is not told to validate
//! before.

use std::fs;
use std::time::Duration;

use crate::common::dns::{Ground, waiting, with, with_lagging_server};
use crate::common::faults::{event, issuing, path, requests_to};
use crate::common::{certificate, issued, stays_as_it_is};
use anyhow::{Result, ensure};
use certwright_cluster::{Proxy, Resolver, TestNamespace};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Much shorter than the wait between the checks of an order that takes long.
const WITHIN_SECONDS: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_server_that_lags_is_named_and_the_ca_is_told_once_it_has_caught_up() -> Result<()> {
    TestNamespace::with("lagging", async |ns| {
        let (mut ground, lagging) = with_lagging_server(ns, Ground::builder()).await?;
        let proxy = ground.through_proxy(ns).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ns.apply(&certificate("web", &["*.a.test"], "")).await?;
        let words = format!(
            "1 of 2 name servers of a.test have the TXT record at _acme-challenge.a.test: ns2.a.test ({}) has no such \
             name (NXDOMAIN)",
            lagging.ip()
        );
        waiting(ns, "web", "WaitingForPropagation", &words).await?;
        stays_as_it_is(ns, "web", Duration::from_secs(4)).await?;
        assert_eq!(told(&proxy), 0, "the CA was told before");
        assert_eq!(ground.values("a.test").await?.len(), 1);

        lagging.catch_up().await?;
        let caught_up = Instant::now();
        issued(ns, "web").await?;
        ensure!(caught_up.elapsed() < WITHIN_SECONDS, "it took {:?}", caught_up.elapsed());
        assert_eq!(told(&proxy), 1);
        assert_eq!(ground.values("a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

/// cert-manager's field; as there, the authoritative servers are not asked.
#[tokio::test]
async fn the_name_servers_of_a_solver_alone_are_asked() -> Result<()> {
    TestNamespace::with("nameservers", async |ns| {
        let ground = Ground::of_zones(ns, &["a.test"]).await?;
        let own = Resolver::builder().zone_at("a.test", &ground.bind).start(&ns.cluster).await?;
        ground.solve_by(ns, with(ground.rfc2136(), json!({ "nameservers": [own.address()] }))).await?;
        ground.bind.forget_queries()?;
        ns.apply(&certificate("web", &["*.a.test"], "")).await?;
        issued(ns, "web").await?;
        let queries = ground.bind.queries()?;
        let operators = queries.iter().filter(|query| query.client.to_string() == ground.bind.ip());
        assert_eq!(operators.count(), 0, "the authoritative server is not asked: {queries:#?}");
        Ok(())
    })
    .await
}

/// CAs read about 100 values at a name.
#[tokio::test]
async fn a_name_with_too_many_values_is_reported_and_waited_for() -> Result<()> {
    TestNamespace::with("crowded", async |ns| {
        let mut ground = Ground::of_zones(ns, &["a.test"]).await?;
        let proxy = ground.through_proxy(ns).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        let others = |command: &str, count: usize| -> String {
            (0..count).map(|number| format!("update {command} TXT \"of-another-{number}\"\n")).collect()
        };
        ground.bind.edit(&others("add _acme-challenge.a.test. 5", 95)).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let words = "There are 90 or more TXT records at _acme-challenge.a.test, and CAs may not read more than about 100";
        let (_, message) = issuing(ns, "web", "WaitingForPropagation").await?;
        ensure!(message.starts_with(words), "{message}");
        let (_, note) = event(ns, "web", "ManyTxtRecords").await?;
        ensure!(note.starts_with("There are more than 50 TXT records at _acme-challenge.a.test"), "{note}");
        assert_eq!(told(&proxy), 0, "the CA was told before");
        ground.bind.edit(&others("delete _acme-challenge.a.test.", 60)).await?;
        issued(ns, "web").await?;
        assert_eq!(ground.values("a.test").await?.len(), 35, "those of others stay");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_asked_again() -> Result<()> {
    TestNamespace::with("down", async |ns| {
        let (mut ground, mut secondary) = with_lagging_server(ns, Ground::builder()).await?;
        let proxy = ground.through_proxy(ns).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        secondary.stop().await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let words = format!("ns2.a.test ({}) refused the connection", secondary.ip());
        waiting(ns, "web", "WaitingForPropagation", &words).await?;
        assert_eq!(told(&proxy), 0, "the CA was told before");
        secondary.start().await?;
        secondary.catch_up().await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_recursive_server_remembers_is_waited_for_where_it_alone_is_asked() -> Result<()> {
    TestNamespace::with("recursive", async |ns| {
        let ttl = 6;
        let mut ground =
            Ground::builder().zone_with("a.test", |zone| zone.negative_ttl(ttl)).start(ns).await?;
        let caching = Resolver::builder().zone_at("a.test", &ground.bind).caching().start(&ns.cluster).await?;
        let proxy = ground.through_proxy(ns).await?;
        let propagation = json!({ "nameservers": [caching.address()], "check": "Recursive" });
        ground.solve_by(ns, with(ground.rfc2136(), json!({ "propagation": propagation }))).await?;
        ground.bind.forget_queries()?;
        assert_eq!(caching.answer("_acme-challenge.a.test", "TXT").await?.status, "NXDOMAIN");
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let words = format!(
            "0 of 1 recursive name servers have the TXT record at _acme-challenge.a.test: {} has no such name \
             (NXDOMAIN); it may have cached that, for at most {ttl} s (the zone's SOA minimum)",
            caching.ip()
        );
        waiting(ns, "web", "WaitingForPropagation", &words).await?;
        assert_eq!(told(&proxy), 0, "the CA was told before");
        issued(ns, "web").await?;
        let queries = ground.bind.queries()?;
        let operators = queries.iter().filter(|query| query.client.to_string() == ground.bind.ip());
        assert_eq!(operators.count(), 0, "the authoritative server is not asked: {queries:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn authoritative_servers_are_left_alone_where_the_operator_is_told_so() -> Result<()> {
    TestNamespace::with("only", async |ns| {
        let ground = Ground::builder().argument("--dns01-recursive-nameservers-only", "true");
        let (ground, lagging) = with_lagging_server(ns, ground).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ground.bind.forget_queries()?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        issued(ns, "web").await?;
        for server in [&ground.bind, &lagging] {
            let queries = server.queries()?;
            let directly = queries.iter().filter(|query| query.client.to_string() == server.ip());
            assert_eq!(directly.count(), 0, "{queries:#?}");
        }

        // A solver can override this.
        let propagation = json!({ "check": "Authoritative" });
        ground.solve_by(ns, with(ground.rfc2136(), json!({ "propagation": propagation }))).await?;
        ns.apply(&certificate("other", &["other.a.test"], "")).await?;
        waiting(ns, "other", "WaitingForPropagation", "ns2.a.test").await?;
        lagging.catch_up().await?;
        issued(ns, "other").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_whose_record_is_overdue_gives_its_place_to_others() -> Result<()> {
    TestNamespace::with("overdue", async |ns| {
        let ground = Ground::builder().zone("b.test").argument("--orders-per-account", "1");
        let (ground, _lagging) = with_lagging_server(ns, ground).await?;
        let solver = |timeout: &str| {
            json!({
                "selector": { "dnsZones": [if timeout == "2s" { "a.test" } else { "b.test" }] },
                "dns01": with(ground.rfc2136(), json!({ "propagation": { "timeout": timeout } })),
            })
        };
        ground.solvers(ns, json!([solver("2s"), solver("10m")])).await?;
        ns.apply(&certificate("overdue", &["a.test"], "")).await?;
        waiting(ns, "overdue", "WaitingForPropagation", "ns2.a.test").await?;
        ns.apply(&certificate("next", &["b.test"], "")).await?;
        issued(ns, "next").await?;
        let overdue = waiting(ns, "overdue", "WaitingForPropagation", "ns2.a.test").await?;
        ensure!(!overdue["status"]["order"].is_null(), "its order is kept");
        assert_eq!(overdue["status"]["failedIssuanceAttempts"], Value::Null);
        assert_eq!(ground.values("a.test").await?.len(), 1, "and its record");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_that_waits_for_propagation_keeps_its_place_until_then() -> Result<()> {
    TestNamespace::with("place", async |ns| {
        let ground = Ground::builder().zone("b.test").argument("--orders-per-account", "1");
        let (ground, lagging) = with_lagging_server(ns, ground).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ns.apply(&certificate("waits", &["a.test"], "")).await?;
        waiting(ns, "waits", "WaitingForPropagation", "ns2.a.test").await?;
        ns.apply(&certificate("next", &["b.test"], "")).await?;
        issuing(ns, "next", "Queued").await?;
        lagging.catch_up().await?;
        issued(ns, "next").await?;
        issued(ns, "waits").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_solver_asks_its_own_name_servers_also_over_https() -> Result<()> {
    TestNamespace::with("own", async |ns| {
        // There is no setting for the CA bundle of such servers, so the operator trusts the tests' CA.
        let roots = ns.cluster.description.state.join(format!("{}-roots.pem", ns.name));
        fs::write(&roots, ns.cluster.ca()?.pem)?;
        let ground = Ground::builder()
            .zone("a.test")
            .environment("SSL_CERT_FILE", &roots.display().to_string())
            .start(ns)
            .await?;
        let own = || Resolver::builder().zone_at("a.test", &ground.bind);
        let (plain, over_https) = (own().start(&ns.cluster).await?, own().https().start(&ns.cluster).await?);
        let cases = [
            ("plain", &plain, plain.address(), "Authoritative"),
            ("https", &over_https, over_https.https_url(), "Authoritative"),
            ("https-only", &over_https, over_https.https_url(), "Recursive"),
        ];
        for (name, resolver, server, check) in cases {
            resolver.forget_queries()?;
            ground.resolver.forget_queries()?;
            let propagation = json!({ "nameservers": [server], "check": check });
            ground.solve_by(ns, with(ground.rfc2136(), json!({ "propagation": propagation }))).await?;
            ns.apply(&certificate(name, &[&format!("{name}.a.test")], "")).await?;
            issued(ns, name).await?;
            let kinds: Vec<String> = resolver.queries()?.into_iter().map(|query| query.kind).collect();
            let wanted = if check == "Recursive" { "TXT" } else { "NS" };
            ensure!(kinds.iter().any(|kind| kind == "SOA"), "{name}: the zone is looked up there: {kinds:?}");
            ensure!(kinds.iter().any(|kind| kind == wanted), "{name}: the record as well: {kinds:?}");
            let others: Vec<_> = ground.resolver.queries()?.into_iter().map(|query| query.kind).collect();
            ensure!(
                !others.iter().any(|kind| kind == "SOA" || kind == "NS"),
                "{name}: and nowhere else: {others:?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_over_https_that_is_not_trusted_is_told() -> Result<()> {
    TestNamespace::with("untrusted", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let resolver = Resolver::builder().zone_at("a.test", &ground.bind).https();
        let resolver = resolver.start(&ns.cluster).await?;
        let propagation = json!({ "nameservers": [resolver.https_url()] });
        ground.solve_by(ns, with(ground.rfc2136(), json!({ "propagation": propagation }))).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        let words = format!("name server {} cannot be reached: TLS:", resolver.https_url());
        waiting(ns, "web", "WaitingForSolver", &words).await?;

        // Others are set.
        ground.solve_by(ns, ground.rfc2136()).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

/// How many times the CA was told to validate.
fn told(proxy: &Proxy) -> usize {
    requests_to(proxy, path::CHALLENGE).len()
}
