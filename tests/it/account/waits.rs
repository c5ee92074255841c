//! What a registration waits for.

use super::*;

#[tokio::test]
async fn a_ca_that_wants_fewer_registrations_is_left_alone_as_long_as_it_says() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).argument("--backoff-first", "10ms").start().await?;
        ca.overheard.script(&ca.proxy, |said| match said.registers() {
            true => Action::Respond {
                status: 429,
                headers: vec![
                    ("content-type", "application/problem+json".to_owned()),
                    ("retry-after", "3".to_owned()),
                ],
                body: json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "Too many" })
                    .to_string(),
            },
            false => Action::Pass,
        });
        ns.apply(&ca.issuer("")).await?;
        let message = not_ready(ns, "RateLimited").await?;
        assert!(message.contains("Too many (urn:ietf:params:acme:error:rateLimited)"), "{message}");
        ca.overheard.script(&ca.proxy, |_| Action::Pass);
        operator.restart().await?;
        registered(ns, "ca").await?;
        let asked: Vec<_> =
            ca.proxy.requests().into_iter().filter(|request| request.path == NEW_ACCOUNT).collect();
        let [first, .., last] = &asked[..] else { anyhow::bail!("it was not tried again: {asked:?}") };
        let again = asked.iter().filter(|request| request.status.is_some_and(|status| status == 429)).count();
        assert_eq!(again, 1, "{asked:?}");
        assert!(last.at - first.at >= Duration::from_secs(3), "{asked:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_is_issued_once_its_issuer_appears() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let waits = ns.wait_condition("certificate/web", "Issuing", "True", SOON).await?;
        let (_, reason, message) = condition(&waits, "Issuing").context("no condition")?;
        assert_eq!(reason, "IssuerNotFound");
        assert_eq!(message, "Issuer ca does not exist; create it, or name another in issuerRef");
        ns.apply(&ca.issuer("")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_issuer_is_registered_once_the_secret_for_its_external_account_appears() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let message = not_ready(ns, "SecretNotFound").await?;
        assert_eq!(
            message,
            "Secret eab, which externalAccountBinding.keySecretRef names, does not exist; create it"
        );
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        registered(ns, "ca").await?;
        assert_eq!(ca.overheard.registrations().len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_is_looked_up_again_until_a_ca_that_stumbles_answers() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).argument("--backoff-first", "100ms").start().await?;
        ca.overheard.script(&ca.proxy, |said| match said.path == NEW_ACCOUNT {
            true => {
                refusal(500, json!({ "type": "urn:ietf:params:acme:error:serverInternal", "detail": "Oops" }))
            }
            false => Action::Pass,
        });
        // A key that was just generated is not looked up: no CA can know it.
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" },
            "stringData": { "tls.key": include_str!("../../fixtures/account-p256-sec1.pem") },
        });
        ns.apply(&secret.to_string()).await?;
        ns.apply(&ca.issuer("    privateKeySecretRef: { name: mine }\n")).await?;
        let message = not_ready(ns, "ServerInternal").await?;
        assert!(message.contains("Oops (urn:ietf:params:acme:error:serverInternal)"), "{message}");
        assert!(ca.overheard.registrations().is_empty(), "nothing is registered while the CA does not know");
        ca.overheard.script(&ca.proxy, |_| Action::Pass);
        registered(ns, "ca").await?;
        assert_eq!(ca.overheard.registrations().len(), 1);
        Ok(())
    })
    .await
}
