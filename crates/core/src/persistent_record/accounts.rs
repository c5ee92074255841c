//! How the record names the account.

use aws_lc_rs::digest::{SHA256, digest};
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use url::Url;

use super::{NoRecord, Offer, is_parameter};

/// An account at a CA.
#[derive(Clone, Copy, Debug)]
pub struct PersistentAccount<'a> {
    /// The URL of the CA's directory.
    pub directory: &'a str,
    /// Its URL.
    pub url: &'a str,
    /// The thumbprint of its key, in base64url.
    pub thumbprint: &'a str,
    /// Whether it had another key before.
    pub rolled_over: bool,
}

/// The names of the account that the CA accepts. The first one is shown.
pub(super) fn accepted(
    name: &str,
    offer: &Offer,
    account: &PersistentAccount<'_>,
) -> Result<Vec<String>, NoRecord> {
    let url = account.url;
    if !is_parameter(url) {
        return Err(NoRecord::AccountUrl { url: url.to_owned() });
    }
    let mut accepted = Vec::new();
    if let Some(prefix) = &offer.hash_prefix {
        // A CA also accepts the hash that is the same for all names (draft 02, section 4.1).
        accepted.extend([name, "*"].map(|name| format!("{prefix}sha-256/{}", hash(name, account))));
    }
    if offer.by_url {
        // A CA chooses the URLs of its accounts. The record must not allow an account of somebody else at another CA.
        match host(url) == host(account.directory) {
            true => accepted.push(url.to_owned()),
            false if accepted.is_empty() => return Err(NoRecord::Elsewhere { url: url.to_owned() }),
            false => {}
        }
    }
    Ok(accepted)
}

/// The digest of draft 02, section 4.1.
fn hash(name: &str, account: &PersistentAccount<'_>) -> String {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let parts = [&[length][..], name.as_bytes(), account.thumbprint.as_bytes(), account.url.as_bytes()];
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &parts.concat()))
}

fn host(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}
