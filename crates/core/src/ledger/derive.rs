//! What can be found out of an entry that has no valid seal: it was written by a version that knew of none, the key is lost, or
//! somebody else has written it. Only what follows from the spec, the issuer and the Secret counts; nothing is taken from the
//! entry that these do not confirm.

use std::collections::BTreeSet;

use certwright_acme::txt_value;
use certwright_api::{ChallengeStatus, DnsRecordStatus, RevocableCertificate, Solver};

/// What the entries of a Certificate are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The names that the spec asks for.
    pub names: &'a BTreeSet<String>,
    /// The solvers of the issuer that the spec names, as they are now.
    pub solvers: &'a [Solver],
    /// The namespace of the Secrets of that issuer.
    pub secrets_namespace: &'a str,
    /// Whether it is a ClusterIssuer.
    pub cluster_wide: bool,
}

impl Known<'_> {
    /// Whether a TXT record is one that this Certificate's issuer would put into the DNS now: by the same provider with the
    /// same Secrets, for a name of the Certificate, at the place that follows from the name, with the value of a proof.
    pub fn confirms_record(&self, record: &DnsRecordStatus) -> bool {
        let solvers = self.solvers.iter().filter_map(|solver| solver.dns01.as_ref());
        self.has_name(&record.name)
            && record.secrets_namespace == self.secrets_namespace
            && record.allow_ambient_credentials == self.cluster_wide
            && record.fqdn.eq_ignore_ascii_case(&format!("_acme-challenge.{}.", record.name))
            && record.value == txt_value(&record.key_authorization)
            && solvers.into_iter().any(|solver| *solver == record.solver)
    }

    /// Whether what leads to the answer to a challenge may be removed: what was made for this Certificate, or a path in the
    /// Ingress that its issuer names.
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

/// An entry for the certificate in the Secret, if that is what `held` says: as it would be written anew. That it is to be
/// revoked, nothing confirms.
pub fn current(
    held: &RevocableCertificate,
    in_secret: Option<RevocableCertificate>,
) -> Option<RevocableCertificate> {
    in_secret.filter(|current| {
        (&current.serial_number, &current.certificate, current.issuer_kind, &current.issuer_name)
            == (&held.serial_number, &held.certificate, held.issuer_kind, &held.issuer_name)
    })
}
