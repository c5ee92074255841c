use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber};

use super::*;
use certwright_api::{IssuanceRecord, IssuerRef, ServedSpec};

const PUBLIC: &str = "192.0.2.20";
const PRIVATE: &str = "10.0.0.20";

#[test]
fn names_without_wildcards_are_asked_for_at_the_port_of_https() {
    let stored = leaf(&["a.test", "*.b.test", "192.0.2.1"], 1);
    let spec = spec(&["A.test", "*.b.test", "not-yet.test"], |spec| {
        spec.ip_addresses = vec!["192.0.2.1".to_owned()];
    });
    let plan = plan(&spec, &stored, &[443]).unwrap();
    assert_eq!(plan.names, ["A.test", "192.0.2.1"]);
    assert_eq!((plan.port, plan.addresses.len(), plan.left_out), (443, 0, 2));
}

#[test]
fn a_name_that_is_not_the_certificates_or_a_port_that_is_not_allowed_is_not_looked_at() {
    let stored = leaf(&["a.test", "*.b.test"], 1);
    let asked = |change: &dyn Fn(&mut ServedSpec)| {
        let spec = spec(&["a.test", "*.b.test"], |spec| change(spec.served.get_or_insert_default()));
        plan(&spec, &stored, &[443, 465])
    };
    let named = |name: &str| asked(&|served| served.server_name = Some(name.to_owned()));
    assert_eq!(named("www.b.test").unwrap().names, ["www.b.test"]);
    for name in ["vault.internal", "*.b.test", "www.www.b.test", "", "a.test\nb"] {
        let verdict = named(name).unwrap_err();
        assert_eq!((verdict.is, verdict.reason), (None, "NoNameToCheck"), "{name}");
        assert!(verdict.message.starts_with("The certificate is not for the name"), "{}", verdict.message);
    }
    assert_eq!(asked(&|served| served.port = Some(465)).unwrap().port, 465);
    for port in [22, 0, -1, 70_000, 65_536 + 443] {
        let verdict = asked(&|served| served.port = Some(port)).unwrap_err();
        assert_eq!((verdict.is, verdict.reason), (None, "ServerNotAllowed"), "{port}");
    }
    let addressed = |address: &str| asked(&|served| served.addresses = vec![address.to_owned()]);
    assert_eq!(addressed("2001:db8::1").unwrap().addresses, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(addressed("a.test").unwrap_err().reason, "NoNameToCheck");
    let wildcards = plan(&spec(&["*.b.test"], |_| {}), &stored, &[443]).unwrap_err();
    assert!(wildcards.message.starts_with("The certificate has only wildcards"), "{}", wildcards.message);
}

#[test]
fn the_certificate_in_the_secret_is_served() {
    let (stored, plan) = (leaf(&["a.test", "b.test"], 5), planned(&["a.test", "b.test"]));
    let right = || Ok(vec![at(PUBLIC, certificate(&stored))]);
    let verdict = plan.judge(&in_secret(&stored), &[looked("a.test", right()), looked("b.test", right())]);
    assert_eq!((verdict.is, verdict.reason), (Some(true), "Served"));
    assert_eq!(verdict.message, "The certificate in Secret web-tls is served for 2 names");
    // Many pods have no way to IPv6.
    let six = vec![at("2001:db8::1", Shown::NoConnection), at(PUBLIC, certificate(&stored))];
    let verdict = planned(&["a.test"]).judge(&in_secret(&stored), &[looked("a.test", Ok(six))]);
    assert_eq!((verdict.is, verdict.reason), (Some(true), "Served"));
    assert_eq!(verdict.message, "The certificate in Secret web-tls is served for a.test");
}

#[test]
fn an_older_certificate_is_told_by_its_name_and_age() {
    let (stored, old) = (leaf(&["a.test"], 5), leaf(&["a.test"], 2));
    let shown = vec![at("192.0.2.19", certificate(&stored)), at(PUBLIC, certificate(&old))];
    let verdict = planned(&["a.test"]).judge(&in_secret(&stored), &[looked("a.test", Ok(shown))]);
    assert_eq!((verdict.is, verdict.reason), (Some(false), "OldCertificateServed"));
    assert_eq!(
        verdict.message,
        "a.test: 192.0.2.20:443 serves an older certificate (serial number 02, issued by a.test, valid from \
         2026-01-02T00:00:00Z); what serves the name has not read Secret web-tls since its certificate was ordered at \
         2026-01-05T12:00:00Z: reload or restart it"
    );
    let unknown = Stored { ordered: None, ..in_secret(&stored) };
    let shown = vec![at(PUBLIC, certificate(&old))];
    let verdict = planned(&["a.test"]).judge(&unknown, &[looked("a.test", Ok(shown))]);
    assert!(
        verdict.message.contains("Secret web-tls since it changed: reload or restart"),
        "{}",
        verdict.message
    );
    let newer = vec![at(PUBLIC, certificate(&leaf(&["a.test"], 6)))];
    let verdict = planned(&["a.test"]).judge(&in_secret(&stored), &[looked("a.test", Ok(newer))]);
    assert_eq!((verdict.is, verdict.reason), (Some(false), "OtherCertificateServed"));
    assert!(
        verdict.message.contains("serves another certificate for this name (serial"),
        "{}",
        verdict.message
    );
}

#[test]
fn the_certificate_of_somebody_else_is_quoted_only_if_everybody_can_see_it() {
    let stored = leaf(&["a.test"], 5);
    let judged = |address: &str, shown: &Leaf| {
        let shown = vec![at(address, certificate(shown))];
        let verdict = planned(&["a.test"]).judge(&in_secret(&stored), &[looked("a.test", Ok(shown))]);
        assert_eq!((verdict.is, verdict.reason), (Some(false), "OtherCertificateServed"), "{address}");
        verdict.message
    };
    let secret = leaf(&["secret.test"], 7);
    assert!(judged(PUBLIC, &secret).contains("serves a certificate for other names (secret.test); "));
    for address in [
        PRIVATE,
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
        "64:ff9b::a00:1",
    ] {
        let message = judged(address, &secret);
        assert!(message.contains("serves a certificate for other names; check that"), "{message}");
        assert!(!message.contains("secret.test"), "{message}");
    }
    let default = judged(PRIVATE, &named("TRAEFIK DEFAULT CERT"));
    assert!(
        default.contains("10.0.0.20:443 serves the default certificate of Traefik, which has none"),
        "{default}"
    );
    let hostile = judged(PUBLIC, &named("a\u{202e}b\nc\u{7}d"));
    assert!(hostile.contains("(ab c d); "), "{hostile}");
    assert!(judged(PUBLIC, &named(&"x".repeat(300))).len() < 300);
}

#[test]
fn only_the_certificate_that_was_issued_last_has_a_known_order() {
    let issued = |day: u8| IssuanceRecord {
        time: Time(format!("2026-01-0{day}T12:00:00Z").parse().unwrap()),
        not_after: Time(leaf(&["a.test"], day).not_after),
        names_digest: String::new(),
        account: String::new(),
    };
    let status = CertificateStatus { recent_issuances: vec![issued(2), issued(5)], ..Default::default() };
    assert_eq!(ordered(&status, &leaf(&["a.test"], 5)), Some("2026-01-05T12:00:00Z".parse().unwrap()));
    assert_eq!(ordered(&status, &leaf(&["a.test"], 2)), None, "somebody has restored it");
    assert_eq!(ordered(&CertificateStatus::default(), &leaf(&["a.test"], 5)), None);
}

#[test]
fn the_issuer_of_a_certificate_on_a_private_network_is_not_told_to_whoever_guesses_its_name() {
    let stored = leaf(&["vault.internal"], 5);
    let judged = |address: &str, shown: Leaf| {
        let shown = vec![at(address, certificate(&shown))];
        planned(&["vault.internal"])
            .judge(&in_secret(&stored), &[looked("vault.internal", Ok(shown))])
            .message
    };
    let theirs = || made(vec!["vault.internal".to_owned()], "Private CA", 2);
    let message = judged(PRIVATE, theirs());
    assert!(
        message.contains(
            "10.0.0.20:443 serves an older certificate (valid from 2026-01-02T00:00:00Z); what serves"
        ),
        "{message}"
    );
    assert!(judged(PUBLIC, theirs()).contains("serial number 02, issued by Private CA, "));
    assert!(
        judged(PRIVATE, leaf(&["vault.internal"], 2))
            .contains("serial number 02, issued by vault.internal, ")
    );
}

#[test]
fn what_cannot_be_reached_is_unknown_and_does_not_tell_why() {
    let stored = leaf(&["a.test", "b.test"], 5);
    let judged = |looked: &[Looked]| {
        let verdict = planned(&["a.test", "b.test"]).judge(&in_secret(&stored), looked);
        assert_eq!(verdict.is, None);
        (verdict.reason, verdict.message)
    };
    let right = looked("b.test", Ok(vec![at(PUBLIC, certificate(&stored))]));
    let one = looked("a.test", Ok(vec![at(PRIVATE, Shown::NoConnection)]));
    let (reason, message) = judged(&[one, right.clone()]);
    assert_eq!(reason, "ServerNotReached");
    assert!(
        message.starts_with("a.test: 10.0.0.20:443 cannot be reached; if only the operator"),
        "{message}"
    );
    let (_, message) = judged(&[looked("a.test", Err("DNS has no name a.test".to_owned())), right.clone()]);
    assert!(message.starts_with("a.test: DNS has no name a.test; "), "{message}");
    let (_, message) = judged(&[looked("a.test", Ok(vec![at(PRIVATE, Shown::Nothing)])), right.clone()]);
    assert!(message.contains("does not complete a TLS handshake for this name"), "{message}");
    let (reason, message) = judged(&[looked("a.test", Ok(vec![at(PRIVATE, Shown::Forbidden)])), right]);
    assert_eq!(reason, "ServerNotAllowed");
    assert!(message.contains("egress rules forbid"), "{message}");
}

#[test]
fn a_message_has_a_few_problems_the_worst_first() {
    let stored = leaf(&["a.test"], 5);
    let (old, other) = (leaf(&["a.test"], 2), leaf(&["x.test"], 3));
    let mut shown: Vec<_> = (0..9).map(|host| at(&format!("192.0.2.{host}"), certificate(&old))).collect();
    shown.push(at("192.0.2.200", certificate(&other)));
    shown.push(at("192.0.2.201", Shown::NoConnection));
    let verdict = planned(&["a.test"]).judge(&in_secret(&stored), &[looked("a.test", Ok(shown))]);
    assert_eq!(verdict.reason, "OtherCertificateServed");
    assert!(
        verdict.message.starts_with("a.test: 192.0.2.200:443 serves a certificate for other names (x.test)")
    );
    assert!(verdict.message.contains("; and 5 more; check that"), "{}", verdict.message);
    assert!(!verdict.message.contains("192.0.2.201"), "{}", verdict.message);
}

#[test]
fn whoever_repairs_it_sees_that_soon() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(settles_after(hours(6)), Duration::from_mins(2));
    let waits: Vec<u64> = (0..9).map(|wrong| next_look(hours(6), wrong).as_secs() / 60).collect();
    assert_eq!(waits, [360, 5, 10, 20, 40, 80, 160, 320, 360]);
    assert_eq!(next_look(hours(6), u32::MAX), hours(6));
}

#[test]
fn after_a_start_the_first_looks_are_spread() {
    let look =
        |was_served, fraction| first_look(Duration::from_hours(6), was_served, fraction).as_secs() / 60;
    assert_eq!([look(true, 0.0), look(true, 0.5), look(true, 1.0)], [0, 30, 60]);
    assert_eq!([look(false, 0.0), look(false, 0.5), look(false, 1.0)], [2, 7, 12]);
}

proptest! {
    #[test]
    fn whatever_servers_show_a_message_is_bounded_and_only_the_stored_certificate_everywhere_is_served(
        shown in prop::collection::vec(prop::collection::vec(0..6_usize, 0..9), 1..12),
    ) {
        let stored = leaf(&["a.test"], 5);
        let kinds = [
            certificate(&stored), certificate(&leaf(&["a.test"], 2)), certificate(&leaf(&["x.test"], 3)),
            Shown::NoConnection, Shown::Nothing, Shown::Forbidden,
        ];
        let looked: Vec<_> = shown
            .iter()
            .map(|kinds_at| looked("a.test", Ok(kinds_at.iter().map(|kind| at(PUBLIC, kinds[*kind].clone())).collect())))
            .collect();
        let verdict = planned(&["a.test"]).judge(&in_secret(&stored), &looked);
        prop_assert!(verdict.message.len() < 2000, "{}", verdict.message);
        let wrong = shown.iter().flatten().any(|kind| [1, 2].contains(kind));
        let all = shown.iter().all(|name| name.is_empty() || name.contains(&0));
        prop_assert_eq!(verdict.is == Some(false), wrong);
        prop_assert_eq!(verdict.is == Some(true), all && !wrong);
    }
}

fn spec(names: &[&str], change: impl FnOnce(&mut CertificateSpec)) -> CertificateSpec {
    let mut spec = CertificateSpec {
        secret_name: "web-tls".to_owned(),
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        issuer_ref: IssuerRef { name: "ca".to_owned(), ..IssuerRef::default() },
        ..CertificateSpec::default()
    };
    change(&mut spec);
    spec
}

fn in_secret(leaf: &Leaf) -> Stored<'_> {
    Stored { secret: "web-tls", leaf, ordered: Some("2026-01-05T12:00:00Z".parse().unwrap()) }
}

fn planned(names: &[&str]) -> Plan {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Plan { names, port: 443, addresses: Vec::new(), left_out: 0 }
}

fn looked(name: &str, found: Result<Vec<(SocketAddr, Shown)>, String>) -> Looked {
    Looked { name: name.to_owned(), found }
}

fn at(address: &str, shown: Shown) -> (SocketAddr, Shown) {
    (SocketAddr::new(address.parse().unwrap(), 443), shown)
}

fn certificate(leaf: &Leaf) -> Shown {
    Shown::Certificate(Box::new(leaf.clone()))
}

/// A certificate of the n-th day.
fn leaf(names: &[&str], day: u8) -> Leaf {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let common_name = names[0].clone();
    made(names, &common_name, day)
}

/// A certificate of nobody that calls itself so.
fn named(common_name: &str) -> Leaf {
    made(vec!["x.test".to_owned()], common_name, 1)
}

fn made(names: Vec<String>, common_name: &str, day: u8) -> Leaf {
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from(u64::from(day)));
    params.not_before = rcgen::date_time_ymd(2026, 1, day);
    params.not_after = rcgen::date_time_ymd(2026, 4, day);
    let leaf = Leaf::from_der(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap();
    assert_eq!(leaf.not_before, format!("2026-01-0{day}T00:00:00Z").parse::<Timestamp>().unwrap());
    leaf
}
