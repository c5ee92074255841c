//! Private keys, and their CSRs.

use super::*;

#[tokio::test]
async fn each_kind_of_private_key_is_made_and_written_as_asked() -> Result<()> {
    let cases = [
        ("{}", "RSA 2048", "-----BEGIN RSA PRIVATE KEY-----"),
        ("{ algorithm: RSA, size: 2048, encoding: PKCS8 }", "RSA 2048", "-----BEGIN PRIVATE KEY-----"),
        ("{ algorithm: ECDSA }", "ECDSA P-256", "-----BEGIN EC PRIVATE KEY-----"),
        ("{ algorithm: ECDSA, encoding: PKCS8 }", "ECDSA P-256", "-----BEGIN PRIVATE KEY-----"),
        ("{ algorithm: ECDSA, size: 384, encoding: PKCS1 }", "ECDSA P-384", "-----BEGIN EC PRIVATE KEY-----"),
    ];
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        for (index, (private_key, ..)) in cases.iter().enumerate() {
            let default = "privateKey: { algorithm: ECDSA }";
            let yaml = certificate(&format!("web{index}"), &[&format!("k{index}.example.com")], "");
            ns.apply(&yaml.replace(default, &format!("privateKey: {private_key}"))).await?;
        }
        for (index, (private_key, algorithm, head)) in cases.iter().enumerate() {
            issued(ns, &format!("web{index}")).await?;
            let found = tls(ns, &format!("web{index}-tls")).await?;
            assert_eq!(found.key.algorithm().to_string(), *algorithm, "{private_key}");
            assert!(found.key_pem.starts_with(head), "{private_key} was written as {}", &found.key_pem[..32]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_renewal_has_a_new_key_unless_the_rotation_policy_says_never() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let keep = certificate("keep", &["keep.example.com"], "");
        let keep = keep.replace("algorithm: ECDSA", "algorithm: ECDSA, rotationPolicy: Never");
        ns.apply(&keep).await?;
        ns.apply(&certificate("rotate", &["rotate.example.com"], "")).await?;
        let mut before = Vec::new();
        for name in ["keep", "rotate"] {
            issued(ns, name).await?;
            before.push(tls(ns, &format!("{name}-tls")).await?);
            let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
            ns.patch(&format!("certificate/{name}"), renew).await?;
        }
        for (name, before) in ["keep", "rotate"].into_iter().zip(before) {
            revision(ns, name, 2).await?;
            let after = tls(ns, &format!("{name}-tls")).await?;
            assert_ne!(after.chain.leaf().serial_number, before.chain.leaf().serial_number, "{name}");
            assert_eq!(after.key_pem == before.key_pem, name == "keep", "{name}");
        }
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn a_signing_request_has_no_extended_key_usage_and_is_signed_with_sha256_or_better() -> Result<()> {
    let cases = [
        ("{ algorithm: RSA }", "1.2.840.113549.1.1.11"),
        ("{ algorithm: ECDSA }", "1.2.840.10045.4.3.2"),
        ("{ algorithm: ECDSA, size: 384 }", "1.2.840.10045.4.3.3"),
    ];
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), "").await?;
        for (index, (private_key, signature)) in cases.iter().enumerate() {
            let requests = signing_requests(&proxy);
            let name = format!("web{index}");
            let yaml = certificate(&name, &[&format!("{name}.example.com")], "");
            ns.apply(
                &yaml.replace("privateKey: { algorithm: ECDSA }", &format!("privateKey: {private_key}")),
            )
            .await?;
            issued(ns, &name).await?;
            let der = requests.only()?;
            let (_, request) = X509CertificationRequest::from_der(&der)?;
            let extensions: Vec<_> = request.requested_extensions().into_iter().flatten().collect();
            let only_names = |extension: &&ParsedExtension| {
                matches!(extension, ParsedExtension::SubjectAlternativeName(_))
            };
            assert_eq!(extensions.len(), 1, "{extensions:?}");
            assert!(extensions.iter().all(only_names), "{extensions:?}");
            assert_eq!(request.signature_algorithm.algorithm.to_id_string(), *signature, "{private_key}");
        }
        Ok(())
    })
    .await
}
