//! http-01 through an Ingress of somebody else: it is edited for the duration of a validation, and then restored.

use std::time::Duration;

use crate::common::faults::{issuing, steady};
use crate::common::http01::{hold, host, ingresses, nothing_is_left};
use crate::common::{SOON, certificate, issued, issuer, stays_as_it_is, wait_nothing_presented};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, OperatorBuilder, Pebble, TestNamespace};
use serde_json::{Value, json};

/// Long enough for the operator to remove what it has added.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_ingress_leads_to_the_operator_for_a_validation_and_is_then_what_it_was() -> Result<()> {
    TestNamespace::with("in-place", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| operator).await?;
        let [shop, new] = [host(ns, "shop"), host(ns, "new")];
        let before = apply_shop(ns, &shop).await?;
        let held = hold(ns, &shop).await?;
        ns.apply(&certificate("web", &[&shop, &new], "")).await?;
        let during = edited(ns, 2).await?;
        let web = ns.get("certificate/web").await?.context("it is gone")?;
        assert_eq!(web["metadata"]["finalizers"], json!([FINALIZER]), "it does not go with the Certificate");
        let challenges = web["status"]["challenges"].as_array().context("no challenges")?;
        for challenge in challenges {
            assert_eq!(challenge["ingress"], "shop");
            let token = challenge["token"].as_str().context("no token")?;
            let (host, path) = (challenge["name"].clone(), json!(format!("{ANSWERS}{token}")));
            let expected = json!({ "path": path, "pathType": "Exact", "backend": {
                "service": { "name": "certwright-http01", "port": { "number": 80 } },
            } });
            let rules = during["spec"]["rules"].as_array().context("no rules")?;
            let paths = rules.iter().filter(|rule| rule["host"] == host);
            let paths = paths.flat_map(|rule| rule["http"]["paths"].as_array().into_iter().flatten());
            assert_eq!(Vec::from_iter(paths.filter(|one| one["path"] == path)), [&expected]);
        }
        let rules = |ingress: &Value| ingress["spec"]["rules"].as_array().map_or(0, Vec::len);
        assert_eq!(
            rules(&during),
            rules(&before) + 1,
            "a rule for the name that had none, and only for that"
        );
        assert_eq!(ingresses(ns).await?.len(), 0, "no Ingress is made");
        for kept in ["labels", "annotations"] {
            assert_eq!(during[kept], before[kept], "{kept}");
        }

        held.let_go().await?;
        issued(ns, "web").await?;
        is_again(ns, &before).await?;
        ns.wait("certificate/web", AT_ONCE, |web| web["metadata"]["finalizers"].is_null()).await?;
        nothing_is_left(ns).await
    })
    .await
}

#[tokio::test]
async fn an_ingress_that_has_only_a_default_backend_is_again_without_rules() -> Result<()> {
    TestNamespace::with("default-backend", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| operator).await?;
        let name = host(ns, "web");
        let mut ingress = shop(&name);
        ingress["spec"] = json!({ "ingressClassName": "router", "defaultBackend": backend("shop") });
        ns.apply(&ingress.to_string()).await?;
        let before = seen(ns).await?;
        let held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        edited(ns, 1).await?;
        held.let_go().await?;
        issued(ns, "web").await?;
        is_again(ns, &before).await
    })
    .await
}

#[tokio::test]
async fn what_others_have_edited_meanwhile_stays() -> Result<()> {
    TestNamespace::with("others", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| operator).await?;
        let [shop, new, more] = ["shop", "new", "more"].map(|name| host(ns, name));
        let before = apply_shop(ns, &shop).await?;
        let held = hold(ns, &shop).await?;
        ns.apply(&certificate("web", &[&shop, &new], "")).await?;
        let during = edited(ns, 2).await?;

        let (theirs, added) = (path("/more", "other"), rule(&more, &[path("/", "more")]));
        // Somebody who edits the current object, as with `kubectl edit`, keeps what we have added.
        let mut rules = during["spec"]["rules"].clone();
        let list = rules.as_array_mut().context("no rules")?;
        for rule in list.iter_mut().filter(|rule| rule["host"] == shop || rule["host"] == new) {
            let paths = rule["http"]["paths"].as_array_mut().context("no paths")?;
            paths.insert(0, theirs.clone());
            paths.retain(|path| path["path"] != "/basket");
        }
        list.insert(0, added.clone());
        ns.patch(
            "ingress/shop",
            json!({
                "metadata": { "annotations": { "example.com/timeout": "9s" }, "labels": { "team": "b" } },
                "spec": { "rules": rules, "defaultBackend": null },
            }),
        )
        .await?;

        let mut expected = before.clone();
        expected["annotations"]["example.com/timeout"] = json!("9s");
        expected["labels"]["team"] = json!("b");
        expected["spec"].as_object_mut().context("no spec")?.remove("defaultBackend");
        let list = expected["spec"]["rules"].as_array_mut().context("no rules")?;
        list[0]["http"]["paths"] = json!([theirs, path("/", "shop")]);
        list.push(rule(&new, std::slice::from_ref(&theirs)));
        list.insert(0, added);
        held.let_go().await?;
        issued(ns, "web").await?;
        is_again(ns, &expected).await
    })
    .await
}

#[tokio::test]
async fn an_owner_who_applies_the_ingress_anew_is_put_up_with() -> Result<()> {
    TestNamespace::with("owner", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| {
            operator
                .argument("--http01-self-check-timeout", "5s")
                .argument("--backoff-first", "1s")
                .argument("--backoff-longest", "1s")
        })
        .await?;
        let name = host(ns, "shop");
        apply_shop(ns, &name).await?;
        let held = hold(ns, &name).await?;
        ns.apply(&certificate("web", &[&name], "")).await?;
        edited(ns, 1).await?;
        // For the API, the rules are a single list: applying theirs removes ours.
        let mut anew = shop(&name);
        anew["spec"]["rules"] = json!([rule(&name, &[path("/", "other")])]);
        ns.apply(&anew.to_string()).await?;
        let expected = seen(ns).await?;
        ensure!(answers(&expected).is_empty(), "this test is about an Ingress without our path: {expected}");
        held.let_go().await?;
        issued(ns, "web").await.context("it is put in again")?;
        is_again(ns, &expected).await
    })
    .await
}

#[tokio::test]
async fn a_certificate_deleted_in_mid_order_takes_its_paths_along() -> Result<()> {
    TestNamespace::with("deleted", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| operator).await?;
        let [shop, new] = [host(ns, "shop"), host(ns, "new")];
        let before = apply_shop(ns, &shop).await?;
        let _held = hold(ns, &shop).await?;
        ns.apply(&certificate("web", &[&shop, &new], "")).await?;
        edited(ns, 2).await?;
        ns.delete_object("certificate/web").await?;
        ns.wait_gone("certificate/web", AT_ONCE).await?;
        is_again(ns, &before).await?;
        wait_nothing_presented(ns).await
    })
    .await
}

#[tokio::test]
async fn an_operator_killed_in_mid_order_takes_the_paths_out_once_it_is_back() -> Result<()> {
    TestNamespace::with("killed", async |ns| {
        let (_pebble, operator) = start(ns, |operator| operator).await?;
        let [shop, gone] = [host(ns, "shop"), host(ns, "gone")];
        let before = apply_shop(ns, &shop).await?;
        let held = [hold(ns, &shop).await?, hold(ns, &gone).await?];
        ns.apply(&certificate("web", &[&shop], "")).await?;
        ns.apply(&certificate("gone", &[&gone], "")).await?;
        edited(ns, 2).await?;
        operator.kill9()?;
        ns.delete_object("certificate/gone").await?;
        let waits = ns.get("certificate/gone").await?.context("nobody has taken its path out")?;
        ensure!(!waits["metadata"]["deletionTimestamp"].is_null(), "{waits}");
        operator.restart().await?;
        ns.wait_gone("certificate/gone", AT_ONCE).await?;
        for held in held {
            held.let_go().await?;
        }
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["failedIssuanceAttempts"], Value::Null);
        is_again(ns, &before).await?;
        wait_nothing_presented(ns).await
    })
    .await
}

#[tokio::test]
async fn two_certificates_in_one_ingress_take_out_their_own_paths() -> Result<()> {
    TestNamespace::with("two", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| operator).await?;
        let [shop, new] = [host(ns, "shop"), host(ns, "new")];
        let before = apply_shop(ns, &shop).await?;
        let held = [hold(ns, &shop).await?, hold(ns, &new).await?];
        ns.apply(&certificate("first", &[&shop, &new], "")).await?;
        ns.apply(&certificate("second", &[&shop, &new], "")).await?;
        edited(ns, 4).await?;
        let second = ns.get("certificate/second").await?.context("it is gone")?;
        let challenges = second["status"]["challenges"].as_array().context("no challenges")?;
        let path = |challenge: &Value| Some(format!("{ANSWERS}{}", challenge["token"].as_str()?));
        let mut its: Vec<String> = challenges.iter().filter_map(path).collect();
        its.sort();

        ns.delete_object("certificate/first").await?;
        ns.wait_gone("certificate/first", AT_ONCE).await?;
        let mut left: Vec<String> = answers(&seen(ns).await?).into_iter().map(|(_, path)| path).collect();
        left.sort();
        assert_eq!(left, its, "those of the other one stay");
        for held in held {
            held.let_go().await?;
        }
        issued(ns, "second").await?;
        is_again(ns, &before).await
    })
    .await
}

#[tokio::test]
async fn many_certificates_edit_one_ingress_at_once() -> Result<()> {
    TestNamespace::with("many", async |ns| {
        let (_pebble, operator) = start(ns, |operator| operator).await?;
        let before = apply_shop(ns, &host(ns, "shop")).await?;
        let names: Vec<String> = (0..MANY).map(|n| format!("web-{n}")).collect();
        let all: Vec<String> = names.iter().map(|name| certificate(name, &[&host(ns, name)], "")).collect();
        ns.apply(&all.join("\n---\n")).await?;
        for name in &names {
            let issued = issued(ns, name).await?;
            assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        }
        is_again(ns, &before).await?;
        let failed: Vec<String> =
            operator.logs().into_iter().filter(|line| line.contains("EditIngress")).collect();
        assert!(failed.is_empty(), "edits were given up: {failed:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_ingress_that_does_not_exist_is_said_and_waited_for() -> Result<()> {
    TestNamespace::with("missing", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| operator).await?;
        let [shop, new] = [host(ns, "shop"), host(ns, "new")];
        ns.apply(&certificate("web", &[&shop, &new], "")).await?;
        let (_, message) = issuing(ns, "web", "WaitingForSolver").await?;
        assert_eq!(
            message,
            "The answer cannot be presented yet: Ingress shop, which http01.ingress.name names, does not exist; create \
             it, or name another"
        );
        stays_as_it_is(ns, "web", Duration::from_secs(5)).await?;
        let before = apply_shop(ns, &shop).await?;
        issued(ns, "web").await?;
        is_again(ns, &before).await?;

        // A Certificate that is deleted in the meantime is not kept. The CA may not validate a name again that it knows.
        ns.delete_object("ingress/shop").await?;
        ns.apply(&certificate("other", &[&host(ns, "other")], "")).await?;
        issuing(ns, "other", "WaitingForSolver").await?;
        ns.delete_object("certificate/other").await?;
        ns.wait_gone("certificate/other", AT_ONCE).await
    })
    .await
}

#[tokio::test]
async fn an_ingress_deleted_in_mid_order_does_not_hold_up_the_clean_up() -> Result<()> {
    TestNamespace::with("unmade", async |ns| {
        let (_pebble, _operator) = start(ns, |operator| {
            operator.argument("--http01-self-check-timeout", "2s").argument("--backoff-first", "1s")
        })
        .await?;
        let [shop, gone] = [host(ns, "shop"), host(ns, "gone")];
        apply_shop(ns, &shop).await?;
        let (held, _held) = (hold(ns, &shop).await?, hold(ns, &gone).await?);
        ns.apply(&certificate("web", &[&shop], "")).await?;
        ns.apply(&certificate("gone", &[&gone], "")).await?;
        edited(ns, 2).await?;
        ns.delete_object("ingress/shop").await?;
        ns.delete_object("certificate/gone").await?;
        ns.wait_gone("certificate/gone", AT_ONCE).await?;

        let (failed, _) = issuing(ns, "web", "Connection").await?;
        assert_eq!(failed["status"]["challenges"], Value::Null, "it is cleaned up all the same");
        let before = apply_shop(ns, &shop).await?;
        held.let_go().await?;
        issued(ns, "web").await?;
        is_again(ns, &before).await
    })
    .await
}

/// How many Certificates edit an Ingress concurrently: the maximum number of concurrent orders of an account.
const MANY: usize = 50;
/// The finalizer of a Certificate while something is presented that is not deleted with it.
const FINALIZER: &str = "certwright.dev/cleanup";
/// The beginning of the paths of answers.
const ANSWERS: &str = "/.well-known/acme-challenge/";

/// A CA, an operator, and an Issuer `ca` that edits the Ingress `shop`.
async fn start<'a>(
    ns: &'a TestNamespace,
    operator: impl FnOnce(OperatorBuilder<'a>) -> OperatorBuilder<'a>,
) -> Result<(Pebble, Operator)> {
    let pebble = steady().start(&ns.cluster).await?;
    let operator = operator(Operator::builder(ns)).start().await?;
    let yaml = issuer(&pebble.directory_url, &pebble.ca_pem, "");
    ns.apply(&yaml.replace("{ ingressClassName: router }", "{ name: shop }")).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    Ok((pebble, operator))
}

/// The Ingress `shop` of somebody else.
fn shop(host: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "shop",
            "labels": { "team": "a" },
            "annotations": { "example.com/timeout": "5s", "example.com/snippet": "return 200;\n" },
        },
        "spec": {
            "ingressClassName": "router",
            "defaultBackend": backend("default"),
            "tls": [{ "hosts": [host], "secretName": "shop-tls" }],
            "rules": [
                rule(host, &[path("/", "shop"), path("/basket", "basket")]),
                { "host": format!("bare.{host}") },
                { "http": { "paths": [path("/all", "all")] } },
            ],
        },
    })
}

fn rule(host: &str, paths: &[Value]) -> Value {
    json!({ "host": host, "http": { "paths": paths } })
}

fn path(path: &str, service: &str) -> Value {
    json!({ "path": path, "pathType": "Prefix", "backend": backend(service) })
}

fn backend(service: &str) -> Value {
    json!({ "service": { "name": service, "port": { "number": 80 } } })
}

async fn apply_shop(ns: &TestNamespace, host: &str) -> Result<Value> {
    ns.apply(&shop(host).to_string()).await?;
    seen(ns).await
}

/// Everything in the Ingress `shop` that belongs to its owner: its spec, labels, annotations, owners and finalizers.
async fn seen(ns: &TestNamespace) -> Result<Value> {
    Ok(shown(&ns.get("ingress/shop").await?.context("the Ingress is gone")?))
}

fn shown(ingress: &Value) -> Value {
    let metadata = &ingress["metadata"];
    json!({
        "spec": ingress["spec"],
        "labels": metadata["labels"],
        "annotations": metadata["annotations"],
        "owners": metadata["ownerReferences"],
        "finalizers": metadata["finalizers"],
    })
}

/// Waits until the Ingress `shop` contains this many answers, and returns it as [`seen`].
async fn edited(ns: &TestNamespace, count: usize) -> Result<Value> {
    let wanted = |ingress: &Value| answers(&shown(ingress)).len() == count;
    Ok(shown(&ns.wait("ingress/shop", SOON, wanted).await?))
}

/// The hosts and paths of answers.
fn answers(ingress: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
    let paths = rules.flat_map(|rule| {
        let paths = rule["http"]["paths"].as_array().into_iter().flatten();
        paths.map(move |path| (text(&rule["host"]), text(&path["path"])))
    });
    paths.filter(|(_, path)| path.starts_with(ANSWERS)).collect()
}

/// The Ingress `shop` is unchanged, byte for byte.
async fn is_again(ns: &TestNamespace, before: &Value) -> Result<()> {
    let now = seen(ns).await?;
    ensure!(now == *before, "it is not what it was: {now:#}\nbut should be: {before:#}");
    Ok(())
}
