//! The DNS providers: webhooks, httpreq and acme-dns.

use super::*;

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
        // The client retries.
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
