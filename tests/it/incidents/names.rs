//! What keeps a name from being validated.

use crate::common::dns::{http_request, issuer as issuer_with};
use crate::common::faults::issuing;
use crate::common::http01::host;
use crate::common::{SOON, base64, certificate, of_issuer};
use anyhow::Result;
use certwright_cluster::{Reply, ScriptedProvider};
use serde_json::{Value, json};

use super::scene::{FINE, Scene, ZONE, group};
use super::{Happened, Told, because, named};

/// An address where nothing listens on port 80.
const NOBODY: &str = "127.80.6.1";

pub async fn token_expires(scene: &Scene<'_>) -> Result<Happened> {
    let provider = ScriptedProvider::https(&scene.ns.cluster).await?.publish_to(&scene.ground.bind);
    provider.script(|_| Reply::Respond {
        status: 401,
        content_type: "application/json",
        body: json!({ "message": "the token has expired" }).to_string(),
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "token" }, "stringData": { "token": "expired" },
    });
    scene.ns.apply(&secret.to_string()).await?;
    let more = json!({
        "caBundle": base64(&scene.ns.cluster.ca()?.pem), "bearerTokenSecretRef": { "name": "token" },
    });
    solved_by(scene, "token", http_request(&provider.url, more)).await?;
    issuing(scene.ns, "token", "WaitingForSolver").await?;
    Ok(Happened {
        reasons: vec![Told::Condition("certificate/token", "Issuing", "WaitingForSolver")],
        alerts: vec![("CertwrightIssuancesWait", because("WaitingForSolver"))],
        _kept: vec![Box::new(provider)],
    })
}

/// It hangs, or there is none.
pub async fn webhook_hangs(scene: &Scene<'_>) -> Result<Happened> {
    let group = group(scene.ns, "hangs");
    let provider = ScriptedProvider::webhook(scene.ns, &group, "solver").await?;
    provider.allow_operator(scene.ns).await?;
    provider.script(|_| Reply::Hang);
    let webhook = json!({ "webhook": { "groupName": group, "solverName": "solver" } });
    solved_by(scene, "webhook", webhook).await?;
    let service = json!({ "digitalocean": { "tokenSecretRef": { "name": "token", "key": "token" } } });
    solved_by(scene, "service", service).await?;
    provider.wait_request(SOON, |_| true).await?;
    issuing(scene.ns, "service", "DNSWebhookUnavailable").await?;
    Ok(Happened {
        reasons: vec![
            Told::Condition("certificate/webhook", "Issuing", "WaitingForSolver"),
            Told::Condition("certificate/service", "Issuing", "DNSWebhookUnavailable"),
        ],
        alerts: vec![
            ("CertwrightIssuancesWait", because("WaitingForSolver")),
            ("CertwrightIssuancesWait", because("DNSWebhookUnavailable")),
        ],
        _kept: vec![Box::new(provider)],
    })
}

pub async fn port_is_blocked(scene: &Scene<'_>) -> Result<Happened> {
    let dns = scene.ns.cluster.dns()?;
    for name in ["blocked", "blocked-2", "blocked-3", "blocked-4"] {
        dns.set_a(&host(scene.ns, name), &[NOBODY]).await?;
        scene.certificate(name, FINE, "").await?;
    }
    Ok(Happened {
        reasons: vec![
            Told::Condition("certificate/blocked", "Issuing", "WaitingForSelfCheck"),
            Told::Condition("certificate/blocked", "Issuing", "Connection"),
        ],
        alerts: vec![
            ("CertwrightIssuancesFail", because("Connection")),
            ("CertwrightCertificateNotReady", named("blocked")),
        ],
        _kept: Vec::new(),
    })
}

pub async fn class_is_wrong(scene: &Scene<'_>) -> Result<Happened> {
    scene.issuer("class", &scene.ground.directory).await?;
    let solver = json!({ "http01": { "ingress": { "ingressClassName": "nginx" } } });
    scene.ns.patch("issuer/class", json!({ "spec": { "acme": { "solvers": [solver] } } })).await?;
    scene.certificate("class", "class", "").await?;
    Ok(Happened {
        reasons: vec![
            Told::Condition("certificate/class", "Issuing", "WaitingForSelfCheck"),
            Told::Condition("certificate/class", "Issuing", "Unauthorized"),
        ],
        alerts: vec![("CertwrightCertificateNotReady", named("class"))],
        _kept: Vec::new(),
    })
}

/// Applies an Issuer with this solver, and a Certificate of it, both called `name`.
async fn solved_by(scene: &Scene<'_>, name: &str, dns01: Value) -> Result<()> {
    let (ground, solvers) = (&scene.ground, json!([{ "dns01": dns01 }]));
    let issuer = issuer_with(name, &ground.directory, &ground.pebble.ca_pem, &solvers);
    scene.ns.apply(&issuer.to_string()).await?;
    scene.ns.apply(&of_issuer(name, &certificate(name, &[&format!("{name}.{ZONE}")], ""))).await?;
    Ok(())
}
