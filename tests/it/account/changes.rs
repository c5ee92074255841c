//! Changes of an issuer with an account.

use super::*;

#[tokio::test]
async fn a_changed_email_address_is_told_to_the_ca_and_nothing_else() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let ca = Ca::start(ns, Pebble::builder()).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("    email: old@example.com\n")).await?;
        let before = registered(ns, "ca").await?["status"]["acme"].clone();
        let told = &ca.overheard.registrations()[0].payload;
        assert_eq!(told["contact"], json!(["mailto:old@example.com"]));

        for (email, contact) in
            [(json!("new@example.com"), json!(["mailto:new@example.com"])), (Value::Null, json!([]))]
        {
            ca.overheard.forget();
            ns.patch("issuer/ca", json!({ "spec": { "acme": { "email": email } } })).await?;
            let issuer = ns
                .wait("issuer/ca", SOON, |issuer| {
                    issuer["status"]["acme"]["lastRegisteredEmail"] == email && is_up_to_date(issuer)
                })
                .await?;
            assert_eq!(condition(&issuer, "Ready").context("no condition")?.0, "True");
            let mut expected = before.clone();
            expected["lastRegisteredEmails"] = if email.is_null() { Value::Null } else { json!([email]) };
            expected["lastRegisteredEmail"] = email;
            let mut account = issuer["status"]["acme"].clone();
            for field in ["lastRegisteredEmail", "lastRegisteredEmails"] {
                account[field] = account[field].take();
            }
            assert_eq!(account, expected);

            operator.restart().await?;
            let said = ca.overheard.all();
            let said: Vec<_> = said.iter().map(|said| (said.path.as_str(), &said.payload)).collect();
            let url = before["uri"].as_str().and_then(|url| url.strip_prefix(&ca.proxy.url));
            assert_eq!(said, [(url.context("no URL")?, &json!({ "contact": contact }))]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_server_is_another_account_even_if_only_the_path_differs() -> Result<()> {
    TestNamespace::with("account", async |ns| {
        let (dv, ov) = tokio::try_join!(
            Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)),
            Ca::start(ns, Pebble::builder().eab("kid-1", MAC_KEY)),
        )?;
        // Another path of the same host leads to another CA.
        let directory = ov.read_directory().await?;
        dv.overheard.script(&dv.proxy, move |said| match said.path.as_str() {
            "/v2/OV" => Action::Respond {
                status: 200,
                headers: vec![("content-type", "application/json".to_owned())],
                body: directory.clone(),
            },
            _ => Action::Pass,
        });
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", MAC_KEY)).await?;
        ns.apply(&dv.issuer(&external_account("kid-1"))).await?;
        let first = registered(ns, "ca").await?["status"]["acme"].clone();
        let at = async |server: &str| {
            ns.patch("issuer/ca", json!({ "spec": { "acme": { "server": server } } })).await?;
            let ready = |issuer: &Value| is_up_to_date(issuer) && is_ready(issuer);
            let issuer = ns.wait("issuer/ca", SOON, ready).await?;
            assert_eq!(issuer["status"]["acme"]["server"], server);
            anyhow::Ok(issuer["status"]["acme"]["uri"].as_str().context("no URL")?.to_owned())
        };

        let path = at(&format!("{}/v2/OV", dv.proxy.url)).await?;
        assert!(path.starts_with(&ov.proxy.url), "{path}");
        assert_eq!((dv.overheard.registrations().len(), ov.overheard.registrations().len()), (1, 1));
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        issued(ns, "web").await?;

        // The same CA under another URL is also asked, and knows the key.
        assert_eq!(at(&ov.directory()).await?, path);
        ns.delete_object("secret/eab").await?;
        assert_eq!(at(&dv.directory()).await?, first["uri"].as_str().unwrap_or_default());
        operator.restart().await?;
        assert_eq!((dv.overheard.registrations().len(), ov.overheard.registrations().len()), (1, 1));
        let bound = |said: &common::overheard::Said| said.payload["externalAccountBinding"].is_object();
        assert!(dv.overheard.registrations().iter().chain(&ov.overheard.registrations()).all(bound));
        Ok(())
    })
    .await
}
