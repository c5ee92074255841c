//! TXT records, and the provider that adds and removes them.

use super::*;
use crate::issuance::Way;
use crate::records::Removal;
use certwright_api::DnsRecordStatus;

/// The record with the answer to a challenge.
pub(super) fn of(challenged: &Challenged) -> Option<DnsRecordStatus> {
    let Way::Record(solver) = &challenged.way else { return None };
    Some(DnsRecordStatus {
        name: challenged.name.clone(),
        fqdn: format!("_acme-challenge.{}.", challenged.name),
        value: challenged.token.clone(),
        solver: (**solver).clone(),
        ..DnsRecordStatus::default()
    })
}

pub(super) fn in_dns(record: &DnsRecordStatus) -> (String, String) {
    (record.fqdn.clone(), record.value.clone())
}

impl World {
    pub(super) fn deletion(&self) -> Option<Deletion> {
        self.deleted.map(|since| Deletion { since, with_namespace: false })
    }

    /// Removes what is presented.
    pub(super) fn withdraw(&mut self) -> Result<(), Broken> {
        let removals = self.change(|state, seen, now| state.begin_withdrawal(seen, now));
        if self.presented.is_some() {
            self.write(|world| world.presented = None)?;
        }
        let removed = self.remove_records(removals)?;
        self.take_in(removed).map(drop)
    }

    pub(super) fn remove_records(&mut self, removals: Vec<Removal>) -> Result<Outcome, Broken> {
        let mut answers = Vec::new();
        for Removal { record, .. } in removals {
            assert!(record.removal.is_some(), "it is needed");
            let answer = match self.provider_fails {
                true => Err("the provider says no".to_owned()),
                false => {
                    self.zone.remove(&in_dns(&record));
                    self.effect()?;
                    Ok(())
                }
            };
            answers.push((record, answer));
        }
        Ok(Outcome::RecordsRemoved(answers))
    }

    /// Each record in DNS is in the ledger and holds the Certificate, unless the operator has reported it as left behind.
    pub(super) fn check_records(&self) {
        let mut left_behind = self.reports.iter().filter_map(|report| match report {
            Report::LeftBehind(record, _) => Some(in_dns(record)),
            _ => None,
        });
        for record in &self.zone {
            let is_recorded = self.recorded.dns_records.iter().any(|known| in_dns(known) == *record);
            let is_held = self.has_finalizer || self.deleted.is_some();
            assert!(is_recorded && is_held || left_behind.any(|left| left == *record), "{record:?} is lost");
        }
    }
}
