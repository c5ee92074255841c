//! External account binding, and what becomes of an account that the CA will not serve.

use std::collections::BTreeSet;

use crate::common::overheard::{NEW_ACCOUNT, NEW_ORDER, Overheard, problem, refusal};
use crate::common::{SOON, certificate, condition, external_account, issued, issuer, mac_key, of_issuer};
use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use certwright_acme::jwk_thumbprint;
use certwright_cluster::{Operator, Pebble, PebbleBuilder, Proxy, TestNamespace, proxy::Action};
use certwright_pki::PrivateKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

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
async fn a_binding_that_the_directory_requires_is_asked_for_and_used_once_it_is_there() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let message = refused(ns, "ca", "ExternalAccountRequired").await?;
        assert_eq!(
            message,
            format!(
                "The CA at {} requires an external account binding; set spec.acme.externalAccountBinding with the key id \
                 and the MAC key that the CA gave you",
                ca.directory()
            )
        );
        assert!(ca.overheard.registrations().is_empty(), "it is not even tried");

        // One after the other, as people do; each is noticed without waiting for the next attempt of the last.
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        refused(ns, "ca", "SecretNotFound").await?;
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        assert_eq!(issuer["status"]["acme"]["boundKeyID"], "kid-1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_binding_that_the_ca_requires_without_saying_so_is_asked_for_in_its_own_words() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let ca = Ca::bound(ns).await?;
        ca.overheard.script(&ca.proxy, |said| match said.path == "/dir" {
            true => Action::ReplaceBody(Box::new(|body| {
                let mut directory: Value = serde_json::from_slice(&body).unwrap_or_default();
                directory["meta"]["externalAccountRequired"] = json!(false);
                directory.to_string().into()
            })),
            false => Action::Pass,
        });
        let _operator = Operator::builder(ns).start().await?;
        ns.apply(&ca.issuer("")).await?;
        let message = refused(ns, "ca", "ExternalAccountRequired").await?;
        let words = "ACME server policy requires newAccount requests must include a value for the \
                     'externalAccountBinding' field (urn:ietf:params:acme:error:externalAccountRequired)";
        assert!(message.contains(words), "{message}");
        assert_eq!(ca.overheard.registrations().len(), 1);
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

#[tokio::test]
async fn another_key_id_binds_a_new_account_with_a_new_key_and_keeps_the_old_key() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let pebble = Pebble::builder().eab("kid-1", &text(&key_bytes())).eab("kid-2", &text(&[7; 48]));
        let ca = Ca::start(ns, pebble).await?;
        let operator = Operator::builder(ns).start().await?;
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        ns.apply(&ca.issuer(&external_account("kid-1"))).await?;
        let old = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?["status"]["acme"].clone();
        let old_key =
            ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?["tls.key"].clone();

        // A new MAC key alone, for accounts to come, changes nothing.
        ns.apply(&mac_key("eab", &text(&[7; 48]))).await?;
        operator.restart().await?;
        ns.apply(&certificate("one", &[&host(ns, "one")], "")).await?;
        issued(ns, "one").await?;
        assert_eq!(ca.overheard.registrations().len(), 1);

        ns.apply(&ca.issuer(&external_account("kid-2"))).await?;
        let bound =
            |issuer: &Value| issuer["status"]["acme"]["boundKeyID"] == "kid-2" && is_up_to_date(issuer);
        let new = ns.wait("issuer/ca", SOON, bound).await?["status"]["acme"].clone();
        assert_ne!(new["uri"], old["uri"]);
        assert_ne!(new["keyThumbprint"], old["keyThumbprint"]);
        let registrations = ca.overheard.registrations();
        let keys: BTreeSet<_> = registrations.iter().map(|said| said.header["jwk"].to_string()).collect();
        assert_eq!((registrations.len(), keys.len()), (2, 2));

        let secret = ns.api::<Secret>().get("ca-account-key").await?;
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_EAB_KEY_ID], "kid-2");
        assert_eq!(secret.annotations()[certwright_api::ANNOTATION_ACCOUNT_URL], new["uri"]);
        let data = secret.data.context("no data")?;
        assert_eq!(new["keyThumbprint"], jwk_thumbprint(&PrivateKey::from_pem(&data["tls.key"].0)?));
        let kept = format!("tls.key.{}", old["keyThumbprint"].as_str().context("no thumbprint")?);
        assert_eq!(data.get(&kept).context("the old key is gone")?, &old_key);

        ns.apply(&certificate("two", &[&host(ns, "two")], "")).await?;
        issued(ns, "two").await?;
        let orders = ca.overheard.those(|said| said.path == NEW_ORDER);
        let accounts: Vec<_> = orders.iter().map(|said| said.header["kid"].clone()).collect();
        assert_eq!(accounts, [old["uri"].clone(), new["uri"].clone()]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_of_the_users_is_not_said_to_be_bound_to_another_key_id() -> Result<()> {
    TestNamespace::with("eab", async |ns| {
        let pebble = Pebble::builder().eab("kid-1", &text(&key_bytes())).eab("kid-2", &text(&key_bytes()));
        let ca = Ca::start(ns, pebble).await?;
        let _operator = Operator::builder(ns).start().await?;
        let secret = |pem: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" },
                "stringData": { "tls.key": pem },
            })
            .to_string()
        };
        ns.apply(&mac_key("eab", &text(&key_bytes()))).await?;
        ns.apply(&secret(include_str!("../fixtures/account-p256-sec1.pem"))).await?;
        let yaml = |key_id: &str| {
            ca.issuer(&(external_account(key_id) + "    privateKeySecretRef: { name: mine }\n"))
        };
        ns.apply(&yaml("kid-1")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;

        ns.apply(&yaml("kid-2")).await?;
        let message = refused(ns, "ca", "InvalidAccountKey").await?;
        assert!(message.starts_with("Secret mine, key tls.key: "), "{message}");
        assert!(message.contains("kid-1"), "{message}");
        assert_eq!(ca.overheard.registrations().len(), 1, "a key has one account, and that is bound already");

        ns.apply(&secret(include_str!("../fixtures/account-p384-pkcs8.pem"))).await?;
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        assert_eq!(issuer["status"]["acme"]["boundKeyID"], "kid-2");
        assert_eq!(issuer["status"]["acme"]["keyAlgorithm"], "ECDSA P-384");
        Ok(())
    })
    .await
}

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

        // Nothing but the spec of the issuer makes it try again.
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
        // What is retried slowly is retried sixty times as slowly as the rest.
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

/// A Pebble that takes every nonce, since a refused one sends a request twice, and a proxy that overhears.
struct Ca {
    pebble: Pebble,
    proxy: Proxy,
    overheard: Overheard,
}

impl Ca {
    async fn start(ns: &TestNamespace, pebble: PebbleBuilder) -> Result<Self> {
        let pebble = pebble.start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let overheard = Overheard::at(&proxy);
        Ok(Self { pebble, proxy, overheard })
    }

    /// One that wants the external account `kid-1`.
    async fn bound(ns: &TestNamespace) -> Result<Self> {
        Self::start(ns, Pebble::builder().eab("kid-1", &text(&key_bytes()))).await
    }

    fn directory(&self) -> String {
        format!("{}/dir", self.proxy.url)
    }

    fn issuer(&self, more: &str) -> String {
        issuer(&self.directory(), &self.pebble.ca_pem, more)
    }

    /// Refuses orders as CAs do that have words of their own: the type is one of RFC 8555, the code is in the detail.
    fn refuse_orders(&self, code: &'static str) {
        self.overheard.script(&self.proxy, move |said| match said.path == NEW_ORDER {
            true => problem(403, "urn:ietf:params:acme:error:unauthorized", &format!("{code}: {DETAIL}")),
            false => Action::Pass,
        });
    }
}

const DETAIL: &str = "see \"your\" portal, <account> no. 4711";

/// What has to reach the user, word for word.
fn words(code: &str) -> String {
    format!("{code}: {DETAIL} (urn:ietf:params:acme:error:unauthorized)")
}

/// Waits until an Issuer says that it is not ready for `reason`, and returns its words.
async fn refused(ns: &TestNamespace, name: &str, reason: &str) -> Result<String> {
    let said =
        |issuer: &Value| condition(issuer, "Ready").filter(|ready| ready.0 == "False" && ready.1 == reason);
    let wanted = |issuer: &Value| is_up_to_date(issuer) && said(issuer).is_some();
    let issuer = ns.wait(&format!("issuer/{name}"), SOON, wanted).await?;
    Ok(said(&issuer).context("no condition")?.2)
}

/// Waits until a Certificate says that its issuer is not ready, in these words.
async fn waits_for_issuer(ns: &TestNamespace, name: &str, words: &str) -> Result<()> {
    let waits = |object: &Value| {
        condition(object, "Issuing").is_some_and(|(_, reason, message)| {
            reason == "IssuerNotReady"
                && message.starts_with("Issuer ca is not ready: ")
                && message.contains(words)
        })
    };
    ns.wait(&format!("certificate/{name}"), SOON, waits).await.map(drop)
}

fn is_up_to_date(issuer: &Value) -> bool {
    issuer["status"]["conditions"][0]["observedGeneration"] == issuer["metadata"]["generation"]
}

/// A name of the test's own.
fn host(ns: &TestNamespace, label: &str) -> String {
    format!("{label}.{}.example.com", ns.name)
}

/// A MAC key that is long enough for HS512, needs padding, and has every character that spellings differ in.
fn key_bytes() -> [u8; 65] {
    let mut key = [0xfb; 65];
    key[1] = 0xff;
    key[2] = 0xbf;
    key
}

/// As CAs hand it out.
fn text(key: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key)
}

fn decode(text: &str) -> Result<Vec<u8>> {
    Ok(BASE64_URL_SAFE_NO_PAD.decode(text)?)
}
