//! What `certwright-dns` is sent, and what issuers configure for it.

use certwright_dns::challenge::Challenge;
use certwright_dns::config;
use certwright_solver::dns01::webhook::ChallengePayload;
use serde_json::Value;

use crate::property::message;

/// The body of a request.
pub fn challenge(data: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<ChallengePayload>(data) else { return };
    let Some(request) = payload.request else { return };
    match Challenge::try_from(request) {
        Ok(Challenge { name, zone, value, .. }) => {
            assert!(name == zone || name.ends_with(&format!(".{zone}")), "{name} is not in {zone}");
            assert!((1..=255).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(name.len() <= 253 && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
        }
        Err(error) => message(&error.to_string()),
    }
}

/// The configuration of an issuer.
pub fn config(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    match config::parse(&value) {
        Ok(config) => {
            assert!((1..=config::MAX_TTL).contains(&config.ttl));
            assert!(config.secrets().len() <= config.provider.fields.len());
        }
        Err(error) => message(&error.to_string()),
    }
}
