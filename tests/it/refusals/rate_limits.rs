//! Rate limits: the whole account pauses as long as the CA says, within bounds.

use super::*;

#[tokio::test]
async fn a_rate_limit_at_any_endpoint_pauses_the_whole_account_for_as_long_as_the_ca_says() -> Result<()> {
    TestNamespace::with("too-fast", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        // Alternates between both forms of Retry-After.
        let endpoints = [
            (path::NEW_ORDER, false),
            (path::AUTHORIZATION, true),
            (path::CHALLENGE, false),
            (path::FINALIZE, true),
            (path::ORDER, false),
            (path::CERTIFICATE, true),
        ];
        for some in endpoints.chunks(3) {
            let limited = some.iter().map(|(path, date)| limited_at(ns, &pebble, path, *date));
            futures::future::try_join_all(limited).await?;
        }
        // Two Certificates per account: each writes at the beginning and at the end of the wait, and no more.
        let reconciles = sum(&operator.metrics().await?, "certwright_reconcile", "unchanged");
        ensure!(reconciles < 100.0, "{reconciles} reconciles changed nothing: that is a hot loop");
        Ok(())
    })
    .await
}

/// Certigna answers RATE_LIMITED after 20 validations of one challenge, which it then never validates.
#[tokio::test]
async fn a_challenge_that_the_ca_has_checked_too_often_costs_the_order() -> Result<()> {
    TestNamespace::with("looks", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        let problem = json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": "RATE_LIMITED" });
        proxy.script(move |request| match request.path.starts_with(path::CHALLENGE) {
            true => refusal(403, &problem),
            false => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.looks.test"], "")).await?;
        let (failed, message) = issuing(ns, "web", "RATE_LIMITED").await?;
        let words = "RATE_LIMITED (urn:ietf:params:acme:error:malformed). The CA has checked the same challenge too often";
        ensure!(message.contains(words), "{message}");
        assert_eq!(failed["status"]["order"], Value::Null);
        assert_eq!(requests_to(&proxy, path::CHALLENGE).len(), 1);

        proxy.pass();
        ns.patch("certificate/web", json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } }))
            .await?;
        issued(ns, "web").await?;
        assert_eq!(requests_to(&proxy, path::NEW_ORDER).len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_rate_limit_on_the_directory_pauses_the_account_too() -> Result<()> {
    TestNamespace::with("directory", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        // A new process has to fetch the directory again.
        operator.restart().await?;
        proxy.forget();
        proxy.script(limit_once(path::DIRECTORY, || "5".to_owned()));
        // The answer to a directory request is not quoted: the server may not be a CA.
        limited(ns, &proxy, ["a", "b"], "ca", 5, "rateLimited").await
    })
    .await
}

#[tokio::test]
async fn a_retry_after_that_is_absurd_or_past_is_cut_to_what_makes_sense() -> Result<()> {
    TestNamespace::with("absurd", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--backoff-first", "1s").start().await?;
        let [absurd, past] = ["absurd", "past"];
        let proxy = ready_behind_proxy(ns, &pebble, absurd).await?;
        proxy.script(limit_once(path::NEW_ORDER, || "99999999999999999999".to_owned()));
        ns.apply(&of_issuer(absurd, &certificate("first", &["first.test"], ""))).await?;
        let (failed, _) = issuing(ns, "first", "RateLimited").await?;
        let wait = time(&failed, "nextAttemptTime")?.duration_since(time(&failed, "lastFailureTime")?);
        let day = SignedDuration::from_hours(24);
        ensure!(wait >= day && wait <= day * 5 / 4, "who was told waits for {wait:#}");

        ns.apply(&of_issuer(absurd, &certificate("second", &["second.test"], ""))).await?;
        let (_, message) = issuing(ns, "second", "RateLimited").await?;
        let until: Timestamp = message.rsplit(' ').next().context("no time")?.parse()?;
        let pause = until.duration_since(clock::now());
        // The CA does not say whether the limit also applies to these.
        let longest = SignedDuration::from_mins(5);
        ensure!(
            pause > longest / 2 && pause <= longest + SignedDuration::from_secs(1),
            "the others wait for {pause:#}: {message}"
        );

        let proxy = ready_behind_proxy(ns, &pebble, past).await?;
        proxy.script(limit_once(path::NEW_ORDER, || "Thu, 01 Jan 1970 00:00:00 GMT".to_owned()));
        ns.apply(&of_issuer(past, &certificate("third", &["third.test"], ""))).await?;
        issued(ns, "third").await?;
        let pause = pause_after_limit(&proxy)?;
        ensure!(pause >= Duration::from_secs(1), "a time in the past is no reason to hurry: {pause:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_restart_does_not_shorten_the_wait_after_a_rate_limit() -> Result<()> {
    TestNamespace::with("restart", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).start().await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.as_str() {
            path::NEW_ORDER => refusal(429, &problem("rateLimited", "too many orders this week")),
            _ => Action::Pass,
        });
        ns.apply(&certificate("web", &["web.test"], "")).await?;
        let (failed, message) = issuing(ns, "web", "RateLimited").await?;
        ensure!(message.contains("too many orders this week"), "{message}");
        assert_eq!(failed["status"]["failedIssuanceAttempts"], 1);
        let next = time(&failed, "nextAttemptTime")?;
        let wait = next.duration_since(time(&failed, "lastFailureTime")?);
        ensure!(wait >= SignedDuration::from_secs(60), "without Retry-After it backs off: {wait:#}");

        operator.restart().await?;
        proxy.forget();
        // When another one is issued, all of them have been processed.
        ns.apply(&of_issuer("other", &issuer(&pebble.directory_url, &pebble.ca_pem, ""))).await?;
        ns.apply(&of_issuer("other", &certificate("other", &["other.test"], ""))).await?;
        issued(ns, "other").await?;
        tokio::time::timeout(Duration::from_secs(3), proxy.wait_request(SOON, |_| true))
            .await
            .map_or(Ok(()), |request| Err(anyhow::anyhow!("the wait was cut short: {request:?}")))?;
        let after = ns.get("certificate/web").await?.context("it is gone")?;
        assert_eq!(time(&after, "nextAttemptTime")?, next);
        assert_eq!(after["status"]["failedIssuanceAttempts"], 1);
        Ok(())
    })
    .await
}

/// Rejects the first request to `path` with a rate limit.
fn limit_once(
    path: &'static str,
    retry_after: impl Fn() -> String + Send + Sync + 'static,
) -> impl Fn(&certwright_cluster::proxy::RequestInfo) -> Action + Send + Sync + 'static {
    let done = AtomicBool::new(false);
    move |request| {
        if !request.path.starts_with(path) || done.swap(true, Ordering::SeqCst) {
            return Action::Pass;
        }
        Action::Respond {
            status: 429,
            headers: vec![("retry-after", retry_after())],
            body: problem("rateLimited", "slow down").to_string(),
        }
    }
}

/// The CA rejects a request of a separate account to `path` with a rate limit, and the account must pause.
async fn limited_at(ns: &TestNamespace, pebble: &Pebble, path: &'static str, date: bool) -> Result<()> {
    let issuer = path.trim_matches('/').to_ascii_lowercase();
    let proxy = ready_behind_proxy(ns, pebble, &issuer).await?;
    proxy.script(limit_once(path, move || match date {
        true => httpdate::fmt_http_date(SystemTime::from(clock::now()) + Duration::from_secs(6)),
        false => "5".to_owned(),
    }));
    limited(ns, &proxy, [&format!("{issuer}-a"), &format!("{issuer}-b")], &issuer, 5, "slow down")
        .await
        .with_context(|| format!("limited at {path}"))
}

/// A Certificate is rejected with a rate limit; another one of the account waits with it, and nothing is requested before the
/// time.
async fn limited(
    ns: &TestNamespace,
    proxy: &Proxy,
    [first, second]: [&str; 2],
    issuer: &str,
    seconds: u64,
    words: &str,
) -> Result<()> {
    ns.apply(&of_issuer(issuer, &certificate(first, &[&format!("{first}.test")], ""))).await?;
    let (refused, message) = issuing(ns, first, "RateLimited").await?;
    ensure!(message.contains(words), "the first one has the CA's words: {message}");
    assert_eq!(refused["status"]["failedIssuanceAttempts"], 1);
    ns.apply(&of_issuer(issuer, &certificate(second, &[&format!("{second}.test")], ""))).await?;
    let (_, message) = issuing(ns, second, "RateLimited").await?;
    ensure!(message.contains("pause"), "the other one says why it waits: {message}");
    issued(ns, first).await?;
    issued(ns, second).await?;
    let pause = pause_after_limit(proxy)?;
    ensure!(pause >= Duration::from_secs(seconds), "it paused for {pause:?} only");
    Ok(())
}

/// How long no request followed after the CA had reported the rate limit.
fn pause_after_limit(proxy: &Proxy) -> Result<Duration> {
    let requests = proxy.requests();
    let limited = requests.iter().position(|record| record.status.is_some_and(|status| status == 429));
    let limited = limited.context("no request was refused")?;
    let next = requests.get(limited + 1).context("nothing was asked afterwards")?;
    Ok(next.at - requests[limited].at)
}
