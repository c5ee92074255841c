//! A certificate signing request in a Certificate.

use k8s_openapi::api::core::v1::Secret;

use super::*;
use crate::common::api::is_refused;
use crate::common::{issued, ready, revision};

#[tokio::test]
async fn a_certificate_for_a_key_elsewhere_has_no_key_in_its_secret_and_renewals_use_the_request_again()
-> Result<()> {
    TestNamespace::with("csr", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
        ns.apply(&certificate(&pem(&key, &host(ns, "a"))?)).await?;
        issued(ns, "hsm").await?;
        let (secret, first) = stored(ns).await?;
        assert_eq!(secret.type_.as_deref(), Some("Opaque"));
        let entries: Vec<&str> = secret.data.iter().flatten().map(|(name, _)| name.as_str()).collect();
        assert_eq!(entries, ["ca.crt", "tls.crt"]);
        first.leaf().check_key(&key)?;
        assert!(first.leaf().dns_names.contains(&host(ns, "a")));

        ns.patch(
            "certificate/hsm",
            json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } }),
        )
        .await?;
        revision(ns, "hsm", 2).await?;
        let (_, second) = stored(ns).await?;
        second.leaf().check_key(&key)?;
        assert_ne!(first.leaf().serial_number, second.leaf().serial_number);

        // Another key, and another name.
        let key = PrivateKey::generate(KeyAlgorithm::Rsa(2048))?;
        ns.apply(&certificate(&pem(&key, &host(ns, "b"))?)).await?;
        revision(ns, "hsm", 3).await?;
        let (_, third) = stored(ns).await?;
        third.leaf().check_key(&key)?;
        assert!(third.leaf().dns_names.contains(&host(ns, "b")));
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_request_that_no_ca_accepts_is_explained_and_one_beside_names_is_refused() -> Result<()> {
    TestNamespace::with("csr", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate(&fixture(WITH_EXTENDED_KEY_USAGE)?)).await?;
        let has = |object: &Value| condition(object, "Ready").is_some_and(|ready| ready.1 == "InvalidSpec");
        let object = ns.wait("certificate/hsm", SOON, has).await?;
        let (_, _, message) = condition(&object, "Ready").context("no condition")?;
        assert!(
            message.contains("csr: it requests the extended key usage serverAuth, clientAuth"),
            "{message}"
        );
        let pem = pem(&PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?, &host(ns, "a"))?;
        for (more, words) in [
            ("  dnsNames: [a.example.com]\n", "the names are those in the certificate signing request"),
            ("  privateKey: { algorithm: ECDSA }\n", "the private key is kept elsewhere"),
            (
                "  revocation: { onDelete: superseded }\n",
                "only certificates whose private key is in the Secret",
            ),
        ] {
            is_refused(ns, &(certificate(&pem) + more), words).await?;
        }
        Ok(())
    })
    .await
}

/// The Certificate `hsm`.
fn certificate(csr: &str) -> String {
    let csr = json!(csr);
    format!(
        "apiVersion: certwright.dev/v1alpha1\nkind: Certificate\nmetadata: {{ name: hsm }}\nspec:\n  secretName: \
         hsm-tls\n  issuerRef: {{ name: ca }}\n  csr: {csr}\n"
    )
}

/// The Secret of the Certificate `hsm`, and the chain in it.
async fn stored(ns: &TestNamespace) -> Result<(Secret, Chain)> {
    let secret = ns.api::<Secret>().get("hsm-tls").await?;
    let chain = secret.data.as_ref().and_then(|data| data.get("tls.crt")).context("no tls.crt")?;
    let chain = Chain::parse_pem(&chain.0)?;
    Ok((secret, chain))
}
