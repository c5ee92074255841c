//! Compares a revocation list with the certificates that are held.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::task::spawn_blocking;

use crate::controller::cache::{Cache, Index};
use certwright_api::{Certificate, ListedReason};
use certwright_core::revoked::{Finding, is_news};
use certwright_pki::{RevocationList, RevocationListError};

/// A Certificate whose certificate may be on a list, or no longer on hold.
pub(super) struct Candidate {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// Name of its Secret.
    pub(super) secret: String,
    pub(super) finding: Finding,
}

/// The Certificates about which the list, given as DER, has news, if it is signed by their issuers.
pub(super) fn candidates(
    list: &[u8],
    url: &str,
    cache: &Cache,
    now: Timestamp,
) -> Result<Vec<Candidate>, RevocationListError> {
    let list = RevocationList::from_der(list)?;
    list.check_time(now)?;
    let (mut found, mut on_hold) = (Vec::new(), HashSet::new());
    for entry in list.entries() {
        let entry = entry?;
        for certificate in cache.certificates(&Index::Listed(url, &entry.serial_number)) {
            on_hold.insert(certificate.uid().unwrap_or_default());
            let about = Some((entry.time, ListedReason::of_code(entry.reason)));
            found.extend(candidate(&certificate, url, about));
        }
    }
    for certificate in cache.certificates(&Index::OnHold(url)) {
        if !on_hold.contains(certificate.metadata.uid.as_deref().unwrap_or_default()) {
            found.extend(candidate(&certificate, url, None));
        }
    }
    Ok(found)
}

fn candidate(
    certificate: &Certificate,
    url: &str,
    entry: Option<(Timestamp, ListedReason)>,
) -> Option<Candidate> {
    let status = certificate.status.as_ref()?;
    let serial_number = status.serial_number.clone()?;
    let finding = Finding { serial_number, list_url: url.to_owned(), entry };
    is_news(status, &finding.serial_number, &finding).then(|| Candidate {
        namespace: certificate.namespace().unwrap_or_default(),
        name: certificate.name_any(),
        uid: certificate.uid().unwrap_or_default(),
        secret: certificate.spec.secret_name.clone(),
        finding,
    })
}

/// Which issuers have signed a list. Many of its certificates have the same issuer.
pub(super) struct Signers {
    list: Arc<Vec<u8>>,
    known: HashMap<Vec<u8>, bool>,
}

impl Signers {
    pub(super) fn new(list: Arc<Vec<u8>>) -> Self {
        Self { list, known: HashMap::new() }
    }

    /// Whether the issuer with this certificate has signed the list. `None` if this process is about to end.
    pub(super) async fn have_signed(&mut self, issuer: &[u8]) -> Option<bool> {
        if let Some(known) = self.known.get(issuer) {
            return Some(*known);
        }
        let (list, by) = (self.list.clone(), issuer.to_vec());
        let verify = move || RevocationList::from_der(&list).is_ok_and(|list| list.is_signed_by(&by));
        let is_signed = spawn_blocking(verify).await.ok()?;
        self.known.insert(issuer.to_vec(), is_signed);
        Some(is_signed)
    }
}
