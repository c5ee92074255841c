use super::*;
use crate::{PrivateKey, SignatureHash, certificate_signing_request};

const PLAIN: &str = include_str!("fixtures/plain.pem");

#[test]
fn a_request_of_openssl_is_read_with_its_names_and_key() {
    let request = SigningRequest::parse_pem(PLAIN.as_bytes()).unwrap();
    let names = Subject {
        common_name: Some("www.example.com".to_owned()),
        dns_names: vec!["www.example.com".to_owned()],
        ip_addresses: vec!["192.0.2.1".parse().unwrap()],
    };
    assert_eq!((&request.subject, request.key), (&names, KeyAlgorithm::ECDSA_P256));
    assert!(request.is_sha256);
    assert_eq!(request.pem(), PLAIN, "a CA receives what was given");
}

#[test]
fn a_request_of_each_algorithm_that_we_create_is_read() {
    let subject = Subject { dns_names: vec!["a.test".to_owned()], ..Subject::default() };
    for (algorithm, is_sha256) in [
        (KeyAlgorithm::Rsa(2048), true),
        (KeyAlgorithm::ECDSA_P256, true),
        (KeyAlgorithm::ECDSA_P384, false),
        (KeyAlgorithm::ECDSA_P521, false),
        (KeyAlgorithm::Ed25519, false),
    ] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let der = certificate_signing_request(&key, &subject, SignatureHash::MatchKey).unwrap();
        let request = SigningRequest::from_der(&der).unwrap();
        assert_eq!((request.key, request.is_sha256, &request.subject), (algorithm, is_sha256, &subject));
        assert_eq!(request.public_key_der, key.public_key_der());
    }
}

#[test]
fn keytool_writes_another_label() {
    let text = PLAIN.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    assert!(SigningRequest::parse_pem(text.as_bytes()).is_ok());
}

#[test]
fn other_hashes_of_sha_2_are_accepted() {
    let request = SigningRequest::parse_pem(include_bytes!("fixtures/rsa-sha384.pem")).unwrap();
    assert!(!request.is_sha256);
}

#[test]
fn what_a_ca_would_reject_is_rejected() {
    use SigningRequestError as E;
    let usages = E::ExtendedKeyUsage("serverAuth, clientAuth".to_owned());
    for (text, why) in [
        ("", E::Pem),
        ("-----BEGIN CERTIFICATE REQUEST-----\n%%%\n-----END CERTIFICATE REQUEST-----\n", E::Pem),
        (&PLAIN.replace("CERTIFICATE REQUEST", "CERTIFICATE"), E::Pem),
        (&PLAIN.repeat(2), E::Several),
        ("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n", E::Malformed),
        (include_str!("fixtures/rsa-1024.pem"), E::Key),
        (include_str!("fixtures/secp256k1.pem"), E::Key),
        (include_str!("fixtures/sha1.pem"), E::SignatureAlgorithm),
        (include_str!("fixtures/md5.pem"), E::SignatureAlgorithm),
        (include_str!("fixtures/rsa-pss.pem"), E::SignatureAlgorithm),
        (include_str!("fixtures/p256-sha512.pem"), E::SignatureAlgorithm),
        (include_str!("fixtures/extended-key-usage.pem"), usages),
        (include_str!("fixtures/ca.pem"), E::Ca),
        (include_str!("fixtures/email.pem"), E::OtherName),
    ] {
        assert_eq!(SigningRequest::parse_pem(text.as_bytes()), Err(why), "{text}");
    }
}

#[test]
fn a_request_that_was_changed_or_cut_is_rejected() {
    let der = SigningRequest::parse_pem(PLAIN.as_bytes()).unwrap().der;
    let name = der.windows(3).position(|window| window == b"www").unwrap();
    let mut changed = der.clone();
    changed[name] = b'x';
    assert_eq!(SigningRequest::from_der(&changed), Err(SigningRequestError::Signature));
    for end in 0..der.len() {
        assert!(SigningRequest::from_der(&der[..end]).is_err(), "{end}");
    }
    let longer = [&der[..], b"x"].concat();
    assert_eq!(SigningRequest::from_der(&longer), Err(SigningRequestError::Malformed));
}
