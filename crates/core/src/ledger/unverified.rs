//! What becomes of entries that are not verifiably the operator's: what the spec, the issuer and the Secret confirm is restored,
//! the rest is dropped and reported.

use serde_json::{Map, Value, json};

use super::derive::{Known, is_current};
use crate::events::Event;
use certwright_api::{
    CertificateStatus, ChallengeStatus, DnsRecordStatus, OrderStatus, RevocableCertificate, RevocationStatus,
    certificate_reason as reason,
};
use certwright_text::clean;

/// Why an unverified order is abandoned.
pub const ORDER_NOT_OURS: &str = "the order in the status was not written by this operator";
/// The maximum number of entries named in a message.
const NAMED: usize = 3;
/// The maximum length quoted from an entry, in bytes.
const LONGEST: usize = 200;

/// What was removed from a status, because it is not verifiably written by the operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unverified {
    /// The order.
    pub order: Option<OrderStatus>,
    /// Challenges.
    pub challenges: Vec<ChallengeStatus>,
    /// TXT records.
    pub dns_records: Vec<DnsRecordStatus>,
    /// Certificates that may have to be revoked.
    pub certificates: Vec<RevocableCertificate>,
}

impl Unverified {
    /// Whether nothing was removed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Moves confirmed entries back to the status. `in_secret` is the certificate in the Secret, as a new entry.
    pub fn restore(
        &mut self,
        status: &mut CertificateStatus,
        known: Option<&Known<'_>>,
        in_secret: Option<&RevocableCertificate>,
    ) {
        let confirmed = |record: &DnsRecordStatus| known.is_some_and(|known| known.confirms_record(record));
        let (records, others) = std::mem::take(&mut self.dns_records).into_iter().partition(confirmed);
        self.dns_records = others;
        status.dns_records.extend::<Vec<_>>(records);
        let Some(current) =
            in_secret.filter(|current| self.certificates.iter().any(|held| is_current(held, current)))
        else {
            return;
        };
        // A decision to revoke it is not restored, so it is reported as dropped.
        self.certificates.retain(|held| !is_current(held, current) || held.revocation.is_some());
        if let Some(ledger) = &mut status.revocation
            && ledger.certificates.iter().all(|held| held.serial_number != current.serial_number)
        {
            ledger.certificates.push(current.clone());
        }
    }

    /// The challenges whose routes are removed before they are dropped. If the status has other challenges, the routes may be
    /// theirs.
    pub fn routes(&self, status: &CertificateStatus, known: Option<&Known<'_>>) -> Vec<ChallengeStatus> {
        let Some(known) = known.filter(|_| status.challenges.is_empty()) else { return Vec::new() };
        self.challenges.iter().filter(|challenge| known.confirms_challenge(challenge)).cloned().collect()
    }

    /// The event about the dropped entries of a Certificate.
    pub fn event(&self) -> Event {
        self.event_about("certificates/status")
    }

    /// The event about the dropped entries of an object whose status is this resource.
    pub fn event_about(&self, resource: &str) -> Event {
        let note = format!(
            "The status has entries that cannot be verified as written by this operator, so they are dropped: {}. No \
             request is sent to a provider or a CA because of them; if these records or certificates exist, remove or \
             revoke them manually. Find out who can write {resource}",
            self.named()
        );
        Event::warning(reason::UNVERIFIED_STATUS, "Verify", note)
    }

    /// A merge patch that removes the dropped entries from the status in the API server, as far as writing `status` does not
    /// replace them: an apply does not remove fields that others own. A ledger of revocations without content is removed from
    /// `status` as well.
    pub fn erasure(&self, status: &mut CertificateStatus) -> Option<Value> {
        let mut patch = Map::new();
        if self.order.is_some() && status.order.is_none() {
            patch.insert("order".to_owned(), Value::Null);
        }
        if !self.challenges.is_empty() && status.challenges.is_empty() {
            patch.insert("challenges".to_owned(), Value::Null);
        }
        if !self.dns_records.is_empty() && status.dns_records.is_empty() {
            patch.insert("dnsRecords".to_owned(), Value::Null);
        }
        if !self.certificates.is_empty() {
            status.revocation.take_if(|ledger| *ledger == RevocationStatus::default());
            match &status.revocation {
                None => drop(patch.insert("revocation".to_owned(), Value::Null)),
                Some(ledger) if ledger.certificates.is_empty() => {
                    patch.insert("revocation".to_owned(), json!({ "certificates": null }));
                }
                Some(_) => {}
            }
        }
        (!patch.is_empty()).then_some(Value::Object(patch))
    }

    /// The dropped entries, for messages.
    fn named(&self) -> String {
        let order = self.order.iter().map(|order| format!("the order {}", order.url));
        let records = self
            .dns_records
            .iter()
            .map(|record| format!("the TXT record {} with the value {}", record.fqdn, record.value));
        let certificates = self
            .certificates
            .iter()
            .map(|held| format!("the certificate to be revoked {}", held.serial_number));
        let challenges = self.challenges.iter().map(|one| format!("the challenge for {}", one.name));
        let all: Vec<String> = order.chain(records).chain(certificates).chain(challenges).collect();
        let mut named: Vec<String> = all.iter().take(NAMED).map(|one| clean(one, LONGEST)).collect();
        if all.len() > NAMED {
            named.push(format!("and {} more", all.len() - NAMED));
        }
        named.join("; ")
    }
}
