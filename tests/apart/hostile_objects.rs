//! Objects that cannot be read: each is reported on the object itself, and no other object is affected.
//!
//! The API server rejects most of them today. These tests temporarily remove the bounds from the definitions, as before an
//! upgrade, and a user with the role `edit` stores such objects.

mod bounds;

use crate::common::schema;

use crate::common::faults::event;
use crate::common::hostile::Scene;
use crate::common::program::certwright;
use crate::common::{SOON, certificate, condition, issuer, of_issuer};
use anyhow::{Context, Result, ensure};
use certwright_api::{Certificate, Issuer, crds};
use certwright_cluster::TestNamespace;
use certwright_core::reading::{Readable, Reading};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// A duration that nobody could want.
const ABSURD: &str = "99999999999999999999h";

/// The fields that are durations, each in a separate object, and the path that the operator reports.
const DURATIONS: &[(&str, &str, &str)] = &[
    ("Certificate", "renewBefore", "spec.renewBefore"),
    ("Certificate", "duration", "spec.duration"),
    ("Certificate", "revocation.deletionTimeout", "spec.revocation.deletionTimeout"),
    ("Certificate", "renewal.windows.windowDuration", "spec.renewal.windows[0].windowDuration"),
    ("Issuer", "accountKey.rolloverInterval", "spec.acme.accountKey.rolloverInterval"),
    ("Issuer", "accountPolicy.deactivationTimeout", "spec.acme.accountPolicy.deactivationTimeout"),
    ("Issuer", "dns01.cleanupTimeout", "spec.acme.solvers[0].dns01.cleanupTimeout"),
    ("Issuer", "dns01.propagation.timeout", "spec.acme.solvers[0].dns01.propagation.timeout"),
    ("Issuer", "dns01.httpRequest.timeout", "spec.acme.solvers[0].dns01.httpRequest.timeout"),
    ("Issuer", "requestTimeout", "spec.acme.requestTimeout"),
    ("Certificate", "fallbackPolicy.after", "spec.fallbackPolicy.after"),
    ("Issuer", "waitInsteadOfSelfCheck", "spec.acme.solvers[0].waitInsteadOfSelfCheck"),
];

#[tokio::test]
async fn objects_that_cannot_be_read_are_reported_on_themselves_and_harm_nobody_else() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    Scene::with("objects", async |scene| {
        held_by_finalizers(scene).await?;
        let mut expected = with_lax_definitions(&scene.ns, async || {
            let mut expected = Vec::new();
            for (at, (kind, field, path)) in DURATIONS.iter().enumerate() {
                let name = format!("absurd-{at}");
                create(&scene.mallory, kind, &name, absurd(kind, field), "").await?;
                expected.push((format!("{}/{name}", kind.to_lowercase()), *path));
            }
            let outside =
                json!({ "secretName": "../../x", "dnsNames": ["a.test"], "issuerRef": { "name": "ca" } });
            create(&scene.mallory, "Certificate", "outside", outside, "").await?;
            expected.push(("certificate/outside".to_owned(), "spec.secretName"));
            let timeout = json!({ "spec": { "revocation": { "deletionTimeout": ABSURD } } });
            scene.mallory.patch("certificate/ending", timeout).await?;
            expected.push(("certificate/ending".to_owned(), "spec.revocation.deletionTimeout"));
            let timeout =
                json!({ "spec": { "acme": { "accountPolicy": { "deactivationTimeout": ABSURD } } } });
            scene.mallory.patch("issuer/ending", timeout).await?;
            expected.push(("issuer/ending".to_owned(), "spec.acme.accountPolicy.deactivationTimeout"));
            Ok(expected)
        })
        .await?;
        // The definitions still accept these.
        let deep = (0..500).fold(json!(1), |inner, _| json!([inner]));
        let webhook = json!({ "groupName": "acme.test", "solverName": "dns", "config": deep });
        create(&scene.mallory, "Issuer", "deep", with_solver(json!({ "webhook": webhook })), "").await?;
        expected.push(("issuer/deep".to_owned(), "spec.acme.solvers[0].dns01.webhook.config"));
        let bundle = issuer("https://192.0.2.10:1/dir", "", "").replace("caBundle: ", "caBundle: QUJ=");
        scene.apply(&bundle).await?;
        odd_metadata(scene).await?;

        for (target, path) in &expected {
            reported(&scene.ns, target, path).await?;
        }
        let bundle =
            |issuer: &Value| condition(issuer, "Ready").is_some_and(|ready| ready.1 == "InvalidSpec");
        scene.ns.wait("issuer/ca", SOON, bundle).await.context("attack 2: caBundle")?;
        for target in ["certificate/absurd-0", "issuer/absurd-4"] {
            event(&scene.ns, target.split('/').nth(1).unwrap_or_default(), "InvalidSpec").await?;
        }
        let metrics = scene.operator.metrics().await?;
        for (kind, count) in [("Certificate", 7), ("Issuer", 9)] {
            let line = format!("certwright_unreadable_objects{{kind=\"{kind}\",part=\"object\"}} {count}");
            ensure!(metrics.contains(&line), "{line} is missing in:\n{metrics}");
        }
        let panicked = scene.operator.logs().iter().any(|line| line.contains("panicked"));
        ensure!(!panicked, "{}", scene.ns.operator_log_tail(40));

        // A restarted operator reports the same, and writes nothing.
        let before = versions(&scene.ns, &expected).await?;
        scene.operator.restart().await?;
        scene.bystander_is_served("between").await?;
        scene.writes_are_few().await?;
        ensure!(versions(&scene.ns, &expected).await? == before, "what is unchanged is not written again");

        let listed = certwright(&scene.ns, &["list"]).await?.ended(0)?;
        ensure!(listed.errors.contains("absurd-0 cannot be read: spec.renewBefore"), "{listed:?}");
        certwright(&scene.ns, &["status", "certificate", "absurd-0"]).await?.ended(1)?;

        // Corrected objects are processed.
        let taken_up = |object: &Value| {
            condition(object, "Ready").is_some_and(|(_, reason, _)| reason != "InvalidSpec")
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        };
        scene.mallory.patch("certificate/absurd-0", json!({ "spec": { "renewBefore": "1h" } })).await?;
        scene.ns.wait("certificate/absurd-0", SOON, taken_up).await?;
        let interval = json!({ "spec": { "acme": { "accountKey": { "rolloverInterval": "720h" } } } });
        scene.mallory.patch("issuer/absurd-4", interval).await?;
        scene.ns.wait("issuer/absurd-4", SOON, taken_up).await?;

        // Objects with our finalizers can be deleted, and the readable part of their spec determines how that ends.
        for target in ["certificate/ending", "issuer/ending"] {
            scene.mallory.delete_object(target).await?;
            scene.ns.wait_gone(target, SOON).await?;
        }
        let metrics = scene.operator.metrics().await?;
        let revoked = "certwright_revocations_total{result=\"succeeded\",reason=\"superseded\"} 1";
        ensure!(metrics.contains(revoked), "{metrics}");
        scene.aftermath().await
    })
    .await
}

/// A Certificate and an Issuer whose deletion requires an action first.
async fn held_by_finalizers(scene: &Scene<'_>) -> Result<()> {
    let (directory, ca) = (&scene.pebble.directory_url, &scene.pebble.ca_pem);
    scene.apply(&of_issuer("well", &issuer(directory, ca, ""))).await?;
    let policy = "    accountPolicy: { onDelete: Deactivate }\n";
    scene.apply(&of_issuer("ending", &issuer(directory, ca, policy))).await?;
    let host = format!("ending.{}.example.com", scene.ns.name);
    let revoked = certificate("ending", &[&host], "  revocation: { onDelete: superseded }\n");
    scene.apply(&of_issuer("well", &revoked)).await?;
    for target in ["issuer/ending", "certificate/ending"] {
        let held = |object: &Value| {
            condition(object, "Ready").is_some_and(|(ready, ..)| ready == "True")
                && !object["metadata"]["finalizers"].is_null()
        };
        scene.ns.wait(target, SOON, held).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_forged_status_is_ignored_where_it_cannot_be_read() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    Scene::with("forged", async |scene| {
        scene.grant_status().await?;
        scene.apply(&issuer(&scene.pebble.directory_url, &scene.pebble.ca_pem, "")).await?;
        scene.ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        scene.apply(&certificate("web", &["web.forged.example.com"], "")).await?;
        scene.ns.wait_condition("certificate/web", "Ready", "True", SOON).await?;
        let record = json!({
            "name": "a.test", "fqdn": "_acme-challenge.a.test.", "zone": "a.test.", "value": "v", "keyAuthorization": "k",
            "secretsNamespace": scene.ns.name, "solver": { "cleanupTimeout": ABSURD },
        });
        let forged = json!({ "dnsRecords": [record], "lastFailureTime": "9999-12-31T23:59:59Z" });
        scene.forge("certificate/web", forged).await?;
        let (_, note) = event(&scene.ns, "web", "InvalidStatus").await?;
        ensure!(note.starts_with("status.dnsRecords[0].solver.cleanupTimeout: "), "{note}");
        // It still works.
        let renew = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
        scene.ns.patch("certificate/web", renew).await?;
        scene.ns.wait("certificate/web", SOON, |object| object["status"]["revision"] == 2).await?;
        scene.aftermath().await
    })
    .await
}

/// Creates an object; returns the API server's answer.
async fn create(ns: &TestNamespace, kind: &str, name: &str, spec: Value, query: &str) -> Result<String> {
    let object = json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    let plural = format!("{}s", kind.to_lowercase());
    let path = format!("/apis/certwright.dev/v1alpha1/namespaces/{}/{plural}{query}", ns.name);
    let request = http::Request::post(path).header("content-type", "application/json");
    // As text: a client's own types cannot represent deep nesting.
    Ok(ns.client.request_text(request.body(object.to_string().into_bytes())?).await?)
}

/// The spec of an object with an absurd duration in one field.
fn absurd(kind: &str, field: &str) -> Value {
    if kind == "Certificate" {
        let mut spec =
            json!({ "secretName": "absurd", "dnsNames": ["a.test"], "issuerRef": { "name": "ca" } });
        match field {
            "revocation.deletionTimeout" => {
                spec["revocation"] = json!({ "onDelete": "superseded", "deletionTimeout": ABSURD });
            }
            "renewal.windows.windowDuration" => {
                spec["renewal"] = json!({ "windows": [{ "cron": "0 2 * * 6", "windowDuration": ABSURD }] });
            }
            "fallbackPolicy.after" => spec["fallbackPolicy"] = json!({ "after": ABSURD }),
            field => spec[field] = json!(ABSURD),
        }
        return spec;
    }
    let webhook = json!({ "groupName": "acme.test", "solverName": "dns" });
    let mut spec = with_solver(json!({ "webhook": webhook }));
    match field {
        "requestTimeout" => spec["acme"]["requestTimeout"] = json!(ABSURD),
        "accountKey.rolloverInterval" => spec["acme"]["accountKey"] = json!({ "rolloverInterval": ABSURD }),
        "accountPolicy.deactivationTimeout" => {
            spec["acme"]["accountPolicy"] =
                json!({ "onDelete": "Deactivate", "deactivationTimeout": ABSURD });
        }
        "waitInsteadOfSelfCheck" => spec["acme"]["solvers"][0]["waitInsteadOfSelfCheck"] = json!(ABSURD),
        "dns01.cleanupTimeout" => spec["acme"]["solvers"][0]["dns01"]["cleanupTimeout"] = json!(ABSURD),
        "dns01.propagation.timeout" => {
            spec["acme"]["solvers"][0]["dns01"]["propagation"] = json!({ "timeout": ABSURD });
        }
        _ => spec = with_solver(json!({ "httpRequest": { "url": "https://a.test", "timeout": ABSURD } })),
    }
    spec
}

fn with_solver(dns01: Value) -> Value {
    json!({ "acme": { "server": "https://192.0.2.10:1/dir", "solvers": [{ "dns01": dns01 }] } })
}

/// Metadata that the API server accepts and a client's types do not: any user may set `managedFields`.
async fn odd_metadata(scene: &Scene<'_>) -> Result<()> {
    let long = "x".repeat(200_000);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "odd", "labels": { "certwright.dev/secret": "tls" },
            "annotations": { "certwright.dev/certificate-name": "\u{1b}[2J", "example.com/long": long },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "spec": { "ports": [{ "port": 80 }] },
        "metadata": { "name": "odd", "labels": { "certwright.dev/http01": "true" } },
    });
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "odd",
            "annotations": { "certwright.dev/issuer": "ca", "certwright.dev/renew-before": ABSURD },
        },
        "spec": {
            "defaultBackend": { "service": { "name": "odd", "port": { "number": 80 } } },
            "tls": [{ "hosts": ["a.test"], "secretName": "odd-tls" }],
        },
    });
    for (api, plural, object) in [
        ("/api/v1", "secrets", secret),
        ("/api/v1", "services", service),
        ("/apis/networking.k8s.io/v1", "ingresses", ingress),
    ] {
        scene.apply(&object.to_string()).await?;
        let path = format!("{api}/namespaces/{}/{plural}/odd", scene.ns.name);
        let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
        let fields = json!({ "metadata": { "managedFields": [{
            "manager": "mallory", "operation": "Update", "apiVersion": object["apiVersion"],
            "time": "9999-12-31T23:59:59Z", "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": { "f:labels": {} } },
        }] } });
        let answer =
            scene.mallory.client.request_text(request.body(fields.to_string().into_bytes())?).await?;
        ensure!(answer.contains("9999-12-31"), "the API server keeps the time: {answer}");
    }
    let (_, note) = event(&scene.ns, "odd", "InvalidAnnotation").await?;
    ensure!(note.starts_with("certwright.dev/renew-before"), "{note}");
    Ok(())
}

/// The object reports that it cannot be read, and which part of it.
async fn reported(ns: &TestNamespace, target: &str, path: &str) -> Result<()> {
    let says = |object: &Value| {
        let is = |type_: &str, status: &str| {
            condition(object, type_).is_some_and(|(found, reason, words)| {
                found == status && reason == "InvalidSpec" && words.starts_with(path)
            })
        };
        is("Ready", "False") && is("Stalled", "True")
    };
    let waiting = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
        loop {
            ticks.tick().await;
            if says(&without_spec(ns, target).await?) {
                return anyhow::Ok(());
            }
        }
    };
    let waited = tokio::time::timeout(SOON, waiting).await;
    waited.with_context(|| {
        format!("{target} does not say what is wrong with {path}\n{}", ns.operator_log_tail(20))
    })?
}

/// An object without its spec, which may be nested too deeply for a client.
async fn without_spec(ns: &TestNamespace, target: &str) -> Result<Value> {
    #[derive(serde::Deserialize)]
    struct Parts {
        metadata: Value,
        #[serde(default)]
        status: Value,
    }
    let (kind, name) = target.split_once('/').context("no kind/name")?;
    let path = format!("/apis/certwright.dev/v1alpha1/namespaces/{}/{kind}s/{name}", ns.name);
    let text = ns.client.request_text(http::Request::get(path).body(Vec::new())?).await?;
    let Parts { mut metadata, status } = serde_json::from_str(&text)?;
    metadata["managedFields"] = Value::Null;
    Ok(json!({ "metadata": metadata, "status": status }))
}

/// The resource versions of objects.
async fn versions(ns: &TestNamespace, targets: &[(String, &str)]) -> Result<Vec<Value>> {
    let mut versions = Vec::new();
    for (target, _) in targets {
        versions.push(without_spec(ns, target).await?["metadata"]["resourceVersion"].clone());
    }
    Ok(versions)
}

/// Runs `what` while the definitions have no bounds, as if they were older.
async fn with_lax_definitions<T>(ns: &TestNamespace, what: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    for definition in crds() {
        let mut lax = serde_json::to_value(&definition)?;
        loosen(&mut lax["spec"]["versions"]);
        replace(&ns.client, serde_json::from_value(lax)?).await?;
    }
    let outcome = match take(ns, true).await {
        Ok(()) => what().await,
        Err(error) => Err(error),
    };
    for definition in crds() {
        replace(&ns.client, definition).await?;
    }
    take(ns, false).await?;
    outcome
}

async fn replace(client: &Client, definition: CustomResourceDefinition) -> Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let name = definition.name_any();
    let mut known = api.get(&name).await?;
    known.spec = definition.spec;
    api.replace(&name, &PostParams::default(), &known).await?;
    Ok(())
}

/// Waits until the API server accepts absurd durations, or rejects them: it follows its definitions with a delay.
async fn take(ns: &TestNamespace, wanted: bool) -> Result<()> {
    let waiting = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
        for (kind, field, _) in DURATIONS {
            while create(ns, kind, "probe", absurd(kind, field), "?dryRun=All").await.is_ok() != wanted {
                ticks.tick().await;
            }
        }
    };
    tokio::time::timeout(SOON, waiting).await.context("the API server does not follow its definitions")
}

/// Removes the bounds from a schema. None of our fields has the name of a bound.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !matches!(name.as_str(), "pattern" | "x-kubernetes-validations" | "maxLength")
            });
            fields.values_mut().for_each(loosen);
        }
        Value::Array(items) => items.iter_mut().for_each(loosen),
        _ => {}
    }
}
