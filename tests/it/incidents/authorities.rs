//! What happens at a CA.

use std::time::Duration;

use crate::common::accounts::{MAC_KEY, client_of, key_in};
use crate::common::faults::{change_json, issuing, path, refusal};
use crate::common::http01::host;
use crate::common::{external_account, issued, mac_key};
use anyhow::{Context, Result};
use certwright_acme::Account;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Pebble, Proxy};
use serde_json::json;

use super::scene::Scene;
use super::{Happened, Told, named};

/// Certificates are renewed after two thirds of this.
const SHORT: Duration = Duration::from_secs(15);

pub async fn goes_down(scene: &Scene<'_>) -> Result<Happened> {
    let (ca, directory) = behind_proxy(scene, &scene.ground.pebble).await?;
    scene.issuer("down", &directory).await?;
    ca.go_away();
    scene.certificate("down", "down", "").await?;
    scene.apply_issuer("never-up", &directory, "").await?;
    let server = ca.url.trim_start_matches("https://").to_owned();
    Ok(Happened {
        reasons: vec![
            Told::Condition("certificate/down", "Issuing", "CAUnavailable"),
            Told::Condition("issuer/never-up", "Ready", "CAUnavailable"),
        ],
        alerts: vec![
            ("CertwrightCaUnreachable", vec![("server", server)]),
            ("CertwrightIssuerNotReady", named("never-up")),
        ],
        _kept: vec![Box::new(ca)],
    })
}

pub async fn limits_the_rate(scene: &Scene<'_>) -> Result<Happened> {
    let (ca, directory) = behind_proxy(scene, &scene.ground.pebble).await?;
    scene.issuer("limited", &directory).await?;
    let document = json!({
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": "too many new orders (300) from this account in the last 3h0m0s",
    });
    ca.script(move |request| match request.path.as_str() {
        path::NEW_ORDER => Action::Respond {
            status: 429,
            headers: vec![
                ("content-type", "application/problem+json".to_owned()),
                ("retry-after", "3600".to_owned()),
            ],
            body: document.to_string(),
        },
        _ => Action::Pass,
    });
    scene.certificate("limited", "limited", "").await?;
    issuing(scene.ns, "limited", "RateLimited").await?;
    scene.certificate("waits", "limited", "").await?;
    Ok(Happened {
        reasons: vec![
            Told::Condition("certificate/limited", "Issuing", "RateLimited"),
            Told::Condition("certificate/waits", "Issuing", "RateLimited"),
        ],
        alerts: vec![
            ("CertwrightAccountPaused", Vec::new()),
            ("CertwrightCertificateNotReady", named("waits")),
        ],
        _kept: vec![Box::new(ca)],
    })
}

pub async fn is_forbidden(scene: &Scene<'_>) -> Result<Happened> {
    let pebble = Pebble::builder().dns_server(&scene.ground.resolver.address()).certificate_validity(SHORT);
    let pebble = pebble.start(&scene.ns.cluster).await?;
    let (ca, directory) = behind_proxy(scene, &pebble).await?;
    ca.script(|request| match request.path.as_str() {
        path::DIRECTORY => change_json(|directory| directory["meta"]["caaIdentities"] = json!(["ca.test"])),
        _ => Action::Pass,
    });
    let dns = scene.ns.cluster.dns()?;
    let forbid = async |name: &str| dns.add_caa(&host(scene.ns, name), "issue", "other.test").await;
    scene.issuer("forbidden", &directory).await?;
    forbid("forbidden").await?;
    scene.certificate("forbidden", "forbidden", "").await?;
    scene.certificate("forbidden-later", "forbidden", "").await?;
    issued(scene.ns, "forbidden-later").await?;
    forbid("forbidden-later").await?;
    Ok(Happened {
        reasons: vec![
            Told::Condition("certificate/forbidden", "Issuing", "CAA"),
            Told::Condition("certificate/forbidden-later", "Issuing", "CAA"),
        ],
        alerts: vec![
            ("CertwrightCertificateNotReady", named("forbidden")),
            ("CertwrightRenewalOverdue", named("forbidden-later")),
        ],
        _kept: vec![Box::new(pebble), Box::new(ca)],
    })
}

/// One CA has a code for it; another says only that it does not know the key id.
pub async fn binding_expires(scene: &Scene<'_>) -> Result<Happened> {
    let pebble = Pebble::builder().eab("kid-1", MAC_KEY).start(&scene.ns.cluster).await?;
    let (ca, directory) = behind_proxy(scene, &pebble).await?;
    ca.script(|request| match request.path.as_str() {
        path::NEW_ACCOUNT => refusal(
            403,
            &json!({
                "type": "urn:ietf:params:acme:error:unauthorized",
                "detail": "EXPIRED_EXTERNAL_ACCOUNT: the external account has expired",
            }),
        ),
        _ => Action::Pass,
    });
    scene.ns.apply(&mac_key("eab", MAC_KEY)).await?;
    scene.apply_issuer("expired", &directory, &external_account("kid-1")).await?;
    scene.apply_issuer("forgotten", &pebble.directory_url, &external_account("kid-0")).await?;
    Ok(Happened {
        reasons: vec![
            Told::Condition("issuer/expired", "Ready", "EXPIRED_EXTERNAL_ACCOUNT"),
            Told::Condition("issuer/forgotten", "Ready", "Unauthorized"),
        ],
        alerts: vec![
            ("CertwrightIssuerNotReady", named("expired")),
            ("CertwrightIssuerNotReady", named("forgotten")),
        ],
        _kept: vec![Box::new(pebble), Box::new(ca)],
    })
}

pub async fn deactivates(scene: &Scene<'_>) -> Result<Happened> {
    let pebble = &scene.ground.pebble;
    scene.issuer("deactivated", &pebble.directory_url).await?;
    let key = key_in(scene.ns, "deactivated-account-key", "tls.key").await?;
    let account = Account::look_up(&client_of(pebble)?, key).await?.context("there is no account")?;
    account.account.deactivate().await?;
    scene.certificate("deactivated", "deactivated", "").await?;
    Ok(Happened {
        reasons: vec![Told::Condition("issuer/deactivated", "Ready", "Unauthorized")],
        alerts: vec![("CertwrightIssuerNotReady", named("deactivated"))],
        _kept: Vec::new(),
    })
}

/// A proxy in front of a CA, and the URL of its directory there.
async fn behind_proxy(scene: &Scene<'_>, pebble: &Pebble) -> Result<(Proxy, String)> {
    let proxy = Proxy::start(&scene.ns.cluster, &pebble.address).await?;
    let directory = format!("{}{}", proxy.url, path::DIRECTORY);
    Ok((proxy, directory))
}
