//! How objects are named on the command line, and what it says about several of them, about Secrets and about versions.

use std::process::Command;

use crate::common::program::{alone, certwright, command, completed, kubeconfig_through, link_as, run};
use crate::common::{SOON, certificate, issued, issuer, of_issuer, ready, revision};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Proxy, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn several_objects_are_named_at_once_and_shown_to_people_and_to_programs() -> Result<()> {
    TestNamespace::with("objects", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        ns.apply(&of_issuer("nobody", &certificate("lost", &["lost.example.com"], ""))).await?;
        ns.wait_condition("certificate/lost", "Ready", "False", SOON).await?;

        let both = certwright(ns, &["status", "issuer/ca", "certificate/web"]).await?.ended(0)?;
        both.says(&[
            &format!("Issuer {}/ca is ready", ns.name),
            &format!("Certificate {}/web is ready", ns.name),
        ])?;
        let ran = certwright(ns, &["status", "certificates", "web", "lost", "nobody"]).await?.ended(4)?;
        let ran = ran.says(&["/web is ready", "/lost is not ready"])?;
        ensure!(ran.errors.contains("/nobody does not exist"), "{ran:?}");
        for wrong in [&["status", "pod/web"][..], &["status", "issuer"], &["rollover", "certificate/web"]] {
            let ran = certwright(ns, wrong).await?.ended(2)?;
            ensure!(ran.errors.contains("give a kind and names"), "{ran:?}");
        }

        let one = certwright(ns, &["status", "certificate/lost", "-o", "json"]).await?.ended(3)?;
        let one: Value = serde_json::from_str(&one.output)?;
        assert_eq!(
            (&one["kind"], &one["name"], &one["ready"]),
            (&"Certificate".into(), &"lost".into(), &false.into())
        );
        assert_eq!(one["waitsFor"]["reason"], "IssuerNotFound");
        ensure!(one["waitsFor"]["whatToDo"].as_str().is_some_and(|words| words.len() > 20), "{one}");
        let two = certwright(ns, &["status", "certificate", "web", "lost", "-o", "yaml"]).await?.ended(3)?;
        let two: Value = serde_yaml::from_str(&two.output)?;
        assert_eq!((&two[0]["ready"], &two[1]), (&true.into(), &one), "the same as YAML");

        let listed = certwright(ns, &["list", "-o", "name", "--sort-by", "name"]).await?.ended(0)?;
        assert_eq!(listed.output, "certificate.certwright.dev/lost\ncertificate.certwright.dev/web\n");
        let rows = certwright(ns, &["list", "--no-headers", "--sort-by", "ready"]).await?.ended(0)?;
        ensure!(rows.output.starts_with("lost") && rows.output.lines().count() == 2, "{}", rows.output);
        // The names are those that commands accept.
        let names: Vec<&str> = listed.output.lines().collect();
        certwright(ns, &[&["status"], &names[..]].concat()).await?.ended(3)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_renewal_everywhere_is_counted_and_confirmed_and_a_retry_is_for_failures() -> Result<()> {
    TestNamespace::with("objects", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        ns.patch("certificate/web", json!({"metadata": {"labels": {"of": ns.name}}})).await?;
        let selector = format!("of={}", ns.name);
        let ran = certwright(ns, &["renew", "-A", "-l", &selector]).await?.ended(2)?;
        let words = "a renewal of 1 Certificate in 1 namespace counts toward the rate limits of CAs: confirm it with --yes";
        ensure!(ran.errors.contains(words), "{ran:?}");
        let ran = certwright(ns, &["renew", "-A", "-l", &selector, "--yes", "--wait"]).await?.ended(0)?;
        ran.says(&[
            &format!("certificate.certwright.dev/web in {}: renewal requested", ns.name),
            &format!("{}/web: done: renewed, valid until ", ns.name),
        ])?;
        revision(ns, "web", 2).await?;
        certwright(ns, &["renew", "certificate/web", "--wait"]).await?.ended(0)?;

        let ran = certwright(ns, &["retry", "certificate/web"]).await?.ended(0)?;
        ensure!(ran.errors.contains("web: nothing to retry") && ran.output.is_empty(), "{ran:?}");
        let ran = certwright(ns, &["retry", "issuer/ca", "issuer/nobody", "--wait"]).await?.ended(4)?;
        let ran = ran.says(&["issuer.certwright.dev/ca: retry requested", "ca: done: the issuer is ready"])?;
        ensure!(ran.errors.contains("Issuer") && ran.errors.contains("/nobody does not exist"), "{ran:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_renewal_of_many_ends_when_the_api_server_is_away() -> Result<()> {
    TestNamespace::with("objects", async |ns| {
        for name in ["a", "b", "c"] {
            ns.apply(&certificate(name, &["a.example.com"], "")).await?;
        }
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        proxy.script(|request| match request.method == "PATCH" || request.path == "/version" {
            true => Action::Drop,
            false => Action::Pass,
        });
        let kubeconfig = kubeconfig_through(ns, &proxy)?;
        let file = kubeconfig.path().to_string_lossy().into_owned();
        let ran = certwright(ns, &["renew", "--all", "--kubeconfig", &file]).await?.ended(1)?;
        ensure!(
            ran.errors.contains("the API server does not answer; not requested for 2 Certificates"),
            "{ran:?}"
        );
        ensure!(ran.errors.matches("cannot write Certificate").count() == 1, "{ran:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn shells_and_kubectl_complete_names_of_objects() -> Result<()> {
    TestNamespace::with("objects", async |ns| {
        for name in ["web", "west", "api"] {
            ns.apply(&certificate(name, &["a.example.com"], "")).await?;
        }
        ns.apply(&issuer("https://ca.test/dir", "", "").replace("    caBundle: \n", "")).await?;
        let namespace = format!("--namespace={}", ns.name);
        assert_eq!(completed(&[&namespace, "status", "certificate", "we"]).await?, ["web", "west"]);
        assert_eq!(completed(&["renew", "--wait", &namespace, "api", "wes"]).await?, ["west"]);
        assert_eq!(completed(&["status", &namespace, "issuer/"]).await?, ["issuer/ca"]);
        assert_eq!(completed(&["status", "cert"]).await?, ["certificate"]);
        assert_eq!(completed(&["list", "-n", &ns.name]).await?, [ns.name.as_str()]);
        ensure!(completed(&["rollo"]).await? == ["rollover"], "commands are completed as well");

        let directory = tempfile::tempdir()?;
        let plugin = link_as(directory.path(), "kubectl_complete-certwright")?;
        let mut kubectl = Command::new(plugin);
        kubectl.args(["status", "-n", &ns.name, "certificate", "we"]);
        assert_eq!(run(kubectl).await?.ended(0)?.output, "web\nwest\n:4\n");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_flags_of_kubectl_choose_the_server_and_the_user() -> Result<()> {
    TestNamespace::with("objects", async |ns| {
        let ran = certwright(ns, &["list", "--as", "nobody-special"]).await?.ended(1)?;
        ensure!(ran.errors.contains("User \"nobody-special\" cannot list resource"), "{ran:?}");
        certwright(ns, &["list", "--as", "somebody", "--as-group", "system:masters"]).await?.ended(0)?;
        let ran = certwright(ns, &["list", "--token", "wrong"]).await?.ended(1)?;
        ensure!(ran.errors.contains("Unauthorized") && !ran.errors.contains("wrong"), "{ran:?}");
        let ran = certwright(ns, &["list", "--server", "https://127.0.0.1:9"]).await?.ended(1)?;
        ensure!(ran.errors.contains("cannot list Certificates"), "{ran:?}");
        let ran = certwright(ns, &["list", "--cluster", "nowhere"]).await?.ended(1)?;
        ensure!(ran.errors.contains("check --kubeconfig and --context"), "{ran:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_is_inspected_with_its_chain_key_and_users() -> Result<()> {
    TestNamespace::with("objects", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let web = issued(ns, "web").await?;
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "front" },
            "spec": {
                "defaultBackend": { "service": { "name": "front", "port": { "number": 80 } } },
                "tls": [{ "secretName": "web-tls", "hosts": ["a.example.com"] }],
            },
        });
        ns.apply(&ingress.to_string()).await?;
        let ran = certwright(ns, &["inspect", "secret", "web-tls"]).await?.ended(0)?;
        let serial = web["status"]["serialNumber"].as_str().context("no serial number")?;
        let ran = ran.says(&[
            &format!("Secret {}/web-tls has no problem", ns.name),
            "Names a.example.com",
            &format!("Serial {serial}"),
            "matches the certificate",
            "each signed by the next, up to Pebble",
            &format!("Written by Certificate {}/web: renews at ", ns.name),
            "Keys ca.crt, tls.crt, tls.key",
            "Used by Ingress front (a.example.com)",
        ])?;
        ensure!(!ran.output.contains("BEGIN"), "it shows no content: {}", ran.output);

        let other = ns.get("secret/web-tls").await?.context("gone")?["data"]["tls.crt"].clone();
        ns.apply(&certificate("api", &["b.example.com"], "")).await?;
        issued(ns, "api").await?;
        let key = ns.get("secret/api-tls").await?.context("gone")?["data"]["tls.key"].clone();
        let mixed = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mixed" }, "type": "kubernetes.io/tls",
            "data": { "tls.crt": other, "tls.key": key },
        });
        ns.apply(&mixed.to_string()).await?;
        let ran = certwright(ns, &["inspect", "secret/mixed", "secret/api-tls", "--offline"]).await?.ended(3)?;
        ran.says(&["/mixed has a problem Problem the certificate is for another private key", "/api-tls has no problem"])?;
        certwright(ns, &["inspect", "secret", "nothing"]).await?.ended(4)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn versions_are_those_of_the_program_the_operator_and_the_cluster() -> Result<()> {
    let ours = env!("CARGO_PKG_VERSION");
    let client = format!("Client       {ours}\n");
    assert_eq!(alone(&["version", "--client"]).await?.ended(0)?.output, client);
    let away = alone(&["version", "--server", "http://127.0.0.1:9"]).await?.ended(1)?;
    assert_eq!(away.output, client, "this version is known without a cluster");
    ensure!(away.errors.contains("cannot read the version of Kubernetes"), "{away:?}");
    TestNamespace::with("objects", async |ns| {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "operator", "labels": { "app.kubernetes.io/name": "certwright" } },
            "spec": {
                "replicas": 0, "selector": { "matchLabels": { "app": "operator" } },
                "template": {
                    "metadata": { "labels": { "app": "operator" } },
                    "spec": { "containers": [{ "name": "operator", "image": "registry.test/certwright:0.0.9" }] },
                },
            },
        });
        ns.apply(&deployment.to_string()).await?;
        let ran = run(command(ns, &["version", "--operator-namespace", &ns.name])).await?.ended(0)?;
        let ran = ran.says(&[
            &format!("Client {ours}"),
            &format!("Operator 0.0.9 (Deployment {}/operator)", ns.name),
            "Kubernetes 1.",
        ])?;
        ensure!(ran.errors.contains("the operator has version 0.0.9"), "{ran:?}");
        let json = certwright(ns, &["version", "--operator-namespace", &ns.name, "-o", "json"]).await?.ended(0)?;
        let json: Value = serde_json::from_str(&json.output)?;
        assert_eq!(json["operators"][0]["version"], "0.0.9");
        Ok(())
    })
    .await
}
