//! http-01 through Gateways: temporary HTTPRoutes, what Gateways report about them, and a cluster without the Gateway API.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::faults::{issuing, steady};
use crate::common::http01::{hold, host, ingresses, nothing_is_left, ours, presented};
use crate::common::{SOON, certificate, dns, issued, stays_as_it_is, wait_nothing_presented};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use certwright_solver::http01::HttpRoute;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

/// Kubernetes' garbage collector discovers a new kind up to 30 seconds late.
const COLLECTED: Duration = Duration::from_secs(60);
/// How long writes are observed to detect a loop.
const QUIET: Duration = Duration::from_secs(10);

#[tokio::test]
async fn temporary_routes_lead_to_the_operator_and_go_once_issued() -> Result<()> {
    TestNamespace::with("gateway", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let (_pebble, _operator) = start(ns, &json!([{ "name": "public" }])).await?;
        ns.apply(&gateway("router", "public", "Same")).await?;
        let names: Vec<String> = (0..18).map(|n| host(ns, &format!("n{n}"))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let held = hold(ns, names[0]).await?;
        ns.apply(&certificate("web", &names, "")).await?;
        let web = presented(ns, "web").await?;
        let uid = web["metadata"]["uid"].as_str().context("no uid")?;

        let routes = routes(ns).await?;
        assert_eq!(routes.len(), 2, "an HTTPRoute takes 16 names");
        let (mut hostnames, mut paths) = (BTreeSet::new(), BTreeSet::new());
        for route in &routes {
            assert_eq!(route.labels()["team"], "shop", "as the solver has it");
            assert_eq!(route.labels()["certwright.dev/certificate-uid"], uid);
            let [owner] = route.owner_references() else { anyhow::bail!("not one owner") };
            assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Certificate", uid));
            let [parent] = &route.spec.parent_refs[..] else { anyhow::bail!("not one parent") };
            assert_eq!(parent.name, "public");
            hostnames.extend(route.spec.hostnames.iter().map(String::as_str));
            for rule in &route.spec.rules {
                assert_eq!(rule.backend_refs[0].name, "certwright-http01");
                paths.extend(rule.matches.iter().filter_map(|one| one.path.clone()).map(|path| path.value));
            }
        }
        assert_eq!(hostnames, BTreeSet::from_iter(names.iter().copied()));
        let challenges = web["status"]["challenges"].as_array().context("no challenges")?;
        let tokens = challenges.iter().filter_map(|challenge| challenge["token"].as_str());
        let expected: BTreeSet<String> =
            tokens.map(|token| format!("/.well-known/acme-challenge/{token}")).collect();
        assert_eq!(expected.len(), names.len());
        assert_eq!(paths, expected);
        assert_eq!(ingresses(ns).await?.len(), 0, "no Ingress is made");
        ensure!(
            web["metadata"]["finalizers"].is_null(),
            "routes go with the Certificate: {}",
            web["metadata"]
        );

        held.let_go().await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        no_routes_are_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_gateway_that_refuses_the_route_is_said_and_waited_for() -> Result<()> {
    TestNamespace::with("refusing", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let infra = TestNamespace::create("infra").await?;
        let parents = json!([{ "name": "own" }, { "name": "shared", "namespace": infra.name }]);
        let (_pebble, _operator) = start(ns, &parents).await?;
        ns.apply(&gateway("router", "own", "Same")).await?;
        infra.apply(&gateway("router", "shared", "Same")).await?;
        let names = [host(ns, "a"), host(ns, "b")];
        ns.apply(&certificate("web", &[&names[0], &names[1]], "")).await?;
        let (web, message) = issuing(ns, "web", "WaitingForSelfCheck").await?;
        let words = format!(
            "the Gateway {}/shared does not accept the HTTPRoute: NotAllowedByListeners: no listener takes HTTPRoutes \
             of namespace {}",
            infra.name, ns.name
        );
        assert_eq!(message, format!("The self-check does not see the answer yet: {words}"));
        for challenge in web["status"]["challenges"].as_array().context("no challenges")? {
            assert_eq!(challenge["reason"], json!(words), "each challenge says so, too");
        }
        stays_as_it_is(ns, "web", QUIET).await?;

        infra.apply(&gateway("router", "shared", "All")).await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        no_routes_are_left(ns).await?;
        infra.delete().await
    })
    .await
}

#[tokio::test]
async fn a_gateway_that_does_not_exist_is_said_and_waited_for() -> Result<()> {
    TestNamespace::with("no-gateway", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let (_pebble, _operator) = start(ns, &json!([{ "name": "public" }])).await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSelfCheck").await?;
        assert_eq!(
            message,
            format!(
                "The self-check does not see the answer yet: the Gateway {}/public has not accepted or rejected the \
                 HTTPRoute yet; check that it exists and that its controller is running",
                ns.name
            )
        );
        ns.apply(&gateway("router", "public", "Same")).await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        no_routes_are_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_route_that_the_api_server_refuses_is_said_in_its_words() -> Result<()> {
    TestNamespace::with("refused", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let (pebble, operator) = start(ns, &json!([{ "name": "public" }])).await?;
        ns.apply(&gateway("router", "public", "Same")).await?;
        let solver = |label: &str| {
            let route = json!({ "labels": { "team": label }, "parentRefs": [{ "name": "public" }] });
            json!([{ "http01": { "gatewayHTTPRoute": route } }])
        };
        ns.apply(&issuer(&pebble, &solver("no value!"))).await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSolver").await?;
        ensure!(message.contains("metadata.labels: Invalid value: \"no value!\""), "{message}");
        stays_as_it_is(ns, "web", QUIET).await?;
        assert_eq!(complaints(&operator), [""; 0]);
        ns.apply(&issuer(&pebble, &solver("value"))).await?;
        issued(ns, "web").await?;
        no_routes_are_left(ns).await
    })
    .await
}

#[tokio::test]
async fn without_the_gateway_api_a_certificate_waits_for_it_and_holds_nobody_up() -> Result<()> {
    TestNamespace::with("no-api", async |ns| {
        let absent = ns.cluster.without_gateway_api().await?;
        let pebble = steady().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).argument("--orders-per-account", "1").start().await?;
        let solvers = json!([
            { "http01": { "ingress": { "ingressClassName": "router" } } },
            { "selector": { "dnsNames": [host(ns, "routed")] }, "http01": { "gatewayHTTPRoute": {
                "parentRefs": [{ "name": "public" }],
            } } },
        ]);
        ns.apply(&issuer(&pebble, &solvers)).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        // The other name of the Certificate could be validated.
        ns.apply(&certificate("web", &[&host(ns, "routed"), &host(ns, "beside")], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSolver").await?;
        assert_eq!(
            message,
            "The answer cannot be presented yet: the cluster does not have HTTPRoutes of gateway.networking.k8s.io/v1; \
             install the Gateway API, or use http01.ingress or dns01"
        );
        ns.apply(&certificate("other", &[&host(ns, "other")], "")).await?;
        issued(ns, "other").await.context("the only place of the account is free for it")?;

        let lines = operator.logs().len();
        stays_as_it_is(ns, "web", QUIET).await?;
        let logged = operator.logs().len() - lines;
        ensure!(logged <= 5, "{logged} lines in {QUIET:?}: {:#?}", &operator.logs()[lines..]);
        assert_eq!(complaints(&operator), [""; 0]);
        ensure!(operator.is_running()?, "the operator has ended");

        ns.apply(&certificate("deleted", &[&host(ns, "routed")], "")).await?;
        issuing(ns, "deleted", "WaitingForSolver").await?;
        ns.delete_object("certificate/deleted").await?;
        ns.wait_gone("certificate/deleted", SOON).await?;

        absent.install().await?;
        ns.apply(&gateway("router", "public", "Same")).await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        no_routes_are_left(ns).await
    })
    .await
}

#[tokio::test]
async fn an_operator_killed_in_mid_order_removes_the_routes_once_it_is_back() -> Result<()> {
    TestNamespace::with("killed", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let (_pebble, operator) = start(ns, &json!([{ "name": "public" }])).await?;
        ns.apply(&gateway("router", "public", "Same")).await?;
        let name = host(ns, "web");
        let held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        presented(ns, "web").await?;
        operator.kill9()?;
        assert_eq!(routes(ns).await?.len(), 1);
        operator.restart().await?;
        held.let_go().await?;
        let issued = issued(ns, "web").await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        no_routes_are_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_certificate_deleted_in_mid_order_takes_its_routes_along() -> Result<()> {
    TestNamespace::with("deleted", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let (_pebble, _operator) = start(ns, &json!([{ "name": "public" }])).await?;
        ns.apply(&gateway("router", "public", "Same")).await?;
        let name = host(ns, "web");
        let _held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        presented(ns, "web").await?;
        let [route] = &routes(ns).await?[..] else { anyhow::bail!("not one HTTPRoute") };
        ns.delete_object("certificate/web").await?;
        ns.wait_gone("certificate/web", SOON).await?;
        wait_nothing_presented(ns).await?;
        ns.wait_gone(&format!("httproute/{}", route.name_any()), COLLECTED).await
    })
    .await
}

/// A CA, an operator, and an Issuer `ca` whose solver creates HTTPRoutes with these parents.
async fn start(ns: &TestNamespace, parents: &Value) -> Result<(Pebble, Operator)> {
    let pebble = steady().start(&ns.cluster).await?;
    let operator = Operator::builder(ns).start().await?;
    let route = json!({ "parentRefs": parents, "labels": { "team": "shop" } });
    ns.apply(&issuer(&pebble, &json!([{ "http01": { "gatewayHTTPRoute": route } }]))).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    Ok((pebble, operator))
}

fn issuer(pebble: &Pebble, solvers: &Value) -> String {
    dns::issuer("ca", &pebble.directory_url, &pebble.ca_pem, solvers).to_string()
}

/// A Gateway that listens for HTTP on port 80 and accepts routes from these namespaces.
fn gateway(class: &str, name: &str, from: &str) -> String {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": name },
        "spec": {
            "gatewayClassName": class,
            "listeners": [{
                "name": "http", "port": 80, "protocol": "HTTP",
                "allowedRoutes": { "namespaces": { "from": from } },
            }],
        },
    });
    gateway.to_string()
}

async fn routes(ns: &TestNamespace) -> Result<Vec<HttpRoute>> {
    Ok(ns.api::<HttpRoute>().list(&ours()).await?.items)
}

/// The operator itself has removed the routes, and everything that they led to.
async fn no_routes_are_left(ns: &TestNamespace) -> Result<()> {
    let left = ns.api::<HttpRoute>().list(&ListParams::default()).await?.items;
    assert!(left.is_empty(), "HTTPRoutes: {left:#?}");
    nothing_is_left(ns).await
}

/// Warnings and errors in the operator's log.
fn complaints(operator: &Operator) -> Vec<String> {
    let complains = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["level"] != "INFO" && line["level"] != "DEBUG"
    };
    operator.logs().into_iter().filter(complains).collect()
}
