use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, DistinguishedName, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
    SignatureAlgorithm,
};

use super::*;
use crate::{Chain, Leaf};

#[test]
fn a_list_says_which_certificates_are_revoked_when_and_why() {
    let ca = ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256);
    let der = list(
        &ca,
        vec![revoked(&[0x0a, 0x80, 0xff], Some(RevocationReason::KeyCompromise)), revoked(&[7], None)],
    );
    let list = RevocationList::from_der(&der).unwrap();
    assert_eq!(list.check_time(now()), Ok(()));
    let entry =
        |serial: &str, reason| RevokedEntry { serial_number: serial.to_owned(), time: time(3), reason };
    assert_eq!(list.entries().collect::<Vec<_>>(), [Ok(entry("0a80ff", 1)), Ok(entry("07", 0))]);
    // In the same form.
    let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0x80, 0xff]));
    let leaf = params.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
    assert_eq!(Leaf::from_der(leaf.der()).unwrap().serial_number, "0a80ff");
}

#[test]
fn a_list_without_revoked_certificates_is_a_list() {
    let ca = ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256);
    let der = list(&ca, Vec::new());
    assert_eq!(RevocationList::from_der(&der).unwrap().entries().count(), 0);
}

#[test]
fn a_list_counts_only_with_the_signature_of_the_issuer() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ] {
        let (right, wrong) = (ca("Intermediate", algorithm), ca("Intermediate", algorithm));
        let renamed = ca("Other", algorithm);
        let mut der = list(&right, vec![revoked(&[7], None)]);
        let signed_by = |der: &[u8], ca: &Ca| RevocationList::from_der(der).unwrap().is_signed_by(ca.der());
        assert!(signed_by(&der, &right));
        assert!(!signed_by(&der, &wrong), "another key of the same name");
        assert!(!signed_by(&der, &renamed));
        assert!(!RevocationList::from_der(&der).unwrap().is_signed_by(b"garbage"));
        let serial = der.windows(3).position(|bytes| bytes == [0x02, 0x01, 0x07]).unwrap();
        der[serial + 2] = 8;
        assert!(!signed_by(&der, &right), "an entry was changed");
    }
}

#[test]
fn only_a_current_list_counts() {
    let ca = ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256);
    let der = list(&ca, Vec::new());
    let list = RevocationList::from_der(&der).unwrap();
    let (first, last) = (time(2) - SignedDuration::from_hours(1), time(9) + SignedDuration::from_hours(1));
    assert_eq!((list.check_time(first), list.check_time(last)), (Ok(()), Ok(())));
    let second = SignedDuration::from_secs(1);
    let early = RevocationListError::FromTheFuture { this_update: time(2) };
    assert_eq!(list.check_time(first - second), Err(early));
    let late = list.check_time(last + second).unwrap_err();
    assert_eq!(late.to_string(), "it is out of date: the next one was due at 2026-04-09T00:00:00Z");
}

#[test]
fn a_list_for_certificates_of_servers_counts_and_one_for_others_does_not() {
    let ca = ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256);
    let scoped = |scope| {
        let distribution_point = CrlDistributionPoint { uris: vec!["http://crl.test/1".to_owned()] };
        let mut params = params(Vec::new());
        params.issuing_distribution_point = Some(CrlIssuingDistributionPoint { distribution_point, scope });
        let list = params.signed_by(&ca).unwrap();
        RevocationList::from_der(list.der()).map(drop)
    };
    assert_eq!(scoped(None), Ok(()));
    assert_eq!(scoped(Some(CrlScope::UserCertsOnly)), Ok(()));
    assert_eq!(scoped(Some(CrlScope::CaCertsOnly)), Err(RevocationListError::OtherScope));
}

#[test]
fn whatever_is_cut_off_is_not_a_list() {
    let ca = ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256);
    let der = list(&ca, vec![revoked(&[7], Some(RevocationReason::Superseded))]);
    for end in 0..der.len() {
        assert_eq!(
            RevocationList::from_der(&der[..end]).map(drop),
            Err(RevocationListError::Malformed),
            "{end}"
        );
    }
    let longer = [&der[..], &[0]].concat();
    assert_eq!(RevocationList::from_der(&longer).map(drop), Err(RevocationListError::Malformed));
    let pem = pem::encode(&pem::Pem::new("X509 CRL", der));
    assert_eq!(RevocationList::from_der(pem.as_bytes()).map(drop), Err(RevocationListError::Malformed));
}

#[test]
fn entries_end_with_the_first_that_cannot_be_parsed() {
    let ca = ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256);
    let mut der = list(&ca, vec![revoked(&[7], None), revoked(&[8], None), revoked(&[9], None)]);
    let serial = der.windows(3).position(|bytes| bytes == [0x02, 0x01, 0x08]).unwrap();
    der[serial] = 0x05;
    let entries: Vec<_> = RevocationList::from_der(&der).unwrap().entries().collect();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1], Err(RevocationListError::Malformed));
}

#[test]
fn the_first_http_url_of_a_complete_list_is_the_one_to_fetch() {
    let ca = ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256);
    let long = format!("http://crl.test/{}", "x".repeat(1024));
    for (points, url) in [
        (vec![vec!["http://crl.test/1.crl"]], Some("http://crl.test/1.crl")),
        (
            vec![vec!["ldap://ldap.test/cn=CA", "HTTPS://crl.test/1"], vec!["http://second.test/"]],
            Some("HTTPS://crl.test/1"),
        ),
        (vec![vec!["ldap://ldap.test/cn=CA"], vec!["http://second.test/"]], Some("http://second.test/")),
        (vec![vec!["http://crl.test/a b"]], None),
        (vec![vec!["http://crl.test/\u{1b}"]], None),
        (vec![vec![long.as_str()]], None),
        (vec![vec!["file:///etc/passwd", "http:"]], None),
        (vec![], None),
    ] {
        let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        let point =
            |uris: Vec<&str>| CrlDistributionPoint { uris: uris.into_iter().map(str::to_owned).collect() };
        params.crl_distribution_points = points.clone().into_iter().map(point).collect();
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
        assert_eq!(Leaf::from_der(leaf.der()).unwrap().revocation_list_url.as_deref(), url, "{points:?}");
    }
}

#[test]
fn the_issuer_of_a_chain_is_its_second_certificate_if_that_is_the_issuer() {
    let (ca, other) =
        (ca("Intermediate", &rcgen::PKCS_ECDSA_P256_SHA256), ca("Other", &rcgen::PKCS_ECDSA_P256_SHA256));
    let params = CertificateParams::new(["a.test".to_owned()]).unwrap();
    let leaf = params.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap().pem();
    let chain = |text: String| Chain::parse_pem(text.as_bytes()).unwrap();
    assert_eq!(chain(leaf.clone() + &ca.pem()).issuer(), Some(&**ca.der()));
    assert_eq!(chain(leaf.clone() + &other.pem()).issuer(), None);
    assert_eq!(chain(leaf).issuer(), None);
}

#[test]
fn extensions_of_a_list_that_must_be_understood_are() {
    let check = |oid: &[u8], critical: bool, content: &[u8]| {
        let flag = if critical { vec![0x01, 0x01, 0xff] } else { Vec::new() };
        let extension = [tlv(0x06, oid), flag, tlv(0x04, content)].concat();
        check_extensions(&tlv(0x30, &tlv(0x30, &extension)))
    };
    let (delta, scope, unknown) = ([0x55, 0x1d, 0x1b], [0x55, 0x1d, 0x1c], [0x2a, 0x03]);
    assert_eq!(check(&delta, true, &[0x02, 0x01, 0x01]), Err(RevocationListError::OtherScope));
    assert_eq!(check(&scope, true, &[0x30, 0x03, 0x84, 0x01, 0xff]), Err(RevocationListError::OtherScope));
    assert_eq!(check(&scope, true, &[0x30, 0x03, 0x81, 0x01, 0xff]), Ok(()));
    assert_eq!(check(&unknown, true, &[0x05, 0x00]), Err(RevocationListError::UnknownExtension));
    assert_eq!(check(&unknown, false, &[0x05, 0x00]), Ok(()));
}

#[test]
fn an_entry_for_another_issuer_spoils_the_list_and_one_that_was_removed_does_not_count() {
    let list = |extension: &[u8]| {
        let serial_and_time = [tlv(0x02, &[7]), tlv(0x17, b"260403000000Z")].concat();
        let entry = tlv(0x30, &[serial_and_time, tlv(0x30, &tlv(0x30, extension))].concat());
        super::entry(&entry).map(|(entry, _)| entry)
    };
    let issuer =
        [&[0x06, 0x03, 0x55, 0x1d, 0x1d, 0x01, 0x01, 0xff][..], &tlv(0x04, &tlv(0x30, &[]))].concat();
    assert_eq!(list(&issuer), Err(RevocationListError::UnknownExtension));
    let reason = |code| [&[0x06, 0x03, 0x55, 0x1d, 0x15][..], &tlv(0x04, &[0x0a, 0x01, code])].concat();
    assert_eq!(list(&reason(8)), Ok(None));
    assert_eq!(list(&reason(6)).unwrap().unwrap().reason, 6);
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str, algorithm: &'static SignatureAlgorithm) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate_for(algorithm).unwrap()).unwrap()
}

fn revoked(serial: &[u8], reason_code: Option<RevocationReason>) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: rcgen::date_time_ymd(2026, 4, 3),
        reason_code,
        invalidity_date: None,
    }
}

fn params(revoked_certs: Vec<RevokedCertParams>) -> CertificateRevocationListParams {
    CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 4, 2),
        next_update: rcgen::date_time_ymd(2026, 4, 9),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn list(ca: &Ca, revoked: Vec<RevokedCertParams>) -> Vec<u8> {
    params(revoked).signed_by(ca).unwrap().der().to_vec()
}

fn now() -> Timestamp {
    time(4)
}

/// Midnight of a day in April.
fn time(day: i64) -> Timestamp {
    let begin: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
    begin + SignedDuration::from_hours(24 * (day - 1))
}
