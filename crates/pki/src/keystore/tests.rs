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
