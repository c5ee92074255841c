//! Each write of the operator fails, once and three times in a row, while the operator continues to run. The result must soon be
//! that of an undisturbed run: one valid certificate, no second order where the first one could continue, and nothing left over.

mod load;
mod unreadable;

use crate::common;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::accounts::{MAC_KEY, OTHER_MAC_KEY, deactivate, key_in, registered, uri};
use crate::common::annotations::{certificate_that, certificates, ingress, made};
use crate::common::dns::issuer;
use crate::common::faults::{path, steady};
use crate::common::stumble::{Gait, Stumbler, status, walk, walk_in_every_way};
use crate::common::{SOON, certificate, condition, mac_key, tls, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{
    Bind, Operator, OperatorBuilder, Pebble, PebbleBuilder, Proxy, ScriptedProvider, StepCa, TestNamespace,
};
use certwright_runtime::clock::{self, Stopwatch};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tokio::time::timeout;

/// An Ingress of somebody else.
const SHOP: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec: { ingressClassName: router, defaultBackend: { service: { name: shop, port: { number: 80 } } } }
";

#[tokio::test(flavor = "multi_thread")]
async fn an_issuance_over_http_ends_well_whichever_write_fails() -> Result<()> {
    walk_in_every_way(|gait| {
        TestNamespace::with("stumble-http", async move |ns| {
            let scene = Scene::start(ns, gait, None).await?;
            ns.apply(SHOP).await?;
            let shop = ns.get("ingress/shop").await?.context("no Ingress")?["spec"].clone();
            let zone = format!("shop.{}.example.com", ns.name);
            let solvers = json!([
                {"http01": {"ingress": {"ingressClassName": "router"}}},
                {"http01": {"ingress": {"name": "shop"}}, "selector": {"dnsZones": [zone]}},
            ]);
            scene.issue_from(ns, &solvers).await?;
            walk(&scene.stumbler, 14, async |point| {
                let names = [format!("a{point}.{}.example.com", ns.name), format!("a{point}.{zone}")];
                scene.stumbler.arm(point);
                scene.issue(ns, point, &names.each_ref().map(String::as_str), "").await?;
                scene.stumbler.disarm();
                let now = ns.get("ingress/shop").await?.context("the Ingress is gone")?["spec"].clone();
                ensure!(now == shop, "the Ingress of somebody else is not what it was: {now:#}");
                Ok(())
            })
            .await
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuance_over_dns_ends_well_whichever_write_fails() -> Result<()> {
    walk_in_every_way(|gait| {
        TestNamespace::with("stumble-dns", async move |ns| {
            let bind = Bind::builder().zone("stumble.test").start(&ns.cluster).await?;
            let scene = Scene::start(ns, gait, Some(&bind)).await?;
            let provider = ScriptedProvider::http().await?.publish_to(&bind);
            let judge = scene.stumbler.clone();
            provider.script(move |request| judge.judge_provider(request));
            scene.issue_from(ns, &json!([{"dns01": {"httpRequest": {"url": provider.url}}}])).await?;
            walk(&scene.stumbler, 7, async |point| {
                scene.stumbler.arm(point);
                scene.issue(ns, point, &[&format!("*.w{point}.stumble.test")], "").await?;
                scene.stumbler.disarm();
                let left = bind.query(&format!("_acme-challenge.w{point}.stumble.test"), "TXT").await?;
                ensure!(left.is_empty(), "left in the DNS: {left:?}");
                Ok(())
            })
            .await
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_and_deleted_is_revoked_whichever_write_fails() -> Result<()> {
    walk_in_every_way(|gait| {
        TestNamespace::with("stumble-revoke", async move |ns| {
            let scene = Scene::start(ns, gait, None).await?;
            scene.issue_from(ns, &json!([{"http01": {"ingress": {"ingressClassName": "router"}}}])).await?;
            walk(&scene.stumbler, 9, async |point| {
                let name = format!("web{point}");
                let names = [format!("r{point}.{}.example.com", ns.name)];
                let more = "  revocation: { onReplace: superseded, onDelete: cessationOfOperation }\n";
                let names = names.each_ref().map(String::as_str);
                ns.apply(&certificate(&name, &names, more)).await?;
                common::revision(ns, &name, 1).await?;
                let first = serial(ns, &name).await?;
                scene.stumbler.arm(point);
                let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
                ns.patch(&format!("certificate/{name}"), renew).await?;
                ns.wait(&format!("certificate/{name}"), SOON, |web| {
                    at_rest(web)
                        && web["status"]["revision"] == 2
                        && web["status"]["revocation"]["last"]["result"] == "Revoked"
                })
                .await?;
                let second = serial(ns, &name).await?;
                ensure!(scene.state(&first).await? == "Revoked", "the first one is not revoked");
                ensure!(scene.state(&second).await? == "Valid", "the second one is revoked");
                ns.delete_object(&format!("certificate/{name}")).await?;
                ns.wait_gone(&format!("certificate/{name}"), SOON).await?;
                ensure!(scene.state(&second).await? == "Revoked", "the second one is not revoked");
                scene.check_orders()?;
                scene.stumbler.disarm();
                wait_nothing_left(ns).await
            })
            .await
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_bound_replaced_rolled_over_and_ended_whichever_write_fails() -> Result<()> {
    walk_in_every_way(|gait| {
        TestNamespace::with("stumble-account", async move |ns| {
            let pebble = steady().eab("kid-1", MAC_KEY).eab("kid-2", OTHER_MAC_KEY);
            let scene = Scene::with(ns, gait, pebble, None).await?;
            ns.apply(&mac_key("kid-1", MAC_KEY)).await?;
            ns.apply(&mac_key("kid-2", OTHER_MAC_KEY)).await?;
            walk(&scene.stumbler, 12, async |point| scene.account(ns, point).await).await
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_from_annotations_follow_whichever_write_fails() -> Result<()> {
    walk_in_every_way(|gait| {
        TestNamespace::with("stumble-annotated", async move |ns| {
            let scene = Scene::start(ns, gait, None).await?;
            let by = json!({ "certwright.dev/issuer": "absent" });
            walk(&scene.stumbler, 3, async |point| {
                let (name, secret) = (format!("shop{point}"), format!("tls{point}"));
                scene.stumbler.arm(point);
                ns.apply(&ingress(&name, &by, &[(&secret, &["a.test"])])).await?;
                made(ns, &secret).await?;
                ns.apply(&ingress(&name, &by, &[(&secret, &["a.test", "b.test"])])).await?;
                let follows = |object: &Value| object["spec"]["dnsNames"] == json!(["a.test", "b.test"]);
                certificate_that(ns, &secret, follows).await?;
                ns.apply(&ingress(&name, &by, &[])).await?;
                ns.wait_gone(&format!("certificate/{secret}"), SOON).await?;
                scene.stumbler.disarm();
                ns.delete_object(&format!("ingress/{name}")).await?;
                let left = certificates(ns).await?;
                ensure!(left.is_empty(), "left over: {left:?}");
                Ok(())
            })
            .await
        })
    })
    .await
}

/// A CA and an operator, whose writes may fail.
struct Scene {
    pebble: Pebble,
    ca: Proxy,
    _api: Proxy,
    stumbler: Arc<Stumbler>,
    _operator: Operator,
}

impl Scene {
    async fn start(ns: &TestNamespace, gait: Gait, bind: Option<&Bind>) -> Result<Self> {
        Self::with(ns, gait, steady(), bind).await
    }

    async fn with(
        ns: &TestNamespace,
        gait: Gait,
        pebble: PebbleBuilder,
        bind: Option<&Bind>,
    ) -> Result<Self> {
        let pebble = match bind {
            Some(bind) => pebble.dns_server(&bind.address()),
            None => pebble,
        };
        let pebble = pebble.start(&ns.cluster).await?;
        let ca = Proxy::start(&ns.cluster, &pebble.address).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let stumbler = Stumbler::new(gait);
        stumbler.stand_at_ca(&ca);
        stumbler.stand_at_api(&api);
        let dns = bind.map_or(ns.cluster.description.dns.to_string(), |bind| bind.address());
        let operator = Operator::builder(ns)
            .api_server(&api.url)
            .argument("--annotations", "true")
            .argument("--backoff-first", "1s")
            .argument("--backoff-longest", "2s")
            .argument("--dns01-recursive-nameservers", &dns)
            .start()
            .await?;
        Ok(Self { pebble, ca, _api: api, stumbler, _operator: operator })
    }

    /// Creates an Issuer with these solvers.
    async fn issue_from(&self, ns: &TestNamespace, solvers: &Value) -> Result<()> {
        let mut issuer = issuer("ca", &self.directory(), &self.pebble.ca_pem, solvers);
        // Pebble does not find a certificate whose serial number begins with a zero, and then rejects the order that replaces it:
        // one more order.
        issuer["spec"]["acme"]["renewalInformationSource"] = json!("None");
        ns.apply(&issuer.to_string()).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(())
    }

    fn directory(&self) -> String {
        format!("{}{}", self.ca.url, path::DIRECTORY)
    }

    /// One issuance from nothing to a certificate, and the expected result.
    async fn issue(&self, ns: &TestNamespace, point: usize, names: &[&str], more: &str) -> Result<()> {
        let name = format!("web{point}");
        ns.apply(&certificate(&name, names, more)).await?;
        ns.wait(&format!("certificate/{name}"), SOON, |web| at_rest(web) && web["status"]["revision"] == 1)
            .await?;
        tls(ns, &format!("{name}-tls")).await?;
        self.check_orders()?;
        wait_nothing_left(ns).await?;
        ns.delete_object(&format!("certificate/{name}")).await
    }

    /// One order, unless the CA has created one whose URL was lost with its answer, and one certificate.
    fn check_orders(&self) -> Result<()> {
        let fates = self.stumbler.fates();
        let finalized = fates.heard(path::FINALIZE);
        ensure!(finalized == 1, "{finalized} certificates were ordered: {:?}", fates.heard);
        let (orders, unknown) = (fates.heard(path::NEW_ORDER), fates.lost(path::NEW_ORDER));
        ensure!(orders <= 1 + unknown, "{orders} orders, of which {unknown} could not be known");
        Ok(())
    }

    /// The CA's information about a certificate.
    async fn state(&self, serial: &str) -> Result<Value> {
        Ok(self.pebble.certificate_status(serial).await?["Status"].clone())
    }

    /// Binds an account, then another, deactivates the first, rolls over the key of the second, and deactivates it with its
    /// issuer.
    async fn account(&self, ns: &TestNamespace, point: usize) -> Result<()> {
        let name = format!("ca{point}");
        let target = format!("issuer/{name}");
        let bound_to = |key_id: &str| {
            let mut issuer = issuer(&name, &self.directory(), &self.pebble.ca_pem, &json!([]));
            issuer["spec"]["acme"]["externalAccountBinding"] =
                json!({"keyID": key_id, "keySecretRef": {"name": key_id}});
            issuer["spec"]["acme"]["accountPolicy"] = json!({"onDelete": "Deactivate"});
            issuer.to_string()
        };
        self.stumbler.arm(point);
        ns.apply(&bound_to("kid-1")).await?;
        let old = uri(&registered(ns, &name).await?);
        let secret = format!("{name}-account-key");
        let old_key = key_in(ns, &secret, "tls.key").await?;
        ns.apply(&bound_to("kid-2")).await?;
        let bound = |issuer: &Value| issuer["status"]["acme"]["boundKeyID"] == "kid-2";
        ns.wait(&target, SOON, bound).await?;
        ns.patch(&target, deactivate(&old)).await?;
        let ended =
            |issuer: &Value| issuer["status"]["acme"]["previousAccounts"][0]["deactivationTime"].is_string();
        ns.wait(&target, SOON, ended).await?;
        let roll_over = json!({"metadata": {"annotations": {"certwright.dev/rollover-account-key": "now"}}});
        ns.patch(&target, roll_over).await?;
        let changed = |issuer: &Value| {
            issuer["status"]["acme"]["observedRolloverRequest"] == "now"
                && issuer["status"]["acme"]["lastKeyRollover"].is_string()
        };
        ns.wait(&target, SOON, changed).await?;
        ns.delete_object(&target).await?;
        ns.wait_gone(&target, SOON).await?;
        let registrations = self.stumbler.fates().registrations;
        self.stumbler.disarm();
        ensure!(registrations == 2, "{registrations} registrations, but there are two key ids");
        let new_key = key_in(ns, &secret, "tls.key").await?;
        for key in [old_key, new_key] {
            let client = common::accounts::client_of(&self.pebble)?;
            let found = certwright_acme::Account::look_up(&client, key).await;
            ensure!(
                found.is_err_and(|error| error.to_string().contains("deactivated")),
                "an account lives on"
            );
        }
        let data = ns.api::<Secret>().get(&secret).await?.data.context("no data")?;
        ensure!(data.len() == 1, "keys are left: {:?}", data.keys());
        Ok(())
    }
}

/// Whether a Certificate is ready and nothing of an issuance is left. A certificate that may have to be revoked later can hold
/// it.
fn at_rest(web: &Value) -> bool {
    let is = |type_: &str, status: &str| condition(web, type_).is_some_and(|(found, ..)| found == status);
    let status = &web["status"];
    let held = status["revocation"]["certificates"].as_array().map_or(&[][..], Vec::as_slice);
    let nothing_left = [&status["order"], &status["dnsRecords"], &status["challenges"]];
    is("Ready", "True")
        && is("Issuing", "False")
        && nothing_left.iter().all(|left| left.is_null())
        && held.iter().all(|held| held["revocation"].is_null())
        && web["metadata"]["finalizers"].is_null() == held.is_empty()
}

async fn serial(ns: &TestNamespace, name: &str) -> Result<String> {
    Ok(tls(ns, &format!("{name}-tls")).await?.chain.leaf().serial_number.clone())
}
