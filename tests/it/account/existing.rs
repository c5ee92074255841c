//! Accounts that exist already: nothing is registered again.

use super::*;

#[tokio::test]
async fn an_issuer_that_is_applied_again_has_the_account_of_its_key() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        let yaml = ca.issuer(&external_account("kid-1"));
        ns.apply(&yaml).await?;
        let before = account(&registered(ns, "ca").await?);

        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        ns.delete_object("secret/eab").await?;
        ca.overheard.forget();
        ns.apply(&yaml).await?;
        assert_eq!(account(&registered(ns, "ca").await?), before);
        let asked = ca.overheard.those(|said| said.path == NEW_ACCOUNT);
        assert!(asked.is_empty(), "the Secret tells which account it is: {asked:?}");
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_that_was_given_up_in_the_meantime_is_not_taken_over() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let account = registered(ns, "ca").await?["status"]["acme"]["uri"].clone();
        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;

        ca.overheard.forget();
        ca.overheard.script(&ca.proxy, |said| match said.path.starts_with(ACCOUNT) {
            true => Action::ReplaceBody(Box::new(|_| json!({ "status": "deactivated" }).to_string().into())),
            false => Action::Pass,
        });
        ns.apply(&ca.issuer("")).await?;
        let message = not_ready(ns, "Deactivated").await?;
        let account = account.as_str().context("no URL")?;
        assert!(message.contains(account) && message.contains("deactivated"), "{message}");
        assert!(
            ca.overheard.registrations().is_empty(),
            "a deactivated account is never made again in silence"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_that_has_ended_at_the_ca_is_noticed_with_the_next_order() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        registered(ns, "ca").await?;
        // RFC 8555 section 7.3.6: all requests of such an account are unauthorized.
        let unauthorized = |detail: &str| {
            refusal(401, json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": detail }))
        };
        ca.overheard.script(&ca.proxy, move |said| match &said.path {
            path if path == NEW_ORDER || path.starts_with(ACCOUNT) => unauthorized("Account is deactivated"),
            _ => Action::Pass,
        });
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let message = not_ready(ns, "Unauthorized").await?;
        assert!(message.contains("Account is deactivated"), "{message}");
        let waits = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "IssuerNotReady")
        };
        let web = ns.wait("certificate/web", SOON, waits).await?;
        assert!(
            web["status"]["failedIssuanceAttempts"].is_null(),
            "to wait is not to fail: {}",
            web["status"]
        );

        // The same code in the answer to an order of an account that still works is about the order.
        ca.overheard.script(&ca.proxy, move |said| match said.path == NEW_ORDER {
            true => unauthorized("Not for you"),
            false => Action::Pass,
        });
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "preferredChain": "any" } } })).await?;
        let failed = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, message)| {
                reason == "Unauthorized" && message.contains("Not for you")
            })
        };
        ns.wait("certificate/web", SOON, failed).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_secret_that_is_lost_is_asked_for_and_its_account_goes_on_once_it_is_back() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let account = registered(ns, "ca").await?["status"]["acme"]["uri"].clone();
        let secret = ns.api::<Secret>().get("ca-account-key").await?;
        let backup = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "ca-account-key" }, "data": secret.data,
        });

        ns.delete_object("secret/ca-account-key").await?;
        let message = not_ready(ns, "SecretNotFound").await?;
        assert!(message.contains("Secret ca-account-key"), "{message}");
        assert!(message.contains(account.as_str().context("no URL")?), "{message}");
        ns.apply(&backup.to_string()).await?;
        assert_eq!(registered(ns, "ca").await?["status"]["acme"]["uri"], account);
        assert_eq!(ca.overheard.registrations().len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_that_is_restarted_again_and_again_registers_nothing() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let account = registered(ns, "ca").await?["status"]["acme"]["uri"].clone();
        assert_eq!(ca.overheard.registrations().len(), 1);
        ca.overheard.forget();
        for restart in 1..=5 {
            operator.restart().await?;
            // So that the operator has reconciled the issuer before it is killed again.
            let email = format!("admin-{restart}@example.com");
            ns.patch("issuer/ca", json!({ "spec": { "acme": { "email": email } } })).await?;
            let told = |issuer: &Value| issuer["status"]["acme"]["lastRegisteredEmail"] == email;
            let issuer = ns.wait("issuer/ca", SOON, told).await?;
            assert_eq!(issuer["status"]["acme"]["uri"], account);
        }
        let asked = ca.overheard.those(|said| said.path == NEW_ACCOUNT);
        assert!(asked.is_empty(), "{asked:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_killed_just_when_the_ca_has_registered_its_key_finds_the_account() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let operator = Operator::builder(ns).start().await?;
        let killed = Arc::new(Notify::new());
        let (process, tell) = (operator.process(), killed.clone());
        ca.overheard.script(&ca.proxy, move |said| {
            let (process, tell) = (process.clone(), tell.clone());
            match said.registers() {
                true => Action::PassThen(Box::new(move || {
                    let _ = process.kill9();
                    tell.notify_one();
                })),
                false => Action::Pass,
            }
        });
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        tokio::time::timeout(SOON, killed.notified()).await.context("nothing was registered")?;
        assert!(!operator.is_running()?);
        let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
        assert!(issuer["status"]["acme"].is_null(), "its URL is lost: {issuer}");

        ns.delete_object("secret/eab").await?;
        operator.restart().await?;
        let issuer = registered(ns, "ca").await?;
        assert_eq!(issuer["status"]["acme"]["boundKeyID"], "kid-1");
        assert_eq!(ca.overheard.registrations().len(), 1);
        let last = ca.overheard.those(|said| said.path == NEW_ACCOUNT).pop().context("nothing was asked")?;
        assert_eq!(last.payload, json!({ "onlyReturnExisting": true }));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_issuers_with_one_key_have_one_account() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        let yaml = ca.issuer(&(external_account("kid-1") + "    privateKeySecretRef: { name: shared }\n"));
        ns.apply(&yaml).await?;
        let one = registered(ns, "ca").await?;
        ns.apply(&of_issuer("another", &yaml)).await?;
        let another = registered(ns, "another").await?;
        assert_eq!(account(&one), account(&another));
        assert_eq!(ca.overheard.registrations().len(), 1);
        for name in ["ca", "another"] {
            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
            issued(ns, name).await?;
        }
        Ok(())
    })
    .await
}
