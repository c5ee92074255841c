//! Values side by side at one name of a service that knows only whole record sets, through `certwright-dns`.

use crate::common::dns::{Ground, values, with};
use crate::common::{certificate, issued, of_issuer};
use anyhow::Result;
use certwright_cluster::{CertwrightDns, PowerDns, TestNamespace};
use serde_json::{Value, json};

/// How many Certificates share the name.
const CERTIFICATES: usize = 20;
/// The value of somebody else.
const FOREIGN: &str = "of somebody else";

#[tokio::test]
async fn twenty_certificates_share_a_delegated_name_and_two_issuers_take_turns_at_it() -> Result<()> {
    TestNamespace::with("dns-values", async |ns| {
        let server = PowerDns::start(&ns.cluster, &["a.test"]).await?;
        let host = |number: usize| format!("n{number}.b.test");
        let delegated = |zone: certwright_cluster::Zone| {
            let record = |number| format!("_acme-challenge.n{number} CNAME x.a.test.");
            (0..CERTIFICATES).fold(zone, |zone, number| zone.record(&record(number)))
        };
        let ground = Ground::builder().zone_with("b.test", delegated).zone_at("a.test", &server.server);
        let ground = ground.start(ns).await?;
        server.set_txt("a.test", "x.a.test", FOREIGN).await?;
        let (dns, _replica) = CertwrightDns::start(ns, &format!("{}.dns.test", ns.name)).await?;
        dns.allow_operator().await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "powerdns" },
            "stringData": { "api-key": PowerDns::API_KEY },
        });
        ns.apply(&secret.to_string()).await?;
        for (issuer, ttl) in [("ca", 60), ("other", 120)] {
            let webhook = json!({ "groupName": dns.group(), "solverName": CertwrightDns::SOLVER, "config": {
                "provider": "powerdns", "ttl": ttl, "settings": { "url": server.url },
                "credentials": { "apiKey": { "secretRef": { "name": "powerdns", "key": "api-key" } } },
            } });
            let dns01 = with(json!({ "webhook": webhook }), json!({ "cnameStrategy": "Follow" }));
            ground.issuer(ns, issuer, json!([{ "dns01": dns01 }])).await?;
        }
        let name = |number: usize| format!("n{number}");
        let all: Vec<_> =
            (0..CERTIFICATES).map(|number| certificate(&name(number), &[&host(number)], "")).collect();
        ns.apply(&all.join("\n---\n")).await?;
        for number in 0..CERTIFICATES {
            let issued = issued(ns, &name(number)).await?;
            assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null, "{number}");
        }
        assert_eq!(values(&server.server, "x.a.test").await?, [FOREIGN]);

        for (turn, issuer) in ["ca", "other", "ca", "other"].into_iter().enumerate() {
            let name = format!("turn-{turn}");
            ns.apply(&of_issuer(issuer, &certificate(&name, &[&host(turn)], ""))).await?;
            issued(ns, &name).await?;
            assert_eq!(values(&server.server, "x.a.test").await?, [FOREIGN], "{turn}");
        }
        Ok(())
    })
    .await
}
