//! The accepted terms of service are recorded, and a change is reported with the links.

use crate::common::accounts::{Ca, events, not_ready, registered};
use crate::common::{SOON, certificate, condition, issued};
use anyhow::Result;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn terms_that_change_are_told_with_the_next_order_and_agreed_to_by_applying_the_issuer_again()
-> Result<()> {
    TestNamespace::with("terms", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        let serve = |url: &'static str| {
            ca.script(move |said| {
                (said.path == "/dir").then(|| {
                    Action::ReplaceBody(Box::new(move |body| {
                        let mut directory: Value = serde_json::from_slice(&body).unwrap_or_default();
                        directory["meta"]["termsOfService"] = json!(url);
                        directory.to_string().into()
                    }))
                })
            });
        };
        let (old, new) = ("https://ca.example/terms/1", "https://ca.example/terms/2");
        serve(old);
        ns.apply(&ca.issuer("")).await?;
        let account = registered(ns, "ca").await?["status"]["acme"].clone();
        assert_eq!(account["termsOfService"], old);

        serve(new);
        // A directory is fetched once an hour, or by a new process.
        operator.restart().await?;
        ns.apply(&certificate("web", &[&format!("web.{}.example.com", ns.name)], "")).await?;
        let told = |issuer: &Value| issuer["status"]["acme"]["latestTermsOfService"] == new;
        let issuer = ns.wait("issuer/ca", SOON, told).await?;
        issued(ns, "web").await?;
        assert_eq!(issuer["status"]["acme"]["termsOfService"], old);
        let ready = condition(&issuer, "Ready").unwrap_or_default();
        assert_eq!(ready.0, "True");
        assert!(ready.2.contains(old) && ready.2.contains(new), "{}", ready.2);
        assert_eq!(events(ns, "TermsOfServiceChanged").await?.len(), 1);

        ns.delete_object("issuer/ca").await?;
        ns.wait_gone("issuer/ca", SOON).await?;
        ns.apply(&ca.issuer("")).await?;
        let again = registered(ns, "ca").await?["status"]["acme"].clone();
        assert_eq!((&again["uri"], &again["termsOfService"]), (&account["uri"], &json!(new)));
        assert!(again["latestTermsOfService"].is_null(), "{again}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn terms_that_a_human_must_agree_to_come_with_both_links() -> Result<()> {
    TestNamespace::with("terms", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ca.script(|said| {
            let headers = vec![
                ("content-type", "application/problem+json".to_owned()),
                ("link", "<https://ca.example/terms/2>; rel=\"terms-of-service\"".to_owned()),
            ];
            let body = json!({
                "type": "urn:ietf:params:acme:error:userActionRequired",
                "detail": "Terms of service have changed",
                "instance": "https://ca.example/agree",
            });
            said.registers().then(|| Action::Respond { status: 403, headers, body: body.to_string() })
        });
        ns.apply(&ca.issuer("")).await?;
        let message = not_ready(ns, "ca", "UserActionRequired").await?;
        let said = "Terms of service have changed (urn:ietf:params:acme:error:userActionRequired). The terms of service are at \
                    https://ca.example/terms/2. Visit https://ca.example/agree";
        assert!(message.contains(said), "{message}");
        Ok(())
    })
    .await
}
