//! The state of the authorizations that an issuer keeps.

use jiff::Timestamp;

use super::progress::Progress;
use super::{Snapshot, report};
use crate::conditions::condition;
use crate::records;
use certwright_api::{CONDITION_AUTHORIZATIONS_KEPT, DnsRecordStatus, IssuerStatus, KeptAuthorizationStatus};

/// The state of the authorizations that an issuer keeps.
#[derive(Debug)]
pub struct State<'a> {
    /// What is recorded.
    pub status: &'a mut IssuerStatus,
    /// What was learned on the way.
    pub progress: &'a mut Progress,
}

impl State<'_> {
    /// Makes the status match the spec and the account: names that are no longer wanted are forgotten, and what belongs to another
    /// account is of no use.
    pub fn note_spec(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let before = condition(&self.status.conditions, CONDITION_AUTHORIZATIONS_KEPT);
        let is_new_spec = before.is_some_and(|before| before.observed_generation != Some(seen.generation));
        let mut known = std::mem::take(&mut self.status.authorizations);
        for (name, _) in seen.names() {
            let place = known.iter().position(|entry| entry.dns_name == name);
            let entry =
                place.map(|place| known.swap_remove(place)).filter(|entry| is_of(entry, seen.account));
            let mut entry = entry.unwrap_or_else(|| KeptAuthorizationStatus {
                dns_name: name,
                ..KeptAuthorizationStatus::default()
            });
            entry.pending.take_if(|pending| pending.account != seen.account);
            if is_new_spec {
                entry.next_attempt_time = None;
            }
            self.status.authorizations.push(entry);
        }
        let is_wanted = |name: &str| self.status.authorizations.iter().any(|entry| entry.dns_name == name);
        let of_no_use = |attempt: &mut super::progress::Attempt| {
            attempt.pending.account != seen.account || !is_wanted(&attempt.name)
        };
        if let Some(dropped) = self.progress.attempt.take_if(of_no_use)
            && dropped.pending.account == seen.account
        {
            self.progress.useless = Some(dropped.pending.url);
        }
        self.drop_other();
        self.retire_others(seen, now);
        report::set_condition(self.status, seen, now);
    }

    /// If the status does not record what this process is having validated, another replica has gone on in the meantime.
    fn drop_other(&mut self) {
        let Some(attempt) = &self.progress.attempt else { return };
        let (name, url) = (attempt.name.clone(), attempt.pending.url.clone());
        let recorded = self.entry(&name).and_then(|entry| entry.pending.as_ref());
        if recorded.is_none_or(|recorded| recorded.url != url) {
            self.progress.attempt = None;
        }
    }

    /// Marks the records for removal that no validation needs. The CA validates with the current key of the account.
    fn retire_others(&mut self, seen: &Snapshot<'_>, now: Timestamp) {
        let needed: Vec<String> = match &self.progress.attempt {
            Some(attempt) => vec![attempt.name.clone()],
            None => {
                let pending = self.status.authorizations.iter().filter(|entry| entry.pending.is_some());
                pending.map(|entry| entry.dns_name.clone()).collect()
            }
        };
        let is_current = |record: &DnsRecordStatus| {
            let key = record.key_authorization.rsplit_once('.').map(|(_, key)| key);
            key == Some(seen.thumbprint) && needed.contains(&record.name.to_ascii_lowercase())
        };
        records::retire(&mut self.status.dns_records, |record| !is_current(record), now);
    }

    /// The entry of a name.
    pub(super) fn entry(&mut self, name: &str) -> Option<&mut KeptAuthorizationStatus> {
        self.status.authorizations.iter_mut().find(|entry| entry.dns_name == name)
    }

    /// A TXT record is about to be added, and is recorded first, with the authorization that it is for.
    pub fn begin_presentation(&mut self, records: Vec<DnsRecordStatus>, now: Timestamp) {
        records::replace(&mut self.status.dns_records, records, now);
    }
}

/// Whether an entry says nothing about another account than this one.
fn is_of(entry: &KeptAuthorizationStatus, account: &str) -> bool {
    entry.account.as_deref().is_none_or(|of| of == account)
}
