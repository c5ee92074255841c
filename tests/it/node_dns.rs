//! The chart of `certwright-dns` on a node with real pods, beside that of the operator.

use crate::common::dns::{KEY, key, values};
use crate::common::helm::{copy_for_this_api_server, root, run};
use crate::common::{SOON, certificate, dns, issued};
use anyhow::{Result, ensure};
use certwright_cluster::{Bind, Cluster, Node, Pebble, Resolver, TestNamespace, Zone};
use serde_json::{Value, json};

#[tokio::test]
async fn a_release_issues_wildcards_over_a_rollout_and_goes_without_a_trace() -> Result<()> {
    Node::with(async |node: &Node| {
        node.import_operator().await?;
        node.import_dns().await?;
        let web = TestNamespace::named(Cluster::from_env()?, "web").await?;
        let bind = Bind::builder().tsig_key(&key()).zone(Zone::new("a.test")).start(&node.cluster).await?;
        let resolver = Resolver::builder().zone_at("a.test", &bind).start(&node.cluster).await?;
        let pebble = Pebble::builder().dns_server(&resolver.address()).start(&node.cluster).await?;
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": "certwright", "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        });
        web.apply(&namespace.to_string()).await?;
        web.apply(&key().object(KEY)).await?;

        let helm = |verb: &str, chart: &str, more: &[&str]| {
            let copy = node.cluster.description.state.join(chart);
            let copy = copy_for_this_api_server(&root().join("charts").join(chart), &copy)?;
            let fixed = [verb, chart, &copy, "--namespace=certwright", "--wait", "--timeout=2m"];
            run("helm", &[&fixed, more].concat())
        };
        let resolvers = format!("config.dns01RecursiveNameservers={{{}}}", resolver.address());
        helm("install", "certwright", &["--set", &resolvers])?;
        let secrets = format!("secrets.names.web={{{KEY}}}");
        let replicas = ["--set", &secrets, "--set", "replicas=2,networkPolicy.enabled=true"];
        helm("install", "certwright-dns", &replicas)?;
        available(&web).await?;

        let webhook = json!({ "groupName": "dns.certwright.dev", "solverName": "dns", "config": {
            "provider": "rfc2136", "settings": { "nameserver": bind.address(), "tsigKeyName": KEY },
            "credentials": { "tsigSecret": { "secretRef": { "name": KEY, "key": "secret" } } },
        } });
        let solvers = json!([{ "dns01": { "webhook": webhook } }]);
        let directory = &pebble.directory_url;
        web.apply(&dns::issuer("ca", directory, &pebble.ca_pem, &solvers).to_string()).await?;
        web.apply(&certificate("first", &["*.a.test", "a.test"], "")).await?;
        issued(&web, "first").await?;

        let more = ["--set", "config.logLevel=debug", "--reuse-values"];
        helm("upgrade", "certwright-dns", &more)?;
        web.apply(&certificate("second", &["*.b.a.test"], "")).await?;
        web.wait_condition("certificate/second", "Ready", "True", SOON * 2).await?;
        ensure!(values(&bind, "_acme-challenge.a.test").await?.is_empty(), "nothing is left");

        run("helm", &["uninstall", "certwright-dns", "--namespace=certwright", "--wait"])?;
        let kinds = "all,serviceaccounts,roles,rolebindings,networkpolicies";
        let left = ["get", kinds, "--all-namespaces", "--output=name", "--selector"];
        let left = run("kubectl", &[&left[..], &["app.kubernetes.io/name=certwright-dns"]].concat())?;
        ensure!(left.lines().all(|object| object.starts_with("pod/")), "{left}");
        let wide = ["get", "apiservices,clusterroles,clusterrolebindings", "--output=name"];
        let wide = run("kubectl", &wide)?;
        ensure!(!wide.contains("certwright-dns") && !wide.contains("dns.certwright.dev"), "{wide}");
        Ok(())
    })
    .await
}

async fn available(ns: &TestNamespace) -> Result<()> {
    let available = |service: &Value| {
        service["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Available" && condition["status"] == "True")
    };
    ns.wait("apiservice/v1alpha1.dns.certwright.dev", SOON * 2, available).await.map(drop)
}
