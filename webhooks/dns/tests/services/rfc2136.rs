//! RFC 2136 at BIND.

use anyhow::Result;
use certwright_cluster::{Bind, Cluster, TsigKey};
use certwright_solver::dns01::webhook::Action;
use serde_json::json;

use crate::compare::{FOREIGN, Lego, NAME, Other, ZONE, compare, environment};
use crate::webhook::{Given, Webhook};

#[tokio::test]
async fn bind_is_left_as_lego_leaves_it() -> Result<()> {
    let (cluster, key) = (Cluster::from_env()?, TsigKey::new("key", "hmac-sha512"));
    let bind = Bind::builder().zone(ZONE).tsig_key(&key).start(&cluster).await?;
    let lego = Lego {
        provider: "dnsupdate",
        environment: environment(&[
            ("DNSUPDATE_NAMESERVER", &bind.address()),
            ("DNSUPDATE_TSIG_KEY", &key.name),
            ("DNSUPDATE_TSIG_ALGORITHM", "hmac-sha512."),
            ("DNSUPDATE_TSIG_SECRET", &key.secret),
        ]),
        nameserver: &bind.address(),
        // lego replaces the record set, and removes it whole.
        differs: &[(0, &["V"]), (1, &["V"]), (2, &[]), (3, &[])],
    };
    let reset = async || {
        bind.edit(&format!("update delete {NAME}. TXT")).await?;
        bind.add_txt(NAME, FOREIGN).await
    };
    let values = async || bind.query(NAME, "TXT").await;
    compare(&cluster, &given(&bind, &key), &environment(&[]), Some(Other::Lego(lego)), reset, values).await
}

#[tokio::test]
async fn twenty_values_come_and_go_at_once() -> Result<()> {
    let (cluster, key) = (Cluster::from_env()?, TsigKey::new("key", "hmac-sha256"));
    let bind = Bind::builder().zone(ZONE).tsig_key(&key).start(&cluster).await?;
    bind.add_txt(NAME, FOREIGN).await?;
    let webhook = Webhook::connect(&given(&bind, &key)).await?;
    webhook.twenty_at_once(NAME, ZONE, async || bind.query(NAME, "TXT").await).await
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_refused_in_its_words() -> Result<()> {
    let (cluster, key) = (Cluster::from_env()?, TsigKey::new("key", "hmac-sha256"));
    let bind = Bind::builder().zone(ZONE).tsig_key(&key).start(&cluster).await?;
    let webhook = Webhook::connect(&given(&bind, &TsigKey::new("other", "hmac-sha256"))).await?;
    let error = webhook.change(Action::Present, NAME, ZONE, "value").await.unwrap_err().to_string();
    assert!(error.starts_with("adding the TXT record failed: RFC 2136 failed: "), "{error}");
    assert!(!error.contains(&TsigKey::new("other", "hmac-sha256").secret), "{error}");
    assert_eq!(bind.query(NAME, "TXT").await?, [""; 0]);
    Ok(())
}

fn given(bind: &Bind, key: &TsigKey) -> Given {
    let settings =
        json!({ "nameserver": bind.address(), "tsigKeyName": key.name, "tsigAlgorithm": key.algorithm });
    Given::new(json!({ "provider": "rfc2136", "settings": settings }), &[("tsigSecret", &key.secret)])
}
