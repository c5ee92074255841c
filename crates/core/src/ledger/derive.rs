//! What can be recovered of an entry without a valid seal: it was written by a version without seals, the key is lost, or
//! somebody else wrote it. Only what follows from the spec, the issuer and the Secret counts; nothing else is taken from the
//! entry.

use std::collections::BTreeSet;

use certwright_acme::txt_value;
use certwright_api::{ChallengeStatus, DnsRecordStatus, RevocableCertificate, Solver};

/// What to compare the entries of a Certificate with.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The names in the spec.
    pub names: BTreeSet<String>,
    /// The solvers of the issuer that the spec names, as they are now.
    pub solvers: &'a [Solver],
    /// The namespace of the Secrets of that issuer.
    pub secrets_namespace: &'a str,
    /// Whether its providers may use ambient credentials.
    pub ambient: bool,
}

impl Known<'_> {
    /// Whether this Certificate's issuer would create this TXT record now: with the same provider and Secrets, for a name of
    /// the Certificate, at the default record name, with a valid challenge value.
    pub fn confirms_record(&self, record: &DnsRecordStatus) -> bool {
        let solvers = self.solvers.iter().filter_map(|solver| solver.dns01.as_ref());
        self.has_name(&record.name)
            && record.secrets_namespace == self.secrets_namespace
            && record.allow_ambient_credentials == self.ambient
            && record.fqdn.eq_ignore_ascii_case(&format!("_acme-challenge.{}.", record.name))
            && record.value == txt_value(&record.key_authorization)
            && solvers.into_iter().any(|solver| *solver == record.solver)
    }

    /// Whether the route to the answer may be removed: it was created for this Certificate, or is a path in the Ingress that
    /// its issuer names.
    pub fn confirms_challenge(&self, challenge: &ChallengeStatus) -> bool {
        let mut ingresses = self.solvers.iter().filter_map(|solver| {
            solver.http01.as_ref()?.ingress.as_ref()?.name.as_deref().filter(|name| !name.is_empty())
        });
        self.has_name(&challenge.name)
            && challenge.ingress.as_deref().is_none_or(|ingress| ingresses.any(|named| named == ingress))
    }

    fn has_name(&self, name: &str) -> bool {
        [name.to_owned(), format!("*.{name}")].iter().any(|name| self.names.contains(name))
    }
}

/// Whether `held` is about the certificate in the Secret, whose entry would be `current`. This does not confirm a decision to
/// revoke it.
pub fn is_current(held: &RevocableCertificate, current: &RevocableCertificate) -> bool {
    (&current.serial_number, &current.certificate, current.issuer_kind, &current.issuer_name)
        == (&held.serial_number, &held.certificate, held.issuer_kind, &held.issuer_name)
}
