//! dns-01 with updates of a name server (RFC 2136): TXT records are added, seen at all name servers, and removed again.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use crate::common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::dns::{Ground, KEY, http_request, key, rfc2136, values, waiting, with};
use crate::common::{certificate, issued, of_issuer, tls, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{ADDRESS, Knot, ScriptedProvider, TestNamespace, TsigKey, Zone, ports};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::Instant;

#[tokio::test]
async fn a_wildcard_and_its_apex_are_proved_by_two_values_at_one_name() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let ground = Ground::of_zones(ns, &["a.test"]).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        ground.bind.add_txt("_acme-challenge.a.test", "of somebody else").await?;
        ns.apply(&certificate("web", &["a.test", "*.a.test", "www.a.test"], "")).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["dnsRecords"], Value::Null, "nothing is left in the ledger");
        ensure!(web["metadata"]["finalizers"].is_null(), "nor a finalizer: {}", web["metadata"]);
        let leaf = tls(ns, "web-tls").await?.chain.leaf().clone();
        assert_eq!(leaf.dns_names.len(), 3);
        ensure!(leaf.dns_names.iter().any(|name| name == "*.a.test"), "{:?}", leaf.dns_names);
        assert_eq!(ground.values("a.test").await?, ["of somebody else"], "only ours are removed");
        assert_eq!(ground.values("www.a.test").await?, [""; 0]);
        let order = web["status"]["order"].as_object();
        ensure!(order.is_none(), "{order:?}");
        wait_nothing_left(ns).await.context("nothing is left")
    })
    .await
}

#[tokio::test]
async fn updates_are_signed_with_each_tsig_algorithm() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let keys = TsigKey::ALGORITHMS.map(|algorithm| TsigKey::new(algorithm, algorithm));
        let ground = keys.iter().fold(Ground::builder().zone("a.test"), |ground, key| ground.tsig_key(key));
        let ground = ground.start(ns).await?;
        for key in &keys {
            ns.apply(&key.object(&key.name)).await?;
            let algorithm = key.algorithm.replace('-', "").to_uppercase();
            let more = json!({
                "tsigKeyName": key.name, "tsigAlgorithm": algorithm,
                "tsigSecretSecretRef": { "name": key.name, "key": "secret" },
            });
            let solver = json!({ "rfc2136": with(rfc2136(&ground.bind.address()), more) });
            ground.issuer(ns, &key.name, json!([{ "dns01": solver }])).await?;
            let name = format!("*.{}.a.test", key.name);
            ns.apply(&of_issuer(&key.name, &certificate(&key.name, &[&name], ""))).await?;
        }
        for key in &keys {
            issued(ns, &key.name).await?;
            assert_eq!(ground.values(&format!("{}.a.test", key.name)).await?, [""; 0], "{}", key.name);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn updates_go_over_tcp_alone_where_so_asked_for() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let tunnel = Tunnel::to(&ground.bind.address()).await?;
        let solver = with(rfc2136(&tunnel.address), json!({ "protocol": "TCP" }));
        ground.solve_by(ns, json!({ "rfc2136": solver })).await?;
        ns.apply(&certificate("web", &["*.a.test"], "")).await?;
        issued(ns, "web").await?;
        assert_eq!(tunnel.connections.load(Ordering::SeqCst), 2, "one to add the record, one to remove it");
        assert_eq!(ground.values("a.test").await?, [""; 0]);

        // Otherwise it uses UDP, which this port does not accept.
        ground.solve_by(ns, json!({ "rfc2136": rfc2136(&tunnel.address) })).await?;
        ns.apply(&certificate("udp", &["udp.a.test"], "")).await?;
        waiting(ns, "udp", "WaitingForSolver", "refused the connection").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_server_by_other_authors_takes_updates_too() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let knot = Knot::start(&ns.cluster, "k.test", &key()).await?;
        let ground = Ground::builder().zone_at("k.test", &knot).start(ns).await?;
        ground.solve_by(ns, json!({ "rfc2136": rfc2136(&knot.address()) })).await?;
        knot.add_txt("_acme-challenge.k.test", "of somebody else").await?;
        ns.apply(&certificate("web", &["k.test", "*.k.test"], "")).await?;
        issued(ns, "web").await?;
        assert_eq!(values(&knot, "_acme-challenge.k.test").await?, ["of somebody else"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_name_server_refuses_is_told_and_goes_on_once_it_is_mended() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let closed = Zone::new("closed.test").updatable_by("another");
        let ground = Ground::builder()
            .zone("a.test")
            .zone_with("closed.test", |_| closed)
            .tsig_key(&TsigKey::new("another", "hmac-sha256"))
            .start(ns)
            .await?;
        let server = ground.bind.address();
        let secret = |name: &str, key: &str, value: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { key: value },
            })
            .to_string()
        };
        ns.apply(&TsigKey::with_secret(KEY, "hmac-sha256", "d3Jvbmc=").object("wrong")).await?;
        ns.apply(&secret("without", "other", &key().secret)).await?;
        ns.apply(&secret("garbled", "secret", "&%$!")).await?;
        let reference = |name: &str| json!({ "tsigSecretSecretRef": { "name": name, "key": "secret" } });
        let cases = [
            ("wrong", "w.a.test", reference("wrong"), "answered BADSIG: its secret for the key tsig differs from ours"),
            (
                "unknown",
                "u.a.test",
                json!({ "tsigKeyName": "nobody" }),
                "answered BADKEY: it does not know a key nobody with the algorithm hmac-sha256",
            ),
            (
                "closed",
                "closed.test",
                json!({}),
                "answered REFUSED: it does not allow the key tsig to change _acme-challenge.closed.test in the zone closed.test",
            ),
            ("missing", "m.a.test", reference("missing"), "which rfc2136.tsigSecretSecretRef names, does not exist"),
            ("without", "o.a.test", reference("without"), "has no key secret; add it, or name another"),
            ("garbled", "g.a.test", reference("garbled"), "the TSIG secret is not base64"),
        ];
        for (case, name, more, _) in &cases {
            let solver = json!({ "rfc2136": with(rfc2136(&server), more.clone()) });
            ground.issuer(ns, case, json!([{ "dns01": solver }])).await?;
            ns.apply(&of_issuer(case, &certificate(case, &[name], ""))).await?;
        }
        for (case, name, _, words) in &cases {
            let waits = waiting(ns, case, "WaitingForSolver", words).await?;
            let (_, _, message) = common::condition(&waits, "Issuing").context("no condition")?;
            ensure!(message.contains(&format!("{name}: ")), "the name is told: {message}");
            assert_eq!(waits["status"]["failedIssuanceAttempts"], Value::Null, "the order goes on");
        }

        // Some are fixed by a change of the Secret, the others by a change of the spec.
        for case in ["wrong", "missing", "without", "garbled"] {
            ns.apply(&key().object(case)).await?;
        }
        ground.issuer(ns, "unknown", json!([{ "dns01": ground.rfc2136() }])).await?;
        let another = TsigKey::new("another", "hmac-sha256");
        ns.apply(&another.object("another")).await?;
        let more = with(reference("another"), json!({ "tsigKeyName": "another" }));
        let solver = json!({ "rfc2136": with(rfc2136(&server), more) });
        ground.issuer(ns, "closed", json!([{ "dns01": solver }])).await?;
        for (case, name, ..) in &cases {
            issued(ns, case).await?;
            assert_eq!(ground.values(name).await?, [""; 0], "{case}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn both_clocks_are_told_when_that_of_a_name_server_is_wrong() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let two_hours_and_a_half = 9000;
        let knot = Knot::start_ahead(&ns.cluster, "k.test", &key(), two_hours_and_a_half).await?;
        let ground = Ground::builder().zone_at("k.test", &knot).start(ns).await?;
        ground.solve_by(ns, json!({ "rfc2136": rfc2136(&knot.address()) })).await?;
        ns.apply(&certificate("web", &["k.test"], "")).await?;
        let words = "answered BADTIME: its clock is 2 hours ahead of ours, but at most 5 minutes are accepted; \
                     set the clocks";
        waiting(ns, "web", "WaitingForSolver", words).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_that_is_visible_at_once_costs_a_few_queries_and_no_waiting() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        ground.solve_by(ns, ground.rfc2136()).await?;
        // The first one has to open all connections.
        ns.apply(&certificate("first", &["*.first.a.test"], "")).await?;
        issued(ns, "first").await?;
        ground.bind.forget_queries()?;
        let begin = Instant::now();
        ns.apply(&certificate("web", &["*.web.a.test"], "")).await?;
        issued(ns, "web").await?;
        let took = begin.elapsed();
        ensure!(took < Duration::from_secs(3), "it took {took:?}");
        let queries = ground.bind.queries()?;
        ensure!(queries.iter().any(|query| query.kind == "TXT"), "nobody looked: {queries:?}");
        println!("{} DNS queries, {took:?}", queries.len());
        ensure!(queries.len() <= 12, "{} queries: {queries:#?}", queries.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_beside_a_hundred_others_is_seen_and_removed_alone() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        // By default, BIND accepts at most a hundred.
        let ground = Ground::builder().zone("a.test").option("max-records-per-type 0;").start(ns).await?;
        // With so many, the CA is told only after the timeout.
        let hasty = with(ground.rfc2136(), json!({ "propagation": { "timeout": "1s" } }));
        ground.solve_by(ns, hasty).await?;
        let others: Vec<String> = (0..100).map(|number| format!("{number:043}")).collect();
        let adding = |value: &String| format!("update add _acme-challenge.a.test. 5 TXT {value}\n");
        ground.bind.edit(&others.iter().map(adding).collect::<String>()).await?;
        ground.bind.forget_queries()?;
        ns.apply(&certificate("web", &["a.test", "*.a.test"], "")).await?;
        issued(ns, "web").await?;
        assert_eq!(ground.values("a.test").await?, others);
        let operators = |query: &certwright_cluster::DnsQuery| query.client.to_string() == ground.bind.ip();
        let queries = ground.bind.queries()?;
        let over_tcp =
            queries.iter().filter(|query| query.kind == "TXT" && query.tcp && operators(query)).count();
        ensure!(over_tcp >= 2, "each of the two values is seen over TCP: {queries:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_name_goes_to_the_provider_whose_selector_fits_best() -> Result<()> {
    TestNamespace::with("dns01", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let selectors = [
            ("any", Value::Null),
            ("zone", json!({ "dnsZones": ["a.test"] })),
            ("deeper", json!({ "dnsZones": ["a.test", "sub.a.test"] })),
            ("name", json!({ "dnsNames": ["www.sub.a.test"] })),
            ("labelled", json!({ "dnsZones": ["a.test"], "matchLabels": { "team": "a" } })),
            ("elsewhere", json!({ "dnsNames": ["www.a.test"], "dnsZones": ["b.test"] })),
        ];
        let (mut providers, mut solvers) = (Vec::new(), Vec::new());
        for (name, selector) in selectors {
            let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
            let mut solver = json!({ "dns01": http_request(&provider.url, json!({})) });
            if !selector.is_null() {
                solver["selector"] = selector;
            }
            solvers.push(solver);
            providers.push((name, provider));
        }
        ground.solvers(ns, solvers.into()).await?;
        let labelled = certificate("labelled", &["labelled.a.test", "*.sub.a.test"], "");
        ns.apply(&labelled.replace("{ name: labelled }", "{ name: labelled, labels: { team: a } }")).await?;
        let names = ["www.sub.a.test", "x.sub.a.test", "sub.a.test", "*.a.test", "www.a.test"];
        ns.apply(&certificate("web", &names, "")).await?;
        issued(ns, "labelled").await?;
        issued(ns, "web").await?;
        let asked = |name: &str| {
            let provider = providers.iter().find(|(found, _)| *found == name).map(|(_, provider)| provider);
            let requests = provider.map(ScriptedProvider::requests).unwrap_or_default();
            let presented = requests.iter().filter(|request| !request.is_cleanup);
            let mut names: Vec<_> = presented.filter_map(|request| request.body["fqdn"].as_str()).collect();
            names.sort_unstable();
            names
                .iter()
                .map(|name| name.trim_start_matches("_acme-challenge.").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(asked("name"), ["www.sub.a.test."], "a name wins over the zones that it is in");
        assert_eq!(asked("deeper"), ["sub.a.test.", "sub.a.test.", "x.sub.a.test."], "the longest zone wins");
        assert_eq!(asked("labelled"), ["labelled.a.test."], "of equal zones the one with labels");
        assert_eq!(asked("zone"), ["a.test.", "www.a.test."]);
        assert_eq!(asked("any"), [""; 0]);
        assert_eq!(asked("elsewhere"), [""; 0], "all parts have to match");
        Ok(())
    })
    .await
}

/// A port that forwards to another server, over TCP only.
struct Tunnel {
    address: String,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Tunnel {
    async fn to(server: &str) -> Result<Self> {
        let listener = ports::listen(ADDRESS)?;
        let address = listener.local_addr()?.to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let (server, count) = (server.to_owned(), connections.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let server = server.clone();
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(server).await?;
                    copy_bidirectional(&mut stream, &mut there).await
                });
            }
        });
        Ok(Self { address, connections, task })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}
