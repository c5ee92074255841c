//! The issuers of a spec.

use super::{InvalidSpec, ValidatedCertificate};
use crate::issuers::Issuers;
use certwright_api::{CertificateDefaults, CertificateSpec, IssuerKind, IssuerRef};

impl ValidatedCertificate {
    /// Checks `spec`, as [`ValidatedCertificate::new`] does, for the issuer in use, with the `defaults` of that one.
    ///
    /// # Errors
    /// As [`ValidatedCertificate::new`].
    pub fn for_issuers(
        spec: &CertificateSpec,
        issuers: &Issuers<'_>,
        defaults: Option<&CertificateDefaults>,
    ) -> Result<Self, InvalidSpec> {
        Ok(Self {
            issuer_kind: issuers.in_use().kind,
            issuer_name: issuers.in_use().name.clone(),
            tried_issuer: issuers.tried.clone(),
            rehearses: issuers.rehearsal.is_some(),
            issued_by: issuers.issued_by.cloned(),
            ..Self::new(spec, defaults)?
        })
    }

    /// The same, as if the issuer with this name and kind were in use.
    #[must_use]
    pub fn issued_by_this(self, issuer: Option<&(String, String)>) -> Self {
        let kinds = [IssuerKind::Issuer, IssuerKind::ClusterIssuer];
        let known = |(name, kind): &(String, String)| {
            Some((name.clone(), kinds.into_iter().find(|known| known.as_str() == kind)?))
        };
        match issuer.and_then(known) {
            Some((issuer_name, issuer_kind)) => Self { issuer_name, issuer_kind, ..self },
            None => self,
        }
    }

    /// Whether this is the issuer that is tried.
    pub fn tries(&self, issuer: &IssuerRef) -> bool {
        self.tried_issuer == *issuer
    }

    /// Whether a certificate from this issuer matches the spec.
    pub fn accepts_issuer(&self, name: &str, kind: &str) -> bool {
        let of = |issuer: &IssuerRef| (issuer.name.as_str(), issuer.kind.as_str()) == (name, kind);
        of(&self.tried_issuer) || of(&self.first_issuer) || self.issued_by.as_ref().is_some_and(of)
    }
}
