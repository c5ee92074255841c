//! Accounts of issuers that are deleted.

use super::*;

#[tokio::test]
async fn an_issuer_takes_its_account_along_if_its_policy_says_so() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer(DEACTIVATE)).await?;
        ns.apply(&of_issuer("kept", &ca.issuer(""))).await?;
        let account = uri(&registered(ns, "ca").await?);
        let kept = registered(ns, "kept").await?;
        assert!(kept["metadata"]["finalizers"].is_null(), "nothing waits where there is nothing to do");
        for name in ["ca", "kept"] {
            ns.delete_object(&format!("issuer/{name}")).await?;
            ns.wait_gone(&format!("issuer/{name}"), SOON).await?;
        }
        let ended: Vec<_> = ca.deactivations().iter().map(|said| said.header["kid"].clone()).collect();
        assert_eq!(ended, [json!(account)]);
        assert!(ca.has_deactivated(key_in(ns, "ca-account-key", "tls.key").await?).await?);
        assert_eq!(
            ca.says_of(key_in(ns, "kept-account-key", "tls.key").await?).await??,
            Some(at_pebble(&ca, &uri(&kept)))
        );
        assert_eq!(events(ns, "Deactivated").await?.len(), 1);

        ns.apply(&ca.issuer(DEACTIVATE)).await?;
        not_ready(ns, "ca", "Deactivated").await?;
        let issuer = ns.get("issuer/ca").await?.context("no issuer")?;
        assert!(issuer["metadata"]["finalizers"].is_null(), "it is done already");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_policy_that_changes_decides_also_while_the_issuer_is_deleted() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        registered(ns, "ca").await?;
        let policy =
            |policy: &str| json!({ "spec": { "acme": { "accountPolicy": { "onDelete": policy } } } });
        let held = |issuer: &Value| issuer["metadata"]["finalizers"] == json!(["certwright.dev/account"]);
        ns.patch("issuer/ca", policy("Deactivate")).await?;
        ns.wait("issuer/ca", SOON, held).await?;
        ns.patch("issuer/ca", policy("Retain")).await?;
        ns.wait("issuer/ca", SOON, |issuer| !held(issuer)).await?;
        ns.patch("issuer/ca", policy("Deactivate")).await?;
        ns.wait("issuer/ca", SOON, held).await?;

        ca.script(|said| {
            deactivates(said).then(|| problem(503, "urn:ietf:params:acme:error:serverInternal", "closed"))
        });
        ns.delete_object("issuer/ca").await?;
        ns.wait("issuer/ca", SOON, |issuer| !issuer["status"]["deactivation"].is_null()).await?;
        ns.patch("issuer/ca", policy("Retain")).await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deletion_never_hangs_on_a_ca() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let refuses =
            || refusal(500, json!({ "type": "urn:ietf:params:acme:error:serverInternal", "detail": "Oops" }));
        for (name, hangs) in [("hangs", true), ("refuses", false)] {
            ns.apply(&of_issuer(name, &ca.issuer(BRIEFLY))).await?;
            let account = uri(&registered(ns, name).await?);
            ca.script(move |said| {
                said.path.starts_with(ACCOUNT).then(|| if hangs { Action::Hang } else { refuses() })
            });
            let begun = Stopwatch::start();
            ns.delete_object(&format!("issuer/{name}")).await?;
            ns.wait_gone(&format!("issuer/{name}"), SOON).await?;
            // The time of a deletion has whole seconds.
            assert!(begun.elapsed() >= Duration::from_secs(1), "{name}: it is given its time");
            let told = events(ns, "AccountLeftBehind").await?;
            let note = told.iter().find(|note| note.contains(&account)).context("no event")?;
            let words = if hangs { "did not answer in time" } else { "Oops" };
            assert!(note.contains(words) && note.contains(&format!("{name}-account-key")), "{note}");
            ca.script(|_| None);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_registration_that_hangs_does_not_hold_up_the_deletion() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let mut held = hang(&ca.proxy, NEW_ACCOUNT);
        ns.apply(&ca.issuer(BRIEFLY)).await?;
        held.reached().await?;
        ns.delete_object("issuer/ca").await?;
        // Shorter than the timeout of the request.
        ns.wait_gone("issuer/ca", Duration::from_secs(20)).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_shared_account_goes_with_the_last_of_its_issuers() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let yaml = ca.issuer(&format!("{DEACTIVATE}    privateKeySecretRef: {{ name: shared }}\n"));
        ns.apply(&yaml).await?;
        let account = uri(&registered(ns, "ca").await?);
        ns.apply(&of_issuer("other", &yaml)).await?;
        registered(ns, "other").await?;

        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        assert!(ca.deactivations().is_empty());
        let told = events(ns, "AccountRetained").await?;
        assert_eq!(told, [format!("The account {account} is kept, because Issuer other uses it")]);
        ns.apply(&of_issuer("other", &certificate("web", &[&host(ns, "web")], ""))).await?;
        issued(ns, "web").await?;

        ns.delete_object("issuer/other").await?;
        ns.wait_gone("issuer/other", SOON).await?;
        assert_eq!(ca.deactivations().len(), 1);
        assert!(ca.has_deactivated(key_in(ns, "shared", "tls.key").await?).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_whose_secret_goes_first_is_deactivated_all_the_same() -> Result<()> {
    TestNamespace::with("deactivation", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        // One that is not watched, since the objects of a namespace can be deleted in any order.
        ns.apply(&key_secret("mine", include_str!("../../fixtures/account-p256-sec1.pem"))).await?;
        ns.apply(&ca.issuer(&format!("{DEACTIVATE}    privateKeySecretRef: {{ name: mine }}\n"))).await?;
        registered(ns, "ca").await?;
        let key = key_in(ns, "mine", "tls.key").await?;
        ns.delete_object("secret/mine").await?;
        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        assert!(ca.has_deactivated(key).await?);
        Ok(())
    })
    .await
}
