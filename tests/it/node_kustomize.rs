//! `deploy/base` on a node with real pods.

use std::time::Duration;

use crate::common::helm::{root, run};
use crate::common::{certificate, count, hold, issuer, revision, tls, wait_nothing_left};
use anyhow::{Context, Result};
use certwright_cluster::{
    Cluster, INGRESS_CONTROLLER_ADDRESS, IngressController, Node, Pebble, Proxy, TestNamespace,
};
use tokio::task::spawn_blocking;

/// A replica that is killed stays the leader until its Lease expires.
const HANDOVER: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_kustomize_base_issues_through_its_pods_outlives_one_and_goes_without_a_trace() -> Result<()> {
    Node::with(async |node: &Node| {
        node.import_operator().await?;
        let base = root().join("deploy/base").display().to_string();
        run("kubectl", &["apply", "--kustomize", &base])?;
        let rollout =
            ["rollout", "status", "deployment/certwright", "--timeout=2m", "--namespace=certwright"];
        run("kubectl", &rollout)?;

        let web = TestNamespace::named(Cluster::from_env()?, "web").await?;
        let pebble = Pebble::builder().start(&node.cluster).await?;
        let proxy = Proxy::start(&node.cluster, &pebble.address).await?;
        // It finds the pods behind the Service's cluster address.
        let _ingress_controller = IngressController::start(&node.cluster).await?;
        for name in ["a", "b"] {
            let host = format!("{name}.example.com");
            node.cluster.dns()?.set_a(&host, &[INGRESS_CONTROLLER_ADDRESS]).await?;
        }
        let issuer = issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "");
        let by_controller = format!("ingressClassName: {}", IngressController::CLASS);
        web.apply(&issuer.replace("ingressClassName: router", &by_controller)).await?;
        web.apply(&certificate("a", &["a.example.com"], "")).await?;
        revision(&web, "a", 1).await?;

        a_leader_that_is_killed_in_mid_challenge_loses_nothing(&web, &proxy).await?;
        wait_nothing_left(&web).await?;

        run("kubectl", &["delete", "--kustomize", &base])?;
        let rest = ["get", "namespaces,clusterroles,clusterrolebindings,crds", "--output=name"];
        let rest = run("kubectl", &rest)?;
        assert!(!rest.contains("certwright"), "it is all gone: {rest}");
        tls(&web, "b-tls").await.context("TLS Secrets stay").map(drop)
    })
    .await
}

/// The command line in the operator's own pod sees what the cluster sees: while a challenge for `b` is presented, something
/// answers.
async fn port_80_is_seen_from_a_pod() -> Result<()> {
    let exec = ["exec", "--namespace=certwright", "deployment/certwright", "--"];
    let check = ["/certwright", "check", "--namespace=web"];
    // Requests to the CA continue in the meantime.
    let seen = spawn_blocking(move || run("kubectl", &[exec.as_slice(), &check].concat())).await??;
    for line in
        ["Issuer web/ca is ready", "is the leader, and renewed its Lease", "b.example.com: port 80 answers"]
    {
        assert!(seen.contains(line), "{line:?} is not said: {seen}");
    }
    Ok(())
}

async fn a_leader_that_is_killed_in_mid_challenge_loses_nothing(
    web: &TestNamespace,
    proxy: &Proxy,
) -> Result<()> {
    let orders = count(proxy, "/order-plz");
    let mut held = hold(proxy, "/chalZ/");
    web.apply(&certificate("b", &["b.example.com"], "")).await?;
    held.reached().await?;
    port_80_is_seen_from_a_pod().await?;
    let lease =
        ["get", "lease/certwright", "--namespace=certwright", "--output=jsonpath={.spec.holderIdentity}"];
    let leader = run("kubectl", &lease)?;
    let kill = ["delete", "--namespace=certwright", "--grace-period=0", "--force"];
    run("kubectl", &[&kill[..], &[&format!("pod/{leader}")]].concat())?;
    held.go_on(proxy);
    web.wait_condition("certificate/b", "Ready", "True", HANDOVER).await?;
    let next = run("kubectl", &lease)?;
    assert_ne!(next, leader, "another replica has gone on");
    assert_eq!(count(proxy, "/order-plz"), orders + 1, "with the same order");
    Ok(())
}
