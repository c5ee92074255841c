//! A DNS service that limits the rate of requests is left alone for as long as it says, from `certwright-dns` to the operator.

use std::time::Duration;

use crate::common::dns::{Ground, values};
use crate::common::{certificate, issued};
use anyhow::{Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{CertwrightDns, PowerDns, Proxy, TestNamespace};
use serde_json::json;

const ZONE: &str = "limited.test";
/// Neither the operator's usual pause nor that of `certwright-dns` after a rate limit is this one.
const WAIT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_rate_limit_of_a_dns_service_is_waited_for_as_long_as_it_says() -> Result<()> {
    TestNamespace::with("dns-retry-after", async |ns| {
        let server = PowerDns::start(&ns.cluster, &[ZONE]).await?;
        let ground = Ground::builder().zone_at(ZONE, &server.server).start(ns).await?;
        let front = Proxy::without_tls(&ns.cluster, server.url.trim_start_matches("http://")).await?;
        front.script(|request| match request.index {
            0 => Action::Respond {
                status: 429,
                headers: vec![("retry-after", WAIT.as_secs().to_string())],
                body: "slow down".to_owned(),
            },
            _ => Action::Pass,
        });
        let (dns, _replica) = CertwrightDns::start(ns, &format!("{}.dns.test", ns.name)).await?;
        dns.allow_operator().await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "powerdns" },
            "stringData": { "api-key": PowerDns::API_KEY },
        });
        ns.apply(&secret.to_string()).await?;
        let config = json!({
            "provider": "powerdns", "settings": { "url": front.url },
            "credentials": { "apiKey": { "secretRef": { "name": "powerdns", "key": "api-key" } } },
        });
        let webhook =
            json!({ "groupName": dns.group(), "solverName": CertwrightDns::SOLVER, "config": config });
        ground.solve_by(ns, json!({ "webhook": webhook })).await?;
        ns.apply(&certificate("site", &["www.limited.test"], "")).await?;
        let issued = issued(ns, "site").await?;
        ensure!(issued["status"]["failedIssuanceAttempts"].is_null(), "{}", issued["status"]);
        let calls = front.requests();
        let pause = calls[1].at.duration_since(calls[0].at);
        ensure!((WAIT..WAIT * 3).contains(&pause), "the second request came after {pause:?}");
        ensure!(values(&server.server, "_acme-challenge.www.limited.test").await?.is_empty());
        Ok(())
    })
    .await
}
