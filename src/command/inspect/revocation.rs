//! Whether a certificate is revoked, according to the list that it names.

use jiff::Timestamp;

use crate::controller::check_revocation_lists::fetch::fetch;
use certwright_api::ListedReason;
use certwright_egress::Egress;
use certwright_pki::{Chain, RevocationList, RevocationListError};

/// What the list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Revocation {
    /// It is not on the list.
    No { url: String },
    /// It is on the list.
    Yes { url: String, time: Timestamp, reason: String },
    /// It is not known, and why.
    NotChecked(String),
}

/// Fetches the list and looks the certificate up.
pub(super) async fn look_up(chain: &Chain, egress: &Egress, now: Timestamp) -> Revocation {
    let Some(url) = chain.leaf().revocation_list_url.clone() else {
        return Revocation::NotChecked("the certificate names no revocation list".to_owned());
    };
    match fetch(&url, egress).await {
        Err(error) => Revocation::NotChecked(format!("fetching {url} failed: {error}")),
        Ok(list) => on_list(chain, &list, &url, now)
            .unwrap_or_else(|error| Revocation::NotChecked(format!("{url} cannot be used: {error}"))),
    }
}

/// Looks the certificate up on this list, which must be current and signed by the certificate's issuer.
fn on_list(chain: &Chain, list: &[u8], url: &str, now: Timestamp) -> Result<Revocation, RevocationListError> {
    let list = RevocationList::from_der(list)?;
    list.check_time(now)?;
    if !chain.issuer().is_some_and(|issuer| list.is_signed_by(issuer)) {
        return Ok(Revocation::NotChecked(format!("{url} is not signed by the certificate's issuer")));
    }
    for entry in list.entries() {
        let entry = entry?;
        if entry.serial_number == chain.leaf().serial_number {
            let reason = ListedReason::of_code(entry.reason).as_str().to_owned();
            return Ok(Revocation::Yes { url: url.to_owned(), time: entry.time, reason });
        }
    }
    Ok(Revocation::No { url: url.to_owned() })
}
