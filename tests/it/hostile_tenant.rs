//! A greedy tenant: resources that it shares with others stay shared.

use std::time::Duration;

use crate::common::faults::{issuing, path, payload, refusal, requests_to, steady, time};
use crate::common::hostile::Scene;
use crate::common::{CLUSTER_ISSUERS, SOON, certificate, issued, issuer, of_issuer, revision};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{OperatorBuilder, Proxy, StepCa};
use jiff::SignedDuration;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tokio::time::Instant;

#[tokio::test]
async fn hundreds_of_queued_certificates_hold_up_no_other_namespace() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    fn arguments(operator: OperatorBuilder<'_>) -> OperatorBuilder<'_> {
        operator.argument("--cluster-issuers", "true").argument("--orders-per-account", "16")
    }
    Scene::with_operator("greedy", arguments, async |scene| {
        let ca = StepCa::start(&scene.ns.cluster).await?;
        shared(scene, &ca.directory_url, &ca.root_pem, async || {
            // Nothing answers there, so that orders take as long as possible.
            let host = format!("{}.example.com", scene.ns.name);
            scene.ns.cluster.dns()?.set_a(&host, &[NOBODY]).await?;
            let all: Vec<String> =
                (0..300).map(|n| of_cluster_issuer(scene, &certificate(&format!("greedy-{n}"), &[&host], ""))).collect();
            scene.apply(&all.join("\n---\n")).await?;
            let (_, message) = issuing(&scene.ns, "greedy-299", "Queued").await?;
            let expected = format!(
                "Waiting for other orders to finish: the account of ClusterIssuer {} is limited to 16 concurrent orders, \
                 and namespaces take turns",
                scene.ns.name
            );
            assert_eq!(message, expected);
            modest_is_served(scene, "first", "").await?;
            scene.operator.restart().await?;
            modest_is_served(scene, "second", "").await?;
            delete_all(scene).await
        })
        .await?;
        scene.aftermath().await
    })
    .await
}

#[tokio::test]
async fn a_rate_limit_on_names_of_one_tenant_does_not_pause_the_account_of_all() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    fn arguments(operator: OperatorBuilder<'_>) -> OperatorBuilder<'_> {
        operator.argument("--cluster-issuers", "true")
    }
    Scene::with_operator("limited", arguments, async |scene| {
        let pebble = steady().start(&scene.ns.cluster).await?;
        let proxy = Proxy::start(&scene.ns.cluster, &pebble.address).await?;
        let host = format!("{}.example.com", scene.ns.name);
        let limited = host.clone();
        proxy.script(move |request| {
            if request.path != path::NEW_ORDER || payload(request)["identifiers"][0]["value"] != limited.as_str() {
                return Action::Pass;
            }
            let typ = "urn:ietf:params:acme:error:rateLimited";
            let about = json!({ "type": typ, "detail": "too many orders", "identifier": { "type": "dns", "value": limited } });
            let problem = json!({ "type": typ, "detail": "some names are limited", "subproblems": [about] });
            match refusal(429, &problem) {
                Action::Respond { status, mut headers, body } => {
                    headers.push(("retry-after", "3600".to_owned()));
                    Action::Respond { status, headers, body }
                }
                other => other,
            }
        });
        shared(scene, &format!("{}{}", proxy.url, path::DIRECTORY), &pebble.ca_pem, async || {
            scene.apply(&of_cluster_issuer(scene, &certificate("limited", &[&host], ""))).await?;
            let (limited, message) = issuing(&scene.ns, "limited", "RateLimited").await?;
            ensure!(message.contains(&format!("{host}: too many orders")), "{message}");
            let wait = time(&limited, "nextAttemptTime")?.duration_since(time(&limited, "lastFailureTime")?);
            ensure!(wait >= SignedDuration::from_hours(1), "it waits as long as the CA says: {wait:#}");
            modest_is_served(scene, "free", "").await?;
            // The tenant's other names are not limited either.
            scene.apply(&of_cluster_issuer(scene, &certificate("other", &[&format!("other.{host}")], ""))).await?;
            issued(&scene.ns, "other").await?;
            assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 3, "each was asked for once");
            delete_all(scene).await
        })
        .await?;
        scene.aftermath().await
    })
    .await
}

#[tokio::test]
async fn large_rsa_keys_that_are_made_and_deleted_hold_up_no_other_namespace() -> Result<()> {
    Scene::with("large-keys", async |scene| {
        scene.apply(&issuer(&scene.pebble.directory_url, &scene.pebble.ca_pem, "")).await?;
        scene.ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let large = |turn: usize| -> Vec<String> {
            let large = |n: usize| certificate(&format!("large-{turn}-{n}"), &["large.example.com"], "");
            (0..20)
                .map(|n| large(n).replace("{ algorithm: ECDSA }", "{ algorithm: RSA, size: 8192 }"))
                .collect()
        };
        for turn in 0..3 {
            scene.apply(&large(turn).join("\n---\n")).await?;
            delete_all(scene).await?;
        }
        scene.apply(&large(3).join("\n---\n")).await?;
        let begun = Instant::now();
        let host = format!("small.{}.example.com", scene.bystander.name);
        let small = certificate("small", &[&host], "")
            .replace("{ algorithm: ECDSA }", "{ algorithm: RSA, size: 2048 }");
        scene.bystander.apply(&small).await?;
        issued(scene.bystander, "small").await.context("its key waits for those of somebody else")?;
        eprintln!("an RSA-2048 certificate beside 80 of 8192 bits took {:.1?}", begun.elapsed());
        delete_all(scene).await?;
        scene.aftermath().await
    })
    .await
}

#[tokio::test]
async fn certificates_of_seconds_are_ordered_no_more_often_than_the_floor_allows() -> Result<()> {
    fn arguments(operator: OperatorBuilder<'_>) -> OperatorBuilder<'_> {
        operator.argument("--min-issuance-interval", FLOOR)
    }
    Scene::with_operator("seconds", arguments, async |scene| {
        let pebble = steady().certificate_validity(Duration::from_secs(8)).start(&scene.ns.cluster).await?;
        let proxy = Proxy::start(&scene.ns.cluster, &pebble.address).await?;
        scene.apply(&issuer(&format!("{}{}", proxy.url, path::DIRECTORY), &pebble.ca_pem, "")).await?;
        let host = format!("{}.example.com", scene.ns.name);
        scene.apply(&certificate("brief", &[&host], "")).await?;
        let (_, message) = issuing(&scene.ns, "brief", "IssuedRecently").await?;
        ensure!(message.contains("--min-issuance-interval"), "{message}");
        revision(&scene.ns, "brief", 2).await?;
        issuing(&scene.ns, "brief", "IssuedRecently").await?;
        scene.operator.restart().await?;
        revision(&scene.ns, "brief", 3).await?;
        let orders = requests_to(&proxy, path::NEW_ORDER);
        let waits: Vec<_> = orders.windows(2).map(|two| two[1].at - two[0].at).collect();
        // The recorded time of an order has no fraction of a second.
        let least = Duration::from_secs(14);
        ensure!(waits.len() >= 2 && waits.iter().all(|wait| *wait >= least), "{waits:?}");
        // A requested renewal does not wait.
        issuing(&scene.ns, "brief", "IssuedRecently").await?;
        let asked = Instant::now().into_std();
        scene
            .mallory
            .patch(
                "certificate/brief",
                json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } }),
            )
            .await?;
        revision(&scene.ns, "brief", 4).await?;
        let last = requests_to(&proxy, path::NEW_ORDER).pop().context("no order")?;
        ensure!(
            last.at - asked < Duration::from_secs(5),
            "it was asked for, and came after {:?}",
            last.at - asked
        );
        delete_all(scene).await?;
        scene.aftermath().await
    })
    .await
}

const FLOOR: &str = "15s";

/// An address where nothing listens on port 80.
const NOBODY: &str = "127.80.3.1";

/// Runs `test` with a ClusterIssuer for this CA that has the name of the attacker's namespace.
async fn shared(
    scene: &Scene<'_>,
    directory: &str,
    ca_pem: &str,
    test: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let yaml = of_issuer(&scene.ns.name, &issuer(directory, ca_pem, ""));
    scene.ns.apply(&yaml.replace("kind: Issuer", "kind: ClusterIssuer")).await?;
    let target = format!("clusterissuer/{}", scene.ns.name);
    let outcome = async {
        scene.ns.wait_condition(&target, "Ready", "True", SOON).await?;
        test().await
    }
    .await;
    scene.ns.delete_object(&target).await?;
    outcome
}

fn of_cluster_issuer(scene: &Scene<'_>, certificate: &str) -> String {
    certificate.replace("{ name: ca }", &format!("{{ name: {}, kind: ClusterIssuer }}", scene.ns.name))
}

/// A new Certificate of the bystander, from the same account, is issued immediately.
async fn modest_is_served(scene: &Scene<'_>, name: &str, more: &str) -> Result<()> {
    let host = format!("{name}.{}.example.com", scene.bystander.name);
    let begun = Instant::now();
    scene.bystander.apply(&of_cluster_issuer(scene, &certificate(name, &[&host], more))).await?;
    issued(scene.bystander, name).await.context("it waits for somebody else's")?;
    eprintln!("{name}: the Certificate of another namespace took {:.1?}", begun.elapsed());
    Ok(())
}

/// Deletes the attacker's Certificates.
async fn delete_all(scene: &Scene<'_>) -> Result<()> {
    let certificates = scene.mallory.api::<certwright_api::Certificate>();
    certificates.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    Ok(())
}
