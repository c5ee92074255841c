//! Services that do not do as they should.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use certwright_solver::dns01::webhook::Action;
use serde_json::json;

use crate::compare::{NAME, ZONE};
use crate::driver::Driver;
use crate::fake::{Answer, fake};
use crate::lab::Lab;
use crate::webhook::Given;

const TOKEN: &str = "a-token-that-nobody-may-see";

#[tokio::test]
async fn refusals_are_quoted_without_secrets_and_web_pages() -> Result<()> {
    let cases: [(Answer, &str); 6] = [
        (
            Answer::Json(
                403,
                json!({ "errors": [{ "code": 9109, "message": format!("Invalid token {TOKEN}") }] }),
            ),
            "answered HTTP 403: Invalid token <redacted>; check the credentials and their rights",
        ),
        (
            Answer::Text(500, &[], "<html><body>Something went wrong at 17:03</body></html>".to_owned()),
            "answered HTTP 500",
        ),
        (
            Answer::Text(502, &[], "upstream\u{1b}[31m\nfailed".to_owned()),
            "answered HTTP 502: upstream [31m failed",
        ),
        (Answer::Text(200, &[], "<!doctype html>".to_owned()), "sent an answer that has an unexpected form"),
        (Answer::Text(200, &[], "{\"result\":".to_owned()), "sent an answer that has an unexpected form"),
        (Answer::Empty(401), "answered HTTP 401; check the credentials and their rights"),
    ];
    let lab = Lab::start().await?;
    let answers = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let next = Arc::clone(&answers);
    lab.host("api.cloudflare.com", fake(move |_| next.lock().pop().unwrap_or(Answer::Empty(404))))?;
    let mut driver = Driver::own(&lab.environment())?;
    for (answer, expected) in cases {
        answers.lock().push(answer);
        let said =
            driver.change(&given(), Action::Present, NAME, ZONE, "value").await?.context("it succeeded")?;
        assert_eq!(said, format!("adding the TXT record failed: Cloudflare {expected}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_the_request_may_take() -> Result<()> {
    let lab = Lab::start().await?;
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let limited = move |_: &_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::Text(429, &[("retry-after", "1")], "{}".to_owned()),
        _ => Answer::Json(400, json!({ "errors": [{ "message": "asked again" }] })),
    };
    lab.host("api.cloudflare.com", fake(limited))?;
    let mut driver = Driver::own(&lab.environment())?;
    let said = driver.change(&given(), Action::Present, NAME, ZONE, "value").await?;
    assert_eq!(
        said.as_deref(),
        Some("adding the TXT record failed: Cloudflare answered HTTP 400: asked again")
    );
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    Ok(())
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up_in_time() -> Result<()> {
    let lab = Lab::start().await?;
    lab.host("api.cloudflare.com", fake(|_| Answer::Never))?;
    lab.host("api.digitalocean.com", fake(|_| Answer::Text(429, &[("retry-after", "3600")], String::new())))?;
    for (given, expected) in [
        (given(), "Cloudflare cannot be reached, or did not answer in time"),
        (
            Given::new(json!({ "provider": "digitalocean" }), &[("token", TOKEN)]),
            "DigitalOcean did not complete it within 25 seconds; it may be slow, or limit the rate of requests",
        ),
    ] {
        let start = certwright_runtime::clock::Stopwatch::start();
        let mut driver = Driver::own(&lab.environment())?;
        let said = driver.change(&given, Action::CleanUp, NAME, ZONE, "value").await?;
        assert_eq!(said, Some(format!("removing the TXT record failed: {expected}")));
        assert!(start.elapsed().as_secs() < 29, "the API server gives up after 30 seconds");
    }
    Ok(())
}

fn given() -> Given {
    Given::new(json!({ "provider": "cloudflare" }), &[("apiToken", TOKEN)])
}
