//! Verifies the status before any decision: entries that are not verifiably the operator's own are taken out.

use crate::controller::context::Context;
use crate::controller::issuer_record::{IssuerRecord, secrets_namespace};
use certwright_api::{DnsRecordStatus, IssuerStatus};
use certwright_core::ledger::derive::Known;
use certwright_core::ledger::{Owner, Unverified};

/// Whose status it is.
pub(super) fn owner(issuer: &IssuerRecord) -> Owner<'_> {
    Owner { namespace: issuer.id.namespace.as_deref().unwrap_or_default(), uid: &issuer.uid }
}

/// The status without entries that are not verifiably the operator's, and the TXT records among those that the spec does not
/// confirm either.
pub(super) fn verified(issuer: &IssuerRecord, context: &Context) -> (IssuerStatus, Unverified) {
    let mut status = issuer.status.clone();
    let unverified = context.ledger_keys.take_unverified_of_issuer(owner(issuer), &mut status);
    let known = Known {
        names: issuer.spec.authorizations.iter().map(|one| one.dns_name.to_ascii_lowercase()).collect(),
        solvers: &issuer.spec.solvers,
        secrets_namespace: secrets_namespace(issuer, &context.config.cluster_resource_namespace),
        ambient: context.config.ambient_credentials.may_use(issuer.id.kind),
    };
    let confirmed = |record: &DnsRecordStatus| known.confirms_record(record);
    let (confirmed, dns_records) = unverified.into_iter().partition::<Vec<_>, _>(confirmed);
    status.dns_records.extend(confirmed);
    (status, Unverified { dns_records, ..Unverified::default() })
}
