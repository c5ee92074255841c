//! Objects with the maximum size that the API server accepts: the operator reads what it needs, and stays within its memory
//! limit.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::common::hostile::Scene;
use crate::common::{SOON, condition};

/// The limit of etcd, minus what the API server adds.
const LARGEST: usize = 1_300_000;
/// A list returns several of them at a time.
const COUNT: usize = 12;

#[tokio::test]
async fn objects_as_large_as_the_api_server_takes_do_not_exhaust_the_operator() -> Result<()> {
    Scene::with("sizes", async |scene| {
        // Parsed, each of these maps is many times as large as its text.
        let small_maps = || Value::from(vec![json!({ "a": 0 }); LARGEST / 8]);
        let issuer = |name: &str, configs: &[Value]| {
            let solver = |config: &Value| {
                let webhook = json!({ "groupName": "acme.test", "solverName": "dns", "config": config });
                json!({ "dns01": { "webhook": webhook } })
            };
            let solvers: Vec<Value> = configs.iter().map(solver).collect();
            object(
                "certwright.dev/v1alpha1",
                "Issuer",
                json!({ "name": name }),
                json!({ "acme": { "server": "https://192.0.2.10:1/dir", "solvers": solvers } }),
            )
        };
        let mut objects = vec![issuer("maps", &[small_maps()])];
        let text = "x".repeat(LARGEST / 25);
        objects.extend((0..COUNT).map(|n| issuer(&format!("texts-{n}"), &vec![json!(text); 24])));
        objects.extend((0..COUNT).map(|n| {
            let labels = (0..LARGEST / 130).map(|n| (format!("{n:0>60}"), json!("v".repeat(60))));
            let metadata = json!({ "name": format!("labels-{n}"), "labels": Value::Object(labels.collect()) });
            let spec = json!({ "secretName": "a", "dnsNames": ["a.test"], "issuerRef": { "name": "none" } });
            object("certwright.dev/v1alpha1", "Certificate", metadata, spec)
        }));
        objects.extend((0..COUNT).map(|n| {
            let rules = json!([{ "http": { "paths": vec![json!({
                "path": "/", "pathType": "Exact", "backend": { "service": { "name": "a", "port": { "number": 1 } } },
            }); LARGEST / 90] } }]);
            let metadata = json!({ "name": format!("rules-{n}"), "annotations": { "certwright.dev/issuer": "none" } });
            let spec = json!({ "tls": [{ "hosts": ["a.test"], "secretName": format!("rules-{n}") }], "rules": rules });
            object("networking.k8s.io/v1", "Ingress", metadata, spec)
        }));
        let created = stream::iter(objects).map(|object| create(scene, object)).buffer_unordered(2);
        created.try_collect::<Vec<()>>().await?;

        let texts = (0..COUNT).map(|n| (format!("issuer/texts-{n}"), "spec"));
        let labels = (0..COUNT).map(|n| (format!("certificate/labels-{n}"), "metadata.labels"));
        for (target, path) in texts.chain(labels).chain([("issuer/maps".to_owned(), "spec")]) {
            let told = |object: &Value| {
                condition(object, "Ready").is_some_and(|(_, reason, message)| {
                    reason == "InvalidSpec" && message.contains(&format!("{path}: larger than "))
                })
            };
            scene.ns.wait(&target, SOON, told).await.with_context(|| format!("{target} is not reported"))?;
        }
        scene.memory_is_bounded()?;
        scene.aftermath().await
    })
    .await
}

/// Each Certificate reads the Secret that it names, and many can name the same one.
#[tokio::test]
async fn a_large_secret_that_hundreds_of_certificates_name_does_not_exhaust_the_operator() -> Result<()> {
    const CERTIFICATES: usize = 300;
    Scene::with("secrets", async |scene| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "large" },
            "stringData": { "tls.crt": "x".repeat(1_000_000) },
        });
        let path = format!("/api/v1/namespaces/{}/secrets", scene.ns.name);
        let request = http::Request::post(path).header("content-type", "application/json");
        scene.mallory.client.request_text(request.body(secret.to_string().into_bytes())?).await?;
        let spec = json!({ "secretName": "large", "dnsNames": ["a.test"], "issuerRef": { "name": "none" } });
        let objects = (0..CERTIFICATES).map(|n| {
            object(
                "certwright.dev/v1alpha1",
                "Certificate",
                json!({ "name": format!("web-{n}") }),
                spec.clone(),
            )
        });
        let created = stream::iter(objects).map(|object| create(scene, object)).buffer_unordered(4);
        created.try_collect::<Vec<()>>().await?;
        let told = |object: &Value| condition(object, "Ready").is_some();
        for n in 0..CERTIFICATES {
            scene.ns.wait(&format!("certificate/web-{n}"), SOON, told).await?;
        }
        scene.memory_is_bounded()?;
        scene.aftermath().await
    })
    .await
}

fn object(api_version: &str, kind: &str, metadata: Value, spec: Value) -> Value {
    json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec })
}

/// Creates an object as the attacker.
async fn create(scene: &Scene<'_>, object: Value) -> Result<()> {
    let api_version = object["apiVersion"].as_str().context("no apiVersion")?;
    let plural = match object["kind"].as_str() {
        Some("Ingress") => "ingresses",
        Some("Issuer") => "issuers",
        _ => "certificates",
    };
    let path = format!("/apis/{api_version}/namespaces/{}/{plural}", scene.ns.name);
    let request = http::Request::post(path).header("content-type", "application/json");
    scene.mallory.client.request_text(request.body(object.to_string().into_bytes())?).await?;
    Ok(())
}
