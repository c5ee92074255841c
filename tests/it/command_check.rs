//! `certwright check`: everything that an issuance needs, line by line.

use std::time::Duration;

use crate::common;

use crate::common::accounts::{registered, uri};
use crate::common::program::{certwright, command, run};
use crate::common::{SOON, certificate, external_account, issued, issuer, mac_key, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use http::Method;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use serde_json::json;

#[tokio::test]
async fn what_is_as_it_should_be_is_ok_line_by_line() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns)
            .argument("--leader-elect", "true")
            .argument("--identity", "pod-1")
            .start()
            .await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        ns.apply(&certificate("web", &["www.example.com"], "")).await?;
        issued(ns, "web").await?;
        let dns = ns.cluster.description.dns.to_string();
        let ran = certwright(ns, &["check", "--operator-namespace", &ns.name, "--nameservers", &dns])
            .await?
            .ended(0)?;
        let ran = ran.says(&[
            "ok    Kubernetes ",
            "ok    CustomResourceDefinition certificates.certwright.dev matches version ",
            "ok    CustomResourceDefinition clusterissuers.certwright.dev matches version ",
            "warn  there is no Deployment of the operator in namespace ",
            "warn  the operator's service account is not known",
            "ok    pod-1 is the leader, and renewed its Lease ",
            "ok    you may get, list, watch, patch certificates in ",
            &format!("ok    Issuer {}/ca is ready\n", ns.name),
            "answers from this machine\n",
            "ok    www.example.com: port 80 answers\n",
        ])?;
        ensure!(ran.errors.contains("0 failures, 2 warnings."), "{ran:?}");
        // Where the operators of all tests have their permissions.
        let ran = certwright(ns, &["check", "--operator-namespace", "certwright", "--cluster-only"]).await?;
        ran.says(&["ok    service account certwright/certwright has all permissions it needs ("])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_missing_or_broken_fails_with_what_to_do() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", "not*the*key")).await?;
        let broken = issuer(&pebble.directory_url, &pebble.ca_pem, &external_account("kid-1"));
        ns.apply(&of_issuer("broken", &broken)).await?;
        ns.apply(&of_issuer("bare", &broken.replace("name: eab", "name: nothing"))).await?;
        ns.apply(&of_issuer("away", &issuer("https://127.0.0.1:9/dir", &pebble.ca_pem, ""))).await?;
        for name in ["broken", "bare", "away"] {
            ns.wait_condition(&format!("issuer/{name}"), "Ready", "False", SOON).await?;
        }
        let ran = certwright(ns, &["check", "--operator-namespace", &ns.name]).await?.ended(3)?;
        let ran = ran.says(&[
            "fail  there is no Lease ",
            &format!("fail  Issuer {}/broken is not ready: InvalidMACKey: ", ns.name),
            "/eab is not a valid MAC key for Issuer ",
            "/nothing with the MAC key of Issuer ",
            "fail  the CA at https://127.0.0.1:9/dir cannot be used from this machine: ",
            "failed: 127.0.0.1 is not allowed: the operator's egress rules forbid its address",
            &format!("certwright status issuer broken -n {}", ns.name),
        ])?;
        ensure!(!ran.output.contains("not*the*key"), "it shows a secret: {}", ran.output);
        let allowed = ["check", "--operator-namespace", &ns.name, "--egress-allow", "127.0.0.1"];
        let ran = certwright(ns, &allowed).await?.ended(3)?;
        ran.says(&["failed: cannot reach 127.0.0.1: connection refused"])?;
        let ran =
            certwright(ns, &["check", "--operator-namespace", &ns.name, "--cluster-only"]).await?.ended(3)?;
        ensure!(!ran.output.contains("from this machine"), "it asks nobody: {}", ran.output);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_role_that_lacks_a_right_and_a_deployment_without_pods_are_told() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        ns.apply(
            &json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "certwright", "labels": {"app.kubernetes.io/name": "certwright"}},
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": {"app": "certwright"}},
                    "template": {
                        "metadata": {"labels": {"app": "certwright"}},
                        "spec": {
                            "serviceAccountName": "weak",
                            "containers": [{
                                "name": "certwright", "image": "certwright:0.0.1",
                                "env": [{"name": "CERTWRIGHT_WATCH_NAMESPACES", "value": ns.name}],
                            }],
                        },
                    },
                },
            })
            .to_string(),
        )
        .await?;
        let ran =
            certwright(ns, &["check", "--operator-namespace", &ns.name, "--cluster-only"]).await?.ended(3)?;
        ran.says(&[
            &format!("fail  Deployment {}/certwright has 0 of 2 replicas ready", ns.name),
            "warn  the operator's image is certwright:0.0.1, but this program has version ",
            &format!("fail  service account {}/weak may not ", ns.name),
            "warn  there are no Issuers",
        ])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_little_is_told_what_could_not_be_looked_at() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "nobody"}}))?;
        ns.api::<ServiceAccount>().create(&PostParams::default(), &account).await?;
        let kubeconfig = common::program::kubeconfig_of(ns, "nobody").await?;
        let path = kubeconfig.path().to_str().context("path")?.to_owned();
        let mut check = command(
            ns,
            &["check", "--operator-namespace", &ns.name, "--cluster-only", "--kubeconfig", &path],
        );
        check.env_remove("KUBECONFIG");
        let ran = run(check).await?.ended(0)?;
        ran.says(&[
            "warn  the API server serves all kinds of certwright.dev/v1alpha1, but their definitions cannot be read: ",
            "is forbidden",
            "warn  you may not get, list, watch, patch certificates in ",
            "warn  the permissions of service account ",
            "warn  cannot list Issuers: issuers.certwright.dev is forbidden",
        ])?;
        let mut list = command(ns, &["list", "--kubeconfig", &path]);
        list.env_remove("KUBECONFIG");
        let ran = run(list).await?.ended(1)?;
        ensure!(
            ran.errors
                .contains("certwright: cannot list Certificates: certificates.certwright.dev is forbidden"),
            "{ran:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_client_sees_the_same_directory_and_finds_the_same_account() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        let month = Duration::from_secs(30 * 24 * 3600);
        let pebble = Pebble::builder().profile("classic", "a month", month).start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let plain = issuer(&pebble.directory_url, &pebble.ca_pem, "");
        let rsa = issuer(
            &pebble.directory_url,
            &pebble.ca_pem,
            "    accountKey: { algorithm: RSA, size: 2048 }\n",
        );
        ns.apply(&plain).await?;
        ns.apply(&of_issuer("rsa", &rsa)).await?;
        registered(ns, "ca").await?;
        registered(ns, "rsa").await?;
        let ran = certwright(ns, &["check", "--operator-namespace", &ns.name]).await?;
        ran.says(&[
            &format!("ok    a second ACME client (instant-acme) sees the same directory at {}", pebble.directory_url),
            &format!(
                "ok    a second ACME client (instant-acme) finds the same account for the key of Issuer {}/ca",
                ns.name
            ),
            &format!(
                "ok    the account of Issuer {}/rsa has a key that a second ACME client (instant-acme) cannot use (RSA 2048)",
                ns.name
            ),
        ])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_that_differs_for_the_second_client_fails_and_both_are_quoted() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        let account = uri(&registered(ns, "ca").await?);
        proxy.script(|request| {
            let agent = request.headers.get("user-agent").map(|agent| agent.as_bytes()).unwrap_or_default();
            let is_second = agent.starts_with(b"instant-acme");
            match request.method {
                Method::GET if is_second => Action::ReplaceBody(Box::new(|body| {
                    String::from_utf8_lossy(&body).replace("/order-plz", "/order-xyz").into()
                })),
                Method::POST if is_second => Action::Respond {
                    status: 200,
                    headers: vec![("location", "https://ca.example.com/account/2".to_owned())],
                    body: "{}".to_owned(),
                },
                _ => Action::Pass,
            }
        });
        let ran = certwright(ns, &["check", "--operator-namespace", &ns.name]).await?.ended(3)?;
        ran.says(&[
            &format!(
                "fail  the CA sends Certwright and instant-acme different directories from {}/dir: newOrder is \"",
                proxy.url
            ),
            "/order-plz\" for Certwright and \"",
            "/order-xyz\" for instant-acme",
            "A directory should not depend on who fetches it.",
            &format!(
                "fail  for the key of Issuer {}/ca, Certwright gets the account \"{account}\" and a second ACME client \
                 (instant-acme) gets the account \"https://ca.example.com/account/2\"; the status has \"{account}\"",
                ns.name
            ),
            "A CA has one account for a key",
        ])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_not_read_the_account_key_is_told_that_the_account_was_not_compared() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        registered(ns, "ca").await?;
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "reader"}}))?;
        ns.api::<ServiceAccount>().create(&PostParams::default(), &account).await?;
        let group = "rbac.authorization.k8s.io";
        ns.apply(
            &json!({
                "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "reader"},
                "rules": [{
                    "apiGroups": ["certwright.dev"], "resources": ["certificates", "issuers"], "verbs": ["list"],
                }],
            })
            .to_string(),
        )
        .await?;
        ns.apply(
            &json!({
                "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "reader"},
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": ns.name}],
            })
            .to_string(),
        )
        .await?;
        let kubeconfig = common::program::kubeconfig_of(ns, "reader").await?;
        let path = kubeconfig.path().to_str().context("path")?.to_owned();
        let mut check = command(ns, &["check", "--operator-namespace", &ns.name, "--kubeconfig", &path]);
        check.env_remove("KUBECONFIG");
        run(check).await?.says(&[
            "ok    a second ACME client (instant-acme) sees the same directory at ",
            &format!(
                "warn  the account of Issuer {}/ca was not compared, because its key cannot be read: secrets \"ca-account-key\" is forbidden",
                ns.name
            ),
            "Ask somebody who may read Secrets there to run the check.",
        ])?;
        Ok(())
    })
    .await
}
