//! Authorizations that an issuer keeps: control of a name is proved ahead of any order, and again before the proof expires.

use std::time::Duration;

use crate::common::dns::{Ground, GroundBuilder, issuer, with_lagging_server};
use crate::common::faults::{event, path, steady};
use crate::common::overheard::{NEW_ORDER, Overheard, Said};
use crate::common::{SOON, certificate, condition, issued, tls};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{PebbleBuilder, Proxy, TestNamespace};
use serde_json::{Value, json};

/// The path of newAuthz.
const NEW_AUTHZ: &str = "/new-authz";
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

#[tokio::test]
async fn a_certificate_under_a_kept_name_needs_no_solver() -> Result<()> {
    TestNamespace::with("kept", async |ns| {
        let scene =
            Scene::start(ns, steady().new_authz(MONTH).config("subdomainsCovered", json!(true))).await?;
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        let kept = ns.wait_condition("issuer/ca", "AuthorizationsKept", "True", SOON).await?;
        let entry = &kept["status"]["authorizations"][0];
        assert_eq!((&entry["dnsName"], &entry["state"]), (&json!("a.test"), &json!("valid")));
        let expires = entry["expires"].as_str().context("no expiry")?.to_owned();
        ensure!(entry["renewalTime"].as_str().is_some_and(|time| time < expires.as_str()), "{entry}");
        scene.ground.wait_values("a.test", 0).await.context("the record is removed")?;
        ns.wait("issuer/ca", SOON, |issuer| issuer["metadata"]["finalizers"].is_null()).await?;
        let (type_, note) = event(ns, "ca", "AuthorizationsValid").await?;
        assert_eq!(type_, "Normal");
        ensure!(note.contains("a.test") && note.contains(&expires), "{note}");

        // The only solver of the issuer is for a.test itself.
        scene.overheard.forget();
        ns.apply(&certificate("web", &["www.a.test", "*.a.test"], "")).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(tls(ns, "web-tls").await?.chain.leaf().dns_names.len(), 2);
        assert_eq!(scene.said(path::CHALLENGE).len(), 0, "nothing was to be proved");
        let orders = scene.said(NEW_ORDER);
        ensure!(
            !orders.is_empty() && !orders[0].payload.to_string().contains("ancestorDomain"),
            "{orders:?}"
        );
        let until = web["status"]["authorizationExpires"].as_str().context("no expiry")?;
        assert_eq!(until, expires);
        ensure!(
            scene
                .ground
                .operator
                .metrics()
                .await?
                .contains("certwright_authorizations_total{result=\"succeeded\"} 1")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_kept_name_is_proved_again_before_it_expires() -> Result<()> {
    TestNamespace::with("renewed", async |ns| {
        let scene = Scene::start(ns, steady().new_authz(Duration::from_secs(24))).await?;
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        let first = ns.wait_condition("issuer/ca", "AuthorizationsKept", "True", SOON).await?;
        let expires = first["status"]["authorizations"][0]["expires"].clone();
        let renewed = |issuer: &Value| {
            let kept = condition(issuer, "AuthorizationsKept").is_some_and(|(status, ..)| status == "True");
            assert!(kept, "it has lapsed: {issuer:#}");
            let now = &issuer["status"]["authorizations"][0]["expires"];
            now.is_string() && *now != expires
        };
        ns.wait("issuer/ca", SOON, renewed).await?;
        assert_eq!(scene.said(NEW_AUTHZ).len(), 2);
        assert_eq!(scene.ground.wait_values("a.test", 0).await?, [""; 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_knows_rfc_9444_is_told_of_subdomains() -> Result<()> {
    TestNamespace::with("subdomains", async |ns| {
        let pebble = steady().new_authz(MONTH).config("subdomainAuthAllowed", json!(true));
        let scene = Scene::start(ns, pebble).await?;
        scene.keep(ns, json!([{ "dnsName": "a.test", "subdomains": true }])).await?;
        let kept = ns.wait_condition("issuer/ca", "AuthorizationsKept", "True", SOON).await?;
        assert_eq!(kept["status"]["authorizations"][0]["subdomains"], true);
        let asked = scene.said(NEW_AUTHZ);
        let identifier = json!({ "type": "dns", "value": "a.test", "subdomainAuthAllowed": true });
        assert_eq!(asked[0].payload, json!({ "identifier": identifier }));
        ns.apply(&certificate("web", &["www.a.test"], "")).await?;
        issued(ns, "web").await?;
        let orders = scene.said(NEW_ORDER);
        let identifier = json!({ "type": "dns", "value": "www.a.test", "ancestorDomain": "a.test" });
        assert_eq!(orders[0].payload["identifiers"], json!([identifier]));
        assert_eq!(scene.said(path::CHALLENGE).len(), 1, "only that of a.test");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_came_too_early_is_ordered_again_once_its_name_is_kept() -> Result<()> {
    TestNamespace::with("early", async |ns| {
        let scene =
            Scene::start(ns, steady().new_authz(MONTH).config("subdomainsCovered", json!(true))).await?;
        scene.keep(ns, json!([])).await?;
        ns.apply(&certificate("web", &["www.a.test"], "")).await?;
        let refused =
            |object: &Value| condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "NoSolver");
        ns.wait("certificate/web", SOON, refused).await?;
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        issued(ns, "web").await?;
        assert_eq!(scene.said(NEW_ORDER).len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_without_pre_authorization_is_reported_and_issues_as_before() -> Result<()> {
    TestNamespace::with("without", async |ns| {
        let scene = Scene::start(ns, steady()).await?;
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        let lacking = ns.wait_condition("issuer/ca", "AuthorizationsKept", "False", SOON).await?;
        let (_, reason, message) = condition(&lacking, "AuthorizationsKept").context("no condition")?;
        assert_eq!(reason, "PreAuthorizationNotOffered");
        ensure!(message.contains("its directory has no newAuthz"), "{message}");
        assert_eq!(condition(&lacking, "Ready").context("not ready")?.0, "True");
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_without_a_dns01_solver_is_reported_and_proved_once_there_is_one() -> Result<()> {
    TestNamespace::with("unsolved", async |ns| {
        let scene = Scene::start(ns, steady().new_authz(MONTH)).await?;
        scene.keep(ns, json!([{ "dnsName": "other.test" }])).await?;
        let lacking = ns.wait_condition("issuer/ca", "AuthorizationsKept", "False", SOON).await?;
        let (_, reason, message) = condition(&lacking, "AuthorizationsKept").context("no condition")?;
        assert_eq!(reason, "NoDNS01Solver");
        ensure!(message.starts_with("other.test: No dns-01 solver"), "{message}");
        assert_eq!(scene.said(NEW_AUTHZ).len(), 0);
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        ns.wait_condition("issuer/ca", "AuthorizationsKept", "True", SOON).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_ca_says_of_a_wrong_record_is_reported_and_the_record_is_removed() -> Result<()> {
    TestNamespace::with("wrong", async |ns| {
        let ground = Scene::ground(steady().new_authz(MONTH)).unseen_by_the_ca();
        let scene = Scene::on(ns, ground.start(ns).await?).await?;
        scene.ground.bind.add_txt("_acme-challenge.a.test", "of somebody else").await?;
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        let failed = |issuer: &Value| {
            condition(issuer, "AuthorizationsKept").is_some_and(|(_, reason, _)| reason == "Unauthorized")
        };
        let issuer = ns.wait("issuer/ca", SOON, failed).await?;
        let (.., message) = condition(&issuer, "AuthorizationsKept").context("no condition")?;
        ensure!(message.contains("a.test: The CA could not validate it: "), "{message}");
        assert_eq!(condition(&issuer, "Ready").context("not ready")?.0, "True");
        ensure!(issuer["status"]["authorizations"][0]["nextAttemptTime"].is_string(), "{issuer:#}");
        assert_eq!(issuer["status"]["authorizations"][0]["state"], "invalid");
        let (type_, note) = event(ns, "ca", "Unauthorized").await?;
        assert_eq!(type_, "Warning");
        ensure!(note.contains("a.test: The CA could not validate it"), "{note}");
        scene.ground.wait_values("a.test", 1).await?;
        ns.wait("issuer/ca", SOON, |issuer| issuer["metadata"]["finalizers"].is_null()).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_deleted_while_it_waits_takes_its_record_along() -> Result<()> {
    TestNamespace::with("deleted", async |ns| {
        let (ground, _lagging) =
            with_lagging_server(ns, Ground::builder().pebble(steady().new_authz(MONTH))).await?;
        let scene = Scene::on(ns, ground).await?;
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        scene.ground.wait_values("a.test", 1).await?;
        let waits = |issuer: &Value| {
            let (_, reason, message) = condition(issuer, "AuthorizationsKept").unwrap_or_default();
            reason == "AuthorizationPending" && message.contains("does not see the answer yet")
        };
        ns.wait("issuer/ca", SOON, waits).await?;
        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        assert_eq!(scene.ground.values("a.test").await?, [""; 0]);
        Ok(())
    })
    .await
}

/// Somebody who may write the status cannot make the operator change records, or send requests elsewhere.
#[tokio::test]
async fn a_forged_record_and_a_forged_authorization_are_not_acted_upon() -> Result<()> {
    TestNamespace::with("forged", async |ns| {
        let scene = Scene::start(ns, steady().new_authz(MONTH)).await?;
        scene.keep(ns, json!([{ "dnsName": "a.test" }])).await?;
        let kept = ns.wait_condition("issuer/ca", "AuthorizationsKept", "True", SOON).await?;
        scene.ground.operator.kill9()?;
        scene.ground.bind.add_txt("_acme-challenge.b.test", "of somebody else").await?;
        let pending = json!({
            "url": format!("https://{}/elsewhere", scene.ground.bind.address()),
            "account": kept["status"]["acme"]["uri"], "since": "2026-01-01T00:00:00Z",
        });
        let record = json!({
            "name": "b.test", "fqdn": "_acme-challenge.b.test.", "zone": "b.test.", "value": "of somebody else",
            "keyAuthorization": "token.key", "solver": scene.ground.rfc2136(), "secretsNamespace": ns.name,
        });
        let entry = json!({ "dnsName": "a.test", "state": "pending", "pending": pending });
        let forged = json!({ "status": { "authorizations": [entry], "dnsRecords": [record] } });
        scene.forge(ns, forged).await?;
        scene.overheard.forget();
        scene.ground.operator.restart().await?;
        let (_, note) = event(ns, "ca", "UnverifiedStatus").await?;
        ensure!(note.contains("_acme-challenge.b.test") && note.contains("issuers/status"), "{note}");
        let again = |issuer: &Value| {
            let entry = &issuer["status"]["authorizations"][0];
            issuer["status"]["dnsRecords"].is_null() && entry["state"] == "valid" && entry["pending"].is_null()
        };
        ns.wait("issuer/ca", SOON, again).await?;
        assert_eq!(scene.ground.values("b.test").await?, ["of somebody else"]);
        assert_eq!(scene.said(NEW_AUTHZ).len(), 1, "another one is requested");
        Ok(())
    })
    .await
}

/// An issuer behind a proxy that records its requests.
struct Scene {
    ground: Ground,
    overheard: Overheard,
    _proxy: Proxy,
}

impl Scene {
    fn ground(pebble: PebbleBuilder) -> GroundBuilder {
        Ground::builder().zone("a.test").zone("b.test").pebble(pebble)
    }

    async fn start(ns: &TestNamespace, pebble: PebbleBuilder) -> Result<Self> {
        Self::on(ns, Self::ground(pebble).start(ns).await?).await
    }

    async fn on(ns: &TestNamespace, mut ground: Ground) -> Result<Self> {
        let proxy = ground.through_proxy(ns).await?;
        let overheard = Overheard::at(&proxy);
        Ok(Self { ground, overheard, _proxy: proxy })
    }

    /// Applies the Issuer `ca` with these authorizations, and a solver for `a.test`, but for no wildcard and no other name.
    async fn keep(&self, ns: &TestNamespace, authorizations: Value) -> Result<()> {
        let solvers = json!([{ "dns01": self.ground.rfc2136(), "selector": { "dnsNames": ["a.test"] } }]);
        let mut issuer = issuer("ca", &self.ground.directory, &self.ground.pebble.ca_pem, &solvers);
        issuer["spec"]["acme"]["authorizations"] = authorizations;
        ns.apply(&issuer.to_string()).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(())
    }

    fn said(&self, path: &str) -> Vec<Said> {
        self.overheard.those(|said| said.path.starts_with(path))
    }

    async fn forge(&self, ns: &TestNamespace, patch: Value) -> Result<()> {
        use kube::api::{Patch, PatchParams};
        let issuers = ns.api::<certwright_api::Issuer>();
        issuers.patch_status("ca", &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }
}
