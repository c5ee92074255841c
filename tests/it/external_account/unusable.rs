//! Accounts that the CA rejects.

use super::*;

#[tokio::test]
async fn a_key_id_that_the_ca_does_not_know_is_said_and_not_tried_again_until_the_spec_changes() -> Result<()>
{
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        ns.apply(&ca.issuer(&external_account("kid-9"))).await?;
        let message = refused(ns, "ca", "Unauthorized").await?;
        let words = "the field 'kid' references a key that is not known to the ACME server \
                     (urn:ietf:params:acme:error:unauthorized)";
        assert!(message.contains(words), "{message}");

        operator.restart().await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        waits_for_issuer(ns, "web", words).await?;
        assert_eq!(ca.overheard.registrations().len(), 1);
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        issued(ns, "web").await?;
        assert_eq!(ca.overheard.registrations().len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_unusable_account_is_left_alone_until_the_spec_of_its_issuer_changes() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        ns.apply(&certificate("before", &[&host(ns, "before")], "")).await?;
        issued(ns, "before").await?;
        ca.refuse_orders("BAD_SIGNATURE");
        ns.apply(&certificate("one", &[&host(ns, "one")], "")).await?;
        let message = refused(ns, "ca", "BAD_SIGNATURE").await?;
        assert!(message.contains(&words("BAD_SIGNATURE")), "{message}");
        waits_for_issuer(ns, "one", &words("BAD_SIGNATURE")).await?;
        ca.overheard.forget();

        // Only a change of the issuer's spec causes another attempt.
        ns.apply(&certificate("two", &[&host(ns, "two")], "")).await?;
        waits_for_issuer(ns, "two", &words("BAD_SIGNATURE")).await?;
        ns.patch("issuer/ca", json!({ "metadata": { "annotations": { "touched": "yes" } } })).await?;
        ns.patch("certificate/one", json!({ "spec": { "dnsNames": [host(ns, "another")] } })).await?;
        operator.restart().await?;
        ns.apply(&certificate("three", &[&host(ns, "three")], "")).await?;
        waits_for_issuer(ns, "three", &words("BAD_SIGNATURE")).await?;
        let said = ca.overheard.all();
        assert!(said.is_empty(), "{said:?}");
        let before = ns.get("certificate/before").await?.context("it is gone")?;
        assert_eq!(condition(&before, "Ready").context("no condition")?.0, "True", "what was issued stays");
        let one = ns.get("certificate/one").await?.context("it is gone")?;
        assert!(
            one["status"]["failedIssuanceAttempts"].is_null(),
            "to wait is not to fail: {}",
            one["status"]
        );

        ca.overheard.script(&ca.proxy, |_| Action::Pass);
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "preferredChain": "any" } } })).await?;
        for name in ["one", "two", "three"] {
            issued(ns, name).await?;
        }
        assert!(ca.overheard.registrations().is_empty(), "with the same account");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_cas_operator_has_mended_is_noticed_without_a_change_here() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        // A slow retry takes sixty times as long as the others.
        let _operator = Operator::builder(ns).argument("--backoff-first", "20ms").start().await?;
        ns.apply(&ca.issuer("")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        ca.refuse_orders("OUT_OF_CREDIT");
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let told = |issuer: &Value| issuer["status"]["failedAttempts"] == 1;
        ns.wait("issuer/ca", SOON, told).await?;
        ca.overheard.script(&ca.proxy, |_| Action::Pass);
        issued(ns, "web").await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        for field in ["failedAttempts", "lastFailureTime", "nextAttemptTime"] {
            assert!(issuer["status"][field].is_null(), "{field}: {}", issuer["status"]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn terms_of_service_that_a_human_must_agree_to_come_with_their_link() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let link = "https://ca.example.com/agree/2026";
        let said = "Terms of service have changed (urn:ietf:params:acme:error:userActionRequired)";
        let document = json!({
            "type": "urn:ietf:params:acme:error:userActionRequired",
            "detail": "Terms of service have changed",
            "instance": link,
        });
        for path in [NEW_ACCOUNT, NEW_ORDER] {
            ca.overheard.forget();
            let document = document.clone();
            ca.overheard.script(&ca.proxy, move |said| match said.registers() || said.path == NEW_ORDER {
                true if said.path == path => refusal(403, document.clone()),
                _ => Action::Pass,
            });
            ns.apply(&ca.issuer(&format!("    preferredChain: {path:?}\n"))).await?;
            ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
            let message = refused(ns, "ca", "UserActionRequired").await?;
            assert!(message.contains(said) && message.contains(link), "{path}: {message}");
            waits_for_issuer(ns, "web", link).await?;
            let asked =
                ca.overheard.those(|said| said.path == path && said.payload["onlyReturnExisting"] != true);
            assert_eq!(asked.len(), 1, "no hot loop");
        }
        Ok(())
    })
    .await
}
