//! What a Certificate can request from the CA: a profile, a lifetime, a chain.

use std::time::Duration;

use crate::common::faults::event;
use crate::common::overheard::{NEW_ORDER, Overheard, problem};
use crate::common::{
    SOON, certificate, condition, issued, issuer, ready, ready_through_proxy, revision, tls,
};
use anyhow::{Context, Result};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, Pebble, TestNamespace};
use certwright_pki::Chain;
use serde_json::json;

#[tokio::test]
async fn a_profile_of_the_certificate_comes_before_that_of_the_issuer() -> Result<()> {
    TestNamespace::with("wishes", async |ns| {
        let pebble = Pebble::builder().profile("short", "Six hours", Duration::from_secs(6 * 3600)).profile(
            "long",
            "Ninety days",
            Duration::from_secs(90 * 86_400),
        );
        let (_pebble, _proxy, _operator) = ready_through_proxy(ns, pebble, "    profile: long\n").await?;
        ns.apply(&certificate("long", &["long.example.com"], "")).await?;
        ns.apply(&certificate("short", &["short.example.com"], "  profile: short\n")).await?;
        for (name, hours) in [("long", 90 * 24), ("short", 6)] {
            issued(ns, name).await?;
            let leaf = tls(ns, &format!("{name}-tls")).await?.chain.leaf().clone();
            let found = leaf.not_after.duration_since(leaf.not_before).as_hours();
            assert!((hours - 1..=hours).contains(&found), "{name}: {found} h");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_duration_is_asked_for_where_the_issuer_says_so() -> Result<()> {
    TestNamespace::with("wishes", async |ns| {
        let enabled = "    enableDurationFeature: true\n";
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), enabled).await?;
        let overheard = Overheard::at(&proxy);
        ns.apply(&certificate("web", &["web.example.com"], "  duration: 100h\n")).await?;
        issued(ns, "web").await?;
        let leaf = tls(ns, "web-tls").await?.chain.leaf().clone();
        let hours = leaf.not_after.duration_since(leaf.not_before).as_hours();
        assert!((99..=100).contains(&hours), "{hours} h");
        let (_, note) = event(ns, "web", "Issued").await?;
        assert!(!note.contains("duration"), "{note}");

        // Without it, the CA decides, and is sent no lifetime.
        ns.patch("issuer/ca", json!({ "spec": { "acme": { "enableDurationFeature": false } } })).await?;
        ns.patch("certificate/web", json!({ "spec": { "dnsNames": ["other.example.com"] } })).await?;
        revision(ns, "web", 2).await?;
        let orders = overheard.those(|said| said.path == NEW_ORDER);
        let last = orders.last().context("no order")?;
        assert!(last.payload["notAfter"].is_null(), "{:?}", last.payload);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ca_that_takes_no_duration_is_quoted_with_what_to_do() -> Result<()> {
    TestNamespace::with("wishes", async |ns| {
        let enabled = "    enableDurationFeature: true\n";
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, Pebble::builder(), enabled).await?;
        // The message of Let's Encrypt; Pebble accepts a duration.
        Overheard::default().script(&proxy, |said| match said.path.as_str() {
            NEW_ORDER => problem(
                400,
                "urn:ietf:params:acme:error:malformed",
                "NotBefore and NotAfter are not supported",
            ),
            _ => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.example.com"], "  duration: 100h\n")).await?;
        let failed = ns
            .wait("certificate/web", SOON, |object| object["status"]["lastFailureTime"].is_string())
            .await?;
        let (_, _, message) = condition(&failed, "Ready").context("no condition")?;
        for part in
            ["NotBefore and NotAfter are not supported", "remove enableDurationFeature from the issuer"]
        {
            assert!(message.contains(part), "{message}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_preferred_chain_that_is_not_offered_is_told_and_the_default_one_stored() -> Result<()> {
    TestNamespace::with("wishes", async |ns| {
        let pebble = Pebble::builder().alternate_roots(1).start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let preferring = "    preferredChain: ISRG Root X9\n";
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, preferring)).await?;
        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        issued(ns, "web").await?;
        let (type_, note) = event(ns, "web", "PreferredChainNotOffered").await?;
        assert_eq!(type_, "Warning");
        assert!(note.starts_with("The CA offers no chain with the issuer ISRG Root X9,"), "{note}");
        for index in 0..2 {
            let root = Chain::parse_pem(pebble.alternate_root_pem(index).await?.as_bytes())?;
            let name = root.leaf().common_name.clone().context("a root without a name")?;
            assert!(note.contains(&name), "{name}: {note}");
        }
        Ok(())
    })
    .await
}

/// A CA changes its intermediate certificates every quarter: here, another CA with another root replaces it.
#[tokio::test]
async fn a_chain_is_stored_as_it_is_served_also_when_its_intermediates_are_others_than_before() -> Result<()>
{
    TestNamespace::with("wishes", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["web.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        let before = tls(ns, "web-tls").await?.chain;
        let other = Pebble::builder().chain_length(2).start(&ns.cluster).await?;
        ns.apply(&issuer(&other.directory_url, &other.ca_pem, "")).await?;
        ns.patch(
            "certificate/web",
            json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } }),
        )
        .await?;
        revision(ns, "web", 2).await?;
        let after = tls(ns, "web-tls").await?;
        assert_ne!(after.chain.leaf().issuer_name, before.leaf().issuer_name);
        assert_eq!(after.chain.certificates().len(), 3, "the leaf and two intermediates");
        let ca = after.secret.data.as_ref().and_then(|data| data.get("ca.crt")).context("no ca.crt")?;
        let top = after.chain.certificates().last().context("an empty chain")?;
        assert_eq!(pem::parse(&ca.0)?.contents(), top);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn labels_and_annotations_of_others_stay_and_those_of_the_template_go_with_it() -> Result<()> {
    TestNamespace::with("wishes", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        let template = "  secretTemplate: { labels: { team: a, both: ours }, annotations: { note: b } }\n";
        ns.apply(&certificate("web", &["web.example.com"], template)).await?;
        issued(ns, "web").await?;
        let theirs = json!({
            "metadata": { "labels": { "theirs": "kept" }, "annotations": { "theirs": "kept", "note.theirs": "kept" } },
            "data": { "extra": "a2VwdA==" },
        });
        ns.patch("secret/web-tls", theirs).await?;
        let change = json!({ "spec": { "secretTemplate": { "labels": { "team": null }, "annotations": null } } });
        ns.patch("certificate/web", change).await?;
        let secret =
            ns.wait("secret/web-tls", SOON, |secret| secret["metadata"]["labels"]["team"].is_null()).await?;
        let metadata = &secret["metadata"];
        assert_eq!(metadata["labels"]["both"], "ours");
        assert_eq!(metadata["labels"]["theirs"], "kept");
        assert!(metadata["annotations"]["note"].is_null(), "{metadata:#}");
        assert_eq!(metadata["annotations"]["theirs"], "kept");
        assert_eq!(metadata["annotations"]["note.theirs"], "kept");
        assert_eq!(secret["data"]["extra"], "a2VwdA==");
        // The next certificate does not change them either.
        ns.patch("certificate/web", json!({ "spec": { "dnsNames": ["other.example.com"] } })).await?;
        revision(ns, "web", 2).await?;
        let secret = ns.get("secret/web-tls").await?.context("no Secret")?;
        assert_eq!(secret["metadata"]["labels"]["theirs"], "kept");
        assert_eq!(secret["data"]["extra"], "a2VwdA==");
        Ok(())
    })
    .await
}
