//! A CA that fails, rejects, or does not revoke.

use super::*;

#[tokio::test]
async fn a_ca_that_stumbles_is_asked_again_and_a_certificate_that_is_revoked_already_is_a_success()
-> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, proxy, operator) = started(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], ON_REPLACE)).await?;
        revision(ns, "web", 1).await?;
        let first = tls(ns, "web-tls").await?;
        proxy.script(|request| match request.path.starts_with(REVOKE) {
            true => Action::Respond {
                status: 503,
                headers: vec![("retry-after", "2".to_owned())],
                body: "<h1>Down for maintenance</h1>".to_owned(),
            },
            false => Action::Pass,
        });
        renew(ns, "now").await?;
        let message = revocation(ns, "RevocationFailed").await?;
        let expected = format!(
            "The certificate {} is not revoked yet: revoking the certificate failed: ",
            serial(&first)
        );
        assert!(message.starts_with(&expected) && message.contains("answered HTTP 503"), "{message}");
        assert_eq!(event(ns, "web", "RevocationFailed").await?, ("Warning".to_owned(), message));
        let web = revision(ns, "web", 2).await?;
        let entry = &web["status"]["revocation"]["certificates"][0]["revocation"];
        assert!(entry["nextAttemptTime"].is_string() && entry["failedAttempts"].is_number(), "{entry:#}");
        assert!(metric(&operator, "failed", "superseded").await?, "it is not counted");

        // The CA revokes it, and its answer is lost.
        let lost = AtomicBool::new(false);
        proxy.script(move |request| {
            match request.path.starts_with(REVOKE) && !lost.swap(true, Ordering::SeqCst) {
                true => Action::PassThenDrop,
                false => Action::Pass,
            }
        });
        let revoked = |web: &Value| condition(web, "Revocation").is_some_and(|(is, ..)| is == "True");
        ns.wait("certificate/web", SOON, revoked).await?;
        assert_eq!(status(&pebble, &first).await?, ("Revoked".to_owned(), 4));
        ensure!(
            requests_to(&proxy, REVOKE)
                .iter()
                .any(|request| request.status.is_some_and(|status| status == 400))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_the_account_may_not_the_certificates_own_key_revokes() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, proxy, _operator) = started(ns).await?;
        for algorithm in ["ECDSA", "RSA"] {
            ns.apply(&certificate("web", &["a.example.com"], "").replace("ECDSA", algorithm)).await?;
            ns.wait("certificate/web", SOON, |web| {
                condition(web, "Ready").is_some_and(|(is, ..)| is == "True")
                    && web["status"]["conditions"][0]["observedGeneration"] == web["metadata"]["generation"]
            })
            .await?;
            let first = tls(ns, "web-tls").await?;
            refuse_the_account(&proxy);
            ask(ns, if algorithm == "RSA" { "keyCompromise" } else { "cessationOfOperation" }).await?;
            ns.wait("certificate/web", SOON, |web| {
                web["status"]["revocation"]["last"]["serialNumber"] == json!(serial(&first))
            })
            .await?;
            assert_eq!(status(&pebble, &first).await?.0, "Revoked");
            ns.wait("certificate/web", SOON, |web| web["status"]["serialNumber"] != json!(serial(&first)))
                .await?;
            proxy.pass();
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_neither_key_may_revoke_is_given_up_and_told() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, proxy, operator) = started(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], ON_REPLACE)).await?;
        revision(ns, "web", 1).await?;
        let first = tls(ns, "web-tls").await?;
        refuse_the_account(&proxy);
        renew(ns, "now").await?;
        let message = revocation(ns, "RevocationGivenUp").await?;
        let parts = [
            format!("The certificate {} could not be revoked", serial(&first)),
            "not this account (urn:ietf:params:acme:error:unauthorized)".to_owned(),
            "the certificate's own private key, which could also revoke it, is no longer in the Secret"
                .to_owned(),
        ];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert_eq!(event(ns, "web", "RevocationGivenUp").await?.0, "Warning");
        let web = at_rest(ns).await?;
        assert_eq!(web["status"]["revocation"]["last"]["result"], "GivenUp");
        assert_eq!(requests_to(&proxy, REVOKE).len(), 1, "it is asked again, though it would say the same");
        assert!(metric(&operator, "given_up", "superseded").await?, "it is not counted");
        assert_eq!(status(&pebble, &first).await?.0, "Valid");
        issued(ns, "web").await?;
        stays_as_it_is(ns, "web", AT_ONCE).await
    })
    .await
}

#[tokio::test]
async fn a_ca_that_does_not_revoke_is_not_asked() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        proxy.script(|request| match request.path == path::DIRECTORY {
            true => change_json(|directory| {
                drop(directory.as_object_mut().map(|entries| entries.remove("revokeCert")))
            }),
            false => Action::Pass,
        });
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        ask(ns, "superseded").await?;
        let message = revocation(ns, "RevocationGivenUp").await?;
        assert!(message.contains("is not possible: the directory of"), "{message}");
        assert!(message.contains("has no revokeCert"), "{message}");
        revision(ns, "web", 2).await?;
        Ok(())
    })
    .await
}

/// Rejects revocations that are signed by an account; those signed with the certificate's own key reach the CA.
fn refuse_the_account(proxy: &Proxy) {
    proxy.script(|request| match request.path.starts_with(REVOKE) && is_by_account(request) {
        true => Action::Respond {
            status: 403,
            headers: vec![("content-type", "application/problem+json".to_owned())],
            body: json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": "not this account"})
                .to_string(),
        },
        false => Action::Pass,
    });
}

fn is_by_account(request: &RequestInfo) -> bool {
    let jws: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let header = BASE64_URL_SAFE_NO_PAD.decode(jws["protected"].as_str().unwrap_or_default());
    let header: Value = serde_json::from_slice(&header.unwrap_or_default()).unwrap_or_default();
    request.method == Method::POST
        && header.get("kid").is_some()
        && payload(request)["certificate"].is_string()
}
