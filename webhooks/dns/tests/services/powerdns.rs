//! PowerDNS's own server.

use anyhow::Result;
use certwright_cluster::{Cluster, PowerDns};
use certwright_solver::dns01::webhook::Action;
use serde_json::json;

use crate::compare::{FOREIGN, Lego, NAME, Other, ZONE, compare, environment};
use crate::webhook::{Given, Webhook};

#[tokio::test]
async fn powerdns_is_left_as_lego_leaves_it() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let server = PowerDns::start(&cluster, &[ZONE]).await?;
    let lego = Lego {
        provider: "pdns",
        environment: environment(&[("PDNS_API_URL", &server.url), ("PDNS_API_KEY", PowerDns::API_KEY)]),
        nameserver: &server.server.address(),
        differs: &[],
    };
    let values = async || server.server.query(NAME, "TXT").await;
    let reset = async || reset(&server).await;
    compare(
        &cluster,
        &given(&server, PowerDns::API_KEY),
        &environment(&[]),
        Some(Other::Lego(lego)),
        reset,
        values,
    )
    .await
}

#[tokio::test]
async fn twenty_values_come_and_go_at_once() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let server = PowerDns::start(&cluster, &[ZONE]).await?;
    reset(&server).await?;
    let webhook = Webhook::connect(&given(&server, PowerDns::API_KEY)).await?;
    webhook.twenty_at_once(NAME, ZONE, async || server.server.query(NAME, "TXT").await).await
}

#[tokio::test]
async fn a_wrong_key_and_a_zone_that_is_not_there_are_named() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let server = PowerDns::start(&cluster, &[ZONE]).await?;
    let webhook = Webhook::connect(&given(&server, "wrong-key-wrong-key")).await?;
    let error = webhook.change(Action::Present, NAME, ZONE, "value").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "adding the TXT record failed: PowerDNS answered HTTP 401; check the credentials and their rights"
    );
    let webhook = Webhook::connect(&given(&server, PowerDns::API_KEY)).await?;
    let error = webhook.change(Action::CleanUp, "a.other.test", "other.test", "value").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "removing the TXT record failed: PowerDNS answered HTTP 404; check that the zone is there, and that the credentials may \
         change it"
    );
    Ok(())
}

fn given(server: &PowerDns, key: &str) -> Given {
    Given::new(json!({ "provider": "powerdns", "settings": { "url": server.url } }), &[("apiKey", key)])
}

/// Leaves only the foreign value.
async fn reset(server: &PowerDns) -> Result<()> {
    server.set_txt(ZONE, NAME, FOREIGN).await
}
