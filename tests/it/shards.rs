//! Two installations beside each other, which divide the objects by a label, with one ClusterIssuer.

mod pair;

use std::collections::BTreeSet;

use self::pair::{LABEL, cluster_issuer, labelled, relabel, with_shards};
use crate::common::faults::issuing;
use crate::common::http01::{HeldName, hold, host, ours, presented};
use crate::common::overheard::NEW_ORDER;
use crate::common::program::certwright;
use crate::common::{SOON, count, issued, revision, tls, wait_all, wait_nothing_left};
use anyhow::{Context, Result, bail, ensure};
use certwright_cluster::TestNamespace;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use serde_json::{Value, json};

#[tokio::test]
async fn each_shard_serves_its_own_certificates_with_one_account() -> Result<()> {
    with_shards(async |ns, shards| {
        for (name, shard) in [("one", None), ("two", None), ("three", Some("a")), ("four", Some("a"))] {
            ns.apply(&labelled(ns, name, shard)).await?;
        }
        ns.apply(&labelled(ns, "lost", Some("c"))).await?;
        let issuer = ns.get(&cluster_issuer(ns)).await?.context("no ClusterIssuer")?;
        for name in ["one", "two", "three", "four"] {
            let certificate = issued(ns, name).await?;
            assert_eq!(certificate["status"]["revision"], 1);
            tls(ns, &format!("{name}-tls")).await?;
        }
        wait_nothing_left(ns).await?;
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(shards.main.written("certificates"), names(&["one", "two"]));
        assert_eq!(shards.a.written("certificates"), names(&["three", "four"]));
        assert!(shards.main.written("clusterissuers").contains(&ns.name));
        assert_eq!(shards.a.written("clusterissuers"), names(&[]), "a reader writes nothing");
        let account_key = format!("{}-account-key", ns.name);
        assert!(!shards.a.written("secrets").contains(&account_key));
        assert_eq!(shards.heard.registrations().len(), 1, "one account");
        assert_eq!(count(&shards.ca, NEW_ORDER), 4, "one order for each Certificate");
        let orders = shards.heard.those(|said| said.path == NEW_ORDER);
        let accounts: BTreeSet<_> = orders.iter().map(|said| said.header["kid"].to_string()).collect();
        assert_eq!(accounts, BTreeSet::from([issuer["status"]["acme"]["uri"].to_string()]));
        let sample =
            format!("certwright_issuer_ready{{kind=\"ClusterIssuer\",namespace=\"\",name=\"{}\"", ns.name);
        shards.main.shows(&sample, true).await?;
        shards.a.shows(&sample, false).await?;

        let lost = ns.get("certificate/lost").await?.context("it is gone")?;
        assert_eq!(
            lost["status"],
            json!({ "conditions": [], "observedGeneration": -1 }),
            "nobody has seen it"
        );
        let leases = ns.api::<Lease>().list(&Default::default()).await?.items;
        let of = |selector: &str| {
            let has = |lease: &&Lease| {
                lease
                    .annotations()
                    .get("certwright.dev/watch-label-selector")
                    .is_some_and(|of| of == selector)
            };
            leases.iter().find(has).map(|lease| lease.name_any()).context("no Lease")
        };
        let (main, a) = (of("!certwright.dev/shard")?, of("certwright.dev/shard=a")?);
        let listed = certwright(ns, &["list", "--operator-namespace", &ns.name]).await?.ended(0)?;
        for (name, shard) in
            [("NAME", "SHARD"), ("one", main.as_str()), ("three", a.as_str()), ("lost", "none")]
        {
            let is = |line: &&str| line.starts_with(name) && line.trim_end().ends_with(&format!(" {shard}"));
            ensure!(listed.output.lines().any(|line| is(&line)), "{name} in {shard}:\n{}", listed.output);
        }
        let checked = ["check", "--operator-namespace", &ns.name, "--cluster-only"];
        certwright(ns, &checked).await?.ended(3)?.says(&[
            &format!("ok    Lease {main} (!certwright.dev/shard): main is the leader"),
            &format!("ok    Lease {a} (certwright.dev/shard=a): a is the leader"),
            &format!("fail  no shard serves Certificate {}/lost", ns.name),
        ])?;

        ns.patch("certificate/lost", relabel(Some("a"))).await?;
        issued(ns, "lost").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_certificate_at_rest_is_moved_without_a_write() -> Result<()> {
    with_shards(async |ns, shards| {
        ns.apply(&labelled(ns, "web", None)).await?;
        revision(ns, "web", 1).await?;
        let secret = tls(ns, "web-tls").await?.secret.resource_version();
        wait_nothing_left(ns).await?;
        shards.main.api.forget();
        let sample = format!("certwright_certificate_ready{{namespace=\"{}\",name=\"web\"", ns.name);
        shards.main.shows(&sample, true).await?;
        let relabeled = ns.patch("certificate/web", relabel(Some("a"))).await?;
        shards.a.shows(&sample, true).await?;
        shards.main.shows(&sample, false).await?;

        let after = ns.get("certificate/web").await?.context("it is gone")?;
        assert_eq!(after["metadata"]["resourceVersion"], relabeled["metadata"]["resourceVersion"]);
        assert_eq!(tls(ns, "web-tls").await?.secret.resource_version(), secret);
        assert_eq!(count(&shards.ca, NEW_ORDER), 1);

        let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
        ns.patch("certificate/web", renew).await?;
        revision(ns, "web", 2).await?;
        assert_eq!(shards.main.written("certificates"), BTreeSet::new());
        assert_eq!(shards.main.written("secrets"), BTreeSet::new());
        assert_eq!(count(&shards.ca, NEW_ORDER), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_is_moved_in_mid_order_is_issued_with_that_order() -> Result<()> {
    with_shards(async |ns, shards| {
        let name = host(ns, "web");
        let held: HeldName = hold(ns, &name).await?;
        ns.apply(&labelled(ns, "web", None)).await?;
        presented(ns, "web").await?;
        let main = shard_of(&presents(ns, 1).await?)?;
        ns.patch("certificate/web", relabel(Some("a"))).await?;
        // The new shard presents under its own name; the old one removes only its own objects.
        let differs = |labels: Option<&String>| labels.is_some_and(|label| *label != main);
        wait_all::<Ingress>(ns, HTTP01, |all| {
            all.len() == 1 && all.iter().all(|one| differs(one.labels().get(SHARD_LABEL)))
        })
        .await?;
        wait_all::<Service>(ns, HTTP01, |all| {
            all.len() == 1 && all.iter().all(|one| differs(one.labels().get(SHARD_LABEL)))
        })
        .await?;
        held.let_go().await?;
        revision(ns, "web", 1).await?;
        tls(ns, "web-tls").await?;
        assert_eq!(count(&shards.ca, NEW_ORDER), 1, "one order");
        assert!(shards.a.written("secrets").contains("web-tls"));
        assert!(!shards.main.written("secrets").contains("web-tls"));
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_shard_leaves_what_another_presents_in_the_same_namespace() -> Result<()> {
    with_shards(async |ns, _| {
        let (one, two) = (hold(ns, &host(ns, "one")).await?, hold(ns, &host(ns, "two")).await?);
        ns.apply(&labelled(ns, "one", None)).await?;
        ns.apply(&labelled(ns, "two", Some("a"))).await?;
        presented(ns, "one").await?;
        presented(ns, "two").await?;
        presents(ns, 2).await?;
        one.let_go().await?;
        issued(ns, "one").await?;
        let left = presents(ns, 1).await?;
        let services = ns.api::<Service>().list(&ours()).await?.items;
        let backend = left[0].spec.as_ref().and_then(|spec| spec.rules.as_ref()?.first()?.http.as_ref());
        let backend = backend.context("no path")?.paths[0].backend.service.as_ref().context("no Service")?;
        assert_eq!(
            services.iter().filter_map(|one| one.metadata.name.as_deref()).collect::<Vec<_>>(),
            [backend.name.as_str()]
        );
        two.let_go().await?;
        issued(ns, "two").await?;
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn two_certificates_of_two_shards_do_not_share_a_secret() -> Result<()> {
    with_shards(async |ns, shards| {
        let held = hold(ns, &host(ns, "first")).await?;
        ns.apply(&labelled(ns, "first", None)).await?;
        presented(ns, "first").await?;
        let second = labelled(ns, "second", Some("a")).replace("second-tls", "first-tls");
        ns.apply(&second).await?;
        let (_, message) = issuing(ns, "second", "SecretClaimed").await?;
        ensure!(message.contains("Certificate first, which is older"), "{message}");
        held.let_go().await?;
        issued(ns, "first").await?;
        wait_nothing_left(ns).await?;
        issuing(ns, "second", "SecretClaimed").await?;
        let secret = tls(ns, "first-tls").await?.secret;
        assert_eq!(secret.annotations()["certwright.dev/certificate-name"], "first");
        assert_eq!(count(&shards.ca, NEW_ORDER), 1, "the second has ordered nothing");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_is_moved_with_its_account_and_its_key_is_changed_by_one_shard() -> Result<()> {
    with_shards(async |ns, shards| {
        let target = cluster_issuer(ns);
        let account = |issuer: &Value| issuer["status"]["acme"]["uri"].clone();
        let before = ns.get(&target).await?.context("no ClusterIssuer")?;
        // Another issuer with the same account belongs to the same shard, whatever its own labels say.
        let sharing = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "ClusterIssuer",
            "metadata": { "name": format!("{}-b", ns.name), "labels": { (LABEL): "a" } },
            "spec": { "acme": with(&before["spec"]["acme"], "privateKeySecretRef",
                                   json!({ "name": format!("{}-account-key", ns.name) })) },
        });
        ns.apply(&sharing.to_string()).await?;
        let second = format!("{target}-b");
        let outcome = async {
            let shared = ns.wait_condition(&second, "Ready", "True", SOON).await?;
            assert_eq!(account(&shared), account(&before), "one account");
            assert_eq!(shards.a.written("clusterissuers"), BTreeSet::new());

            ns.patch(&target, relabel(Some("a"))).await?;
            let sample = format!(
                "certwright_issuer_ready{{kind=\"ClusterIssuer\",namespace=\"\",name=\"{}\"",
                ns.name
            );
            shards.a.shows(&sample, true).await?;
            shards.main.shows(&sample, false).await?;
            shards.main.api.forget();
            let rollover =
                json!({"metadata": {"annotations": {"certwright.dev/rollover-account-key": "now"}}});
            ns.patch(&target, rollover).await?;
            let old = before["status"]["acme"]["keyThumbprint"].clone();
            let changed = |issuer: &Value| issuer["status"]["acme"]["keyThumbprint"] != old;
            let after = ns.wait(&target, SOON, changed).await?;
            assert_eq!(account(&after), account(&before));
            ns.wait(&second, SOON, changed).await?;
            assert_eq!(shards.main.written("clusterissuers"), BTreeSet::new());
            assert_eq!(shards.heard.registrations().len(), 1, "one account");

            // Each shard uses the new key.
            ns.apply(&labelled(ns, "one", None)).await?;
            ns.apply(&labelled(ns, "two", Some("a"))).await?;
            issued(ns, "one").await?;
            issued(ns, "two").await.map(drop)
        }
        .await;
        ns.delete_object(&second).await?;
        outcome
    })
    .await
}

#[tokio::test]
async fn the_label_of_an_annotated_ingress_decides_for_its_certificate() -> Result<()> {
    with_shards(async |ns, shards| {
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {
                "name": "shop", "labels": { (LABEL): "a" },
                "annotations": { "certwright.dev/cluster-issuer": ns.name },
            },
            "spec": {
                "ingressClassName": "router", "tls": [{ "hosts": [host(ns, "shop")], "secretName": "shop-tls" }],
                "defaultBackend": { "service": { "name": "shop", "port": { "number": 80 } } },
            },
        });
        ns.apply(&ingress.to_string()).await?;
        let made = issued(ns, "shop-tls").await?;
        assert_eq!(made["metadata"]["labels"][LABEL], "a");
        assert_eq!(shards.main.written("certificates"), BTreeSet::new());
        ns.patch("ingress/shop", relabel(None)).await?;
        let moved = |certificate: &Value| certificate["metadata"]["labels"][LABEL].is_null();
        ns.wait("certificate/shop-tls", SOON, moved).await?;
        let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
        shards.a.api.forget();
        ns.patch("certificate/shop-tls", renew).await?;
        revision(ns, "shop-tls", 2).await?;
        assert_eq!(shards.a.written("certificates"), BTreeSet::new());
        Ok(())
    })
    .await
}

const HTTP01: &str = "certwright.dev/http01=true";
const SHARD_LABEL: &str = "certwright.dev/http01-shard";

fn with(object: &Value, field: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[field] = value;
    object
}

/// Waits until there are this many temporary Ingresses.
async fn presents(ns: &TestNamespace, number: usize) -> Result<Vec<Ingress>> {
    let found = wait_all::<Ingress>(ns, HTTP01, |all| all.len() == number).await?;
    Ok(found.iter().map(|one| (**one).clone()).collect())
}

fn shard_of(ingresses: &[Ingress]) -> Result<String> {
    match ingresses {
        [one] => one.labels().get(SHARD_LABEL).cloned().context("an Ingress without its shard"),
        _ => bail!("not one Ingress"),
    }
}
