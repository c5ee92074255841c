//! Orders and certificates that are lost, invalid or never ready.

use super::*;

#[tokio::test]
async fn a_finalize_whose_answer_is_lost_is_not_taken_for_a_failure_when_the_ca_refuses_another() -> Result<()>
{
    TestNamespace::with("finalize", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let finalizes = Mutex::new(0);
        proxy.script(move |request| {
            let mut finalizes = finalizes.lock();
            if request.path.starts_with(path::FINALIZE) {
                *finalizes += 1;
                return if *finalizes == 1 { Action::PassThenDrop } else { Action::Pass };
            }
            // A replica of the CA lags: it does not know yet what was done.
            if request.path.starts_with(path::ORDER) && *finalizes == 1 {
                return change_json(|order| order["status"] = json!("ready"));
            }
            Action::Pass
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let issued = issued(ns, "web").await?;
        let statuses: Vec<_> = requests_to(&proxy, path::FINALIZE).iter().filter_map(|r| r.status).collect();
        assert_eq!(statuses.first().map(|status| status.as_u16()), Some(DROPPED));
        assert_eq!(statuses.get(1).map(|status| status.as_u16()), Some(403), "the CA says orderNotReady");
        assert_eq!(answered(&proxy, path::FINALIZE, 200), 0, "one was accepted, and its answer was lost");
        assert_eq!(answered(&proxy, path::NEW_ORDER, 201), 1);
        assert_eq!(issued["status"]["revision"], 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_that_is_gone_is_ordered_anew_after_a_wait() -> Result<()> {
    TestNamespace::with("order-gone", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let empty = || Action::Respond { status: 404, headers: Vec::new(), body: String::new() };
        let expired = || change_json(|order| order["expires"] = json!("2026-01-01T00:00:00Z"));
        let foreign = || {
            let detail = "Account that authenticated the request does not own the specified order";
            refusal(401, &json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": detail}))
        };
        type Case = (&'static str, fn() -> Action, &'static str, &'static str);
        let cases: [Case; 3] = [
            ("gone", empty, "Failed", "HTTP 404"),
            ("expired", expired, "Failed", "expired"),
            ("foreign", foreign, "Unauthorized", "does not own"),
        ];
        let all =
            cases.map(|(name, action, reason, words)| lose_order(ns, &pebble, name, action, reason, words));
        futures::future::try_join_all(all).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_whose_private_key_is_lost_is_dropped_for_exactly_one_new_one() -> Result<()> {
    TestNamespace::with("key-lost", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.starts_with(path::CERTIFICATE) {
            true => Action::Drop,
            false => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let (stuck, _) = issuing(ns, "web", "CAUnavailable").await?;
        assert_eq!(stuck["status"]["order"]["state"], "valid");
        let key = stuck["status"]["nextPrivateKeySecretName"].as_str().context("no next key")?;
        ns.delete_object(&format!("secret/{key}")).await?;
        proxy.pass();
        issued(ns, "web").await?;
        assert_eq!(answered(&proxy, path::NEW_ORDER, 201), 2, "the order without a key, and one more");
        assert_eq!(answered(&proxy, path::FINALIZE, 200), 2);
        let data = ns.api::<Secret>().get("web-tls").await?.data.context("no data")?;
        Chain::parse_pem(&data["tls.crt"].0)?.leaf().check_key(&PrivateKey::from_pem(&data["tls.key"].0)?)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_refused_and_the_secret_left_as_it_is() -> Result<()> {
    TestNamespace::with("misfits", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = quick_to_retry(ns).argument("--backoff-longest", "1s").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        // The key stays, so that the test can issue certificates for it.
        let key = "  privateKey: { algorithm: ECDSA, encoding: PKCS8, rotationPolicy: Never }\n";
        let names = ["a.misfit.test", "b.misfit.test"];
        let yaml = certificate("web", &names, "").replace("  privateKey: { algorithm: ECDSA }\n", key);
        ns.apply(&yaml).await?;
        issued(ns, "web").await?;
        let before = ns.api::<Secret>().get("web-tls").await?;
        let data = before.data.clone().context("no data")?;
        let key = String::from_utf8(data["tls.key"].0.clone())?;
        let own = || KeyPair::from_pem(&key);

        let (now, past) = ((2026, 2036), (2020, 2021));
        let cases = [
            ("another key", chain(&KeyPair::generate()?, &names, now, true)?, "for another private key"),
            ("a name less", chain(&own()?, &names[..1], now, true)?, "the certificate lacks b.misfit.test"),
            ("expired", chain(&own()?, &names, past, true)?, "the certificate expired at 2021"),
            ("no chain", chain(&own()?, &names, now, false)?, "without its issuers"),
            ("no certificate", "no PEM at all".to_owned(), "it contains no certificate"),
        ];
        for (case, pem, words) in cases {
            proxy.script(move |request| match request.path.starts_with(path::CERTIFICATE) {
                true => {
                    let pem = pem.clone();
                    Action::ReplaceBody(Box::new(move |_| pem.into()))
                }
                false => Action::Pass,
            });
            ns.patch("certificate/web", json!({"metadata": {"annotations": {"certwright.dev/renew": case}}}))
                .await?;
            let told = |object: &Value| {
                condition(object, "Issuing").is_some_and(|(status, reason, message)| {
                    let reasons = ["CertificateRefused", "CAUnavailable"];
                    status == "False" && reasons.contains(&reason.as_str()) && message.contains(words)
                })
            };
            let refused = ns.wait("certificate/web", SOON, told).await.context(case)?;
            let (ready, ..) = condition(&refused, "Ready").context("no condition Ready")?;
            assert_eq!(ready, "True", "{case}: the certificate in the Secret is still good");
            let after = ns.api::<Secret>().get("web-tls").await?;
            assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "{case}");
        }
        proxy.pass();
        let renewed = |object: &Value| object["status"]["revision"] == 2;
        ns.wait("certificate/web", SOON, renewed).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn twenty_orders_that_stay_processing_hold_up_nobody_and_a_restart_goes_on_with_them() -> Result<()> {
    TestNamespace::with("processing", async |ns| {
        let pebble = steady().always_valid().start(&ns.cluster).await?;
        let operator = quick_to_retry(ns).argument("--orders-per-account", "2").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        ns.apply(&of_issuer("other", &issuer(&pebble.directory_url, &pebble.ca_pem, ""))).await?;
        proxy.script(stay_processing);
        let names: Vec<String> = (0..20).map(|number| format!("slow-{number}")).collect();
        for name in &names {
            ns.apply(&certificate(name, &[&format!("{name}.test")], "")).await?;
        }
        let mut urls = BTreeSet::new();
        for name in &names {
            let processing = |object: &Value| object["status"]["order"]["state"] == "processing";
            let slow = ns.wait(&format!("certificate/{name}"), SOON, processing).await?;
            urls.insert(slow["status"]["order"]["url"].as_str().context("no order")?.to_owned());
        }
        assert_eq!(urls.len(), 20);
        ns.apply(&certificate("same-account", &["quick.test"], "")).await?;
        issued(ns, "same-account").await.context("they hold no place")?;
        ns.apply(&of_issuer("other", &certificate("other-account", &["other.test"], ""))).await?;
        issued(ns, "other-account").await?;

        operator.kill9()?;
        proxy.forget();
        operator.restart().await?;
        let asked = || {
            let orders = requests_to(&proxy, path::ORDER);
            orders.into_iter().map(|record| format!("{}{}", proxy.url, record.path)).collect::<BTreeSet<_>>()
        };
        for url in &urls {
            let path = url.trim_start_matches(&proxy.url);
            proxy.wait_request(SOON, |record| record.path == path).await?;
        }
        assert_eq!(asked(), urls, "the restarted operator looks at the same orders");
        proxy.pass();
        operator.restart().await?;
        for name in &names {
            issued(ns, name).await?;
        }
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 0, "nothing was ordered anew");
        assert_eq!(requests_to(&proxy, path::FINALIZE).len(), 0, "nothing was finalized again");
        Ok(())
    })
    .await
}

/// The CA answers requests about the first order with `action`; another order must be placed, but not immediately.
async fn lose_order(
    ns: &TestNamespace,
    pebble: &Pebble,
    name: &str,
    action: fn() -> Action,
    reason: &str,
    words: &str,
) -> Result<()> {
    let proxy = ready_behind_proxy(ns, pebble, name).await?;
    let first = Mutex::new(None);
    proxy.script(move |request: &RequestInfo| {
        if !request.path.starts_with(path::ORDER) {
            return Action::Pass;
        }
        let mut first = first.lock();
        let first = first.get_or_insert_with(|| request.path.clone());
        if *first == request.path { action() } else { Action::Pass }
    });
    ns.apply(&of_issuer(name, &certificate(name, &[&format!("{name}.test")], ""))).await?;
    let (failed, message) = issuing(ns, name, reason).await?;
    ensure!(message.contains(words), "{name}: {message}");
    assert_eq!(failed["status"]["order"], Value::Null, "{name}: the order is of no more use");
    assert_eq!(failed["status"]["failedIssuanceAttempts"], 1, "{name}");
    let wait = time(&failed, "nextAttemptTime")?.duration_since(time(&failed, "lastFailureTime")?);
    ensure!(wait >= jiff::SignedDuration::from_secs(1), "{name}: it waits {wait:#}");
    issued(ns, name).await?;
    let orders = requests_to(&proxy, path::NEW_ORDER);
    assert_eq!(orders.len(), 2, "{name}: exactly one more order");
    let lost = requests_to(&proxy, path::ORDER).first().context("no order was read")?.at;
    ensure!(orders[1].at - lost >= Duration::from_secs(1), "{name}: it came at once");
    Ok(())
}

/// Orders for names that begin with `slow` stay `processing`.
fn stay_processing(request: &RequestInfo) -> Action {
    if ![path::ORDER, path::FINALIZE].iter().any(|path| request.path.starts_with(path)) {
        return Action::Pass;
    }
    change_json(|order| {
        let name = order["identifiers"][0]["value"].as_str().unwrap_or_default();
        if name.starts_with("slow") && order["status"] == "valid" {
            order["status"] = json!("processing");
        }
    })
}

/// A certificate for `key` and `names`, valid from the beginning of one year to the beginning of another, in PEM.
fn chain(key: &KeyPair, names: &[&str], (from, until): (i32, i32), with_chain: bool) -> Result<String> {
    let (ca, ca_pem) = foreign_ca()?;
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let leaf = params.signed_by(key, &ca)?.pem();
    Ok(if with_chain { leaf + &ca_pem } else { leaf })
}
