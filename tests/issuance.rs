//! From a Certificate to a TLS Secret.

mod common;

use anyhow::{Context, Result};
use certwright::pki::{Chain, PrivateKey};
use certwright_cluster::TestNamespace;
use common::{certificate, issued, ready};
use k8s_openapi::api::core::v1::Secret;

#[tokio::test]
async fn a_certificate_for_two_names_is_issued_over_http01() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com", "b.example.com"], "")).await?;
        let issued = issued(ns, "web").await?;
        let secret = ns.api::<Secret>().get("web-tls").await?;
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
        let data = secret.data.context("the Secret has no data")?;
        let chain = Chain::parse_pem(&data["tls.crt"].0)?;
        let key = PrivateKey::from_pem(&data["tls.key"].0)?;
        chain.leaf().check_key(&key)?;
        assert_eq!(Vec::from_iter(&chain.leaf().dns_names), ["a.example.com", "b.example.com"]);
        assert!(chain.certificates().len() > 1, "the chain comes with the certificate");
        assert_eq!(issued["status"]["serialNumber"], chain.leaf().serial_number);
        assert_eq!(issued["status"]["revision"], 1);
        assert!(issued["status"]["order"].is_null(), "nothing is under way any more: {issued}");
        Ok(())
    })
    .await
}
