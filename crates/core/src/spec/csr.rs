//! A certificate signing request in a Certificate's spec, for a private key that is kept elsewhere.

use super::{InvalidSpec, subject};
use certwright_api::bounds::MAX_NAMES;
use certwright_api::{AcmeIssuer, CsrSignatureHash};
use certwright_pki::{SigningRequest, Subject};

/// Reads a request.
///
/// # Errors
/// [`InvalidSpec::Csr`]
pub(super) fn read(pem: &str) -> Result<SigningRequest, InvalidSpec> {
    SigningRequest::parse_pem(pem.as_bytes()).map_err(|error| InvalidSpec::Csr(error.to_string()))
}

/// The names in a request. As in a spec, the common name must be a name that a CA can validate.
///
/// # Errors
/// [`InvalidSpec::Csr`]
pub fn names(request: &SigningRequest) -> Result<Subject, InvalidSpec> {
    let Subject { common_name, dns_names, ip_addresses } = request.subject.clone();
    if dns_names.len() + ip_addresses.len() > MAX_NAMES {
        return Err(InvalidSpec::Csr(format!("it has more than {MAX_NAMES} names; create it with fewer")));
    }
    subject(common_name.filter(|name| !name.is_empty()), dns_names, ip_addresses).map_err(|error| {
        InvalidSpec::Csr(match error {
            InvalidSpec::NoNames => {
                "it has neither a DNS name nor an IP address; create it with subject alternative names".to_owned()
            }
            InvalidSpec::DnsName(name) => format!("'{name}' in it is not a DNS name"),
            InvalidSpec::CommonName(name) => format!(
                "its common name '{name}' is not a DNS name, and an ACME CA accepts only names that it can validate; \
                 create it without"
            ),
            other => other.to_string(),
        })
    })
}

/// Why the CA of an issuer with these settings does not accept a request, if it does not.
pub fn refusal(request: &SigningRequest, issuer: &AcmeIssuer) -> Option<String> {
    let requires_sha256 = issuer.csr_signature_hash == Some(CsrSignatureHash::Sha256);
    (requires_sha256 && !request.is_sha256).then(|| {
        "its csrSignatureHash requires SHA-256, and the certificate signing request is signed with another hash; create it \
         anew, for example with `openssl req -sha256`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ValidatedCertificate;
    use certwright_api::CertificateSpec;
    use certwright_pki::{KeyAlgorithm, PrivateKey, SignatureHash, certificate_signing_request};

    #[test]
    fn names_and_key_are_those_of_the_request() {
        let wanted = validated(&Subject {
            common_name: Some("WWW.example.com".to_owned()),
            dns_names: vec!["b.example.com".to_owned(), "A.example.com".to_owned()],
            ip_addresses: vec!["192.0.2.1".parse().unwrap()],
        });
        let wanted = wanted.unwrap();
        assert_eq!(wanted.subject.dns_names, ["a.example.com", "b.example.com", "www.example.com"]);
        assert_eq!(wanted.subject.ip_addresses, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!((wanted.key, wanted.secret_type()), (KeyAlgorithm::ECDSA_P384, "Opaque"));
    }

    #[test]
    fn names_that_no_acme_ca_can_validate_are_rejected() {
        let named = |common_name: Option<&str>, dns_names: Vec<String>| {
            let common_name = common_name.map(str::to_owned);
            let refused = validated(&Subject { common_name, dns_names, ip_addresses: Vec::new() });
            refused.unwrap_err().to_string()
        };
        assert_eq!(
            named(None, Vec::new()),
            "csr: it has neither a DNS name nor an IP address; create it with subject alternative names"
        );
        assert_eq!(named(None, vec!["a_b".to_owned()]), "csr: 'a_b' in it is not a DNS name");
        assert_eq!(
            named(Some("My server"), vec!["a.test".to_owned()]),
            "csr: its common name 'My server' is not a DNS name, and an ACME CA accepts only names that it can validate; \
             create it without"
        );
        let many = (0..251).map(|number| format!("{number}.test")).collect();
        assert_eq!(named(None, many), "csr: it has more than 250 names; create it with fewer");
    }

    #[test]
    fn an_issuer_that_requires_sha256_rejects_other_hashes() {
        let issuer = |hash| AcmeIssuer { csr_signature_hash: hash, ..AcmeIssuer::default() };
        for (algorithm, hash, refused) in [
            (KeyAlgorithm::ECDSA_P384, Some(CsrSignatureHash::Sha256), true),
            (KeyAlgorithm::ECDSA_P256, Some(CsrSignatureHash::Sha256), false),
            (KeyAlgorithm::ECDSA_P384, Some(CsrSignatureHash::MatchKey), false),
            (KeyAlgorithm::ECDSA_P384, None, false),
        ] {
            let request = SigningRequest::parse_pem(pem(algorithm, &of("a.test")).as_bytes()).unwrap();
            assert_eq!(refusal(&request, &issuer(hash)).is_some(), refused, "{algorithm} {hash:?}");
        }
    }

    fn validated(subject: &Subject) -> Result<ValidatedCertificate, InvalidSpec> {
        let csr = Some(pem(KeyAlgorithm::ECDSA_P384, subject));
        let spec = CertificateSpec { secret_name: "tls".to_owned(), csr, ..CertificateSpec::default() };
        ValidatedCertificate::new(&spec, None)
    }

    fn of(name: &str) -> Subject {
        Subject { dns_names: vec![name.to_owned()], ..Subject::default() }
    }

    fn pem(algorithm: KeyAlgorithm, subject: &Subject) -> String {
        let key = PrivateKey::generate(algorithm).unwrap();
        let der = certificate_signing_request(&key, subject, SignatureHash::MatchKey).unwrap();
        SigningRequest::from_der(&der).unwrap().pem()
    }
}
