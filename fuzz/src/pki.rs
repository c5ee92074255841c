//! Certificates, private keys, keystores.

use std::sync::LazyLock;

use certwright_acme::{jwk_thumbprint, parse_mac_key};
use certwright_core::reissue::SecretView;
use certwright_pki::keystore::{self, Pkcs12Encryption};
use certwright_pki::{
    Chain, KeyAlgorithm, KeyEncoding, Leaf, PrivateKey, RevocationList, ShownCertificate, SignatureHash,
    SigningRequest, Subject, certificate_signing_request,
};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::property::{message, refusal};

/// A private key, and the chain that a CA issued for it: www.example.com, *.example.com and 192.0.2.1.
pub static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_pem(include_bytes!("../fixtures/key.pem")).unwrap());
pub static CHAIN: LazyLock<Chain> =
    LazyLock::new(|| Chain::parse_pem(include_bytes!("../fixtures/chain.pem")).unwrap());
/// When that chain is valid.
pub static NOW: LazyLock<Timestamp> = LazyLock::new(|| "2026-12-01T00:00:00Z".parse().unwrap());

pub fn chain(data: &[u8]) {
    match Chain::parse_pem(data) {
        Ok(chain) => check_chain(&chain),
        Err(error) => refusal(&error),
    }
}

pub fn check_chain(chain: &Chain) {
    let again = Chain::parse_pem(chain.pem().as_bytes()).expect("what was written can be read");
    assert_eq!(again, *chain);
    chain.issuers().iter().for_each(|issuer| assert!(chain.issued_by(issuer)));
    check_leaf(chain.leaf());
    let wanted = Subject { dns_names: vec!["www.example.com".to_owned()], ..Subject::default() };
    if let Err(error) = chain.check(&KEY, &wanted, *NOW) {
        refusal(&error);
    }
    // For whoever holds the key of the leaf, the chain itself is looked at.
    let own =
        Chain::parse_pem(format!("{}{}", CHAIN.pem(), chain.pem()).as_bytes()).expect("both can be read");
    if let Err(error) = own.check(&KEY, &wanted, *NOW) {
        refusal(&error);
    }
}

pub fn crl(data: &[u8]) {
    let list = match RevocationList::from_der(data) {
        Ok(list) => list,
        Err(error) => return refusal(&error),
    };
    for time in [Timestamp::MIN, Timestamp::MAX, *NOW] {
        let _ = list.check_time(time).map_err(|error| refusal(&error));
    }
    let entries: Vec<_> = list.entries().collect();
    for (place, entry) in entries.iter().enumerate() {
        match entry {
            Ok(entry) => assert!(entry.serial_number.bytes().all(|byte| byte.is_ascii_hexdigit())),
            Err(error) => {
                refusal(error);
                assert_eq!(place + 1, entries.len(), "it is the last one");
            }
        }
    }
    for issuer in CHAIN.certificates() {
        assert!(!list.is_signed_by(issuer), "nobody has the key of this CA");
    }
}

pub fn signing_request(data: &[u8]) {
    match SigningRequest::parse_pem(data) {
        Ok(request) => {
            let again = SigningRequest::parse_pem(request.pem().as_bytes());
            assert_eq!(again.as_ref(), Ok(&request), "what was written can be read");
        }
        Err(error) => refusal(&error),
    }
}

pub fn leaf_der(data: &[u8]) {
    match Leaf::from_der(data) {
        Ok(leaf) => check_leaf(&leaf),
        Err(error) => refusal(&error),
    }
}

/// What a server shows in the handshake of a challenge.
pub fn shown(data: &[u8]) {
    for identifier in ["a.test", "192.0.2.1"] {
        if let ShownCertificate::Answer(digest) = ShownCertificate::read(data, identifier) {
            assert!(data.windows(digest.len()).any(|part| part == digest), "the digest is not in it");
        }
    }
}

fn check_leaf(leaf: &Leaf) {
    assert!(leaf.serial_number.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if let Some(url) = &leaf.revocation_list_url {
        assert!(url.len() <= 1024 && url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
    }
    if let Some(id) = &leaf.certificate_id {
        let (authority, serial) = id.split_once('.').expect("two parts");
        let is_base64 =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        assert!(is_base64(authority) && is_base64(serial), "{id} goes into a URL");
    }
    message(&leaf.issuer_name);
    leaf.common_name.iter().for_each(|name| message(name));
    assert_eq!(Leaf::from_der(&leaf.der).as_ref(), Ok(leaf));
    for time in [Timestamp::MIN, Timestamp::MAX, *NOW] {
        let _ = leaf.check_validity(time).map_err(|error| refusal(&error));
    }
    crate::cluster::decide_with(SecretView {
        exists: true,
        certificate_name: Some("www".to_owned()),
        as_written: true,
        key: Some(Ok((KEY.algorithm(), leaf.public_key_der.clone()))),
        leaf: Some(Ok(leaf.clone())),
        ..SecretView::default()
    });
}

pub fn private_key(data: &[u8]) {
    let key = match PrivateKey::from_pem_or_jwk(data) {
        Ok(key) => key,
        Err(error) => return refusal(&error),
    };
    for encoding in [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8] {
        let pem = key.to_pem(encoding).expect("it can be written");
        let again = PrivateKey::from_pem(pem.as_bytes()).expect("what was written can be read");
        assert_eq!(again.public_key_der(), key.public_key_der());
        assert_eq!(again.algorithm(), key.algorithm());
    }
    key.sign(b"message").expect("it can sign");
    assert_eq!(jwk_thumbprint(&key).len(), 43);
    let subject = Subject { dns_names: vec!["www.example.com".to_owned()], ..Subject::default() };
    certificate_signing_request(&key, &subject, SignatureHash::MatchKey)
        .expect("it can ask for a certificate");
    let with_sha256 = certificate_signing_request(&key, &subject, SignatureHash::Sha256);
    assert_eq!(with_sha256.is_err(), key.algorithm() == KeyAlgorithm::Ed25519);
}

pub fn mac_key(data: &[u8]) {
    match parse_mac_key(data) {
        Ok(key) => {
            let text: String = key.expose_secret().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(text.len(), key.expose_secret().len() * 2);
            assert!(key.expose_secret().len() <= data.len());
        }
        Err(error) => refusal(&error),
    }
}

/// What a CA sent is written into keystores.
pub fn keystores(data: &[u8]) {
    let Ok(chain) = Chain::parse_pem(data) else { return };
    let _ = keystore::jks(&KEY, &chain, "certificate", "changeit").map_err(|error| refusal(&error));
    let _ = keystore::pkcs12(&KEY, &chain, "changeit", Pkcs12Encryption::TripleDes)
        .map_err(|error| refusal(&error));
    if let Some(last) = chain.certificates().last() {
        let _ = keystore::jks_trusting(last, &chain, "changeit").map_err(|error| refusal(&error));
        let _ = keystore::pkcs12_trusting(last, "changeit", Pkcs12Encryption::TripleDes)
            .map_err(|error| refusal(&error));
    }
}

/// Certificates that a server's own has to lead to.
pub fn bundle(data: &[u8]) {
    if let Err(error) = certwright_egress::tls::bundle(data) {
        refusal(&error);
    }
}
