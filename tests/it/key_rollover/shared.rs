//! Issuers that share a key.

use super::*;

#[tokio::test]
async fn issuers_that_share_a_key_follow_each_other() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        ns.apply(&of_issuer("twin", &ca.issuer(shared))).await?;
        ns.wait_condition("issuer/twin", "Ready", "True", SOON).await?;
        let before = acme(ns).await?;
        let registrations = || registrations(&ca.proxy);
        assert_eq!(registrations(), 1, "one account");
        ask_for_rollover(ns, "1").await?;
        let after = rolled_over(ns, &before).await?;
        let follows = |issuer: &Value| {
            let acme = &issuer["status"]["acme"];
            acme["keyThumbprint"] == after["keyThumbprint"]
                && acme["lastKeyRollover"] == after["lastKeyRollover"]
        };
        let twin = ns.wait("issuer/twin", SOON, follows).await?;
        assert_eq!(twin["status"]["acme"]["uri"], before["uri"]);
        assert_eq!(condition(&twin, "Ready").context("no condition")?.0, "True");
        assert_eq!(condition(&twin, "KeyRollover").context("no condition")?.1, "KeyRolledOver");
        for name in ["ca", "twin"] {
            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
            issued(ns, name).await?;
        }
        assert_eq!((registrations(), requests_to(&ca.proxy, KEY_CHANGE).len()), (1, 1));

        // They would never stop if each one followed its own spec.
        ns.apply(&ca.issuer(&format!("{shared}    accountKey: {{ algorithm: RSA, size: 2048 }}\n"))).await?;
        ns.wait("issuer/ca", SOON, |issuer| issuer["status"]["acme"]["keyAlgorithm"] == "RSA 2048").await?;
        ns.apply(&of_issuer(
            "twin",
            &ca.issuer(&format!("{shared}    accountKey: {{ algorithm: ECDSA }}\n")),
        ))
        .await?;
        let refused = |issuer: &Value| {
            condition(issuer, "KeyRollover").is_some_and(|(_, reason, _)| reason == "AccountKeyShared")
        };
        let twin = ns.wait("issuer/twin", SOON, refused).await?;
        let (_, _, message) = condition(&twin, "KeyRollover").context("no condition")?;
        ensure!(message.contains("Issuer ca also uses the key in Secret shared"), "{message}");
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn issuers_that_share_a_key_pause_together() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        ns.apply(&of_issuer("twin", &ca.issuer(shared))).await?;
        ns.wait_condition("issuer/twin", "Ready", "True", SOON).await?;
        ca.proxy.script(|request| match request.path.as_str() {
            NEW_ORDER => Action::Respond {
                status: 429,
                headers: vec![
                    ("content-type", "application/problem+json".to_owned()),
                    ("retry-after", "600".to_owned()),
                ],
                body: json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "Too many" })
                    .to_string(),
            },
            _ => Action::Pass,
        });
        ns.apply(&certificate("one", &[&host(ns, "one")], "")).await?;
        let limited = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "RateLimited")
        };
        ns.wait("certificate/one", SOON, limited).await?;
        ns.apply(&of_issuer("twin", &certificate("two", &[&host(ns, "two")], ""))).await?;
        let two = ns.wait("certificate/two", SOON, limited).await?;
        let (_, _, message) = condition(&two, "Issuing").context("no condition")?;
        ensure!(message.contains("the CA asked this account to pause"), "{message}");
        assert_eq!(requests_to(&ca.proxy, NEW_ORDER).len(), 1, "the other one does not even ask");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_is_used_at_two_cas_is_not_changed_at_one_of_them() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let (ca, other) = (Ca::start(ns, steady()).await?, Ca::start(ns, steady()).await?);
        let _operator = Operator::builder(ns).start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        ns.apply(&of_issuer("other", &other.issuer(shared))).await?;
        ns.wait_condition("issuer/other", "Ready", "True", SOON).await?;
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "AccountKeyShared").await?;
        ensure!(
            message.contains(&format!(
                "Issuer other also uses the key in Secret shared, at {}",
                other.directory()
            )),
            "{message}"
        );
        for name in ["ca", "other"] {
            ns.apply(&of_issuer(name, &certificate(name, &[&host(ns, name)], ""))).await?;
            issued(ns, name).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cluster_issuer_and_an_issuer_in_the_operators_namespace_share_an_account() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).argument("--cluster-issuers", "true").start().await?;
        let shared = "    privateKeySecretRef: { name: shared }\n";
        ca.ready(ns, shared).await?;
        let name = ns.name.clone();
        let outcome = async {
            let yaml = of_issuer(&name, &ca.issuer(shared));
            ns.apply(&yaml.replace("kind: Issuer", "kind: ClusterIssuer")).await?;
            let target = format!("clusterissuer/{name}");
            ns.wait_condition(&target, "Ready", "True", SOON).await?;
            let before = acme(ns).await?;
            let request =
                json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_ROLLOVER): "1" } } });
            ns.patch(&target, request).await?;
            let after = rolled_over(ns, &before).await?;
            let follows =
                |issuer: &Value| issuer["status"]["acme"]["keyThumbprint"] == after["keyThumbprint"];
            ns.wait(&target, SOON, follows).await?;
            issue(ns, "web").await?;
            assert_eq!((registrations(&ca.proxy), requests_to(&ca.proxy, KEY_CHANGE).len()), (1, 1));
            anyhow::Ok(())
        }
        .await;
        let _ = ns.delete_object(&format!("clusterissuer/{name}")).await;
        outcome
    })
    .await
}
