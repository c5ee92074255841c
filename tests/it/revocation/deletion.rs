//! Certificates that are revoked because their Certificate is deleted.

use super::*;

#[tokio::test]
async fn a_deletion_revokes_also_what_is_not_in_the_secret_any_more() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let (pebble, operator) = ready(ns).await?;
        for secret_goes_first in [false, true] {
            ns.apply(&certificate("web", &["a.example.com"], ON_DELETE)).await?;
            let ready = |web: &Value| {
                condition(web, "Ready").is_some_and(|(is, ..)| is == "True")
                    && web["metadata"]["finalizers"] == json!(["certwright.dev/cleanup"])
                    && web["status"]["revocation"]["certificates"].is_array()
            };
            ns.wait("certificate/web", SOON, ready).await?;
            let first = tls(ns, "web-tls").await?;
            if secret_goes_first {
                operator.kill9()?;
                ns.delete_object("secret/web-tls").await?;
            }
            ns.delete_object("certificate/web").await?;
            if secret_goes_first {
                operator.restart().await?;
            }
            ns.wait_gone("certificate/web", SOON).await?;
            assert_eq!(status(&pebble, &first).await?, ("Revoked".to_owned(), 5));
            if !secret_goes_first {
                ns.delete_object("secret/web-tls").await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_is_deleted_has_its_certificates_revoked() -> Result<()> {
    TestNamespace::with("revoke", async |ns| {
        let doomed = TestNamespace::create("doomed").await?;
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let watched = format!("{},{}", ns.name, doomed.name);
        let operator = Operator::builder(ns).argument("--watch-namespaces", &watched).start().await?;
        doomed.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        for name in ["one", "two"] {
            doomed.apply(&certificate(name, &["a.example.com"], ON_DELETE)).await?;
        }
        let mut certificates = Vec::new();
        for name in ["one", "two"] {
            revision(&doomed, name, 1).await?;
            certificates.push(tls(&doomed, &format!("{name}-tls")).await?);
        }
        let _none = certwright_cluster::without_api_groups().await;
        doomed.delete().await?;
        ns.wait_gone(&format!("namespace/{}", doomed.name), Duration::from_secs(60)).await?;
        for certificate in &certificates {
            assert_eq!(status(&pebble, certificate).await?, ("Revoked".to_owned(), 5));
        }
        assert!(operator.is_running()?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deletion_does_not_hang_on_a_ca_that_hangs_or_is_gone() -> Result<()> {
    for ca_is_gone in [false, true] {
        TestNamespace::with("revoke", async |ns| {
            let (mut pebble, proxy, operator) = started(ns).await?;
            let bounded = "  revocation: { onDelete: superseded, deletionTimeout: 3s }\n";
            ns.apply(&certificate("web", &["a.example.com"], bounded)).await?;
            revision(ns, "web", 1).await?;
            let hanging = hang(&proxy, REVOKE);
            if ca_is_gone {
                pebble.stop().await?;
                hanging.go_on(&proxy);
            }
            let deleted = Instant::now();
            ns.delete_object("certificate/web").await?;
            ns.wait_gone("certificate/web", SOON).await?;
            let took = deleted.elapsed();
            assert!(took > Duration::from_secs(2), "it did not wait: {took:?}");
            assert!(took < Duration::from_secs(10), "it took {took:?}");
            let (kind, note) = event(ns, "web", "RevocationGivenUp").await?;
            assert_eq!(kind, "Warning");
            assert!(note.contains("could not be revoked"), "{note}");
            assert!(metric(&operator, "given_up", "superseded").await?, "it is not counted");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
