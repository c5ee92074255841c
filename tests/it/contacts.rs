//! The CA knows the contacts: one address or several, changed by one request that changes nothing else.

use crate::common;

use crate::common::accounts::{Ca, is_up_to_date, not_ready, registered};
use crate::common::condition;
use crate::common::overheard::{ACCOUNT, problem};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn several_addresses_are_registered_changed_and_removed() -> Result<()> {
    TestNamespace::with("contacts", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        let emails = "    email: a@example.com\n    emails: [b@example.com, a@example.com]\n";
        ns.apply(&ca.issuer(emails)).await?;
        let before = registered(ns, "ca").await?["status"]["acme"].clone();
        let told = &ca.overheard.registrations()[0].payload;
        assert_eq!(told["contact"], json!(["mailto:a@example.com", "mailto:b@example.com"]));
        assert_eq!(before["lastRegisteredEmail"], "a@example.com");
        assert_eq!(before["lastRegisteredEmails"], json!(["a@example.com", "b@example.com"]));

        for (spec, contact) in [
            (json!({ "emails": ["c@example.com"] }), json!(["a@example.com", "c@example.com"])),
            (json!({ "email": null }), json!(["c@example.com"])),
            (json!({ "emails": null }), json!([])),
            (json!({ "emails": ["d@example.com"] }), json!(["d@example.com"])),
        ] {
            ca.overheard.forget();
            ns.patch("issuer/ca", json!({ "spec": { "acme": spec } })).await?;
            let issuer = registered(ns, "ca").await?;
            let mailto: Vec<String> = contact
                .as_array()
                .context("no list")?
                .iter()
                .map(|address| format!("mailto:{}", address.as_str().unwrap_or_default()))
                .collect();
            let said: Vec<_> = ca.overheard.all().into_iter().map(|said| (said.path, said.payload)).collect();
            let path =
                before["uri"].as_str().and_then(|uri| uri.strip_prefix(&ca.proxy.url)).context("no URI")?;
            assert_eq!(
                said,
                [(path.to_owned(), json!({ "contact": mailto }))],
                "one request, and nothing else in it"
            );
            let mut expected = before.clone();
            for (field, value) in
                [("lastRegisteredEmail", contact[0].clone()), ("lastRegisteredEmails", contact)]
            {
                match value.is_null() || value == json!([]) {
                    true => drop(expected.as_object_mut().context("no object")?.remove(field)),
                    false => expected[field] = value,
                }
            }
            assert_eq!(issuer["status"]["acme"], expected);
        }
        ca.overheard.forget();
        operator.restart().await?;
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "preferredChain": "any" } } })).await?;
        registered(ns, "ca").await?;
        assert!(ca.overheard.all().is_empty(), "what the CA was told is not told again");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_address_that_the_ca_does_not_take_is_said_in_its_words_and_mended() -> Result<()> {
    TestNamespace::with("contacts", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("    email: a@example.com\n")).await?;
        let account = registered(ns, "ca").await?["status"]["acme"]["uri"].clone();
        ca.script(|said| {
            let refused = said.path.starts_with(ACCOUNT) && said.payload.to_string().contains("@example.net");
            refused
                .then(|| problem(400, "urn:ietf:params:acme:error:invalidContact", "no mail for example.net"))
        });
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "emails": ["b@example.net"] } } })).await?;
        let message = not_ready(ns, "ca", "InvalidContact").await?;
        assert!(
            message.contains("no mail for example.net (urn:ietf:params:acme:error:invalidContact)"),
            "{message}"
        );
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "emails": ["b@example.com"] } } })).await?;
        let mended = |issuer: &Value| {
            is_up_to_date(issuer) && condition(issuer, "Ready").is_some_and(|ready| ready.0 == "True")
        };
        let issuer = ns.wait("issuer/ca", common::SOON, mended).await?;
        assert_eq!(issuer["status"]["acme"]["uri"], account);
        assert_eq!(
            issuer["status"]["acme"]["lastRegisteredEmails"],
            json!(["a@example.com", "b@example.com"])
        );
        Ok(())
    })
    .await
}
