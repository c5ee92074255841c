//! Names that the CA considers validated already.

use super::*;

#[tokio::test]
async fn an_order_found_ready_needs_no_solver() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let proxy = proved_before(ns).await?;
        proxy.forget();
        ns.apply(&certificate("again", &["a.example.com"], "").replace("name: ca ", "name: bare ")).await?;
        issued(ns, "again").await?;
        assert_eq!(Vec::from_iter(&tls(ns, "again-tls").await?.chain.leaf().dns_names), ["a.example.com"]);
        assert_eq!(count(&proxy, "/chalZ/"), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_authorization_found_valid_needs_no_solver() -> Result<()> {
    TestNamespace::with("issuance", async |ns| {
        let proxy = proved_before(ns).await?;
        // The CA takes some time to notice that all authorizations are already valid.
        proxy.script(|request| match request.path.as_str() {
            "/order-plz" => Action::ReplaceBody(Box::new(|body| {
                let text = String::from_utf8_lossy(&body);
                Bytes::from(text.replace(r#""status": "ready""#, r#""status": "pending""#))
            })),
            _ => Action::Pass,
        });
        proxy.forget();
        ns.apply(&certificate("again", &["a.example.com"], "").replace("name: ca ", "name: bare ")).await?;
        issued(ns, "again").await?;
        assert!(count(&proxy, "/authZ/") > 0, "the order seemed ready after all: {:#?}", proxy.requests());
        assert_eq!(count(&proxy, "/chalZ/"), 0);
        Ok(())
    })
    .await
}

/// A CA that reuses validations, and has validated `a.example.com` for the issuer `ca`. The issuer `bare` has the same account,
/// and no solvers.
async fn proved_before(ns: &TestNamespace) -> Result<Box<Ca>> {
    let pebble = Pebble::builder().authorization_reuse_percent(100);
    let (pebble, proxy, operator) = ready_through_proxy(ns, pebble, "").await?;
    let bare: String = issuer(
        &format!("{}/dir", proxy.url),
        &pebble.ca_pem,
        "    privateKeySecretRef: { name: ca-account-key }\n",
    )
    .replace("name: ca ", "name: bare ")
    .lines()
    .filter(|line| !line.contains("solvers:"))
    .map(|line| format!("{line}\n"))
    .collect();
    ns.apply(&bare).await?;
    ns.apply(&certificate("first", &["a.example.com"], "")).await?;
    issued(ns, "first").await?;
    ns.wait_condition("issuer/bare", "Ready", "True", SOON).await?;

    // Without that validation, the issuer is useless.
    ns.apply(&certificate("unproved", &["b.example.com"], "").replace("name: ca ", "name: bare ")).await?;
    let refused =
        |object: &Value| condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "NoSolver");
    ns.wait("certificate/unproved", SOON, refused).await?;
    Ok(Box::new(Ca { proxy, _pebble: pebble, _operator: operator }))
}

struct Ca {
    proxy: Proxy,
    _pebble: Pebble,
    _operator: Operator,
}

impl std::ops::Deref for Ca {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}
