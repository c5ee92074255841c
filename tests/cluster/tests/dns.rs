//! The name servers and DNS providers of the harness. Run by `make test`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certwright_cluster::{
    Address, Bind, Knot, NameServer, Pebble, Reply, Resolver, ScriptedProvider, StepCa, TestNamespace,
    TsigKey, WebhookProvider, Zone,
};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn bind_takes_updates_signed_with_any_algorithm() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let keys = TsigKey::ALGORITHMS.map(|algorithm| TsigKey::new(&format!("of-{algorithm}"), algorithm));
        let builder = keys.iter().fold(Bind::builder().zone("a.test"), |builder, key| builder.tsig_key(key));
        let bind = builder.start(&ns.cluster).await?;
        for key in &keys {
            bind.update(key, &format!("update add x.a.test. 5 TXT {}", key.name)).await?;
        }
        let mut values = bind.query("x.a.test", "TXT").await?;
        values.sort();
        let mut wanted = keys.map(|key| key.name).to_vec();
        wanted.sort();
        assert_eq!(values, wanted);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn bind_refuses_unknown_keys_wrong_secrets_and_zones_that_are_closed() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let key = TsigKey::new("known", "hmac-sha256");
        let bind = Bind::builder()
            .zone(Zone::new("closed.test").refuse_updates())
            .zone(Zone::new("other.test").updatable_by("other"))
            .zone("open.test")
            .tsig_key(&key)
            .tsig_key(&TsigKey::new("other", "hmac-sha256"))
            .start(&ns.cluster)
            .await?;
        let refusal = async |key: &TsigKey, zone: &str| {
            let result = bind.update(key, &format!("update add x.{zone}. 5 TXT text")).await;
            result.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal(&key, "open.test").await, "");
        for zone in ["closed.test", "other.test"] {
            let error = refusal(&key, zone).await;
            assert!(error.contains("REFUSED"), "{error}");
        }
        let error = refusal(&TsigKey::new("unknown", "hmac-sha256"), "open.test").await;
        assert!(error.contains("BADKEY"), "{error}");
        let wrong = TsigKey::with_secret("known", "hmac-sha256", "d3Jvbmc=");
        let error = refusal(&wrong, "open.test").await;
        assert!(error.contains("BADSIG"), "{error}");

        // The test itself may change all of them.
        bind.add_txt("x.closed.test", "text").await?;
        assert_eq!(bind.query("x.closed.test", "TXT").await?, ["text"]);
        bind.remove_txt("x.closed.test", "text").await?;
        assert_eq!(bind.answer("x.closed.test", "TXT").await?.status, "NXDOMAIN");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn bind_serves_its_zones_as_written_and_keeps_changes_over_a_restart() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let zone = Zone::new("a.test")
            .record("alias CNAME x.b.test.")
            .record("sub NS ns.elsewhere.test.")
            .negative_ttl(77);
        let mut bind = Bind::builder().zone(zone).zone("b.test").start(&ns.cluster).await?;
        assert_eq!(bind.query("alias.a.test", "CNAME").await?, ["x.b.test."]);
        assert!(bind.query("a.test", "SOA").await?[0].ends_with(" 77"));
        assert_eq!(bind.query("a.test", "NS").await?, ["ns1.a.test."]);
        assert_eq!(bind.query("ns1.a.test", "A").await?, [bind.ip()]);
        assert!(!bind.answer("x.sub.a.test", "TXT").await?.authoritative);
        assert_eq!(bind.answer("elsewhere.test", "SOA").await?.status, "REFUSED");

        bind.add_txt("x.b.test", "text").await?;
        bind.stop().await?;
        assert!(bind.answer("x.b.test", "TXT").await.is_err());
        bind.start().await?;
        assert_eq!(bind.query("x.b.test", "TXT").await?, ["text"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secondary_lags_until_it_is_told() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let address = Address::free(&ns.cluster)?;
        let zone = Zone::new("a.test").name_server(address.ip());
        let primary = Bind::builder().zone(zone).start(&ns.cluster).await?;
        let secondary =
            Bind::builder().address(address).secondary_of(&primary, "a.test").start(&ns.cluster).await?;
        assert_eq!(primary.query("a.test", "NS").await?.len(), 2);
        assert_eq!(primary.query("ns2.a.test", "A").await?, [secondary.ip()]);

        primary.add_txt("x.a.test", "text").await?;
        assert_eq!(secondary.query("x.a.test", "TXT").await?, [""; 0]);
        secondary.catch_up().await?;
        assert_eq!(secondary.query("x.a.test", "TXT").await?, ["text"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_hundred_values_at_one_name_need_tcp() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let bind = Bind::builder().zone("a.test").start(&ns.cluster).await?;
        let values = (0..100).map(|n| format!("update add x.a.test. 5 TXT {n:043}\n"));
        bind.edit(&values.collect::<String>()).await?;

        let resolver = Resolver::builder().zone_at("a.test", &bind).start(&ns.cluster).await?;
        bind.forget_queries()?;
        assert_eq!(resolver.query("x.a.test", "TXT").await?.len(), 100);
        let queries = bind.queries()?;
        assert!(queries.iter().all(|query| query.client.to_string() == resolver.ip()), "{queries:?}");
        assert!(queries.iter().any(|query| query.tcp && query.kind == "TXT"), "{queries:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn only_a_caching_resolver_remembers_that_there_was_nothing() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let bind = Bind::builder().zone(Zone::new("a.test").negative_ttl(600)).start(&ns.cluster).await?;
        let fresh = Resolver::builder().zone_at("a.test", &bind).https().start(&ns.cluster).await?;
        let mut caching = Resolver::builder().zone_at("a.test", &bind).caching().start(&ns.cluster).await?;
        for resolver in [&fresh, &caching] {
            assert_eq!(resolver.answer("x.a.test", "TXT").await?.status, "NXDOMAIN");
        }
        bind.add_txt("x.a.test", "text").await?;
        assert_eq!(fresh.query("x.a.test", "TXT").await?, ["text"]);
        assert_eq!(caching.answer("x.a.test", "TXT").await?.status, "NXDOMAIN");
        caching.restart().await?;
        assert_eq!(caching.query("x.a.test", "TXT").await?, ["text"]);

        // Everything else is the cluster's DNS server's.
        let host = format!("{}.example.com", ns.name);
        ns.cluster.dns()?.set_a(&host, &["192.0.2.99"]).await?;
        assert_eq!(fresh.query(&host, "A").await?, ["192.0.2.99"]);

        // The question for x.a.test TXT as RFC 8484 has it, in a GET.
        let ca = reqwest::Certificate::from_pem(ns.cluster.ca()?.pem.as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build()?;
        let url = format!("{}?dns=AAABAAABAAAAAAAAAXgBYQR0ZXN0AAAQAAE", fresh.https_url());
        let answer = http.get(url).send().await?.error_for_status()?.bytes().await?;
        assert!(answer.windows(4).any(|window| window == b"text"), "{answer:?}");
        let queries = fresh.queries()?;
        assert_eq!(
            (queries.len(), queries[0].name.as_str(), queries[0].kind.as_str()),
            (1, "x.a.test", "TXT")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn knot_takes_signed_updates_and_keeps_them_over_a_restart() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let key = TsigKey::new("key", "hmac-sha512");
        let mut knot = Knot::start(&ns.cluster, "a.test", &key).await?;
        knot.update(&key, "update add x.a.test. 5 TXT signed").await?;
        let error = knot.update(&TsigKey::new("unknown", "hmac-sha512"), "update delete x.a.test. TXT").await;
        assert!(error.unwrap_err().to_string().contains("BADKEY"));
        knot.add_txt("x.a.test", "by hand").await?;
        knot.restart().await?;
        let mut values = knot.query("x.a.test", "TXT").await?;
        values.sort();
        assert_eq!(values, ["by hand", "signed"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_knot_with_a_wrong_clock_refuses_what_is_signed() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let key = TsigKey::new("key", "hmac-sha256");
        let knot = Knot::start_ahead(&ns.cluster, "a.test", &key, 3600).await?;
        let error = knot.update(&key, "update add x.a.test. 5 TXT text").await.unwrap_err().to_string();
        assert!(error.contains("clocks are unsynchronized"), "{error}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn acme_servers_look_up_what_a_bind_has() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let bind = Bind::builder().zone("a.test").start(&ns.cluster).await?;
        let resolver = Resolver::builder().zone_at("a.test", &bind).start(&ns.cluster).await?;
        for server in [&bind as &NameServer, &resolver] {
            let pebble = Pebble::builder().dns_server(&server.address()).start(&ns.cluster).await?;
            let chain = order(ns, &pebble.directory_url, &pebble.ca_pem, &bind).await?;
            assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
        }

        let step_ca = StepCa::start_with_dns_server(&ns.cluster, &resolver.address()).await?;
        let chain = order(ns, &step_ca.directory_url, &step_ca.root_pem, &bind).await?;
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_provider_of_cert_managers_library_answers_through_the_api_server() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let key = TsigKey::new("key", "hmac-sha256");
        let bind = Bind::builder().zone("a.test").tsig_key(&key).start(&ns.cluster).await?;
        ns.apply(&key.object("tsig")).await?;
        let group = format!("{}.example.test", ns.name);
        let mut provider = WebhookProvider::start(ns, &group).await?;
        assert!(!operator_may_call(ns, &group, WebhookProvider::SOLVER).await?);
        provider.allow_operator().await?;
        assert!(operator_may_call(ns, &group, WebhookProvider::SOLVER).await?);
        let config = json!({
            "nameserver": bind.address(), "tsigKeyName": "key", "tsigAlgorithm": "HMACSHA256",
            "tsigSecretSecretRef": {"name": "tsig", "key": "secret"},
        });
        let call = async |action: &str| call(ns, &group, WebhookProvider::SOLVER, action, &config).await;

        let answer = call("Present").await?;
        assert_eq!(
            (&answer["response"]["success"], &answer["response"]["uid"]),
            (&json!(true), &json!("u1"))
        );
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, ["value"]);

        provider.stop().await?;
        // The client tries again and again.
        assert!(timeout(SECOND, call("CleanUp")).await.is_err());
        provider.restart().await?;
        let answer = call("CleanUp").await?;
        assert_eq!(answer["response"]["success"], true, "{answer}");
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, [""; 0]);

        let wrong = json!({"nameserver": bind.address(), "tsigSecretSecretRef": {"name": "nothing"}});
        let answer = self::call(ns, &group, WebhookProvider::SOLVER, "Present", &wrong).await?;
        assert_eq!(answer["response"]["success"], false, "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_scripted_webhook_does_what_its_script_says() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let bind = Bind::builder().zone("a.test").start(&ns.cluster).await?;
        let group = format!("{}.example.test", ns.name);
        let provider = ScriptedProvider::webhook(ns, &group, "solver").await?.publish_to(&bind);
        let call = async |action: &str| call(ns, &group, "solver", action, &json!({"zone": 1})).await;

        assert_eq!(call("Present").await?["response"]["success"], true);
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, ["value"]);
        assert_eq!(call("CleanUp").await?["response"]["success"], true);
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, [""; 0]);

        provider.script(|_| Reply::Fail("out of quota".into()));
        let answer = call("Present").await?;
        assert_eq!(answer["response"]["success"], false);
        assert_eq!(answer["response"]["status"]["message"], "out of quota");

        provider.script(|_| Reply::Lie);
        assert_eq!(call("Present").await?["response"]["success"], true);
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, [""; 0]);

        let cleanups = provider.requests().iter().filter(|request| request.is_cleanup).count();
        assert_eq!((provider.requests().len(), cleanups), (4, 1));
        assert_eq!(provider.requests()[0].body["request"]["config"]["zone"], 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_scripted_provider_speaks_httpreq() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let bind = Bind::builder().zone("a.test").start(&ns.cluster).await?;
        let provider = ScriptedProvider::https(&ns.cluster).await?.publish_to(&bind);
        let ca = reqwest::Certificate::from_pem(ns.cluster.ca()?.pem.as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).timeout(SECOND).build()?;
        let body = json!({"fqdn": "_acme-challenge.a.test.", "value": "value"});
        let post = async |path: &str| {
            let request = http.post(format!("{}/{path}", provider.url)).json(&body);
            request.basic_auth("user", Some("password")).send().await
        };
        ensure!(post("present").await?.status().is_success());
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, ["value"]);
        ensure!(post("cleanup").await?.status().is_success());
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, [""; 0]);
        assert_eq!(provider.requests()[1].authorization(), Some("Basic dXNlcjpwYXNzd29yZA=="));

        let html = "<html>Bad Gateway</html>";
        provider.script(|_| Reply::Respond { status: 502, content_type: "text/html", body: html.into() });
        let answer = post("present").await?;
        assert_eq!((answer.status().as_u16(), answer.text().await?.as_str()), (502, html));
        provider.script(|_| Reply::Hang);
        assert!(post("present").await.unwrap_err().is_timeout());
        provider.script(|_| Reply::FulfillThenDrop);
        assert!(!post("present").await.unwrap_err().is_timeout());
        assert_eq!(bind.query("_acme-challenge.a.test", "TXT").await?, ["value"]);
        assert_eq!(ScriptedProvider::http().await?.url.split(':').next(), Some("http"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_acme_dns_server_keeps_the_last_two_values() -> Result<()> {
    TestNamespace::with("dns", async |ns| {
        let bind = Bind::builder().zone("auth.test").start(&ns.cluster).await?;
        let server = ScriptedProvider::acme_dns(&ns.cluster, &bind, "auth.test").await?;
        let account = server.account().context("no account")?;
        let ca = reqwest::Certificate::from_pem(ns.cluster.ca()?.pem.as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build()?;
        let update = async |password: &str, value: &str| {
            let body = json!({"subdomain": account.subdomain, "txt": value});
            let request = http.post(format!("{}/update", server.url)).json(&body);
            request.header("x-api-user", &account.username).header("x-api-key", password).send().await
        };
        let values = ["1", "2", "3"].map(|digit| digit.repeat(43));
        for value in &values {
            let answer: Value = update(&account.password, value).await?.error_for_status()?.json().await?;
            assert_eq!(answer["txt"], json!(value));
        }
        assert_eq!(update("wrong", &values[0]).await?.status(), 401);
        let mut found = bind.query(&account.full_domain, "TXT").await?;
        found.sort();
        assert_eq!(found, values[1..]);
        Ok(())
    })
    .await
}

/// Calls a solver through the API server, as an administrator.
async fn call(ns: &TestNamespace, group: &str, solver: &str, action: &str, config: &Value) -> Result<Value> {
    let body = json!({
        "kind": "ChallengePayload", "apiVersion": "webhook.acme.cert-manager.io/v1alpha1",
        "request": {
            "uid": "u1", "action": action, "type": "dns-01", "dnsName": "a.test", "key": "value",
            "resourceNamespace": ns.name, "resolvedFQDN": "_acme-challenge.a.test.", "resolvedZone": "a.test.",
            "allowAmbientCredentials": false, "config": config,
        },
    });
    let request = http::Request::post(format!("/apis/{group}/v1alpha1/{solver}"))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&body)?)?;
    Ok(ns.client.request(request).await?)
}

async fn operator_may_call(ns: &TestNamespace, group: &str, solver: &str) -> Result<bool> {
    let review = serde_json::from_value(json!({"metadata": {}, "spec": {
        "user": "system:serviceaccount:certwright:certwright",
        "resourceAttributes": {"group": group, "resource": solver, "verb": "create"},
    }}))?;
    let reviews = Api::<SubjectAccessReview>::all(ns.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.context("an access review without an answer")?.allowed)
}

/// Orders a certificate for `*.a.test`, whose record it puts into the name server.
async fn order(ns: &TestNamespace, directory: &str, ca_pem: &str, server: &NameServer) -> Result<String> {
    let ca_file = ns.cluster.description.state.join(format!("{}.ca.crt", ns.name));
    std::fs::write(&ca_file, ca_pem)?;
    let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let (account, _) = Account::builder_with_root(&ca_file)?.create(&new, directory.into(), None).await?;
    let mut order = account.new_order(&NewOrder::new(&[Identifier::Dns("*.a.test".into())])).await?;

    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(ChallengeType::Dns01).context("no dns-01 challenge")?;
        server.add_txt("_acme-challenge.a.test", &challenge.key_authorization().dns_value()).await?;
        challenge.set_ready().await?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await?;
    ensure!(status == OrderStatus::Ready, "the order is {status:?}");
    order.finalize().await?;
    Ok(order.poll_certificate(&RetryPolicy::default()).await?)
}
