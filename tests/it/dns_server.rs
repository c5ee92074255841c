//! `certwright-dns` as an aggregated API server: its certificate, leader election, and certificates that it proves, for the operator
//! and for cert-manager.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

mod access;

use std::time::{Duration, Instant};

use crate::common::certwright_dns::{Direct, ask, group, parent, payload, token};
use crate::common::dns::{Ground, KEY};
use crate::common::migrate::CM_CERTIFICATE;
use crate::common::{SOON, base64, certificate, issued, tls};
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use certwright_cluster::ca::TestCa;
use certwright_cluster::proxy::Action;
use certwright_cluster::{
    ADDRESS, CertManager, CertwrightDns, Proxy, Replica, SECOND_ADDRESS, TestNamespace,
};
use http::Method;
use reqwest::Identity;
use serde_json::{Value, json};

#[tokio::test]
async fn the_operator_issues_a_wildcard_through_it() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let (dns, replica) = CertwrightDns::start(ns, &group(ns)).await?;
        dns.allow_operator().await?;
        let webhook = json!({
            "groupName": dns.group(), "solverName": CertwrightDns::SOLVER, "config": config(&ground),
        });
        ground.solve_by(ns, json!({ "webhook": webhook })).await?;
        ground.bind.add_txt("_acme-challenge.a.test", "of somebody else").await?;
        ns.apply(&certificate("web", &["*.a.test", "a.test"], "")).await?;
        issued(ns, "web").await?;
        let leaf = tls(ns, "web-tls").await?.chain.leaf().clone();
        ensure!(leaf.dns_names.iter().any(|name| name == "*.a.test"), "{:?}", leaf.dns_names);
        ns.wait("certificate/web", SOON, |object| object["status"]["dnsRecords"].is_null()).await?;
        assert_eq!(ground.values("a.test").await?, ["of somebody else"]);

        let memory = replica.memory()?;
        ensure!(memory < 60 << 20, "an unoptimized build holds {memory} bytes");
        let metrics = replica.health("/metrics").await?.1;
        let counted =
            r#"certwright_dns_requests_total{provider="rfc2136",action="cleanup",result="success"} 2"#;
        ensure!(metrics.contains(counted), "{metrics}");
        let logs = replica.logs();
        let line = logs.lines().find(|line| line.contains("carried out a challenge")).context("no line")?;
        let line: Value = serde_json::from_str(line)?;
        assert_eq!(line["name"], "_acme-challenge.a.test", "{line}");
        assert_eq!((&line["zone"], &line["provider"]), (&json!("a.test"), &json!("rfc2136")), "{line}");
        let secret = ns.get(&format!("secret/{KEY}")).await?.context("no key")?;
        let secret = secret["data"]["secret"].as_str().context("no secret")?;
        let secret = String::from_utf8(BASE64_STANDARD.decode(secret)?)?;
        ensure!(!logs.contains(&secret), "the key is in the log");
        ensure!(!logs.contains("DEBUG"), "nobody asked for that: {logs}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn cert_manager_issues_a_wildcard_through_it() -> Result<()> {
    TestNamespace::with("dns-cm", async |ns| {
        ns.cluster.cert_manager_api().await?;
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let (dns, _replica) = CertwrightDns::start(ns, &group(ns)).await?;
        let cert_manager = CertManager::start_with_resolver(ns, &ground.resolver.address()).await?;
        let webhook = json!({
            "groupName": dns.group(), "solverName": CertwrightDns::SOLVER, "config": config(&ground),
        });
        let issuer = json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": { "name": "ca" },
            "spec": { "acme": {
                "server": ground.directory, "caBundle": base64(&ground.pebble.ca_pem),
                "privateKeySecretRef": { "name": "account" },
                "solvers": [{ "dns01": { "webhook": webhook } }],
            } },
        });
        ns.apply(&issuer.to_string()).await?;
        // After its self-check has succeeded, cert-manager waits for a minute.
        let yaml = certificate("web", &["*.a.test"], "");
        ns.apply(&yaml.replace("certwright.dev/v1alpha1", "cert-manager.io/v1")).await?;
        let target = format!("{CM_CERTIFICATE}/web");
        let ready = ns.wait_condition(&target, "Ready", "True", SOON * 4).await;
        ready.with_context(|| cert_manager.log_tail(30))?;
        ground.wait_values("a.test", 0).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn its_authority_is_replaced_without_a_moment_of_distrust() -> Result<()> {
    TestNamespace::with("dns-rotation", async |ns| {
        let dns = CertwrightDns::register(ns, &group(ns)).await?;
        let dns = dns.argument("--tls-ca-lifetime=30s").argument("--tls-cert-lifetime=12s");
        let mut replica = dns.replica(ADDRESS).await?;
        replica.wait_ready(SOON).await?;
        dns.lead_to(&[&replica]).await?;
        dns.wait_available().await?;
        let token = token(ns).await?;
        let headers = [("Authorization", format!("Bearer {token}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let direct = Direct { ns, dns: &dns, replica: &replica };
        let mut bundles = Vec::new();
        let began = Instant::now();
        let mut checks = 0;
        // Two authorities follow the first.
        while began.elapsed() < Duration::from_secs(55) {
            let bundle = direct.bundle().await?;
            if bundles.last() != Some(&bundle) {
                bundles.push(bundle);
            }
            // An API server that has not seen the last change yet.
            for bundle in bundles.iter().rev().take(1) {
                let client = direct.client(bundle, None)?;
                let path = parent(&dns.path());
                let answered = direct.send_by(client, Method::GET, &path, &headers, String::new()).await;
                assert_eq!(answered.with_context(|| format!("after {:?}", began.elapsed()))?.0, 200);
            }
            let answer = ask(ns, Method::POST, &dns.path(), &payload(json!({}))).await;
            answer.with_context(|| format!("through the API server, after {:?}", began.elapsed()))?;
            checks += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let authorities = |bundle: &String| bundle.matches("BEGIN").count();
        ensure!(checks > 50, "{checks} checks");
        ensure!(bundles.iter().any(|bundle| authorities(bundle) == 2), "both, for a while");
        let alone = bundles.iter().filter(|bundle| authorities(bundle) == 1).count();
        ensure!(
            alone >= 2,
            "an old authority is forgotten: {:?}",
            bundles.iter().map(authorities).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_leader_that_is_killed_or_ended_is_followed() -> Result<()> {
    TestNamespace::with("dns-leader", async |ns| {
        let dns = CertwrightDns::register(ns, &group(ns)).await?.argument("--lease-duration=5s");
        let mut first = dns.replica(ADDRESS).await?;
        first.wait_ready(SOON).await?;
        dns.lead_to(&[&first]).await?;
        dns.wait_available().await?;
        let mut second = dns.replica(SECOND_ADDRESS).await?;
        stands_by(&second).await?;
        let ca = ns.cluster.ca()?.sign("front-proxy", &[])?;
        let identity = || Identity::from_pem((ca.certificate.clone() + &ca.key).as_bytes());
        let masters = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")];
        let direct = Direct { ns, dns: &dns, replica: &second };
        let (status, body) = direct.post(Some(identity()?), &masters, payload(json!({}))).await?;
        ensure!(status == 503 && body.contains("does not lead"), "{status}: {body}");

        first.kill9().await?;
        let killed = Instant::now();
        second.wait_ready(Duration::from_secs(12)).await?;
        ensure!(killed.elapsed() < Duration::from_secs(10), "it took {:?}", killed.elapsed());
        dns.lead_to(&[&second]).await?;
        dns.wait_available().await?;
        ask(ns, Method::POST, &dns.path(), &payload(json!({}))).await?;

        let mut third = dns.replica(ADDRESS).await?;
        stands_by(&third).await?;
        second.terminate().await?;
        let ended = Instant::now();
        third.wait_ready(Duration::from_secs(4)).await?;
        ensure!(ended.elapsed() < Duration::from_secs(3), "the Lease was released: {:?}", ended.elapsed());
        ensure!(second.logs().contains("certwright-dns stopped"), "{}", second.logs());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_the_api_server_nothing_is_done_and_afterwards_it_goes_on() -> Result<()> {
    TestNamespace::with("dns-away", async |ns| {
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let dns = CertwrightDns::register(ns, &group(ns)).await?;
        let dns = dns.argument("--lease-duration=5s").api_server(&api.url);
        let mut replica = dns.replica(ADDRESS).await?;
        replica.wait_ready(SOON).await?;
        dns.lead_to(&[&replica]).await?;
        dns.wait_available().await?;
        let signed = ns.cluster.ca()?.sign("front-proxy", &[])?;
        let identity = || Identity::from_pem((signed.certificate.clone() + &signed.key).as_bytes());
        let masters = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")];
        let direct = Direct { ns, dns: &dns, replica: &replica };

        api.script(|_| Action::Drop);
        stands_by(&replica).await?;
        let (status, body) = direct.post(Some(identity()?), &masters, payload(json!({}))).await?;
        ensure!(status == 503 && body.contains("retryAfterSeconds"), "{status}: {body}");
        assert_eq!(replica.health("/healthz").await?.0, 200, "a restart would not help");
        api.pass();
        replica.wait_ready(SOON).await?;
        ask(ns, Method::POST, &dns.path(), &payload(json!({}))).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_is_given_is_read_again_and_the_api_service_left_alone() -> Result<()> {
    TestNamespace::with("dns-given", async |ns| {
        let directory = tempfile::tempdir()?;
        let dns = CertwrightDns::register(ns, &group(ns)).await?;
        let ca = ns.cluster.ca()?;
        ca.sign("given", &[&dns.host()])?.write(directory.path(), "tls")?;
        ns.patch(&dns.target(), json!({ "spec": { "caBundle": base64(&ca.pem) } })).await?;
        let file = |name: &str| directory.path().join(name).display().to_string();
        let dns = dns
            .argument(&format!("--tls-cert-file={}", file("tls.crt")))
            .argument(&format!("--tls-private-key-file={}", file("tls.key")));
        let mut replica = dns.replica(ADDRESS).await?;
        replica.wait_ready(SOON).await?;
        dns.lead_to(&[&replica]).await?;
        dns.wait_available().await?;
        ask(ns, Method::POST, &dns.path(), &payload(json!({}))).await?;

        let others = tempfile::tempdir()?;
        let other = TestCa::create(others.path())?;
        other.sign("given", &[&dns.host()])?.write(directory.path(), "tls")?;
        let direct = Direct { ns, dns: &dns, replica: &replica };
        let began = Instant::now();
        let path = parent(&dns.path());
        while let Err(error) =
            direct.send_by(direct.client(&other.pem, None)?, Method::GET, &path, &[], String::new()).await
        {
            ensure!(began.elapsed() < SOON, "{error:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(direct.bundle().await?, ca.pem);
        Ok(())
    })
    .await
}

async fn stands_by(replica: &Replica) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < SOON {
        let answer = replica.health("/readyz").await;
        if answer.is_ok_and(|answer| answer == (503, "another replica leads".to_owned())) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{:?}", replica.health("/readyz").await)
}

/// The provider that updates the name server of `ground`.
fn config(ground: &Ground) -> Value {
    json!({
        "provider": "rfc2136", "settings": { "nameserver": ground.bind.address(), "tsigKeyName": KEY },
        "credentials": { "tsigSecret": { "secretRef": { "name": KEY, "key": "secret" } } },
    })
}
