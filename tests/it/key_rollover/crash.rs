//! Rollovers that a crash interrupts.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_a_rollover_leaves_the_key_that_the_ca_knows() -> Result<()> {
    walk(3, |point| crash(point, When::Answered)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_write_of_a_rollover_leaves_the_key_that_the_ca_knows() -> Result<()> {
    walk(3, |point| crash(point, When::NotSent)).await
}

/// One rollover, and a certificate with the new key, with a crash at the write `point`.
async fn crash(point: usize, when: When) -> Result<Run> {
    let mut run = None;
    TestNamespace::with("rollover", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let ca = Ca { pebble, proxy };
        let api_server = Proxy::of_api_server(&ns.cluster).await?;
        let killer = Killer::new(when, point, is_key_change);
        [&ca.proxy, &api_server].into_iter().for_each(|proxy| killer.stand_at(proxy));
        let builder = IMPATIENT
            .iter()
            .fold(Operator::builder(ns), |builder, (name, value)| builder.argument(name, value));
        let operator = builder.api_server(&api_server.url).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        killer.arm(&operator)?;
        ask_for_rollover(ns, "1").await?;
        let done = async {
            rolled_over(ns, &before).await?;
            issue(ns, "web").await
        };
        killer.until(done, &operator).await?;
        let after = rolled_over(ns, &before).await?;
        assert_eq!(after["uri"], before["uri"]);
        let key = key(ns).await?;
        assert_eq!(after["keyThumbprint"], jwk_thumbprint(&key));
        assert_eq!(ca.account_of(&key).await?, after["uri"].as_str().map(path));
        issue(ns, "web").await?;
        let done = |issuer: &Value| {
            let acme = &issuer["status"]["acme"];
            acme["observedRolloverRequest"] == "1"
                && condition(issuer, "KeyRollover").is_some_and(|(is, ..)| is == "True")
        };
        let issuer = ns.wait("issuer/ca", SOON, done).await?;
        assert_eq!(issuer["status"]["acme"]["keyThumbprint"], after["keyThumbprint"], "it is changed once");
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"]);
        assert_eq!(registrations(&ca.proxy), 1);
        run = Some(killer.run().await?);
        Ok(())
    })
    .await?;
    run.context("the rollover did not end")
}

fn is_key_change(request: &RequestInfo) -> bool {
    request.path == KEY_CHANGE
}
