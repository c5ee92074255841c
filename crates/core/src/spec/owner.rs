//! Whether a Certificate owns its Secret, which is then deleted with it.

use super::ValidatedCertificate;
use certwright_api::{CertificateSpec, DeletionPolicy};

impl ValidatedCertificate {
    /// The same for the Certificate with this spec and UID. `owns` is what applies if the spec does not say whether the Secret is
    /// deleted with the Certificate.
    #[must_use]
    pub fn of(self, spec: &CertificateSpec, uid: &str, owns: bool) -> Self {
        let owns = spec.deletion_policy.map_or(owns, |policy| policy == DeletionPolicy::Delete);
        // A Certificate that is created again has another UID, and with the old one its Secret would be deleted.
        Self { owner: owns.then(|| uid.to_owned()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_api::IssuerRef;

    fn wanted(policy: Option<DeletionPolicy>, uid: &str, owns: bool) -> ValidatedCertificate {
        let spec = CertificateSpec {
            secret_name: "tls".to_owned(),
            dns_names: vec!["a.test".to_owned()],
            issuer_ref: IssuerRef { name: "ca".to_owned(), ..IssuerRef::default() },
            deletion_policy: policy,
            ..CertificateSpec::default()
        };
        ValidatedCertificate::new(&spec, None).unwrap().of(&spec, uid, owns)
    }

    #[test]
    fn the_certificate_says_whether_it_owns_its_secret_and_the_flag_is_the_default() {
        use DeletionPolicy::{Delete, Orphan};
        for (policy, owns, expected) in [
            (None, false, None),
            (None, true, Some("1")),
            (Some(Delete), false, Some("1")),
            (Some(Orphan), true, None),
        ] {
            assert_eq!(wanted(policy, "1", owns).owner.as_deref(), expected, "{policy:?} {owns}");
        }
    }

    #[test]
    fn another_owner_means_that_the_secret_is_written_again() {
        let (nobody, one, other) =
            (wanted(None, "1", false), wanted(None, "1", true), wanted(None, "2", true));
        assert_ne!(nobody.written_as(), one.written_as());
        assert_ne!(one.written_as(), other.written_as());
        // Secrets from before keep their digest.
        let plain = ValidatedCertificate { owner: None, ..one };
        assert_eq!(plain.written_as(), nobody.written_as());
    }
}
