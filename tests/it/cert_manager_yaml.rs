//! Everyday manifests for cert-manager, of which only `apiVersion` is changed: fields that an ACME CA ignores are accepted, and the
//! operator, the API server and kubectl say that they have no effect.

use std::process::Command;
use std::time::Duration;

use crate::common::api::is_refused;
use crate::common::{SOON, base64, certificate, condition, issued, ready, stays_as_it_is, tls, wait_all};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use certwright_core::spec::ignored;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

const ISSUER: &str = "
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: { name: ca }
spec:
  acme:
    server: SERVER
    caBundle: BUNDLE
    privateKeySecretRef: { name: account }
    solvers:
      - http01:
          ingress:
            ingressClassName: router
            podTemplate: { spec: { nodeSelector: { kubernetes.io/os: linux }, tolerations: [{ operator: Exists }] } }
";

const CERTIFICATES: &str = "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: { name: web }
spec:
  secretName: web-tls
  issuerRef: { name: ca, kind: Issuer, group: cert-manager.io }
  commonName: The Example Shop
  dnsNames: [web.example.com]
  revisionHistoryLimit: 1
  subject: { organizations: [Example], countries: [FR] }
  usages: [digital signature, key encipherment, server auth, client auth]
  encodeUsagesInRequest: true
  signatureAlgorithm: SHA256WithRSA
  privateKey: { algorithm: ECDSA, size: 256, rotationPolicy: Always }
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: { name: literal }
spec:
  secretName: literal-tls
  issuerRef: { name: ca, group: cert-manager.io }
  literalSubject: CN=other.example.com,O=Example,C=FR
  dnsNames: [literal.example.com]
  privateKey: { algorithm: ECDSA }
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: { name: plain }
spec:
  secretName: plain-tls
  issuerRef: { name: ca }
  commonName: plain.example.com
  dnsNames: [plain.example.com]
  usages: [server auth]
  privateKey: { algorithm: ECDSA }
";

fn ours(yaml: &str) -> String {
    yaml.replace("apiVersion: cert-manager.io/v1", "apiVersion: certwright.dev/v1alpha1")
}

#[tokio::test]
async fn manifests_for_cert_manager_work_with_another_api_version() -> Result<()> {
    TestNamespace::with("yaml", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let issuer =
            ISSUER.replace("SERVER", &pebble.directory_url).replace("BUNDLE", &base64(&pebble.ca_pem));
        ns.apply(&ours(&issuer)).await?;
        ns.apply(&ours(CERTIFICATES)).await?;

        let is_ready = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        let templates = format!("spec.acme.solvers[].http01.ingress.podTemplate ({})", ignored::POD_TEMPLATE);
        lists(&is_ready, &[&templates])?;
        let web = issued(ns, "web").await?;
        lists(
            &web,
            &[
                &format!("spec.subject ({})", ignored::SUBJECT),
                &format!("spec.commonName ({})", ignored::COMMON_NAME),
                &format!("spec.usages ({})", ignored::USAGES),
                &format!("spec.encodeUsagesInRequest ({})", ignored::ENCODE_USAGES),
                &format!("spec.signatureAlgorithm ({})", ignored::SIGNATURE_ALGORITHM),
                &format!("spec.revisionHistoryLimit ({})", ignored::HISTORY),
            ],
        )?;
        lists(&issued(ns, "literal").await?, &[&format!("spec.literalSubject ({})", ignored::SUBJECT)])?;
        let plain = issued(ns, "plain").await?;
        assert_eq!(condition(&plain, "IgnoredFields"), None, "everything in it has an effect");
        for object in [&is_ready, &web] {
            for standing in ["Reconciling", "Stalled"] {
                assert_eq!(condition(object, standing), None, "it is no failure");
            }
        }
        for (name, names) in [("web", "web.example.com"), ("literal", "literal.example.com")] {
            let leaf = tls(ns, &format!("{name}-tls")).await?.chain.leaf().clone();
            assert!(
                leaf.dns_names.iter().eq([names]),
                "nothing of the subject is requested: {:?}",
                leaf.dns_names
            );
        }

        // The condition is not written again, and ends with the fields.
        stays_as_it_is(ns, "literal", Duration::from_secs(1)).await?;
        ns.patch("certificate/literal", json!({ "spec": { "literalSubject": null } })).await?;
        let literal = issued(ns, "literal").await?;
        assert_eq!((condition(&literal, "IgnoredFields"), &literal["status"]["revision"]), (None, &json!(1)));

        for (field, sentence) in [
            ("isCA: true", "isCA: an ACME CA does not issue CA certificates"),
            ("uris: ['spiffe://a.test/b']", "uris: an ACME CA validates only DNS names and IP addresses"),
            ("emailAddresses: [a@a.test]", "emailAddresses: an ACME CA validates only"),
            ("otherNames: [{ oid: '1', utf8Value: a }]", "otherNames: an ACME CA validates only"),
            (
                "nameConstraints: { critical: true }",
                "nameConstraints: an ACME CA does not issue CA certificates",
            ),
        ] {
            is_refused(ns, &certificate("dangerous", &["a.test"], &format!("  {field}\n")), sentence).await?;
        }
        Ok(())
    })
    .await
}

/// Checks that the condition lists exactly these fields, with these reasons.
fn lists(object: &Value, fields: &[&str]) -> Result<()> {
    let (status, reason, message) = condition(object, "IgnoredFields").context("nothing is listed")?;
    ensure!((status.as_str(), reason.as_str()) == ("True", "NoEffect"), "{status} {reason}");
    ensure!(message == format!("These fields have no effect: {}", fields.join("; ")), "{message}");
    Ok(())
}

/// By the policy in `deploy/base`, which the cluster has.
#[tokio::test]
async fn kubectl_warns_of_each_field_without_effect() -> Result<()> {
    TestNamespace::with("warnings", async |ns| {
        let route = "{ http01: { gatewayHTTPRoute: { parentRefs: [{ name: a }], podTemplate: {} } } }";
        let issuer = ISSUER.replace("SERVER", "https://a.test/dir").replace("    caBundle: BUNDLE\n", "");
        let all = ours(&format!("{issuer}      - {route}\n---{CERTIFICATES}"));
        // A policy takes effect a moment after it was applied.
        let warned = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(500));
            loop {
                ticks.tick().await;
                let said = applied(ns, &all)?;
                if said.contains("literalSubject has no effect") {
                    return anyhow::Ok(said);
                }
            }
        };
        let said = tokio::time::timeout(SOON, warned).await.context("the policy is not in force")??;
        for (field, why) in [
            ("spec.subject", ignored::SUBJECT),
            ("spec.literalSubject", ignored::SUBJECT),
            ("spec.commonName", ignored::COMMON_NAME),
            ("spec.usages", ignored::USAGES),
            ("spec.encodeUsagesInRequest", ignored::ENCODE_USAGES),
            ("spec.signatureAlgorithm", ignored::SIGNATURE_ALGORITHM),
            ("spec.revisionHistoryLimit", ignored::HISTORY),
            ("spec.acme.solvers[].http01.ingress.podTemplate", ignored::POD_TEMPLATE),
            ("spec.acme.solvers[].http01.gatewayHTTPRoute.podTemplate", ignored::POD_TEMPLATE),
        ] {
            let warning = format!("{field} has no effect: {why}");
            ensure!(
                said.lines().filter(|line| line.contains(&warning)).count() == 1,
                "{warning}, in:\n{said}"
            );
        }
        let plain = all.split("---").last().context("no Certificate")?;
        let said = applied(ns, plain)?;
        ensure!(!said.contains("Warning"), "nothing is to be warned of: {said}");
        Ok(())
    })
    .await
}

/// What kubectl says when it would apply this.
fn applied(ns: &TestNamespace, yaml: &str) -> Result<String> {
    let file = ns.cluster.description.state.join(format!("{}.yaml", ns.name));
    std::fs::write(&file, yaml)?;
    let output = Command::new("kubectl")
        .args(["apply", "--server-side", "--dry-run=server", "--namespace", &ns.name, "--filename"])
        .arg(&file)
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{said}");
    Ok(said)
}

#[tokio::test]
async fn a_secret_is_deleted_with_its_certificate_if_that_says_so() -> Result<()> {
    TestNamespace::with("owner", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("gone", &["gone.example.com"], "  deletionPolicy: Delete\n")).await?;
        ns.apply(&certificate("kept", &["kept.example.com"], "")).await?;
        ns.apply(&certificate("turned", &["turned.example.com"], "  deletionPolicy: Delete\n")).await?;
        for name in ["gone", "kept", "turned"] {
            issued(ns, name).await?;
        }
        assert_eq!(owner(ns, "gone").await?, Some(json!("gone")));
        assert_eq!(owner(ns, "kept").await?, None);
        // A change takes effect at once, and orders nothing.
        ns.patch("certificate/turned", json!({ "spec": { "deletionPolicy": "Orphan" } })).await?;
        ns.wait("secret/turned-tls", SOON, |secret| secret["metadata"]["ownerReferences"].is_null()).await?;
        assert_eq!(issued(ns, "turned").await?["status"]["revision"], 1);
        deletes_only(ns, "gone", &["kept", "turned"]).await
    })
    .await
}

#[tokio::test]
async fn a_flag_says_so_for_certificates_that_do_not() -> Result<()> {
    TestNamespace::with("owner", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let _operator =
            Operator::builder(ns).argument("--enable-certificate-owner-ref", "true").start().await?;
        ns.apply(&crate::common::issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("gone", &["gone.example.com"], "")).await?;
        ns.apply(&certificate("kept", &["kept.example.com"], "  deletionPolicy: Orphan\n")).await?;
        for name in ["gone", "kept"] {
            issued(ns, name).await?;
        }
        deletes_only(ns, "gone", &["kept"]).await
    })
    .await
}

/// The Certificate that owns the Secret of this one.
async fn owner(ns: &TestNamespace, name: &str) -> Result<Option<Value>> {
    let secret = ns.get(&format!("secret/{name}-tls")).await?.context("no Secret")?;
    Ok(secret["metadata"]["ownerReferences"].get(0).map(|owner| owner["name"].clone()))
}

/// Deletes Certificates, and checks that only the Secret of the first one is deleted.
async fn deletes_only(ns: &TestNamespace, gone: &str, kept: &[&str]) -> Result<()> {
    for name in kept.iter().chain([&gone]) {
        ns.delete_object(&format!("certificate/{name}")).await?;
    }
    // The garbage collector takes them in order, and this one was deleted last.
    let names = |secrets: &[std::sync::Arc<Secret>]| {
        let mut names: Vec<_> = secrets.iter().filter_map(|secret| secret.metadata.name.clone()).collect();
        names.sort();
        names
    };
    let expected: Vec<String> = kept.iter().map(|name| format!("{name}-tls")).collect();
    wait_all::<Secret>(ns, "certwright.dev/secret=tls", |secrets| names(secrets) == expected).await?;
    Ok(())
}
