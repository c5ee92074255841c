//! A CA that answers slowly, and how long an issuer waits for it.

use super::*;
use crate::common::{is_issued, ready_through_proxy};
use certwright_runtime::clock::Stopwatch;

#[tokio::test]
async fn a_ca_that_takes_long_to_finalize_is_waited_for_as_long_as_the_issuer_says() -> Result<()> {
    TestNamespace::with("patient", async |ns| {
        let patient = "    requestTimeout: 1m\n";
        let (_pebble, proxy, _operator) = ready_through_proxy(ns, steady(), patient).await?;
        // Longer than the default.
        proxy.script(|request| match request.path.starts_with(path::FINALIZE) {
            true => Action::Delay(Duration::from_secs(33)),
            false => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let issued = ns.wait("certificate/web", Duration::from_secs(90), is_issued).await?;
        assert_eq!(issued["status"]["failedIssuanceAttempts"], Value::Null);
        assert_eq!(requests_to(&proxy, path::FINALIZE).len(), 1);
        assert_eq!(answered(&proxy, path::FINALIZE, 200), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_ends_after_the_timeout_of_the_issuer_and_a_longer_one_applies_at_once() -> Result<()> {
    TestNamespace::with("impatient", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let timeout = |timeout: &str| json!({ "spec": { "acme": { "requestTimeout": timeout } } });
        ns.patch("issuer/ca", timeout("5s")).await?;
        proxy.script(|request| match request.path.as_str() {
            path::NEW_ORDER => Action::Delay(Duration::from_secs(8)),
            _ => Action::Pass,
        });
        let took = Stopwatch::start();
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let (_, message) = issuing(ns, "web", "CAUnavailable").await?;
        ensure!(message.contains("no answer from"), "{message}");
        ensure!(took.elapsed() < Duration::from_secs(20), "it took {:?}", took.elapsed());
        ns.patch("issuer/ca", timeout("25s")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}
