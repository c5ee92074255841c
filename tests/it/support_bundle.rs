//! `certwright support-bundle`: what is in it, and that no secret is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::common::program::{Ran, certwright, command, kubeconfig_of, run};
use crate::common::secrets::Secrets;
use crate::common::{SOON, certificate, external_account, issued, issuer, mac_key, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
const PASSWORD: &str = "correct-horse-battery-staple";
const PROVIDER_TOKEN: &str = "provider-token-0123456789abcdef";
const PLAIN_TOKEN: &str = "plain-token-fedcba9876543210";

#[tokio::test]
async fn a_bundle_has_objects_events_and_the_exchange_with_the_ca_and_no_secret() -> Result<()> {
    TestNamespace::with("bundle", async |ns| {
        let pebble = Pebble::builder().eab("kid-1", MAC_KEY).start(&ns.cluster).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        for (name, key, value) in [("password", "password", PASSWORD), ("provider", "token", PROVIDER_TOKEN)] {
            ns.apply(&secret(name, key, value)).await?;
        }
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, &external_account("kid-1"))).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        ns.apply(&with_plain_token(&of_issuer("plain", &issuer(&pebble.directory_url, &pebble.ca_pem, "")))?)
            .await?;

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("first");
        let logged = ["support-bundle", "--acme-log", "issuer/ca", "--acme-log-wait", "0s"];
        let ran = write(ns, &path, &logged).await?.ended(0)?;
        ensure!(ran.errors.contains("logs the exchange of Issuer"), "{}", ran.errors);
        ns.wait("issuer/ca", SOON, |issuer| {
            let asked = &issuer["metadata"]["annotations"]["certwright.dev/retry"];
            issuer["status"]["observedRetryRequest"] == *asked
        })
        .await?;
        let keystore =
            "  keystores: { pkcs12: { create: true, passwordSecretRef: { name: password, key: password } } }\n";
        ns.apply(&certificate("web", &["bundle.example.com"], keystore)).await?;
        let web = issued(ns, "web").await?;
        ns.apply(&of_issuer("nobody", &certificate("lost", &["lost.example.com"], ""))).await?;
        ns.wait_condition("certificate/lost", "Ready", "False", SOON).await?;

        let mut secrets = Secrets::default();
        let names = secrets.add_all(ns).await?;
        secrets.add("the token of the service account", operator.token.as_bytes())?;
        secrets.add("the token in the issuer", PLAIN_TOKEN.as_bytes())?;
        for name in ["ca-account-key/tls.key", "eab/secret", "web-tls/tls.key", "password/password", "provider/token"] {
            ensure!(names.iter().any(|known| known == name), "{name} is not among the secrets {names:?}");
        }

        let path = folder.path().join("bundle.tar.gz");
        let ran = write(ns, &path, &["support-bundle"]).await?.ended(0)?;
        assert_eq!(ran.output.trim(), path.display().to_string());
        let files = unpacked(&path)?;
        for (file, text) in &files {
            secrets.check(file, text)?;
        }
        let log = operator.logs().join("\n");
        secrets.check("the operator's log", &log)?;

        let file = |name: &str| files.get(name).with_context(|| format!("no {name} in {:?}", files.keys()));
        let named = |name: &str| format!("{}/{name}", ns.name);
        let read: Value = serde_yaml::from_str(file(&format!("certificates/{}.yaml", named("web")))?)?;
        assert_eq!(read["status"]["serialNumber"], web["status"]["serialNumber"]);
        assert_eq!(read["metadata"]["managedFields"], Value::Null);
        let plain: Value = serde_yaml::from_str(file(&format!("issuers/{}.yaml", named("plain")))?)?;
        let config = &plain["spec"]["acme"]["solvers"][0]["dns01"]["webhook"]["config"];
        assert_eq!(*config, json!({ "token": "[redacted]", "tokenSecretRef": { "name": "provider", "key": "token" } }));
        let summary = file("summary.txt")?;
        ensure!(summary.contains(&format!("Certificate {}", named("lost"))), "{summary}");
        ensure!(summary.contains("IssuerNotFound: "), "{summary}");
        let listed = file("secrets.txt")?;
        for secret in ["web-tls: type kubernetes.io/tls", "eab: type Opaque", "provider: type Opaque"] {
            ensure!(listed.contains(&named(secret)), "{secret}: {listed}");
        }
        ensure!(listed.contains("    tls.key: ") && listed.contains("    keystore.p12: "), "{listed}");
        ensure!(file("events.txt")?.contains(&format!("Issued  Certificate {}", named("web"))), "{files:?}");
        // Here, the operator is no pod.
        let readme = file("README.txt")?;
        ensure!(readme.contains("no pods with app.kubernetes.io/name in"), "{readme}");

        the_exchange_is_logged(&log)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_permissions_the_bundle_says_what_is_missing_and_why() -> Result<()> {
    TestNamespace::with("bundle-of-user", async |ns| {
        ns.apply(&issuer("https://ca.example/dir", "", "").replace("    caBundle: \n", "")).await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: user}}").await?;
        ns.apply(&may_read_issuers(ns)).await?;
        let kubeconfig = kubeconfig_of(ns, "user").await?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("bundle");
        let mut command = command(ns, &["support-bundle"]);
        command.arg("--output").arg(&path).arg("--kubeconfig").arg(kubeconfig.path());
        let ran = run(command).await?.ended(0)?;
        ensure!(ran.errors.contains("could not be read: its README.txt says which"), "{}", ran.errors);
        let readme = std::fs::read_to_string(path.join("README.txt"))?;
        for missing in ["- certificates: ", "- events of ", "- pods in namespace certwright: "] {
            ensure!(readme.contains(missing), "{missing}: {readme}");
        }
        ensure!(readme.contains("is forbidden"), "{readme}");
        ensure!(path.join(format!("issuers/{}/ca.yaml", ns.name)).exists(), "{readme}");
        let again =
            certwright(ns, &["support-bundle", "--output", &path.display().to_string()]).await?.ended(2)?;
        ensure!(again.errors.contains("exists: choose another --output"), "{}", again.errors);
        Ok(())
    })
    .await
}

/// In order, with what is public of each request, and without signatures and nonces.
fn the_exchange_is_logged(log: &str) -> Result<()> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let exchanges: Vec<Value> = lines.filter(|line| line["message"] == "ACME exchange").collect();
    let operations: Vec<&str> = exchanges.iter().filter_map(|line| line["operation"].as_str()).collect();
    let mut expected =
        ["newOrder", "authorization", "challenge", "finalize", "certificate"].into_iter().peekable();
    for operation in &operations {
        expected.next_if_eq(operation);
    }
    ensure!(expected.peek().is_none(), "no {expected:?} in {operations:?}");
    let order = exchanges.iter().find(|line| line["operation"] == "newOrder").context("no order")?;
    assert_eq!(
        (&order["object"], &order["name"], &order["status"]),
        (&json!("Certificate"), &json!("web"), &json!(201))
    );
    let request: Value = serde_json::from_str(order["request"].as_str().context("no request")?)?;
    assert_eq!(request["payload"]["identifiers"][0]["value"], "bundle.example.com");
    ensure!(request["protected"]["nonce"].is_null() && request["signature"].is_null(), "{request}");
    ensure!(order["headers"].as_str().is_some_and(|headers| headers.contains("location: ")), "{order}");
    ensure!(order["answer"].as_str().is_some_and(|answer| answer.contains("\"finalize\"")), "{order}");
    Ok(())
}

async fn write(ns: &TestNamespace, path: &Path, arguments: &[&str]) -> Result<Ran> {
    let path = path.display().to_string();
    certwright(ns, &[arguments, &["--operator-namespace", &ns.name, "--output", &path]].concat()).await
}

/// The files of an archive, without the directory that they are in.
fn unpacked(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(File::open(path)?)).entries()? {
        let mut entry = entry?;
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        let path = entry.path()?.display().to_string();
        let (_, name) = path.split_once('/').context("a file beside the directory")?;
        files.insert(name.to_owned(), text);
    }
    Ok(files)
}

fn secret(name: &str, key: &str, value: &str) -> String {
    let data = json!({ key: value });
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data })
        .to_string()
}

/// The issuer with a provider whose settings have a token in plain text, as they should not.
fn with_plain_token(issuer: &str) -> Result<String> {
    let mut issuer: Value = serde_yaml::from_str(issuer)?;
    let config = json!({ "token": PLAIN_TOKEN, "tokenSecretRef": { "name": "provider", "key": "token" } });
    let webhook = json!({ "groupName": "acme.example.com", "solverName": "dns", "config": config });
    issuer["spec"]["acme"]["solvers"] = json!([{ "dns01": { "webhook": webhook } }]);
    Ok(issuer.to_string())
}

fn may_read_issuers(ns: &TestNamespace) -> String {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "reads-issuers" },
        "rules": [{ "apiGroups": ["certwright.dev"], "resources": ["issuers"], "verbs": ["list"] }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "reads-issuers" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads-issuers" },
        "subjects": [{ "kind": "ServiceAccount", "name": "user", "namespace": ns.name }],
    });
    format!("{role}\n---\n{binding}")
}
