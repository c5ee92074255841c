//! The migration from cert-manager and back, with cert-manager's own controllers: without an order or a new account.

use std::time::Duration;

use crate::common::accounts::{Ca, MAC_KEY, key_secret, registered};
use crate::common::migrate::{CM_CERTIFICATE, CM_ISSUER, cm_certificate, cm_issuer, migrated, version};
use crate::common::overheard::NEW_ORDER;
use crate::common::{
    CLUSTER_ISSUERS, SOON, certificate, condition, external_account, issued, issuer, mac_key, revision,
    stays_as_it_is, tls,
};
use anyhow::{Context, Result};
use certwright_acme::{ExternalAccountKey, MacAlgorithm, parse_mac_key};
use certwright_cluster::{CertManager, Operator, Pebble, TestNamespace};
use certwright_pki::{KeyAlgorithm, KeyEncoding, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

#[tokio::test]
async fn certificates_and_accounts_go_over_and_back_without_an_order() -> Result<()> {
    TestNamespace::with("migrate", async |ns| {
        ns.cluster.cert_manager_api().await?;
        let ca = Ca::start(ns, Pebble::builder().always_valid()).await?;
        let cert_manager = CertManager::start(ns, false).await?;
        ns.apply(&cm_issuer(&ca, "")).await?;
        let more = "  commonName: www.example.com\n  usages: [server auth, client auth]\n";
        ns.apply(&cm_certificate("www", &["www.example.com", "example.com"], more)).await?;
        ns.apply(&cm_certificate("api", &["api.example.com"], "  privateKey: { rotationPolicy: Never }\n"))
            .await?;
        for name in ["www", "api"] {
            let ready = ns.wait_condition(&format!("{CM_CERTIFICATE}/{name}"), "Ready", "True", SOON).await;
            ready.with_context(|| cert_manager.log_tail(30))?;
        }
        let account =
            ns.get(&format!("{CM_ISSUER}/ca")).await?.context("no issuer")?["status"]["acme"]["uri"].clone();
        let (www, api) = (tls(ns, "www-tls").await?, tls(ns, "api-tls").await?);
        assert_eq!(orders(&ca), 2, "cert-manager has ordered");
        ca.overheard.forget();

        let _operator = Operator::builder(ns).start().await?;
        let before = (version(ns, "secret/www-tls").await?, version(ns, "secret/account").await?);
        let said = migrated(ns, &["--adopt", "--dry-run"], 0).await?;
        assert!(said.contains("Nothing was changed") && said.contains("taken over: 2; skipped: 0"), "{said}");
        assert_eq!(before, (version(ns, "secret/www-tls").await?, version(ns, "secret/account").await?));
        assert_eq!(ns.get("certificate/www").await?, None);

        migrated(ns, &["--adopt"], 0).await?;
        let ready = registered(ns, "ca").await?;
        assert_eq!(ready["status"]["acme"]["uri"], account, "it is the same account");
        for (name, held) in [("www", &www), ("api", &api)] {
            let ours = issued(ns, name).await?;
            assert_eq!(ours["status"]["serialNumber"], held.chain.leaf().serial_number);
            assert_eq!(tls(ns, &format!("{name}-tls")).await?.key_pem, held.key_pem);
            assert_eq!(ns.get(&format!("{CM_CERTIFICATE}/{name}")).await?, None);
        }
        assert_eq!(
            ca.overheard.registrations().len() + ca.asked_for_account().len(),
            0,
            "nobody asked for an account"
        );
        assert_eq!(orders(&ca), 0);

        ns.wait("secret/www-tls", SOON, |secret| !written_as(secret).is_null()).await?;
        let before = (version(ns, "secret/www-tls").await?, version(ns, "certificate/www").await?);
        let said = migrated(ns, &["--adopt"], 0).await?;
        assert!(said.contains("Issuer") && said.contains("already exists"), "{said}");
        assert_eq!(before, (version(ns, "secret/www-tls").await?, version(ns, "certificate/www").await?));

        // cert-manager is still running, and leaves alone what it gave away.
        ns.patch("certificate/www", json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}}))
            .await?;
        revision(ns, "www", 1).await?;
        let renewed = tls(ns, "www-tls").await?;
        assert_ne!(renewed.chain.leaf().serial_number, www.chain.leaf().serial_number);
        stays_as_it_is(ns, "www", Duration::from_secs(2)).await?;
        let ordered = orders(&ca);

        let before = version(ns, "certificate/www").await?;
        let shown = migrated(ns, &["--give-back", "--dry-run"], 0).await?;
        assert!(
            shown.contains(
                "www: creates this Certificate of cert-manager.io/v1:\n    apiVersion: cert-manager.io/v1\n"
            ),
            "{shown}"
        );
        assert_eq!(before, version(ns, "certificate/www").await?, "a dry run only shows it");
        let said = migrated(ns, &["--give-back"], 0).await?;
        assert!(said.contains("given back: 2; skipped: 0"), "{said}");
        for (name, held) in [("www", &renewed), ("api", &api)] {
            let theirs = format!("{CM_CERTIFICATE}/{name}");
            let ready = ns.wait_condition(&theirs, "Ready", "True", SOON).await;
            let object = ready.with_context(|| cert_manager.log_tail(30))?;
            assert!(condition(&object, "Issuing").is_none_or(|issuing| issuing.0 != "True"), "{object}");
            assert_eq!(tls(ns, &format!("{name}-tls")).await?.chain.leaf(), held.chain.leaf());
            assert_eq!(ns.get(&format!("certificate/{name}")).await?, None);
        }
        let theirs = ns.get(&format!("{CM_CERTIFICATE}/www")).await?.context("gone")?;
        assert_eq!(
            theirs["spec"]["usages"],
            json!(["server auth", "client auth"]),
            "what was left out is back"
        );
        assert_eq!(
            (orders(&ca), ca.overheard.registrations().len()),
            (ordered, 0),
            "nothing was ordered on the way back"
        );
        assert_eq!(requests_of(ns, &theirs).await?, 0, "cert-manager asks for nothing");
        Ok(())
    })
    .await
}

/// A tenant can write the annotation that contains cert-manager's object, and the command has an administrator's permissions.
#[tokio::test]
async fn giving_back_makes_nothing_but_certificates_and_marks_only_their_secrets() -> Result<()> {
    TestNamespace::with("migrate", async |ns| {
        ns.cluster.cert_manager_api().await?;
        ns.apply("apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: { name: ca }\nspec: { selfSigned: {} }\n")
            .await?;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": ns.name, "uid": "\u{1b}[2J" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory" }],
            "spec": {},
        });
        let original = json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": { "name": "other" },
            "spec": { "secretName": "theirs", "issuerRef": { "name": "ca" }, "dnsNames": ["\u{9b}31m.example.com"] },
        });
        for (name, kept) in [(ns.name.as_str(), &binding), ("other", &original)] {
            let mut ours: Value = serde_yaml::from_str(&certificate(name, &["a.example.com"], ""))?;
            ours["spec"]["secretName"] = "theirs".into();
            ours["metadata"]["annotations"] = json!({ "certwright.dev/taken-over-from": kept.to_string().replace('\u{9b}', "\\u009b") });
            ns.apply(&ours.to_string()).await?;
        }
        ns.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: theirs }\n").await?;
        let before = version(ns, "secret/theirs").await?;
        let said = migrated(ns, &["--give-back"], 3).await?;
        assert!(said.contains("NOT GIVEN BACK") && said.contains("given back: 1; skipped: 1"), "{said}");
        assert!(said.contains("ClusterRoleBinding"), "{said}");
        assert!(!said.chars().any(|letter| letter.is_control() && letter != '\n'), "{said:?}");
        assert_eq!(ns.get(&format!("clusterrolebinding/{}", ns.name)).await?, None);
        assert_eq!(before, version(ns, "secret/theirs").await?, "it is no Secret of ours, and is left alone");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_that_cert_manager_owns_survives_if_it_is_stopped_first() -> Result<()> {
    TestNamespace::with("migrate", async |ns| {
        ns.cluster.cert_manager_api().await?;
        let ca = Ca::start(ns, Pebble::builder().always_valid()).await?;
        let cert_manager = CertManager::start(ns, true).await?;
        ns.apply(&cm_issuer(&ca, "")).await?;
        ns.apply(&cm_certificate("www", &["www.example.com"], "")).await?;
        let ready = ns.wait_condition(&format!("{CM_CERTIFICATE}/www"), "Ready", "True", SOON).await;
        ready.with_context(|| cert_manager.log_tail(30))?;
        let owned = |secret: &Value| secret["metadata"]["ownerReferences"][0]["kind"] == "Certificate";
        ns.wait("secret/www-tls", SOON, owned).await?;
        let held = tls(ns, "www-tls").await?;
        ns.apply(&lease(&format!("{:.6}", certwright_runtime::clock::now()))).await?;

        let said = migrated(ns, &["--adopt"], 3).await?;
        assert!(said.contains("Scale cert-manager's controller to zero"), "{said}");
        assert!(ns.get(&format!("{CM_CERTIFICATE}/www")).await?.is_some());

        cert_manager.stop().await?;
        ns.apply(&lease("2026-01-01T00:00:00.000000Z")).await?;
        let _operator = Operator::builder(ns).start().await?;
        migrated(ns, &["--adopt"], 0).await?;
        ns.wait_gone(&format!("{CM_CERTIFICATE}/www"), SOON).await?;
        issued(ns, "www").await?;
        assert_eq!(tls(ns, "www-tls").await?.chain.leaf(), held.chain.leaf());
        assert_eq!(orders(&ca), 1, "there is cert-manager's own order alone");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_is_left_alone_while_cert_manager_has_its_certificate() -> Result<()> {
    TestNamespace::with("migrate", async |ns| {
        ns.cluster.cert_manager_api().await?;
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&ca.directory(), &ca.pebble.ca_pem, "")).await?;
        ns.apply(&certificate("www", &["www.example.com"], "")).await?;
        issued(ns, "www").await?;
        let held = tls(ns, "www-tls").await?;
        ca.overheard.forget();

        // As if a GitOps tool had created the migrated object again.
        ns.apply(&cm_certificate("www", &["www.example.com"], "")).await?;
        let theirs = json!({"metadata": {"annotations": {"cert-manager.io/certificate-name": "www"}}});
        ns.patch("secret/www-tls", theirs).await?;
        ns.patch("certificate/www", json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}}))
            .await?;
        let kept =
            ns.wait("certificate/www", SOON, |object| waits_for_cert_manager(object, "Issuing")).await?;
        let (_, _, message) = condition(&kept, "Issuing").context("no condition")?;
        assert!(message.contains("cert-manager's Certificate www"), "{message}");
        let ready = condition(&kept, "Ready").context("no condition")?;
        assert_eq!(ready.0, "True", "the certificate in it is as it should be");
        assert_eq!(orders(&ca), 0);
        assert_eq!(tls(ns, "www-tls").await?.chain.leaf(), held.chain.leaf());

        // The longer it waits, the more rarely the operator looks again.
        ns.delete_object(&format!("{CM_CERTIFICATE}/www")).await?;
        revision(ns, "www", 2).await?;
        assert_eq!(orders(&ca), 1, "the renewal that was asked for is made up for");

        // One that was never ours.
        ns.apply(&cm_certificate("other", &["other.example.com"], "")).await?;
        ns.apply(&other_secret()).await?;
        ns.apply(&certificate("other", &["other.example.com"], "")).await?;
        ns.wait("certificate/other", SOON, |object| waits_for_cert_manager(object, "Ready")).await?;
        assert_eq!(orders(&ca), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cluster_issuer_comes_over_with_its_secrets_and_no_mac_key_is_used() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("migrate", async |ns| {
        ns.cluster.cert_manager_api().await?;
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let key = PrivateKey::generate(KeyAlgorithm::Rsa(2048))?;
        let binding = ExternalAccountKey {
            key_id: "kid-1".to_owned(),
            mac_key: parse_mac_key(MAC_KEY.as_bytes())?,
            algorithm: MacAlgorithm::Hs256,
        };
        let account = ca.register_elsewhere(key.clone(), Some(binding)).await?.account.url().to_owned();
        ns.apply(&key_secret("account", &key.to_pem(KeyEncoding::Pkcs1)?)).await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        let theirs = cm_issuer(&ca, &external_account("kid-1"));
        let theirs = theirs.replace("kind: Issuer", "kind: ClusterIssuer");
        ns.apply(&theirs.replace("{ name: ca }", &format!("{{ name: {} }}", ns.name))).await?;
        let other = TestNamespace::create("operator").await?;
        let reference = format!("issuerRef: {{ name: {}, kind: ClusterIssuer }}", ns.name);
        ns.apply(
            &cm_certificate("www", &["www.example.com"], "").replace("issuerRef: { name: ca }", &reference),
        )
        .await?;
        let _operator = Operator::builder(ns)
            .argument("--namespace", &other.name)
            .argument("--watch-namespaces", &format!("{},{}", ns.name, other.name))
            .argument("--cluster-issuers", "true")
            .start()
            .await?;

        // The Certificate was never issued: it stays, and the issuer is migrated nevertheless.
        let adopt = ["--adopt", "--operator-namespace", &other.name];
        let said = migrated(ns, &adopt, 3).await?;
        assert!(said.contains("there is no Secret www-tls to take over"), "{said}");
        let issuer = format!("clusterissuer/{}", ns.name);
        let ready = ns.wait_condition(&issuer, "Ready", "True", SOON).await?;
        let of = |url: &str| url.rsplit('/').next().map(str::to_owned);
        assert_eq!(ready["status"]["acme"]["uri"].as_str().and_then(of), of(&account));
        assert!(ca.overheard.registrations().is_empty(), "nothing is registered");
        for name in ["account", "eab"] {
            let (theirs, ours) =
                (ns.api::<Secret>().get(name).await?, other.api::<Secret>().get(name).await?);
            assert_eq!(theirs.data, ours.data, "{name}");
        }
        let before = (version(&other, "secret/account").await?, version(ns, &issuer).await?);
        migrated(ns, &adopt, 3).await?;
        assert_eq!(before, (version(&other, "secret/account").await?, version(ns, &issuer).await?));
        ns.delete_object(&issuer).await?;
        ns.delete_object(&format!("clusterissuers.cert-manager.io/{}", ns.name)).await?;
        other.delete().await
    })
    .await
}

#[tokio::test]
async fn what_is_printed_is_taken_by_the_api_server_and_what_is_left_out_is_told() -> Result<()> {
    TestNamespace::with("migrate", async |ns| {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("cert-manager.yaml"), ELABORATE)?;
        std::fs::write(path("notes.txt"), "not YAML: [")?;
        let (input, report, output) = (path(""), path("report"), path("ours"));
        let printed = migrated(ns, &["-f", &input, "--report", &report], 3).await?;
        let applied = ns.apply(&printed).await?;
        assert_eq!(applied.len(), 2);
        let told = std::fs::read_to_string(&report)?;
        for line in [
            "Issuer ca: INCOMPLETE. A solver is left out",
            "left out  spec.acme.solvers[1].dns01.route53.auth: The operator does not request tokens of other service accounts",
            "changed   spec.acme.solvers[3].dns01.digitalocean: certwright-dns changes the records: install it, and let it read Secret do",
            "Certificate www: INCOMPLETE. Its issuer, Issuer ca, lacks a solver.",
            "ignored   spec.acme.solvers[0].http01.ingress.podTemplate: It has no effect: the operator itself answers",
            "ignored   spec.subject: It has no effect: the CA sets the subject",
            "Issuer root: NOT TAKEN OVER. It is an issuer of the type selfSigned",
            "0 taken over, 2 incomplete, 1 not taken over",
        ] {
            assert!(told.contains(line), "{line}\n{told}");
        }
        migrated(ns, &["-f", &input, "--report", &report, "--output", &output], 3).await?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&output)? {
            files.push(entry?.file_name().to_string_lossy().into_owned());
        }
        files.sort();
        assert_eq!(files, ["certificate_www.yaml", "issuer_ca.yaml"]);
        Ok(())
    })
    .await
}

/// Migrates fields that have no equivalent.
const ELABORATE: &str = "
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: { name: root }
spec: { selfSigned: {} }
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: { name: ca }
spec:
  acme:
    server: https://acme.example.com/directory
    email: you@example.com
    privateKeySecretRef: { name: account }
    solvers:
      - http01: { ingress: { ingressClassName: nginx, podTemplate: { spec: { nodeSelector: { a: b } } } } }
      - { selector: { dnsZones: [example.com] }, dns01: { route53: { region: eu-west-1, auth: { kubernetes: { serviceAccountRef: { name: dns } } } } } }
      - { dns01: { webhook: { groupName: acme.example.com, solverName: dns, config: { zone: a } } } }
      - { selector: { dnsZones: [example.net] }, dns01: { digitalocean: { tokenSecretRef: { name: do, key: token } } } }
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: { name: www }
spec:
  secretName: www-tls
  dnsNames: [www.example.com]
  issuerRef: { name: ca, kind: Issuer, group: cert-manager.io }
  subject: { organizations: [Example] }
  usages: [server auth, client auth]
  duration: 2160h0m0s
  renewBefore: 360h0m0s
  privateKey: { rotationPolicy: Always, algorithm: ECDSA, size: 256 }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: passed-over }
";

fn waits_for_cert_manager(object: &Value, type_: &str) -> bool {
    condition(object, type_).is_some_and(|condition| condition.1 == "KeptByCertManager")
}

fn other_secret() -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "other-tls", "annotations": {"cert-manager.io/certificate-name": "other"}},
        "data": {"tls.crt": "", "tls.key": ""},
    })
    .to_string()
}

fn orders(ca: &Ca) -> usize {
    ca.overheard.those(|said| said.path == NEW_ORDER).len()
}

fn written_as(secret: &Value) -> &Value {
    &secret["metadata"]["annotations"]["certwright.dev/written-as"]
}

/// How many requests cert-manager has created for a Certificate. Garbage of others may still exist.
async fn requests_of(ns: &TestNamespace, certificate: &Value) -> Result<usize> {
    let kind = kube::core::GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest");
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let api = kube::Api::<kube::core::DynamicObject>::namespaced_with(ns.client.clone(), &ns.name, &resource);
    let found = api.list(&Default::default()).await?.items;
    let owned = found.iter().filter(|request| {
        let owners = request.metadata.owner_references.iter().flatten();
        owners.into_iter().any(|owner| certificate["metadata"]["uid"] == owner.uid)
    });
    Ok(owned.count())
}

/// The Lease that cert-manager's program holds; its controllers alone have none.
fn lease(renewed: &str) -> String {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "cert-manager-controller"},
        "spec": {"holderIdentity": "cert-manager", "leaseDurationSeconds": 60, "renewTime": renewed},
    })
    .to_string()
}
