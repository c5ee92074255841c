//! Certificates from annotations on Ingresses: they are created, follow the object that they are created from, and are deleted
//! with it.

mod settings;

use crate::common::annotations::{caught_up, certificate_that, certificates, ingress, made, requests, told};
use crate::common::faults::{event, steady};
use crate::common::http01::host;
use crate::common::{SOON, certificate, dns, issued, ready, tls};
use anyhow::{Result, ensure};
use certwright_cluster::{Operator, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn an_annotated_ingress_gets_its_secret_filled() -> Result<()> {
    TestNamespace::with("annotated", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let [a, b] = [host(ns, "a"), host(ns, "b")];
        ns.apply(&ingress("shop", &by_ca(), &[("shop-tls", &[&a, &b, &a])])).await?;
        let made = issued(ns, "shop-tls").await?;
        assert_eq!(made["spec"]["dnsNames"], json!([a, b]));
        assert_eq!(made["metadata"]["labels"], json!({ "team": "web" }));
        let [owner] = &made["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default()
        else {
            anyhow::bail!("not one owner: {made:#}");
        };
        assert_eq!((&owner["kind"], &owner["name"]), (&json!("Ingress"), &json!("shop")));
        let found = tls(ns, "shop-tls").await?;
        let names = &found.chain.leaf().dns_names;
        assert!([a, b].iter().all(|name| names.contains(name)), "{names:?}");
        assert_eq!(told(ns, "shop").await?, ["CertificateCreated: Certificate shop-tls was created"]);

        ns.patch("ingress/shop", json!({ "spec": { "tls": null } })).await?;
        ns.wait_gone("certificate/shop-tls", SOON).await?;
        tls(ns, "shop-tls").await?; // As with any Certificate, its Secret stays.
        let note = event(ns, "shop", "CertificateDeleted").await?;
        assert_eq!(
            note,
            ("Normal".into(), "Certificate shop-tls is no longer requested, and was deleted".into())
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_stays_when_the_issuer_is_no_longer_named() -> Result<()> {
    TestNamespace::with("kept", async |ns| {
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&ingress("shop", &by_ca(), &[("tls", &["a.test"])])).await?;
        let before = made(ns, "tls").await?;
        let nobody = json!({ "metadata": { "annotations": { ISSUER: null } } });
        ns.patch("ingress/shop", nobody).await?;
        let words = "Certificate tls stays, and is renewed, although no annotation names an issuer of Certwright: delete it \
            if you do not need it";
        assert_eq!(event(ns, "shop", "CertificateKept").await?, ("Warning".into(), words.into()));
        operator.restart().await?;
        caught_up(ns, "marker").await?;
        let after = made(ns, "tls").await?;
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
        assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
        // What is deleted is not recreated.
        ns.delete_object("certificate/tls").await?;
        caught_up(ns, "second").await?;
        assert_eq!(certificates(ns).await?, ["marker", "second"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_certificate_follows_hosts_secret_issuer_and_annotations() -> Result<()> {
    TestNamespace::with("follows", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ingress("shop", &by_ca(), &[("one", &["a.test"]), ("two", &["b.test", "*.c.test"])]))
            .await?;
        made(ns, "one").await?;
        assert_eq!(made(ns, "two").await?["spec"]["dnsNames"], json!(["b.test", "*.c.test"]));

        ns.apply(&ingress("shop", &by_ca(), &[("one", &["a.test", "d.test"]), ("three", &["b.test"])]))
            .await?;
        let names = |object: &Value| object["spec"]["dnsNames"] == json!(["a.test", "d.test"]);
        certificate_that(ns, "one", names).await?;
        made(ns, "three").await?;
        ns.wait_gone("certificate/two", SOON).await?;

        let more = json!({
            "certwright.dev/cluster-issuer": "other", "certwright.dev/renew-before": "720h",
            "certwright.dev/private-key-algorithm": "ECDSA",
        });
        ns.apply(&ingress("shop", &more, &[("one", &["a.test"])])).await?;
        let spec = |object: &Value| object["spec"].clone();
        let changed = certificate_that(ns, "one", |object| spec(object)["renewBefore"].is_string()).await?;
        assert_eq!(spec(&changed)["dnsNames"], json!(["a.test"]), "the other host is gone");
        assert_eq!(spec(&changed)["issuerRef"]["kind"], "ClusterIssuer");
        assert_eq!(spec(&changed)["privateKey"], json!({ "algorithm": "ECDSA" }));
        ns.wait_gone("certificate/three", SOON).await?;

        ns.apply(&ingress("shop", &by_ca(), &[("one", &["a.test"])])).await?;
        let less = certificate_that(ns, "one", |object| spec(object)["renewBefore"].is_null()).await?;
        let issuer = json!({ "name": "ca", "kind": "Issuer", "group": "certwright.dev" });
        let expected = json!({ "secretName": "one", "dnsNames": ["a.test"], "issuerRef": issuer });
        assert_eq!(spec(&less), expected, "nothing of removed annotations is left");

        ns.delete_object("ingress/shop").await?;
        ns.wait_gone("certificate/one", SOON).await
    })
    .await
}

#[tokio::test]
async fn what_somebody_changes_in_the_certificate_is_changed_back_and_what_they_add_stays() -> Result<()> {
    TestNamespace::with("edited", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ingress("shop", &by_ca(), &[("tls", &["a.test"])])).await?;
        made(ns, "tls").await?;
        let edit = json!({ "spec": { "dnsNames": ["wrong.test"], "profile": "short" } });
        ns.patch("certificate/tls", edit).await?;
        let has = |object: &Value| object["spec"]["dnsNames"].to_string().contains("a.test");
        let back = certificate_that(ns, "tls", has).await?;
        assert_eq!(back["spec"]["profile"], "short");
        ns.delete_object("certificate/tls").await?;
        let uid = &back["metadata"]["uid"];
        certificate_that(ns, "tls", |object| object["metadata"]["uid"] != *uid).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_left_alone() -> Result<()> {
    TestNamespace::with("foreign", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&certificate("mine", &["mine.test"], "").replace("mine-tls", "mine")).await?;
        ns.apply(&ingress("shop", &by_ca(), &[("mine", &["a.test"]), ("tls", &["b.test"])])).await?;
        made(ns, "tls").await?;
        let note = event(ns, "shop", "CertificateNotOurs").await?.1;
        assert_eq!(
            note,
            "Certificate mine exists and was not created from annotations, so it is not changed: delete it, or name another \
             Secret"
        );
        let mine = made(ns, "mine").await?;
        assert_eq!(mine["spec"]["dnsNames"], json!(["mine.test"]));
        assert!(mine["metadata"]["ownerReferences"].is_null());

        // The first of two Ingresses gets the Secret.
        ns.apply(&ingress("second", &by_ca(), &[("tls", &["c.test"])])).await?;
        let note = event(ns, "second", "CertificateNotOurs").await?.1;
        let words = "Certificate tls was created from Ingress shop, so it is not changed: name another Secret here, or \
            list all hosts there";
        assert_eq!(note, words);
        assert_eq!(made(ns, "tls").await?["spec"]["dnsNames"], json!(["b.test"]));

        ns.delete_object("certificate/mine").await?;
        certificate_that(ns, "mine", |object| object["spec"]["dnsNames"] == json!(["a.test"])).await?;
        ns.delete_object("ingress/shop").await?;
        certificate_that(ns, "tls", |object| object["spec"]["dnsNames"] == json!(["c.test"])).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_mistake_is_told_once_and_changes_no_certificate() -> Result<()> {
    TestNamespace::with("mistakes", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ingress("shop", &by_ca(), &[("tls", &["a.test"])])).await?;
        let before = made(ns, "tls").await?;
        let wrong = json!({
            ISSUER: "ca", "certwright.dev/private-key-size": "1000", "certwright.dev/renew-before": "a month",
        });
        ns.apply(&ingress("shop", &wrong, &[("tls", &["b.test"]), ("more", &["c.test"])])).await?;
        event(ns, "shop", "InvalidAnnotation").await?;
        ns.patch("ingress/shop", json!({ "metadata": { "labels": { "another": "change" } } })).await?;
        caught_up(ns, "marker").await?;
        assert_eq!(
            told(ns, "shop").await?,
            [
                "CertificateCreated: Certificate tls was created",
                "InvalidAnnotation: certwright.dev/private-key-size: '1000' is not valid; it must be 2048, 3072, 4096 or \
                 8192 for an RSA key, which is the default",
                "InvalidAnnotation: certwright.dev/renew-before: 'a month' is not valid; it must be a duration from 5m \
                 to 87600h, such as 720h",
            ]
        );
        let after = made(ns, "tls").await?;
        assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
        assert_eq!(certificates(ns).await?, ["marker", "tls"]);

        let odd = json!({ ISSUER: "ca", "certwright.dev/email-sans": "me@a.test" });
        ns.apply(&ingress("shop", &odd, &[("tls", &["b.test"]), ("none", &[])])).await?;
        certificate_that(ns, "tls", |object| object["spec"]["dnsNames"] == json!(["b.test"])).await?;
        let not_used = "certwright.dev/email-sans is not used: an ACME CA validates DNS names and IP addresses only";
        assert_eq!(event(ns, "shop", "AnnotationNotUsed").await?.1, not_used);
        let skipped = "spec.tls[1].hosts is empty; add the names for the certificate";
        assert_eq!(event(ns, "shop", "TLSSkipped").await?, ("Warning".into(), skipped.into()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_the_api_server_refuses_is_told_in_its_words() -> Result<()> {
    TestNamespace::with("refused", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        // More hosts than a Certificate may have names.
        let many: Vec<String> = (0..251).map(|n| format!("n{n}.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        ns.apply(&ingress("shop", &by_ca(), &[("shop-tls", &many)])).await?;
        let (kind, note) = event(ns, "shop", "CertificateNotWritten").await?;
        assert_eq!(kind, "Warning");
        let words = "Certificate shop-tls cannot be written: the API server rejects it: ";
        ensure!(note.starts_with(words) && note.contains("spec.dnsNames: Too many: 251"), "{note}");
        ns.apply(&ingress("shop", &by_ca(), &[("shop-tls", &["a.test"])])).await?;
        made(ns, "shop-tls").await.map(drop)
    })
    .await
}

/// Writes for each annotated Ingress: the Certificate, and an event. The writes of the Certificate's own reconciles are not
/// counted.
#[tokio::test]
async fn an_ingress_costs_two_writes_and_applied_again_none() -> Result<()> {
    TestNamespace::with("writes", async |ns| {
        let operator = Operator::builder(ns).start().await?;
        let manifest = |n: usize| {
            let annotations = json!({ ISSUER: "ca", "certwright.dev/duration": "2160h" });
            ingress(&format!("shop-{n}"), &annotations, &[(&format!("tls-{n}"), &[&format!("{n}.test")])])
        };
        for n in 0..COUNT {
            ns.apply(&manifest(n)).await?;
        }
        let settled = |object: &Value| object["status"]["conditions"].is_array();
        for n in 0..COUNT {
            certificate_that(ns, &format!("tls-{n}"), settled).await?;
        }
        caught_up(ns, "first").await?;
        certificate_that(ns, "first", settled).await?;
        let writes = |requests: &[String]| -> Vec<String> {
            let reads = ["get ", "list ", "watch "];
            let ours = |request: &&String| {
                !reads.iter().any(|read| request.starts_with(read))
                    && !request.contains("certificates/status")
            };
            let mut writes: Vec<String> = requests.iter().filter(ours).cloned().collect();
            writes.sort();
            writes
        };
        let seen = writes(&requests(ns)?);
        println!("{} writes for {COUNT} Ingresses and one more", seen.len());
        let each = |request: &str| seen.iter().filter(|seen| *seen == request).count();
        assert_eq!(each("patch certificates"), COUNT + 1, "{seen:?}");
        assert_eq!(each("create events"), COUNT + 1, "{seen:?}");
        assert_eq!(each("create secrets"), 1, "the key of the ledger: {seen:?}");
        assert_eq!(seen.len(), 2 * (COUNT + 1) + 1, "{seen:?}");

        let versions = async || -> Result<Vec<Value>> {
            let mut versions = Vec::new();
            for n in 0..COUNT {
                for target in [format!("ingress/shop-{n}"), format!("certificate/tls-{n}")] {
                    let object = ns.get(&target).await?.unwrap_or_default();
                    versions.push(object["metadata"]["resourceVersion"].clone());
                }
            }
            Ok(versions)
        };
        let before = versions().await?;
        for n in 0..COUNT {
            ns.apply(&manifest(n)).await?;
        }
        operator.restart().await?;
        caught_up(ns, "second").await?;
        assert_eq!(versions().await?, before);
        assert_eq!(writes(&requests(ns)?).len(), seen.len() + 2, "but for the Ingress that was added");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_ingress_that_is_edited_in_place_and_temporary_ones_are_no_other_wishes() -> Result<()> {
    TestNamespace::with("in-place", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let edited = host(ns, "edited");
        let template = json!({ "metadata": { "annotations": by_ca() } });
        let solvers = json!([
            { "http01": { "ingress": { "ingressClassName": "router", "ingressTemplate": template } } },
            { "selector": { "dnsNames": [edited] }, "http01": { "ingress": { "name": "shop" } } },
        ]);
        ns.apply(&dns::issuer("ca", &pebble.directory_url, &pebble.ca_pem, &solvers).to_string()).await?;
        let temporary = host(ns, "temporary");
        ns.apply(&ingress("shop", &by_ca(), &[("shop-tls", &[&edited, &temporary])])).await?;
        let made = issued(ns, "shop-tls").await?;
        assert_eq!(made["metadata"]["generation"], 1, "the rules that were put in made no difference");
        caught_up(ns, "marker").await?;
        assert_eq!(certificates(ns).await?, ["marker", "shop-tls"]);
        assert_eq!(told(ns, "shop").await?, ["CertificateCreated: Certificate shop-tls was created"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_changes_while_no_operator_runs_is_followed_once_one_does() -> Result<()> {
    TestNamespace::with("away", async |ns| {
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&ingress("shop", &by_ca(), &[("one", &["a.test"]), ("two", &["b.test"])])).await?;
        made(ns, "one").await?;
        made(ns, "two").await?;
        operator.kill9()?;
        ns.apply(&ingress("shop", &by_ca(), &[("one", &["c.test"])])).await?;
        operator.restart().await?;
        certificate_that(ns, "one", |object| object["spec"]["dnsNames"] == json!(["c.test"])).await?;
        ns.wait_gone("certificate/two", SOON).await
    })
    .await
}

#[tokio::test]
async fn only_the_replica_that_leads_watches_ingresses() -> Result<()> {
    TestNamespace::with("leads", async |ns| {
        let replica = || Operator::builder(ns).argument("--leader-elect", "true").start();
        let first = replica().await?;
        caught_up(ns, "one").await?;
        let second = replica().await?;
        let watches = || -> Result<usize> {
            Ok(requests(ns)?.iter().filter(|request| *request == "watch ingresses").count())
        };
        assert_eq!(watches()?, 1);
        first.terminate().await?;
        caught_up(ns, "two").await?;
        // The end of the first watch is logged, too.
        assert!(watches()? > 1);
        second.terminate().await.map(drop)
    })
    .await
}

const ISSUER: &str = "certwright.dev/issuer";
/// The number of Ingresses in the test that counts writes.
const COUNT: usize = 20;

/// The annotation that requests a Certificate from the Issuer `ca`.
fn by_ca() -> Value {
    json!({ ISSUER: "ca" })
}
