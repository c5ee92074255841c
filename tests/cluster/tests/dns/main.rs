//! The name servers and DNS providers of the harness. Run by `make test`.

mod providers;

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

        // The test itself may change all zones.
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

        // The cluster's DNS server knows everything else.
        let host = format!("{}.example.com", ns.name);
        ns.cluster.dns()?.set_a(&host, &["192.0.2.99"]).await?;
        assert_eq!(fresh.query(&host, "A").await?, ["192.0.2.99"]);

        // The query for x.a.test TXT as a GET of RFC 8484.
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

/// Orders a certificate for `*.a.test`, and adds its record at the name server.
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
