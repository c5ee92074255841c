//! Who may call `certwright-dns`, what becomes of hostile requests, and of Secrets that it may not read.

use crate::common::SOON;
use crate::common::certwright_dns::{Direct, ask, group, parent, payload, token};
use anyhow::{Context, Result, ensure};
use certwright_cluster::ca::TestCa;
use certwright_cluster::{ADDRESS, CertwrightDns, TestNamespace};
use http::Method;
use reqwest::Identity;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn only_those_whom_a_role_allows_may_add_records() -> Result<()> {
    TestNamespace::with("dns-access", async |ns| {
        let (dns, replica) = CertwrightDns::start(ns, &group(ns)).await?;
        let discovered = ask(ns, Method::GET, &parent(&dns.path()), "").await?;
        assert_eq!(discovered["resources"][0]["name"], CertwrightDns::SOLVER, "{discovered}");
        let answer = ask(ns, Method::POST, &dns.path(), &payload(json!({ "provider": "no" }))).await?;
        assert_eq!(
            (&answer["response"]["uid"], &answer["response"]["success"]),
            (&json!("7"), &json!(false))
        );

        let stranger = ns.acting_as("stranger").await?;
        let refused = ask(&stranger, Method::POST, &dns.path(), &payload(json!({}))).await.unwrap_err();
        ensure!(refused.to_string().contains("stranger"), "{refused}");

        // Without the API server in between.
        let ca = ns.cluster.ca()?;
        let front_proxy = |name: &str| -> Result<Identity> {
            let signed = ca.sign(name, &[])?;
            Ok(Identity::from_pem((signed.certificate + &signed.key).as_bytes())?)
        };
        let direct = Direct { ns, dns: &dns, replica: &replica };
        let as_user =
            |user: &'static str| [("X-Remote-User", user), ("X-Remote-Group", "system:authenticated")];
        let posted = async |identity: Option<Identity>, headers: &[(&str, &str)]| {
            direct.post(identity, headers, payload(json!({}))).await
        };
        for (why, identity, user, expected) in [
            ("nobody vouches for the user", None, "admin", 401),
            ("not the front proxy", Some(front_proxy("somebody")?), "admin", 401),
            (
                "the front proxy, for a user without a role",
                Some(front_proxy("front-proxy")?),
                "stranger",
                403,
            ),
        ] {
            let (status, body) = posted(identity, &as_user(user)).await?;
            assert_eq!(status, expected, "{why}: {body}");
            ensure!(body.contains(r#""kind":"Status""#), "{body}");
        }
        let masters = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")];
        let (status, body) = posted(Some(front_proxy("front-proxy")?), &masters).await?;
        assert_eq!(status, 201, "{body}");

        let directory = tempfile::tempdir()?;
        let other = TestCa::create(directory.path())?.sign("front-proxy", &[])?;
        let other = Identity::from_pem((other.certificate + &other.key).as_bytes())?;
        posted(Some(other), &masters)
            .await
            .expect_err("a certificate of another authority ends the handshake");

        let token = token(ns).await?;
        let bearer = format!("Bearer {token}");
        let (status, body) = posted(None, &[("Authorization", bearer.as_str())]).await?;
        assert_eq!(status, 403, "the service account has no role: {body}");
        let get = async |headers: &[(&str, &str)]| {
            direct.send(Method::GET, &parent(&dns.path()), None, headers, String::new()).await
        };
        let by_token = [("Authorization", bearer.as_str())];
        assert_eq!(get(&by_token[..]).await?.0, 200, "everybody may see what there is");
        assert_eq!(get(&[("Authorization", "Bearer wrong")]).await?.0, 401);
        assert_eq!(get(&[]).await?.0, 401);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn hostile_requests_harm_nobody() -> Result<()> {
    TestNamespace::with("dns-hostile", async |ns| {
        let (dns, replica) = CertwrightDns::start(ns, &group(ns)).await?;
        let mut idle = Vec::new();
        for _ in 0..200 {
            idle.push(TcpStream::connect(&replica.secure).await?);
        }
        let mut garbage = TcpStream::connect(&replica.secure).await?;
        garbage.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{}").await?;
        let mut said = Vec::new();
        let _ = timeout(SOON, garbage.read_to_end(&mut said)).await?;
        ensure!(!String::from_utf8_lossy(&said).contains("HTTP/1.1 200"), "{said:?}");

        let post = async |body: &str| {
            let error = ask(ns, Method::POST, &dns.path(), body).await.map(|answer| answer.to_string());
            error.unwrap_or_else(|error| format!("{error:#}"))
        };
        for (body, expected) in [
            ("", "not a ChallengePayload"),
            ("{}", "no request"),
            (&"[".repeat(100_000), "not a ChallengePayload"),
            (&format!("\"{}\"", "a".repeat(200_000)), "131072 bytes"),
            (r#"{"request": {"uid": 1}}"#, "not a ChallengePayload"),
        ] {
            let said = post(body).await;
            ensure!(said.contains(expected), "{} bytes: {said}", body.len());
        }
        let mut wrong: Value = serde_json::from_str(&payload(json!({ "provider": "powerdns" })))?;
        wrong["request"]["resolvedFQDN"] = "_acme-challenge.b.test.".into();
        let said = post(&wrong.to_string()).await;
        ensure!(said.contains("is not in resolvedZone"), "{said}");
        assert_eq!(replica.health("/healthz").await?.0, 200);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_named() -> Result<()> {
    TestNamespace::with("dns-secrets", async |ns| {
        let other = TestNamespace::create("dns-other").await?;
        let dns = CertwrightDns::register(ns, &group(ns)).await?;
        let dns = dns.argument("--secret-label-selector=dns=yes");
        let mut replica = dns.replica(ADDRESS).await?;
        replica.wait_ready(SOON).await?;
        dns.lead_to(&[&replica]).await?;
        dns.wait_available().await?;
        let config = json!({
            "provider": "cloudflare", "credentials": { "apiToken": { "secretRef": { "name": "cf", "key": "token" } } },
        });
        let asked = async |namespace: &str| {
            let mut request: Value = serde_json::from_str(&payload(config.clone()))?;
            request["request"]["resourceNamespace"] = namespace.into();
            let answer = ask(ns, Method::POST, &dns.path(), &request.to_string()).await?;
            let message = answer["response"]["status"]["message"].as_str().map(str::to_owned);
            message.with_context(|| format!("no message: {answer}"))
        };
        let name = format!("{}/cf", ns.name);
        let secret = |labels: Value, data: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "cf", "labels": labels },
                "stringData": data,
            })
            .to_string()
        };
        assert_eq!(asked(&ns.name).await?, format!("the Secret {name} does not exist; create it"));
        ns.apply(&secret(json!({}), json!({ "token": "t" }))).await?;
        let said = asked(&ns.name).await?;
        ensure!(said.contains(&name) && said.contains("dns=yes"), "{said}");
        ns.delete_object("secret/cf").await?;
        ns.apply(&secret(json!({ "dns": "yes" }), json!({ "other": "t" }))).await?;
        let said = asked(&ns.name).await?;
        ensure!(said.contains(&format!("the Secret {name} has no key token")), "{said}");
        let said = asked(&other.name).await?;
        ensure!(said.contains(&format!("may not read the Secret {}/cf", other.name)), "{said}");
        other.delete().await
    })
    .await
}
