//! The table of `certwright list`.

use jiff::Timestamp;
use kube::ResourceExt;

use super::{expiry, issuing};
use crate::command::outlook::{self, NextAction, Outlook};
use crate::command::output::away;
use crate::command::shards::{Shard, serving};
use certwright_api::Certificate;
use certwright_core::spec::names;

/// The columns that a table has besides those it always has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Columns<'a> {
    /// The installations, if they divide the objects.
    pub(super) shards: &'a [Shard],
    pub(super) namespace: bool,
    /// The phase of the issuance and its beginning, instead of what happens next.
    pub(super) phase: bool,
    pub(super) wide: bool,
    /// What servers show, if that is checked for any of them.
    pub(super) served: bool,
}

/// What happens to a Certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Exists,
    Deleted,
}

impl Columns<'_> {
    /// The headings.
    pub(super) fn head(&self) -> Vec<&'static str> {
        let mut head = vec!["NAME", "READY", "ISSUER", "EXPIRES"];
        head.extend(if self.phase { &["PHASE", "SINCE"][..] } else { &["NEXT"] });
        if self.namespace {
            head.insert(0, "NAMESPACE");
        }
        if self.served {
            head.push("SERVED");
        }
        if !self.shards.is_empty() {
            head.push("SHARD");
        }
        if self.wide {
            head.extend(["SECRET", "NAMES", "REASON"]);
        }
        head
    }

    /// The cells of a Certificate.
    pub(super) fn row(&self, certificate: &Certificate, presence: Presence, now: Timestamp) -> Vec<String> {
        let outlook = outlook::of_certificate(certificate, now);
        let reference = outlook::issuer_in_use(certificate);
        let expires = expiry(certificate).map_or("-".to_owned(), |end| match self.wide {
            true => end.to_string(),
            false => away(end, now),
        });
        let mut row = vec![
            certificate.name_any(),
            ready(&outlook).to_owned(),
            format!("{}/{}", reference.kind.as_str(), reference.name),
            expires,
        ];
        row.extend(match presence {
            Presence::Exists => self.next(certificate, &outlook, now),
            Presence::Deleted if self.phase => vec!["deleted".to_owned(), "-".to_owned()],
            Presence::Deleted => vec!["deleted".to_owned()],
        });
        if self.namespace {
            row.insert(0, certificate.namespace().unwrap_or_default());
        }
        if self.served {
            row.push(outlook::served(certificate).unwrap_or("-").to_owned());
        }
        if !self.shards.is_empty() {
            row.push(match *serving(self.shards, certificate.labels()) {
                [] => "none".to_owned(),
                [shard] => shard.to_owned(),
                ref several => several.len().to_string(),
            });
        }
        if self.wide {
            let names = names::requested(&certificate.spec).join(",");
            let reason = outlook.trouble.map_or("-".to_owned(), |trouble| trouble.reason);
            row.extend([certificate.spec.secret_name.clone(), names, reason]);
        }
        row
    }

    /// The cells that say what happens next.
    fn next(&self, certificate: &Certificate, outlook: &Outlook, now: Timestamp) -> Vec<String> {
        match issuing(certificate).filter(|_| self.phase) {
            Some(issuing) => {
                vec![issuing.reason.clone(), away(issuing.last_transition_time.0, now)]
            }
            None if self.phase => vec![next(outlook, now), "-".to_owned()],
            None => vec![next(outlook, now)],
        }
    }
}

/// Whether a Certificate is ready, as a cell.
pub(in crate::command) fn ready(outlook: &Outlook) -> &'static str {
    match outlook.ready {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

/// What happens next, or what a Certificate waits for, as a cell.
pub(in crate::command) fn next(outlook: &Outlook, now: Timestamp) -> String {
    match (&outlook.next, &outlook.trouble) {
        (NextAction::When(_), Some(trouble)) => format!("waits: {}", trouble.reason),
        (NextAction::When(words), None) => words.split([';', ',', ':']).next().unwrap_or_default().to_owned(),
        (at, _) => at.brief(now),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use serde_json::json;

    use super::*;
    use crate::command::output::table;
    use certwright_api::{CONDITION_ISSUING, CONDITION_SERVED};

    #[test]
    fn a_row_shows_when_a_certificate_expires_and_what_happens_next() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ready: Certificate = serde_json::from_value(json!({
            "metadata": { "name": "www", "namespace": "shop", "generation": 1 },
            "spec": { "secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": { "name": "ca" } },
            "status": {
                "conditions": [{ "type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
                                 "lastTransitionTime": "2025-12-01T00:00:00Z" }],
                "notAfter": "2026-03-01T00:00:00Z", "renewalTime": "2026-01-30T00:00:00Z",
            },
        }))
        .unwrap();
        let mut waits = ready.clone();
        waits.metadata.name = Some("api".to_owned());
        waits.status = serde_json::from_value(json!({
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "Failed", "message": "no", "observedGeneration": 1,
                  "lastTransitionTime": "2025-12-01T00:00:00Z" },
                { "type": "Issuing", "status": "False", "reason": "Failed", "message": "no", "observedGeneration": 1,
                  "lastTransitionTime": "2025-12-01T00:00:00Z" },
            ],
            "failedIssuanceAttempts": 2, "nextAttemptTime": "2026-01-01T00:03:00Z",
        }))
        .unwrap();
        let all = [waits.clone(), ready.clone()];
        assert_eq!(
            rendered(&all, Columns { namespace: true, ..Columns::default() }, now),
            "NAMESPACE   NAME   READY   ISSUER      EXPIRES   NEXT\n\
             shop        api    False   Issuer/ca   -         retries in 3m\n\
             shop        www    True    Issuer/ca   in 59d    renews in 29d\n"
        );
        let wide = rendered(&all, Columns { wide: true, ..Columns::default() }, now);
        assert!(
            wide.contains("2026-03-01T00:00:00Z") && wide.contains("www-tls   www.example.com   Failed"),
            "{wide}"
        );
        let mut served = ready.clone();
        served.status.as_mut().unwrap().conditions.push(Condition {
            type_: CONDITION_SERVED.to_owned(),
            status: "False".to_owned(),
            reason: "OldCertificateServed".to_owned(),
            message: "Old".to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(now),
        });
        let columns = Columns { served: true, ..Columns::default() };
        assert_eq!(
            rendered(&[served, ready.clone()], columns, now),
            "NAME   READY   ISSUER      EXPIRES   NEXT            SERVED\n\
             www    True    Issuer/ca   in 59d    renews in 29d   Old\n\
             www    True    Issuer/ca   in 59d    renews in 29d   -\n"
        );
        let shard = |lease: &str, selector: &str| Shard {
            lease: lease.to_owned(),
            selector: selector.parse().unwrap(),
        };
        let mut labelled = ready.clone();
        labelled.metadata.labels = Some([("shard".to_owned(), "a".to_owned())].into());
        for (shards, cells) in [
            (&[shard("main", "!shard"), shard("a", "shard=a")][..], ["main", "a"]),
            (&[shard("a", "shard=a"), shard("some", "shard")][..], ["none", "2"]),
        ] {
            let table =
                rendered(&[ready.clone(), labelled.clone()], Columns { shards, ..Columns::default() }, now);
            let last = |line: &str| line.split_whitespace().last().unwrap_or_default().to_owned();
            assert_eq!(table.lines().map(last).collect::<Vec<_>>(), ["SHARD", cells[0], cells[1]], "{table}");
        }
        let mut queued = ready.clone();
        queued.metadata.name = Some("mail".to_owned());
        let status = queued.status.as_mut().unwrap();
        status.conditions.push(Condition {
            type_: CONDITION_ISSUING.to_owned(),
            status: "True".to_owned(),
            reason: "Queued".to_owned(),
            message: "Waiting".to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(now - SignedDuration::from_mins(5)),
        });
        let mut validating = queued.clone();
        validating.metadata.name = Some("new".to_owned());
        let status = validating.status.as_mut().unwrap();
        status.not_after = None;
        status.conditions[1].reason = "Validating".to_owned();
        let mut found = vec![validating, queued];
        found.retain(|one| issuing(one).is_some());
        assert_eq!(
            rendered(&found, Columns { phase: true, ..Columns::default() }, now),
            "NAME   READY   ISSUER      EXPIRES   PHASE        SINCE\n\
             new    True    Issuer/ca   -         Validating   5m ago\n\
             mail   True    Issuer/ca   in 59d    Queued       5m ago\n"
        );
        let deleted = Columns { phase: true, ..Columns::default() }.row(&found[0], Presence::Deleted, now);
        assert_eq!(deleted[4..], ["deleted", "-"]);
        let ended = Columns { phase: true, ..Columns::default() }.row(&ready, Presence::Exists, now);
        assert_eq!(ended[4..], ["renews in 29d", "-"], "one that is issued meanwhile");
    }

    fn rendered(certificates: &[Certificate], columns: Columns<'_>, now: Timestamp) -> String {
        let rows = certificates.iter().map(|one| columns.row(one, Presence::Exists, now));
        table(&columns.head(), &rows.collect::<Vec<_>>())
    }
}
