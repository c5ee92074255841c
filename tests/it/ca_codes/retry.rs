//! What people mend in the CA's portal, and `certwright retry`.

use super::*;
use crate::common::faults::ready_behind_proxy;
use crate::common::issued;
use crate::common::program::certwright;

/// The words of the CA, and what the message says after them.
const SAID: &str = "OUT_OF_CREDIT: no credit left (urn:ietf:params:acme:error:malformed). Buy credit in the CA's portal. Then \
                    run `certwright retry issuer ca`";

#[tokio::test]
async fn an_order_that_fails_for_lack_of_credit_makes_the_issuer_not_ready_until_somebody_asks() -> Result<()>
{
    TestNamespace::with("credit", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        without_credit(&proxy);
        ns.apply(&certificate("web", &["web.credit.test"], "")).await?;
        let issuer = unready(ns, "OUT_OF_CREDIT").await?;
        let (.., message) = condition(&issuer, "Ready").context("no condition")?;
        ensure!(message.ends_with(SAID), "{message}");
        assert_eq!(issuer["status"]["failedAttempts"], 1);
        waits(ns, "web").await?;
        ns.apply(&certificate("api", &["api.credit.test"], "")).await?;
        waits(ns, "api").await?;
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 1, "no other order is placed");

        // The credit is still not there: the next attempt is made at once, and fails in the same way.
        certwright(ns, &["retry", "issuer", "ca"])
            .await?
            .ended(0)?
            .says(&["issuer.certwright.dev/ca: retry requested"])?;
        let again = |_: &Value| requests_to(&proxy, path::NEW_ORDER).len() > 1;
        ns.wait("issuer/ca", SOON, again).await?;
        let issuer = unready(ns, "OUT_OF_CREDIT").await?;
        let asked = issuer["metadata"]["annotations"]["certwright.dev/retry"].clone();
        assert_eq!(issuer["status"]["observedRetryRequest"], asked);

        proxy.pass();
        let ran = certwright(ns, &["retry", "issuer", "ca", "--wait"]).await?.ended(0)?;
        ran.says(&["ca: done: the issuer is ready, and its Certificates continue"])?;
        for name in ["web", "api"] {
            let certificate = issued(ns, name).await?;
            assert_eq!(
                certificate["status"]["failedIssuanceAttempts"],
                Value::Null,
                "to wait is not to fail"
            );
        }
        let issuer = ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        assert_eq!(issuer["status"]["failedAttempts"], Value::Null);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_final_refusal_ends_when_somebody_asks() -> Result<()> {
    TestNamespace::with("credit", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let problem = json!({ "type": "BAD_SIGNATURE", "detail": "two places" });
        proxy.script(move |request| match request.path.as_str() {
            path::NEW_ACCOUNT => refusal(400, &problem),
            _ => Action::Pass,
        });
        let directory = format!("{}{}", proxy.url, path::DIRECTORY);
        ns.apply(&of_issuer("ca", &issuer(&directory, &pebble.ca_pem, ""))).await?;
        let issuer = unready(ns, "BAD_SIGNATURE").await?;
        let (.., message) = condition(&issuer, "Ready").context("no condition")?;
        let end = "until the spec of this issuer changes, or you run `certwright retry issuer ca`";
        ensure!(message.ends_with(end), "{message}");
        let asked = requests_to(&proxy, path::NEW_ACCOUNT).len();

        let ran = certwright(ns, &["retry", "issuer", "ca", "--wait"]).await?.ended(3)?;
        ran.says(&["ca: failed: BAD_SIGNATURE: ", "two places (BAD_SIGNATURE)"])?;
        assert_eq!(requests_to(&proxy, path::NEW_ACCOUNT).len(), 2 * asked, "one attempt for one request");
        proxy.pass();
        certwright(ns, &["retry", "issuer", "ca", "--wait"]).await?.ended(0)?;
        certwright(ns, &["retry", "issuer", "nobody"]).await?.ended(4)?;
        certwright(ns, &["retry", "clusterissuer", "nobody"]).await?.ended(4)?;
        Ok(())
    })
    .await
}

/// The CA takes the CSR, and then rejects the order because the account has no credit.
fn without_credit(proxy: &Proxy) {
    proxy.script(invalid_after(
        path::FINALIZE,
        json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": "OUT_OF_CREDIT: no credit left" }),
    ));
}

/// Waits until the issuer is not ready for this reason.
async fn unready(ns: &TestNamespace, reason: &str) -> Result<Value> {
    let has = |issuer: &Value| {
        condition(issuer, "Ready").is_some_and(|(status, found, _)| status == "False" && found == reason)
    };
    ns.wait("issuer/ca", SOON, has).await
}

/// Waits until the Certificate waits for its issuer, without an order.
async fn waits(ns: &TestNamespace, name: &str) -> Result<()> {
    let waits = |object: &Value| {
        condition(object, "Issuing")
            .is_some_and(|(_, reason, message)| reason == "IssuerNotReady" && message.ends_with(SAID))
    };
    let certificate = ns.wait(&format!("certificate/{name}"), SOON, waits).await?;
    assert_eq!(certificate["status"]["order"], Value::Null);
    assert_eq!(certificate["status"]["nextAttemptTime"], Value::Null);
    Ok(())
}
