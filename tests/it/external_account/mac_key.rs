//! The MAC key: its encoding, its algorithm, and its Secret.

use super::*;

#[tokio::test]
async fn a_mac_key_is_accepted_in_every_spelling() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let key = key_bytes();
        let standard = BASE64_STANDARD.encode(key);
        assert!(standard.contains('+') && standard.contains('/') && standard.ends_with('='), "{standard}");
        let ca = Ca::start(ns, Pebble::builder().eab("kid-1", &BASE64_URL_SAFE_NO_PAD.encode(key))).await?;
        let _operator = Operator::builder(ns).start().await?;
        let spellings = [
            ("url", BASE64_URL_SAFE_NO_PAD.encode(key)),
            ("url-padded", BASE64_URL_SAFE.encode(key)),
            ("standard", standard.clone()),
            ("standard-unpadded", standard.trim_end_matches('=').to_owned()),
            ("newline", format!("{}\n", BASE64_URL_SAFE_NO_PAD.encode(key))),
            ("windows", format!("{standard}\r\n")),
        ];
        for (name, spelling) in &spellings {
            ns.apply(&mac_key(&format!("eab-{name}"), spelling)).await?;
            let binding = external_account("kid-1").replace("name: eab", &format!("name: eab-{name}"));
            ns.apply(&of_issuer(name, &ca.issuer(&binding))).await?;
        }
        for (name, _) in &spellings {
            ns.wait_condition(&format!("issuer/{name}"), "Ready", "True", SOON)
                .await
                .with_context(|| format!("the spelling {name}"))?;
        }
        assert_eq!(ca.overheard.registrations().len(), spellings.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_no_mac_key_is_refused_naming_secret_and_key_until_it_is_mended() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        let _operator = Operator::builder(ns).start().await?;
        let garbage = [
            ("words", "not*the*key"),
            ("mixed", "-_+/"),
            ("cut", "AAAAA"),
            ("two-lines", "zWND\nZM6e"),
            ("empty", ""),
        ];
        for (name, text) in garbage {
            ns.apply(&mac_key(&format!("eab-{name}"), text)).await?;
            let binding = external_account("kid-1").replace("name: eab", &format!("name: eab-{name}"));
            ns.apply(&of_issuer(name, &ca.issuer(&binding))).await?;
            let message = refused(ns, name, "InvalidMACKey").await?;
            assert!(
                message.starts_with(&format!("Secret eab-{name}, key secret: the MAC key is ")),
                "{message}"
            );
            assert!(text.is_empty() || !message.contains(text), "it does not repeat a secret: {message}");
        }
        assert!(ca.overheard.registrations().is_empty(), "nothing is tried with such a key");
        for (name, _) in garbage {
            ns.apply(&mac_key(&format!("eab-{name}"), &text(&key_bytes()))).await?;
        }
        for (name, _) in garbage {
            ns.wait_condition(&format!("issuer/{name}"), "Ready", "True", SOON).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_mac_algorithm_signs_the_binding() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        let algorithms =
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];
        for (name, algorithm) in algorithms {
            ca.overheard.forget();
            let binding = external_account("kid-1").replace("keyID", &format!("keyAlgorithm: {name}, keyID"));
            let issuer_name = name.to_ascii_lowercase();
            ns.apply(&of_issuer(&issuer_name, &ca.issuer(&binding))).await?;
            let issuer = ns.wait_condition(&format!("issuer/{issuer_name}"), "Ready", "True", SOON).await?;
            assert_eq!(issuer["status"]["acme"]["boundKeyID"], "kid-1");

            let registration = ca.overheard.registrations().pop().context("nothing was registered")?;
            let jws = &registration.payload["externalAccountBinding"];
            let part = |name: &str| jws[name].as_str().unwrap_or_default();
            let header: Value = serde_json::from_slice(&decode(part("protected"))?)?;
            let url = format!("{}{NEW_ACCOUNT}", ca.proxy.url);
            assert_eq!(header, json!({ "alg": name, "kid": "kid-1", "url": url }));
            let payload: Value = serde_json::from_slice(&decode(part("payload"))?)?;
            assert_eq!(payload, registration.header["jwk"], "the account's own key is what is bound");
            let signed = format!("{}.{}", part("protected"), part("payload"));
            let key = hmac::Key::new(algorithm, &key_bytes());
            hmac::verify(&key, signed.as_bytes(), &decode(part("signature"))?)
                .map_err(|_| anyhow::anyhow!("{name}: the MAC does not verify"))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_fault_of_the_mac_keys_secret_has_its_own_reason() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        let _operator = Operator::builder(ns).start().await?;
        let binding = external_account("kid-1").replace("name: eab", "name: eab, key: mac");
        ns.apply(&ca.issuer(&binding)).await?;
        assert_eq!(
            refused(ns, "ca", "SecretNotFound").await?,
            "Secret eab, which externalAccountBinding.keySecretRef names, does not exist; create it"
        );
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        assert_eq!(
            refused(ns, "ca", "SecretKeyNotFound").await?,
            "Secret eab has no key mac, which externalAccountBinding.keySecretRef names; add it, or name another"
        );
        ns.patch("secret/eab", json!({ "stringData": { "mac": "#" } })).await?;
        assert_eq!(
            refused(ns, "ca", "InvalidMACKey").await?,
            "Secret eab, key mac: the MAC key is not valid base64url; paste the MAC key as the CA \
             shows it"
        );
        ns.patch("secret/eab", json!({ "stringData": { "mac": text(&key_bytes()) } })).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        assert_eq!(ca.overheard.registrations().len(), 1);
        Ok(())
    })
    .await
}
