//! A renewal starts within the windows of the spec, unless that would be too late, and the status says which is the case.

use std::time::Duration;

use crate::common::faults::event;
use crate::common::{SOON, certificate, condition, issued, ready_through_proxy, revision, tls};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, PebbleBuilder, TestNamespace};
use certwright_runtime::clock;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

/// Only the lifetime determines the renewal, not Pebble's suggestion.
const UNASKED: &str = "    renewalInformationSource: None\n";
const DAY: u64 = 86_400;

#[tokio::test]
async fn the_renewal_is_planned_within_a_window_of_its_time_zone() -> Result<()> {
    TestNamespace::with("windows", async |ns| {
        let _ca = ready_through_proxy(ns, valid_for(90 * DAY), UNASKED).await?;
        let spec = windows("0 2 * * 6", "4h", Some("America/New_York"));
        ns.apply(&certificate("web", &["a.example.com"], &spec)).await?;
        let planned = revision(ns, "web", 1).await?;
        let local = renewal_time(&planned)?.to_zoned(TimeZone::get("America/New_York")?);
        assert_eq!(local.weekday(), jiff::civil::Weekday::Saturday, "{local}");
        assert!((2..6).contains(&local.hour()), "{local}");
        assert_eq!(window(&planned), Some(("True".to_owned(), "WithinWindow".to_owned())));

        // Other windows do not require another certificate, and without windows there is no condition.
        let daily =
            json!({"spec": {"renewal": {"windows": [{"cron": "0 12 * * *", "windowDuration": "1h"}]}}});
        ns.patch("certificate/web", daily).await?;
        let noon =
            |object: &Value| renewal_time(object).is_ok_and(|time| time.to_zoned(TimeZone::UTC).hour() == 12);
        ns.wait("certificate/web", SOON, noon).await?;
        ns.patch("certificate/web", json!({"spec": {"renewal": null}})).await?;
        let freed = ns.wait("certificate/web", SOON, |object| window(object).is_none()).await?;
        assert_eq!(freed["status"]["revision"], 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn windows_that_would_let_the_certificate_expire_are_overruled_and_this_is_said() -> Result<()> {
    TestNamespace::with("windows", async |ns| {
        let _ca = ready_through_proxy(ns, valid_for(6 * DAY), UNASKED).await?;
        // Once a year, and not within the next days.
        let month = (clock::now().to_zoned(TimeZone::UTC).month() + 5) % 12 + 1;
        let spec = windows(&format!("0 2 1 {month} *"), "4h", None);
        ns.apply(&certificate("web", &["a.example.com"], &spec)).await?;
        let overruled = revision(ns, "web", 1).await?;
        let (status, reason, message) = condition(&overruled, "RenewalWindow").context("no condition")?;
        assert_eq!((status.as_str(), reason.as_str()), ("False", "NoWindowInTime"));
        assert!(message.contains("begins outside of renewal.windows"), "{message}");
        assert!(
            message.contains(overruled["status"]["renewalTime"].as_str().context("no time")?),
            "{message}"
        );
        let days = renewal_time(&overruled)?.duration_since(clock::now()).as_secs_f64() / DAY as f64;
        assert!((2.4..3.01).contains(&days), "half of its lifetime, not {days} days");
        assert_eq!(event(ns, "web", "NoWindowInTime").await?, ("Warning".to_owned(), message));

        // With another window, the condition is true again.
        let daily =
            json!({"spec": {"renewal": {"windows": [{"cron": "0 2 * * *", "windowDuration": "4h"}]}}});
        ns.patch("certificate/web", daily).await?;
        let within = |object: &Value| window(object).is_some_and(|(status, _)| status == "True");
        ns.wait("certificate/web", SOON, within).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn windows_that_cannot_be_read_do_not_keep_a_certificate_from_being_renewed() -> Result<()> {
    TestNamespace::with("windows", async |ns| {
        let _ca = ready_through_proxy(ns, valid_for(90 * DAY), UNASKED).await?;
        for (name, cron, zone, sentence) in [
            (
                "zone",
                "0 2 * * *",
                Some("Mars/Olympus"),
                "windows[0].timezone: 'Mars/Olympus' is not an IANA time zone",
            ),
            ("never", "0 2 30 2 *", None, "renewal.windows[0].cron: '0 2 30 2 *' never occurs"),
        ] {
            ns.apply(&certificate(name, &[&format!("{name}.example.com")], &windows(cron, "1h", zone)))
                .await?;
            let issued = revision(ns, name, 1).await?;
            let (status, reason, message) = condition(&issued, "RenewalWindow").context("no condition")?;
            assert_eq!((status.as_str(), reason.as_str()), ("False", "InvalidWindow"));
            assert!(message.contains(sentence), "{message}");
            assert!(renewal_time(&issued)? > clock::now() + SignedDuration::from_hours(50 * 24));
            assert_eq!(event(ns, name, "InvalidWindow").await?, ("Warning".to_owned(), message));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_renewal_begins_when_its_window_opens_and_one_that_is_asked_for_at_once() -> Result<()> {
    TestNamespace::with("windows", async |ns| {
        let (_pebble, _proxy, operator) = ready_through_proxy(ns, valid_for(600), UNASKED).await?;
        // Due after 62 s to 80 s, and after 540 s at the latest. The window opens later.
        let due_by = clock::now() + SignedDuration::from_secs(90);
        let minute = due_by
            .to_zoned(TimeZone::UTC)
            .round(jiff::ZonedRound::new().smallest(jiff::Unit::Minute).mode(jiff::RoundMode::Ceil))?;
        let spec = windows(&format!("{} {} * * *", minute.minute(), minute.hour()), "1m", None);
        let spec = format!("  renewBefore: 520s\n{spec}");
        ns.apply(&certificate("web", &["a.example.com"], &spec)).await?;
        let first = revision(ns, "web", 1).await?;
        let planned = renewal_time(&first)?;
        assert!(
            minute.timestamp() <= planned && planned <= (&minute + 30.seconds()).timestamp(),
            "{planned}"
        );

        // A requested renewal does not wait.
        let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
        ns.patch("certificate/web", renew).await?;
        let second = revision(ns, "web", 2).await?;
        assert!(clock::now() < minute.timestamp());
        let planned = renewal_time(&second)?;
        assert!(planned >= minute.timestamp(), "{planned}");

        operator.restart().await?;
        let third = |object: &Value| object["status"]["revision"] == 3;
        ns.wait("certificate/web", Duration::from_secs(180), third).await?;
        let renewed = tls(ns, "web-tls").await?.chain.leaf().not_before;
        let late = renewed.duration_since(planned).as_secs();
        assert!((0..=3).contains(&late), "planned at {planned}, renewed at {renewed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_whose_renewal_is_disabled_expires_unless_somebody_asks_for_another() -> Result<()> {
    TestNamespace::with("windows", async |ns| {
        let _ca: (Pebble, _, Operator) = ready_through_proxy(ns, valid_for(6), UNASKED).await?;
        ns.apply(&certificate("web", &["a.example.com"], "  renewal: { policy: Disabled }\n")).await?;
        let first = issued(ns, "web").await?;
        assert_eq!(first["status"]["renewalTime"], Value::Null, "{first:#}");
        let (_, _, message) = condition(&first, "Ready").context("no condition")?;
        assert!(message.contains("is not renewed: renewal.policy is Disabled"), "{message}");
        let expired = |object: &Value| {
            condition(object, "Ready").is_some_and(|(is, reason, _)| is == "False" && reason == "Expired")
        };
        let expired = ns.wait("certificate/web", SOON, expired).await?;
        assert_eq!(expired["status"]["revision"], 1, "{expired:#}");
        let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
        ns.patch("certificate/web", renew).await?;
        ns.wait("certificate/web", SOON, |object| object["status"]["revision"] == 2).await?;
        Ok(())
    })
    .await
}

fn windows(cron: &str, duration: &str, zone: Option<&str>) -> String {
    let zone = zone.map(|zone| format!(", timezone: {zone}")).unwrap_or_default();
    format!("  renewal: {{ windows: [{{ cron: '{cron}', windowDuration: {duration}{zone} }}] }}\n")
}

fn valid_for(seconds: u64) -> PebbleBuilder {
    Pebble::builder().certificate_validity(Duration::from_secs(seconds))
}

/// Status and reason of the condition about the windows.
fn window(certificate: &Value) -> Option<(String, String)> {
    condition(certificate, "RenewalWindow").map(|(status, reason, _)| (status, reason))
}

fn renewal_time(certificate: &Value) -> Result<Timestamp> {
    Ok(certificate["status"]["renewalTime"].as_str().context("no renewalTime")?.parse()?)
}
