//! A DNS provider and a name server that send too much.

use super::*;

#[tokio::test]
async fn a_provider_and_a_zone_without_measure_harm_only_their_own_certificates() -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    let cluster = Cluster::from_env()?;
    let address = Address::free(&cluster)?;
    let ip = address.ip().to_owned();
    let zone = (0..1000).fold(Zone::new("many.test"), |zone, number| {
        zone.record(&format!("@ NS ns-{number}")).record(&format!("ns-{number} A {ip}"))
    });
    let bind =
        Bind::builder().address(address).option("max-records-per-type 0;").tsig_key(&dns::key()).zone(zone);
    let bind = bind.start(&cluster).await?;
    let resolver = Resolver::builder().zone_at("many.test", &bind).start(&cluster).await?;
    let recursive = resolver.address();
    Scene::with_operator(
        "providers",
        |operator| {
            operator
                .argument("--dns01-recursive-nameservers", &recursive)
                .argument("--cluster-issuers", "true")
        },
        async |scene| {
            let http = ScriptedProvider::http().await?;
            let group = format!("{}.example.test", scene.ns.name);
            let webhook = ScriptedProvider::webhook(&scene.ns, &group, "solver").await?;
            webhook.allow_operator(&scene.ns).await?;
            for provider in [&http, &webhook] {
                provider.script(|_| Reply::Respond {
                    status: 200,
                    content_type: "application/json",
                    body: format!("{{\"response\":{{\"padding\":\"{}\"}}}}", "x".repeat(10 << 20)),
                });
            }
            scene.apply(&dns::key().object(dns::KEY)).await?;
            let solvers = [
                (
                    "http",
                    http_request(&http.url, json!({})),
                    "sent an answer of more than 128 KiB, which is not read",
                ),
                (
                    "webhook",
                    json!({ "webhook": { "groupName": group, "solverName": "solver" } }),
                    "sent an answer of more than 128 KiB, which is not read",
                ),
                (
                    "zone",
                    json!({ "rfc2136": dns::rfc2136(&bind.address()) }),
                    "(it has 1001, of which 13 are queried)",
                ),
            ];
            let attacks = solvers.map(async |(name, solver, words)| {
                let (directory, ca_pem) = (&scene.pebble.directory_url, &scene.pebble.ca_pem);
                let solver = dns::with(solver, json!({ "cleanupTimeout": "1h" }));
                scene
                    .apply(&dns::issuer(name, directory, ca_pem, &json!([{ "dns01": solver }])).to_string())
                    .await?;
                let host = format!("{name}.many.test");
                scene.apply(&of_issuer(name, &certificate(name, &[&host], ""))).await?;
                let told = |object: &Value| {
                    condition(object, "Issuing").is_some_and(|(_, reason, message)| {
                        // Whether the record is seen depends on the resolver's patience with such a zone.
                        let seen = ["Validating", "DNS", "Unauthorized"].contains(&reason.as_str());
                        message.contains(words) || (name == "zone" && seen)
                    })
                };
                let told = scene.ns.wait(&format!("certificate/{name}"), SOON, told).await;
                told.map(drop).with_context(|| format!("{name} is not as expected"))
            });
            try_join_all(attacks).await?;
            let queries = resolver.queries()?;
            let servers =
                queries.iter().map(|query| query.name.as_str()).filter(|name| name.starts_with("ns-"));
            let servers = servers.collect::<BTreeSet<_>>().len();
            ensure!((1..=13).contains(&servers), "{servers} of a thousand name servers were looked up");
            // Kubernetes deletes no namespace while an added API does not answer.
            drop(webhook);
            scene.aftermath().await
        },
    )
    .await
}
