//! Which of several Certificates with the same Secret may write it.

use std::borrow::Borrow;

use certwright_api::Certificate;
use jiff::Timestamp;
use kube::ResourceExt;

/// The oldest of the `others` that have the same Secret, if it is older than this Certificate: the Secret is that one's. One that is
/// being deleted claims nothing.
pub fn claimed_by(certificate: &Certificate, others: &[impl Borrow<Certificate>]) -> Option<String> {
    let others = others.iter().map(Borrow::borrow);
    let stay = others.filter(|other| other.metadata.deletion_timestamp.is_none());
    let older = stay.filter(|other| age(other) < age(certificate));
    older.min_by_key(|other| age(other)).map(ResourceExt::name_any)
}

fn age(certificate: &Certificate) -> (Option<Timestamp>, String) {
    (certificate.metadata.creation_timestamp.as_ref().map(|time| time.0), certificate.name_any())
}

#[cfg(test)]
mod tests {
    use certwright_api::CertificateSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn certificate(name: &str, created: i64) -> Certificate {
        let mut certificate = Certificate::new(name, CertificateSpec::default());
        certificate.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
        certificate
    }

    #[test]
    fn the_oldest_has_the_secret_and_of_those_of_the_same_age_the_first_by_name() {
        let (old, b, c) = (certificate("z", 1), certificate("b", 2), certificate("c", 2));
        assert_eq!(claimed_by(&old, &[&b, &c]), None);
        assert_eq!(claimed_by(&b, &[&old, &c]).as_deref(), Some("z"));
        assert_eq!(claimed_by(&c, &[&b]).as_deref(), Some("b"));
        assert_eq!(claimed_by(&b, &[&c]), None);
        assert_eq!(claimed_by(&b, &[&b]), None, "itself");
    }

    #[test]
    fn one_that_is_being_deleted_claims_nothing() {
        let (mut old, new) = (certificate("old", 1), certificate("new", 2));
        old.metadata.deletion_timestamp = Some(Time(Timestamp::from_second(3).unwrap()));
        assert_eq!(claimed_by(&new, &[&old]), None);
    }
}
