//! Several replicas, one of which leads.

use super::*;

use serde_json::json;

#[tokio::test]
async fn a_leader_killed_in_mid_order_is_followed_by_one_that_finishes_the_same_order() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let (first, second) = replicas(ns, "3s", |builder| builder).await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let doomed = first.process();
        proxy.script(move |request| match request.path.starts_with("/finalize-order/") {
            true => {
                let doomed = doomed.clone();
                Action::PassThen(Box::new(move || doomed.kill9().unwrap_or_default()))
            }
            false => Action::Pass,
        });
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        tls(ns, "web-tls").await?;
        assert!(!first.is_running()?);
        assert_eq!(count(&proxy, "/order-plz"), 1, "another order was placed");
        assert_eq!(count(&proxy, "/finalize-order/"), 1, "the order was finalized twice");
        assert_eq!(holder(ns).await?.as_deref(), Some("second"));
        let metrics = Metrics::parse(&second.metrics().await?);
        assert_eq!(metrics.sum("certwright_leader"), 1.0);
        common::wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_terminated_hands_over_at_once() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let (first, second) = replicas(ns, "15s", |builder| builder).await?;
        let metrics = Metrics::parse(&second.metrics().await?);
        assert_eq!(metrics.sum("certwright_leader"), 0.0);
        let asked = Instant::now();
        let (ended, taken) = tokio::join!(first.terminate(), wait_holder(ns, |holder| holder == "second"));
        let ended = ended?;
        taken?;
        assert!(ended < Duration::from_secs(5), "it took {ended:?} to end");
        let took = asked.elapsed();
        assert!(took < Duration::from_millis(3500), "it took {took:?} to hand over");
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_terminated_while_a_slow_ca_takes_its_order_hands_that_order_over() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let (first, _second) = replicas(ns, "15s", |builder| builder).await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let mut held = hold(&proxy, "/order-plz");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        held.reached().await?;
        let answer_late = async {
            let mut interval = tokio::time::interval(Duration::from_millis(10));
            while !first.logs().iter().any(|line| line.contains("SIGTERM")) {
                interval.tick().await;
            }
            // Some CAs take this long to answer.
            let _ = tokio::time::timeout(Duration::from_secs(2), std::future::pending::<()>()).await;
            held.go_on(&proxy);
        };
        let (ended, ()) = tokio::join!(first.terminate(), answer_late);
        ended?;
        revision(ns, "web", 1).await?;
        assert_eq!(count(&proxy, "/order-plz"), 1, "another order was placed");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_replica_answers_what_a_dead_leader_presented() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        ns.apply(&replicas_service(&[ready_endpoint(ADDRESS), ready_endpoint(SECOND_ADDRESS)])).await?;
        let (first, _second) =
            replicas(ns, "3s", |builder| builder.argument("--responder-service", "certwright")).await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let mut hanging = hang(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        hanging.reached().await?;
        first.kill9()?;

        let under_way = ns.get("certificate/web").await?.context("the Certificate is gone")?;
        let token = under_way["status"]["challenges"][0]["token"].as_str().context("no token")?.to_owned();
        let issuer = ns.get("issuer/ca").await?.context("the Issuer is gone")?;
        let thumbprint =
            issuer["status"]["acme"]["keyThumbprint"].as_str().context("no thumbprint")?.to_owned();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{ADDRESS}/.well-known/acme-challenge/{token}");
        let answer = http.get(url).header("host", "a.example.com").send().await?;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await?, format!("{token}.{thumbprint}"));

        hanging.go_on(&proxy);
        revision(ns, "web", 1).await?;
        assert_eq!(count(&proxy, "/finalize-order/"), 1 + refused(&proxy, "/finalize-order/"));
        common::wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn challenges_are_led_to_the_replicas_that_there_are_now() -> Result<()> {
    TestNamespace::with("runtime", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let both = replicas_service(&[ready_endpoint(ADDRESS), ready_endpoint(SECOND_ADDRESS)]);
        ns.apply(&both).await?;
        let (first, _second) =
            replicas(ns, "3s", |builder| builder.argument("--responder-service", "certwright")).await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let mut hanging = hang(&proxy, "/chalZ/");
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        hanging.reached().await?;
        wait_led_to(ns, &[ADDRESS, SECOND_ADDRESS]).await?;

        let terminating = |address| json!({ "addresses": [address], "conditions": { "ready": false, "terminating": true } });
        ns.apply(&replicas_service(&[terminating(ADDRESS), ready_endpoint(SECOND_ADDRESS)])).await?;
        wait_led_to(ns, &[SECOND_ADDRESS]).await.context("the leader is being terminated")?;
        ns.apply(&replicas_service(&[ready_endpoint(ADDRESS), terminating(SECOND_ADDRESS)])).await?;
        wait_led_to(ns, &[ADDRESS]).await.context("the other replica is being terminated")?;

        ns.apply(&both).await?;
        wait_led_to(ns, &[ADDRESS, SECOND_ADDRESS]).await.context("both answer")?;

        // Nobody leads at this moment.
        first.kill9()?;
        ns.apply(&replicas_service(&[ready_endpoint(SECOND_ADDRESS)])).await?;
        wait_led_to(ns, &[SECOND_ADDRESS]).await.context("the former leader is gone")?;
        hanging.go_on(&proxy);
        revision(ns, "web", 1).await?;
        common::wait_nothing_left(ns).await
    })
    .await
}

/// The Service of the replicas, with these endpoints.
fn replicas_service(endpoints: &[Value]) -> String {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "certwright"},
        "spec": {"ports": [{"name": "http01", "port": 8089}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "certwright-replicas", "labels": {"kubernetes.io/service-name": "certwright"}},
        "addressType": "IPv4",
        "ports": [{"name": "http01", "port": 8089}],
        "endpoints": endpoints,
    });
    format!("{service}\n---\n{slice}")
}

fn ready_endpoint(address: &str) -> Value {
    json!({ "addresses": [address], "conditions": { "ready": true } })
}

/// Waits until the Service of a namespace leads to these addresses.
async fn wait_led_to(ns: &TestNamespace, addresses: &[&str]) -> Result<()> {
    let leads = |slice: &Value| {
        let endpoints = slice["endpoints"].as_array();
        let led: Vec<&str> = endpoints
            .into_iter()
            .flatten()
            .filter_map(|endpoint| endpoint["addresses"][0].as_str())
            .collect();
        led == addresses
    };
    ns.wait("endpointslice/certwright-http01-ipv4", SOON, leads).await.map(drop)
}

/// Two replicas, the first of which leads.
async fn replicas(
    ns: &TestNamespace,
    lease_duration: &str,
    more: impl Fn(OperatorBuilder<'_>) -> OperatorBuilder<'_>,
) -> Result<(Operator, Operator)> {
    let port = ports::free(ADDRESS)?;
    let replica = |identity: &str, address: &str| {
        let builder = Operator::builder(ns)
            .address(address)
            .argument("--responder-addr", &format!("{address}:{port}"))
            .argument("--identity", identity)
            .argument("--leader-elect", "true")
            .argument("--lease-duration", lease_duration);
        more(builder)
    };
    let first = replica("first", ADDRESS).start().await?;
    wait_holder(ns, |holder| holder == "first").await?;
    let second = replica("second", SECOND_ADDRESS).start().await?;
    Ok((first, second))
}

async fn holder(ns: &TestNamespace) -> Result<Option<String>> {
    Ok(ns.api::<Lease>().get("certwright").await?.spec.and_then(|spec| spec.holder_identity))
}

/// How many requests were rejected; Pebble rejects one nonce in twenty.
fn refused(proxy: &Proxy, path: &str) -> usize {
    let refused = |request: &&certwright_cluster::proxy::Record| {
        request.path.starts_with(path) && request.status.is_some_and(|status| status == 400)
    };
    proxy.requests().iter().filter(refused).count()
}
