//! The files in `fixtures` were generated with openssl for these tests; they protect nothing.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::*;

const EC_P256_SEC1: &str = include_str!("fixtures/p256-sec1.pem");
const EC_P256_PKCS8: &str = include_str!("fixtures/p256-pkcs8.pem");
const EC_P384_SEC1: &str = include_str!("fixtures/p384-sec1.pem");
const EC_P384_PKCS8: &str = include_str!("fixtures/p384-pkcs8.pem");
const EC_P521_SEC1: &str = include_str!("fixtures/p521-sec1.pem");
const EC_P521_PKCS8: &str = include_str!("fixtures/p521-pkcs8.pem");
const RSA_PKCS1: &str = include_str!("fixtures/rsa-2048-pkcs1.pem");
const RSA_PKCS8: &str = include_str!("fixtures/rsa-2048-pkcs8.pem");

const OPENSSL: [(KeyAlgorithm, &str, &str); 4] = [
    (KeyAlgorithm::ECDSA_P256, EC_P256_SEC1, EC_P256_PKCS8),
    (KeyAlgorithm::ECDSA_P384, EC_P384_SEC1, EC_P384_PKCS8),
    (KeyAlgorithm::ECDSA_P521, EC_P521_SEC1, EC_P521_PKCS8),
    (KeyAlgorithm::Rsa(2048), RSA_PKCS1, RSA_PKCS8),
];

#[test]
fn what_openssl_wrote_is_read_and_written_alike() {
    for (algorithm, traditional, pkcs8) in OPENSSL {
        let key = PrivateKey::from_pem(traditional.as_bytes()).unwrap();
        let same = PrivateKey::from_pem(pkcs8.as_bytes()).unwrap();
        assert_eq!((key.algorithm(), same.algorithm()), (algorithm, algorithm));
        assert_eq!(key.public_key_der(), same.public_key_der());
        assert_eq!(key.to_pem(KeyEncoding::Pkcs8).unwrap().as_str(), pkcs8);
        let block = traditional.split_inclusive("-----END EC PARAMETERS-----\n").last().unwrap();
        assert_eq!(same.to_pem(KeyEncoding::Pkcs1).unwrap().as_str(), block);
    }
}

#[test]
fn a_new_key_is_the_same_after_every_encoding() {
    for algorithm in [
        KeyAlgorithm::ECDSA_P256,
        KeyAlgorithm::ECDSA_P384,
        KeyAlgorithm::ECDSA_P521,
        KeyAlgorithm::Rsa(2048),
        KeyAlgorithm::Rsa(3072),
    ] {
        let key = PrivateKey::generate(algorithm).unwrap();
        for encoding in [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8] {
            let again = PrivateKey::from_pem(key.to_pem(encoding).unwrap().as_bytes()).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.public_key_der(), key.public_key_der());
        }
    }
}

#[test]
fn text_around_the_key_is_passed_over() {
    let text = format!("Key Attributes\n    friendlyName: x\n{EC_P384_SEC1}\ntrailing\n{EC_P256_SEC1}");
    let key = PrivateKey::from_pem(text.replace('\n', "\r\n").as_bytes()).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::ECDSA_P384);
}

#[test]
fn an_ed25519_key_that_openssl_made_is_read_and_written_as_it_was() {
    let text = include_str!("fixtures/ed25519.pem");
    let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::Ed25519);
    for encoding in [KeyEncoding::Pkcs1, KeyEncoding::Pkcs8] {
        let written = key.to_pem(encoding).unwrap();
        assert_eq!(written.as_str(), text);
    }
}

#[test]
fn an_unusable_key_is_rejected_with_the_reason() {
    let refused = |text: &str| PrivateKey::from_pem(text.as_bytes()).unwrap_err();
    assert_eq!(refused(""), KeyError::Missing);
    assert_eq!(refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), KeyError::Missing);
    assert_eq!(refused("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n"), KeyError::Pem);
    assert_eq!(refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), KeyError::Rejected);
    assert_eq!(refused(include_str!("fixtures/p256-encrypted.pem")), KeyError::Encrypted);
    assert_eq!(refused(include_str!("fixtures/rsa-2048-encrypted-pkcs1.pem")), KeyError::Encrypted);
    assert_eq!(refused(include_str!("fixtures/secp256k1.pem")), KeyError::Rejected);
    assert_eq!(refused(include_str!("fixtures/rsa-1024.pem")), KeyError::Rejected);
}

#[test]
fn an_rsa_size_that_cannot_be_made_is_refused() {
    assert_eq!(PrivateKey::generate(KeyAlgorithm::Rsa(2560)).unwrap_err(), KeyError::RsaSize(2560));
    assert!(KeyAlgorithm::RSA_SIZES.into_iter().all(|bits| key_size(bits).is_ok()));
}

#[test]
fn a_signature_is_what_jws_wants() {
    let algorithms: [(&'static dyn VerificationAlgorithm, usize); 4] = [
        (&ECDSA_P256_SHA256_FIXED, 64),
        (&ECDSA_P384_SHA384_FIXED, 96),
        (&ECDSA_P521_SHA512_FIXED, 132),
        (&RSA_PKCS1_2048_8192_SHA256, 256),
    ];
    for ((_, text, _), (verification, len)) in OPENSSL.into_iter().zip(algorithms) {
        let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
        let signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), len);
        UnparsedPublicKey::new(verification, key.public_key_bits()).verify(b"message", &signature).unwrap();
    }
}

#[test]
fn public_numbers_are_those_that_openssl_prints() {
    let key = PrivateKey::from_pem(EC_P256_SEC1.as_bytes()).unwrap();
    let PublicNumbers::Ec { curve: Curve::P256, x, y } = key.public_numbers() else {
        panic!("not a P-256 key")
    };
    assert_eq!(hex(&x), "67ce33ab64cb0fb2871ab4a02385f92c9e6c714acd18a15e2f6c1930add723b2");
    assert_eq!(hex(&y), "064e1af4ed642301925641ddc1333e336ca326bfe0704fe46264cd1798e477a3");

    let key = PrivateKey::from_pem(RSA_PKCS1.as_bytes()).unwrap();
    let PublicNumbers::Rsa { n, e } = key.public_numbers() else { panic!("not an RSA key") };
    assert_eq!((n.len(), hex(&n[..8])), (256, "942d3b8d416154a0".into()));
    assert_eq!(hex(&e), "010001");
}

#[test]
fn coordinates_are_as_wide_as_the_field_whatever_they_begin_with() {
    for (_, text, _) in OPENSSL {
        let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
        if let PublicNumbers::Ec { curve, x, y } = key.public_numbers() {
            assert_eq!((x.len(), y.len()), (curve.coordinate_len(), curve.coordinate_len()));
        }
    }
}

#[test]
fn debug_shows_no_secret() {
    let key = PrivateKey::from_pem(RSA_PKCS1.as_bytes()).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(RSA 2048)");
    assert_eq!(KeyAlgorithm::ECDSA_P521.to_string(), "ECDSA P-521");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
