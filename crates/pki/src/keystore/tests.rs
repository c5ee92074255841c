use p12_keystore::Pkcs12ImportPolicy;

use super::*;
use crate::KeyAlgorithm;
use crate::chain::tests::chain_for;

const PASSWORD: &str = "pässword";

#[test]
fn each_profile_is_read_back_with_the_password_and_with_no_other() {
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    let chain = chain_for(&key);
    for encryption in [Pkcs12Encryption::Aes256, Pkcs12Encryption::TripleDes, Pkcs12Encryption::Rc2] {
        let written = pkcs12(&key, &chain, PASSWORD, encryption).unwrap();
        let read = KeyStore::from_pkcs12(&written, PASSWORD, Pkcs12ImportPolicy::Strict).unwrap();
        let (alias, found) = read.private_key_chain().unwrap();
        assert_eq!(alias, ALIAS);
        assert_eq!(found.key().as_der(), key.pkcs8_der().unwrap().as_slice());
        let certificates: Vec<_> = found.certs().iter().map(Certificate::as_der).collect();
        assert_eq!(certificates, chain.certificates().collect::<Vec<_>>());
        assert!(KeyStore::from_pkcs12(&written, "another", Pkcs12ImportPolicy::Strict).is_err());
    }
}

#[test]
fn an_alias_that_java_writes_in_its_own_way_is_refused() {
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    let error = jks(&key, &chain_for(&key), "\u{1f511}", PASSWORD).unwrap_err();
    assert!(error.to_string().contains("the alias has a character"), "{error}");
}

/// The test is in `tests/it/keystores.rs`, since p12-keystore does not read PBMAC1.
#[test]
fn pbmac1_is_another_mac_over_the_same_content() {
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256).unwrap();
    let chain = chain_for(&key);
    let plain = pkcs12(&key, &chain, PASSWORD, Pkcs12Encryption::Aes256).unwrap();
    let file = pbmac1::with_pbmac1(&plain, PASSWORD).unwrap();
    // `id-PBMAC1`.
    let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0e];
    let has = |file: &[u8]| file.windows(oid.len()).any(|window| window == oid);
    assert!(has(&file) && !has(&plain));
    assert!(file.windows(100).any(|window| plain.windows(100).any(|other| other == window)));
    assert!(pbmac1::with_pbmac1(b"no PKCS#12 file", PASSWORD).is_err());
}
