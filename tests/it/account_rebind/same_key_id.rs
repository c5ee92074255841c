//! A rebinding on request: another account with the same key id.

use anyhow::{Context, Result, ensure};
use certwright_cluster::{Operator, TestNamespace};
use serde_json::{Value, json};

use super::{host, two_keys};
use crate::common::accounts::{Ca, MAC_KEY, deactivate, events, key_in, registered, uri};
use crate::common::program::certwright;
use crate::common::{SOON, certificate, condition, external_account, issued, mac_key};

#[tokio::test]
async fn an_account_is_bound_anew_on_request_and_the_one_before_is_kept() -> Result<()> {
    TestNamespace::with("rebind", async |ns| {
        let (ca, operator, old) = bound(ns).await?;
        let old_key = key_in(ns, "ca-account-key", "tls.key").await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;

        let ran = certwright(ns, &["rebind", "issuer", "ca", "--wait"]).await?.ended(0)?;
        ran.says(&[
            "issuer.certwright.dev/ca: rebinding of the account requested\n",
            "ca: done: the account is ",
        ])?;
        let issuer = registered(ns, "ca").await?;
        let new = uri(&issuer);
        ensure!(new != old, "{issuer}");
        let acme = &issuer["status"]["acme"];
        assert_eq!(acme["boundKeyID"], "kid-1");
        assert_eq!(
            (&acme["previousAccounts"][0]["uri"], &acme["previousAccounts"][0]["rebound"]),
            (&json!(old), &json!(true))
        );
        let (is, reason, message) = condition(&issuer, "AccountRebound").context("no condition")?;
        assert_eq!((is.as_str(), reason.as_str()), ("True", "AccountRebound"));
        assert_eq!(message, format!("The account {new} replaces {old}, as requested"));
        assert_eq!(events(ns, "AccountRebound").await?, [message]);
        let registrations = ca.overheard.registrations();
        assert_eq!(registrations.len(), 2);
        ensure!(registrations.iter().all(|said| said.payload["externalAccountBinding"].is_object()));
        ensure!(ca.says_of(old_key.clone()).await??.is_some(), "the old account stays valid");

        // The new account issues. A restart binds nothing again.
        ns.apply(&certificate("api", &[&host(ns, "api")], "")).await?;
        issued(ns, "api").await?;
        operator.restart().await?;
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "preferredChain": "any" } } })).await?;
        assert_eq!(uri(&registered(ns, "ca").await?), new);
        assert_eq!(ca.overheard.registrations().len(), 2);
        ns.patch("issuer/ca", deactivate(&old)).await?;
        let done =
            |issuer: &Value| condition(issuer, "AccountDeactivated").is_some_and(|asked| asked.0 == "True");
        ns.wait("issuer/ca", SOON, done).await?;
        ensure!(ca.has_deactivated(old_key).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_its_mac_key_a_rebinding_waits_and_the_account_stays_in_use() -> Result<()> {
    TestNamespace::with("rebind", async |ns| {
        let (_ca, _operator, old) = bound(ns).await?;
        ns.delete_object("secret/eab").await?;
        ns.patch("issuer/ca", json!({ "metadata": { "annotations": { "certwright.dev/rebind-account": "1" } } })).await?;
        let issuer = ns.wait_condition("issuer/ca", "AccountRebound", "False", SOON).await?;
        let (_, reason, message) = condition(&issuer, "AccountRebound").context("no condition")?;
        assert_eq!(reason, "SecretNotFound");
        assert_eq!(
            message,
            "The account was not rebound: Secret eab, which externalAccountBinding.keySecretRef names, does not exist; create it"
        );
        assert_eq!(uri(&registered(ns, "ca").await?), old);
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        let issuer = ns.wait_condition("issuer/ca", "AccountRebound", "True", SOON).await?;
        ensure!(uri(&issuer) != old, "{issuer}");
        Ok(())
    })
    .await
}

/// A new MAC key that was pasted wrongly: the annotation is removed, and the old account is used again.
#[tokio::test]
async fn a_rebinding_that_the_ca_rejects_can_be_withdrawn() -> Result<()> {
    TestNamespace::with("rebind", async |ns| {
        let (_ca, operator, old) = bound(ns).await?;
        ns.apply(&mac_key("eab", crate::common::accounts::OTHER_MAC_KEY)).await?;
        let request = |value: Value| json!({ "metadata": { "annotations": { "certwright.dev/rebind-account": value } } });
        ns.patch("issuer/ca", request(json!("1"))).await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "False", SOON).await?;
        let (_, reason, _) = condition(&issuer, "Ready").context("no condition")?;
        assert_eq!(reason, "Unauthorized");
        operator.restart().await?;
        ns.patch("issuer/ca", request(Value::Null)).await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        assert_eq!(uri(&issuer), old);
        ensure!(issuer["status"]["acme"]["previousAccounts"].is_null(), "{issuer}");
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

/// A CA, an operator, and the URL of the account that the Issuer `ca` has there.
async fn bound(ns: &TestNamespace) -> Result<(Ca, Operator, String)> {
    let ca = Ca::start(ns, two_keys()).await?;
    let operator = Operator::builder(ns).start().await?;
    ns.apply(&mac_key("eab", MAC_KEY)).await?;
    ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
    let account = uri(&registered(ns, "ca").await?);
    Ok((ca, operator, account))
}
