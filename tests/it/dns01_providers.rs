//! DNS providers that are HTTP servers: the requests to them, and the messages about them.

use std::time::Duration;

use crate::common::dns::{Ground, http_request, waiting, with};
use crate::common::{SOON, base64, certificate, issued, of_issuer, stays_as_it_is};
use anyhow::{Result, ensure};
use certwright_cluster::{ProviderRequest, Reply, ScriptedProvider, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn a_server_over_http_is_told_in_either_mode_and_with_either_credentials() -> Result<()> {
    TestNamespace::with("http", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = ScriptedProvider::https(&ns.cluster).await?.publish_to(&ground.bind);
        let bundle = base64(&ns.cluster.ca()?.pem);
        for (name, data) in [
            ("basic", json!({ "username": "user", "password": "password" })),
            ("bearer", json!({ "token": "a-token\n" })),
        ] {
            let secret =
                json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data });
            ns.apply(&secret.to_string()).await?;
        }
        let basic = json!({ "authSecretRef": { "name": "basic" } });
        let bearer = json!({ "bearerTokenSecretRef": { "name": "bearer" }, "mode": "RAW" });
        let cases = [
            ("none", json!({}), None),
            ("basic", basic, Some("Basic dXNlcjpwYXNzd29yZA==")),
            ("bearer", bearer, Some("Bearer a-token")),
        ];
        for (name, more, credentials) in cases {
            provider.forget();
            let more = with(json!({ "caBundle": bundle }), more);
            ground.solve_by(ns, http_request(&format!("{}/dns/", provider.url), more)).await?;
            ns.apply(&certificate(name, &[&format!("*.{name}.a.test")], "")).await?;
            issued(ns, name).await?;
            let [present, clean_up] = &provider.requests()[..] else {
                anyhow::bail!("not two requests: {:#?}", provider.requests())
            };
            assert_eq!((present.path.as_str(), clean_up.path.as_str()), ("/dns/present", "/dns/cleanup"));
            for request in [present, clean_up] {
                assert_eq!(request.authorization(), credentials);
                assert_eq!(request.body, present.body);
            }
            let text = |field: &str| present.body[field].as_str().unwrap_or_default().to_owned();
            if name == "bearer" {
                let (token, key) = (text("token"), text("keyAuth"));
                assert_eq!(present.body, json!({ "domain": "bearer.a.test", "token": token, "keyAuth": key }));
                ensure!(!token.is_empty() && key.starts_with(&format!("{token}.")), "{key} is not of {token}");
            } else {
                let (fqdn, value) = (format!("_acme-challenge.{name}.a.test."), text("value"));
                assert_eq!(present.body, json!({ "fqdn": fqdn, "value": value }));
                assert_eq!(value.len(), 43, "{value}");
            }
            assert_eq!(ground.values(&format!("{name}.a.test")).await?, [""; 0]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_keeps_a_server_over_http_from_being_asked_is_told() -> Result<()> {
    TestNamespace::with("asked", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = ScriptedProvider::https(&ns.cluster).await?.publish_to(&ground.bind);
        let other = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "other" }, "data": {} });
        ns.apply(&other.to_string()).await?;
        let bundle = json!({ "caBundle": base64(&ns.cluster.ca()?.pem) });
        let trusting = |more: Value| with(bundle.clone(), more);
        let cases = [
            ("untrusted", json!({}), "/present cannot be reached: TLS: ".to_owned()),
            (
                "missing",
                trusting(json!({ "authSecretRef": { "name": "nothing" } })),
                format!(
                    "Secret nothing in namespace {}, which httpRequest.authSecretRef names, does not exist; create it",
                    ns.name
                ),
            ),
            (
                "lacking",
                trusting(json!({ "bearerTokenSecretRef": { "name": "other" } })),
                format!("Secret other in namespace {} has no key token; add it, or name another", ns.name),
            ),
            (
                "bundle",
                json!({ "caBundle": base64("no certificate") }),
                "httpRequest cannot be set up: the CA bundle contains no usable PEM certificate".to_owned(),
            ),
        ];
        for (name, more, _) in &cases {
            let solvers = json!([{ "dns01": http_request(&provider.url, more.clone()) }]);
            ground.issuer(ns, name, solvers).await?;
            ns.apply(&of_issuer(name, &certificate(name, &[&format!("{name}.a.test")], ""))).await?;
        }
        for (name, _, words) in &cases {
            waiting(ns, name, "WaitingForSolver", words).await?;
        }
        assert_eq!(provider.requests().len(), 0);
        for (name, ..) in &cases {
            let solvers = json!([{ "dns01": http_request(&provider.url, bundle.clone()) }]);
            ground.issuer(ns, name, solvers).await?;
            issued(ns, name).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_provider_that_fails_is_told_and_holds_up_its_own_certificates_only() -> Result<()> {
    TestNamespace::with("failing", async |ns| {
        let ground = Ground::builder().zone("a.test").argument("--orders-per-account", "1").start(ns).await?;
        let html = "<html><head><title>Bad Gateway</title></head><body>try tomorrow</body></html>";
        let html = Reply::Respond { status: 502, content_type: "text/html", body: html.into() };
        let empty =
            Reply::Respond { status: 200, content_type: "text/html", body: "<html>Welcome</html>".into() };
        let cases = [
            ("hangs", Reply::Hang, "WaitingForSolver", "/present did not answer in time"),
            (
                "fails",
                Reply::Fail("out of quota".into()),
                "WaitingForSolver",
                "/present answered HTTP 500 (application/json)",
            ),
            ("page", html, "WaitingForSolver", "/present answered HTTP 502 (text/html)"),
            ("drops", Reply::Drop, "WaitingForSolver", "/present cannot be reached: connection closed"),
            ("lies", Reply::Lie, "WaitingForPropagation", "ns1.a.test"),
            ("welcomes", empty, "WaitingForPropagation", "ns1.a.test"),
        ];
        let (mut providers, mut solvers) = (Vec::new(), vec![json!({ "dns01": ground.rfc2136() })]);
        for (name, reply, ..) in &cases {
            let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
            let reply = reply.clone();
            provider.script(move |_| reply.clone());
            let solver = http_request(&provider.url, json!({ "timeout": "1s" }));
            solvers.push(json!({
                "selector": { "dnsNames": [format!("{name}.a.test")] },
                "dns01": with(solver, json!({ "propagation": { "timeout": "1s" } })),
            }));
            providers.push(provider);
        }
        ground.solvers(ns, solvers.into()).await?;
        for (name, _, reason, words) in &cases {
            ns.apply(&certificate(name, &[&format!("{name}.a.test")], "")).await?;
            waiting(ns, name, reason, words).await?;
        }
        ns.apply(&certificate("good", &["good.a.test"], "")).await?;
        issued(ns, "good").await?;
        for ((name, _, reason, words), provider) in cases.iter().zip(&providers) {
            let waits = waiting(ns, name, reason, words).await?;
            assert_eq!(waits["status"]["failedIssuanceAttempts"], Value::Null, "{name}");
            provider.fulfill();
            if *reason == "WaitingForSolver" {
                issued(ns, name).await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_provider_whose_answers_are_lost_is_asked_again_for_the_same_values() -> Result<()> {
    TestNamespace::with("lost", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = ScriptedProvider::http().await?.publish_to(&ground.bind);
        ground.bind.add_txt("_acme-challenge.a.test", "of somebody else").await?;
        let first_of_each = |request: &ProviderRequest| request.index == 0 || request.index == 2;
        provider.script(move |request| match first_of_each(request) {
            true => Reply::FulfillThenDrop,
            false => Reply::Fulfill,
        });
        ground.solve_by(ns, http_request(&provider.url, json!({}))).await?;
        ns.apply(&certificate("web", &["a.test"], "")).await?;
        issued(ns, "web").await?;
        ns.wait("certificate/web", SOON, |object| object["status"]["dnsRecords"].is_null()).await?;
        let requests = provider.requests();
        let asked: Vec<bool> = requests.iter().map(|request| request.is_cleanup).collect();
        assert_eq!(asked, [false, false, true, true]);
        ensure!(requests.iter().all(|request| request.body == requests[0].body), "{requests:#?}");
        assert_eq!(ground.values("a.test").await?, ["of somebody else"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failure_that_stays_the_same_is_not_written_again_and_again() -> Result<()> {
    TestNamespace::with("quiet", async |ns| {
        let ground = Ground::builder().zone("a.test").start(ns).await?;
        let provider = ScriptedProvider::http().await?;
        provider.script(|_| Reply::Fail("out of quota".into()));
        ground.solve_by(ns, http_request(&provider.url, json!({}))).await?;
        ns.apply(&certificate("web", &["a.test", "*.a.test"], "")).await?;
        waiting(ns, "web", "WaitingForSolver", "/present answered HTTP 500").await?;
        provider.forget();
        stays_as_it_is(ns, "web", Duration::from_secs(10)).await?;
        ensure!(provider.requests().len() >= 2, "it was tried again meanwhile: {:?}", provider.requests());
        Ok(())
    })
    .await
}
