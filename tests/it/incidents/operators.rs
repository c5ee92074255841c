//! What happens to an operator.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::time::Duration;

use crate::common::SOON;
use anyhow::{Context, Result};
use tokio::time::{interval, timeout};

use super::Happened;
use super::scene::{OPERATOR, STANDBY, Scene};

/// When time passes for the operator, it does not for the CA.
pub async fn clock_is_off(_: &Scene<'_>) -> Result<Happened> {
    Ok(Happened {
        alerts: vec![("CertwrightClockOff", vec![("pod", OPERATOR.to_owned())])],
        ..Happened::default()
    })
}

/// The API server lets the replica not have the Lease, from the start.
pub async fn nobody_leads(_: &Scene<'_>) -> Result<Happened> {
    Ok(Happened {
        alerts: vec![("CertwrightNoLeader", vec![("job", STANDBY.to_owned())])],
        ..Happened::default()
    })
}

/// One watch gets no answers, and the others do.
pub async fn sees_nothing(scene: &Scene<'_>) -> Result<Happened> {
    scene.blind_standby();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/healthz", scene.standby.metrics_url);
    let mut last = String::new();
    let looking = async {
        let mut again = interval(Duration::from_millis(200));
        while !(last.contains("but not that of ") && last.ends_with("/issuers")) {
            again.tick().await;
            last = match http.get(&url).send().await {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                // It gives up slow connections after seconds, which pass quickly.
                Err(error) => error.to_string(),
            };
        }
    };
    let looked = timeout(SOON * 2, looking).await;
    looked.with_context(|| format!("/healthz says {last}"))?;
    let pod = || vec![("pod", STANDBY.to_owned())];
    Ok(Happened {
        alerts: vec![("CertwrightWatchesSilent", pod()), ("CertwrightUnhealthy", pod())],
        ..Happened::default()
    })
}
