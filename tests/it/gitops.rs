//! The state of our objects according to Flux, Argo CD, Helm and kubectl, by their own code; and applying the same manifest again
//! changes nothing.

use crate::common;

use std::fs;
use std::time::Duration;

use crate::common::gitops::{argo_health, kstatus};
use crate::common::helm::{output, root};
use crate::common::{SOON, certificate, condition, hold, issued, issuer, ready_through_proxy};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn an_object_that_no_operator_has_seen_is_in_progress() -> Result<()> {
    TestNamespace::with("gitops-unseen", async |ns| {
        ns.apply(&issuer("https://ca.test/dir", "", "").replace("    caBundle: \n", "")).await?;
        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        for target in ["issuer/ca", "certificate/web"] {
            let object = ns.get(target).await?.context("it is there")?;
            assert_eq!(object["status"]["observedGeneration"], -1, "{target}");
            says(&object, "InProgress", "Progressing", "")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_issued_is_current_and_what_the_ca_refuses_has_failed_with_its_words() -> Result<()> {
    TestNamespace::with("gitops-ends", async |ns| {
        let pebble = Pebble::builder().blocked_domain("refused.example.com").start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        says(&issuer, "Current", "Healthy", "")?;
        assert_eq!(issuer["status"]["observedGeneration"], issuer["metadata"]["generation"]);

        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        let web = issued(ns, "web").await?;
        says(&web, "Current", "Healthy", "")?;
        assert_eq!(web["status"]["observedGeneration"], web["metadata"]["generation"]);
        for type_ in ["Reconciling", "Stalled"] {
            assert_eq!(condition(&web, type_), None, "{type_}");
        }

        ns.apply(&certificate("refused", &["refused.example.com"], "")).await?;
        let refused = ns.wait_condition("certificate/refused", "Stalled", "True", SOON).await?;
        let (_, reason, message) = condition(&refused, "Ready").context("no condition Ready")?;
        assert_eq!(reason, "RejectedIdentifier");
        says(&refused, "Failed", "Degraded", &message)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_may_be_applied_a_moment_later_is_waited_for_and_a_mistake_is_not() -> Result<()> {
    TestNamespace::with("gitops-order", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        let web = ns.wait_condition("certificate/web", "Reconciling", "True", SOON).await?;
        assert_eq!(condition(&web, "Ready").context("no Ready")?.1, "IssuerNotFound");
        says(&web, "InProgress", "Progressing", "")?;

        let account = common::external_account("kid-1");
        ns.apply(&issuer("https://ca.test/dir", "", &account).replace("    caBundle: \n", "")).await?;
        // Either the CA, which does not exist, or the missing Secret is noticed first.
        let waiting = ns.wait_condition("issuer/ca", "Reconciling", "True", SOON).await?;
        says(&waiting, "InProgress", "Progressing", "")?;

        ns.apply(&common::mac_key("not-ours", "secret")).await?;
        ns.apply(&certificate("mistaken", &["a.example.com"], "").replace("mistaken-tls", "not-ours"))
            .await?;
        let mistaken = ns.wait_condition("certificate/mistaken", "Stalled", "True", SOON).await?;
        assert_eq!(condition(&mistaken, "Ready").context("no Ready")?.1, "SecretNotOurs");
        says(&mistaken, "Failed", "Degraded", "")?;
        Ok(())
    })
    .await
}

// kubectl waits in one thread, the proxy runs in another.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_spec_is_in_progress_until_its_certificate_is_there_and_a_renewal_changes_nothing()
-> Result<()> {
    TestNamespace::with("gitops-change", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        issued(ns, "web").await?;

        let mut renewal = hold(&proxy, "/finalize");
        ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}}))
            .await?;
        renewal.reached().await?;
        let renewing = ns.wait_condition("certificate/web", "Issuing", "True", SOON).await?;
        says(&renewing, "Current", "Healthy", "")?;
        renewal.go_on(&proxy);
        ns.wait_condition("certificate/web", "Issuing", "False", SOON).await?;

        let mut change = hold(&proxy, "/finalize");
        let changed = ns
            .patch("certificate/web", json!({"spec": {"dnsNames": ["web.example.com", "b.example.com"]}}))
            .await?;
        says(&changed, "InProgress", "Progressing", "")?;
        change.reached().await?;
        let changing = ns.wait_condition("certificate/web", "Reconciling", "True", SOON).await?;
        says(&changing, "InProgress", "Progressing", "")?;
        change.go_on(&proxy);
        kubectl(ns, &["wait", "--for=condition=Ready", "certificates.certwright.dev/web", "--timeout=30s"])?;
        let web = ns.get("certificate/web").await?.context("it is gone")?;
        assert_eq!(web["status"]["observedGeneration"], web["metadata"]["generation"]);
        says(&web, "Current", "Healthy", "")
    })
    .await
}

#[tokio::test]
async fn applying_the_same_manifests_again_changes_no_resource_version_and_shows_no_drift() -> Result<()> {
    TestNamespace::with("gitops-again", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let server_side = ["--server-side", "--field-manager=kustomize-controller"];
        for (name, way) in [("web", &server_side[..]), ("person", &[])] {
            let more = "  duration: 2160h\n  renewBefore: 720h\n  secretTemplate: { labels: { app: web } }\n";
            let issuer = issuer(&pebble.directory_url, &pebble.ca_pem, "");
            let certificate = certificate(name, &["web.example.com", "www.example.com"], more);
            let manifests = ns.cluster.description.state.join(format!("{}-{name}.yaml", ns.name));
            fs::write(
                &manifests,
                [issuer, certificate].map(|yaml| common::of_issuer(name, &yaml)).join("\n---\n"),
            )?;
            let manifests = manifests.display().to_string();
            let again = |verb: &str| kubectl(ns, &[&[verb, "--filename", &manifests], way].concat());
            again("apply")?;
            issued(ns, name).await?;
            let before = versions(ns, name).await?;
            for _ in 0..3 {
                again("apply")?;
                again("diff")?;
            }
            common::stays_as_it_is(ns, name, Duration::from_secs(2)).await?;
            assert_eq!(versions(ns, name).await?, before, "resource versions");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_kinds_show_no_drift_from_what_is_rendered() -> Result<()> {
    TestNamespace::with("gitops-kinds", async |ns| {
        let crds = root().join("crds").display().to_string();
        let of_gitops =
            ["--server-side", "--field-manager=gitops", "--force-conflicts", "--kustomize", &crds];
        kubectl(ns, &[&["apply"], &of_gitops[..]].concat())?;
        kubectl(ns, &[&["diff"], &of_gitops[..]].concat())?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn helm_waits_until_a_certificate_is_ready_and_tells_why_one_cannot_be() -> Result<()> {
    TestNamespace::with("gitops-helm", async |ns| {
        let pebble = Pebble::builder().blocked_domain("refused.example.com").start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let install = |release: &str, names: &[&str]| -> Result<std::process::Output> {
            let chart = ns.cluster.description.state.join(format!("{}-{release}", ns.name));
            fs::create_dir_all(chart.join("templates"))?;
            fs::write(
                chart.join("Chart.yaml"),
                format!("apiVersion: v2\nname: {release}\nversion: 0.1.0\n"),
            )?;
            let issuer = common::of_issuer(release, &issuer(&pebble.directory_url, &pebble.ca_pem, ""));
            let certificate = common::of_issuer(release, &certificate(release, names, ""));
            fs::write(chart.join("templates/all.yaml"), [certificate, issuer].join("\n---\n"))?;
            let chart = chart.display().to_string();
            output(
                "helm4",
                &["install", release, &chart, "--namespace", &ns.name, "--wait", "--timeout", "60s"],
            )
        };
        let good = install("good", &["web.example.com"])?;
        ensure!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
        let web = ns.get("certificate/good").await?.context("it is there")?;
        assert_eq!(condition(&web, "Ready").context("no Ready")?.0, "True", "Helm ended when it was ready");

        let refused = install("refused", &["refused.example.com"])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(!refused.status.success(), "Helm takes it for done: {said}");
        assert!(said.contains("status: Failed") && said.contains("is a forbidden domain"), "{said}");
        Ok(())
    })
    .await
}

/// The output of kubectl in the test's namespace.
fn kubectl(ns: &TestNamespace, arguments: &[&str]) -> Result<String> {
    common::api::kubectl(ns, &[&["--namespace", &ns.name], arguments].concat())
}

/// What kstatus and Argo CD report about an object, and that both pass on `words`.
fn says(object: &Value, by_kstatus: &str, by_argo: &str, words: &str) -> Result<()> {
    let (flux, argo) = (kstatus(object)?, argo_health(object)?);
    assert_eq!(flux.status, by_kstatus, "kstatus: {flux:?} of {object:#}");
    assert_eq!(argo.status, by_argo, "Argo CD: {argo:?} of {object:#}");
    for said in [flux.message, argo.message] {
        assert!(said.contains(words), "{said:?} lacks {words:?}");
    }
    Ok(())
}

/// The resource versions of the objects that must not change.
async fn versions(ns: &TestNamespace, name: &str) -> Result<Vec<String>> {
    let mut versions = Vec::new();
    let objects = ["issuer/NAME", "certificate/NAME", "secret/NAME-tls", "secret/NAME-account-key"];
    for target in objects.map(|object| object.replace("NAME", name)) {
        let object = ns.get(&target).await?.with_context(|| format!("no {target}"))?;
        versions.push(format!("{target} {}", object["metadata"]["resourceVersion"]));
    }
    Ok(versions)
}
