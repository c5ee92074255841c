//! The comparison: the same requests to `certwright-dns` and to a client of others, and what is in the zone after each.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certwright_cluster::Cluster;
use certwright_solver::dns01::webhook::Action::{CleanUp, Present};
use serde_json::Value;

use crate::driver::{Driver, Environment};
use crate::webhook::Given;

pub const ZONE: &str = "service.test";
pub const NAME: &str = "_acme-challenge.www.service.test";
/// What somebody else has at the name.
pub const FOREIGN: &str = "a-foreign-value";

const DOMAIN: &str = "www.service.test";
const KEY_AUTHORIZATION: &str = "token.thumbprint";

/// Whom `certwright-dns` is compared with.
pub enum Other<'a> {
    /// lego.
    Lego(Lego<'a>),
    /// A client in Python (`clients.py`), with its options.
    Python(&'a str, Value),
}

/// lego's part.
pub struct Lego<'a> {
    /// The name of its provider.
    pub provider: &'a str,
    /// Its settings.
    pub environment: Environment,
    /// A name server that knows the zone.
    pub nameserver: &'a str,
    /// What is at the name after lego's requests, where that is not what `certwright-dns` leaves: the number of the request, and the
    /// values, of which `V` is the one that was asked for.
    pub differs: &'a [(usize, &'a [&'a str])],
}

/// Asks both to add a value, to add it again, to remove it, and to remove it again. `reset` leaves only [`FOREIGN`] at [`NAME`];
/// `values` says what is there.
pub async fn compare(
    cluster: &Cluster,
    given: &Given,
    environment: &Environment,
    other: Option<Other<'_>>,
    reset: impl AsyncFn() -> Result<()>,
    values: impl AsyncFn() -> Result<Vec<String>>,
) -> Result<()> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, KEY_AUTHORIZATION.as_bytes());
    let value = URL_SAFE_NO_PAD.encode(digest);
    let steps = [Present, Present, CleanUp, CleanUp];
    let expected: [&[&str]; 4] = [&["V", FOREIGN], &["V", FOREIGN], &[FOREIGN], &[FOREIGN]];
    let seen = async || {
        let mut seen = values().await?;
        seen.iter_mut().filter(|seen| **seen == value).for_each(|seen| "V".clone_into(seen));
        seen.sort_unstable();
        anyhow::Ok(seen)
    };

    reset().await?;
    let mut own = Driver::own(environment)?;
    for (step, (action, expected)) in steps.into_iter().zip(expected).enumerate() {
        let failed = own.change(given, action, NAME, ZONE, &value).await.context("certwright-dns")?;
        assert_eq!(failed, None, "certwright-dns, step {step}: {action:?}");
        assert_eq!(seen().await?, expected, "certwright-dns, step {step}: {action:?}");
    }

    let (mut driver, other, differs) = match other {
        None => return Ok(()),
        Some(Other::Lego(lego)) => {
            let mut environment = environment.clone();
            environment.extend(lego.environment);
            let driver = Driver::lego(cluster, lego.provider, DOMAIN, lego.nameserver, &environment)?;
            (driver, "lego", lego.differs)
        }
        Some(Other::Python(client, options)) => {
            (Driver::python(client, ZONE, NAME, &options, environment)?, client, &[] as &[_])
        }
    };
    reset().await?;
    for (step, (action, expected)) in steps.into_iter().zip(expected).enumerate() {
        // Some report a record that is there, or gone, as an error; what counts is the zone.
        let failed = driver.others_change(action, KEY_AUTHORIZATION).await.context("another client")?;
        assert!(failed.is_none() || step % 2 == 1, "{other}, step {step}: {action:?}: {failed:?}");
        let differs = differs.iter().find(|(at, _)| *at == step).map(|(_, values)| *values);
        assert_eq!(seen().await?, differs.unwrap_or(expected), "{other}, step {step}: {action:?}");
    }
    Ok(())
}

/// Variables of an environment.
pub fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
