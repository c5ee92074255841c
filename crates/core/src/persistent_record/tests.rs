use proptest::prelude::*;
use serde_json::json;

use super::*;
use certwright_api::PersistPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const NOW: i64 = 1_800_000_000;

#[test]
fn the_hash_of_an_account_is_that_of_the_draft() {
    // draft-ietf-acme-dns-persist-02, section 10.2.
    let offer = Offer::of_challenge(&by_hash(), Some("https://ca.example/account-hash/")).unwrap();
    let record = record("example.com", &offer, None);
    assert_eq!(
        record.zone_line(),
        "_validation-persist.example.com. IN TXT \"authority.example; \
         accounturi=https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw\""
    );
    let of_all_names = "authority.example;accounturi=https://ca.example/account-hash/sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug";
    assert_eq!(check(&record, &[of_all_names]), Ok(None));
    assert!(check(&record, &["authority.example; accounturi=https://ca.example/acct/123"]).is_err());
}

#[test]
fn hashes_of_earlier_keys_are_left_to_the_ca() {
    let offer = Offer::of_challenge(&by_hash(), Some("https://ca.example/account-hash/")).unwrap();
    let earlier = "authority.example; accounturi=https://ca.example/account-hash/sha-256/of-another-key";
    assert!(check(&record("a.test", &offer, None), &[earlier]).is_err());
    let rolled_over = PersistentAccount { rolled_over: true, ..ACCOUNT };
    let record = PersistentRecord::new("a.test", &offer, &rolled_over, &DnsPersist01Solver::default());
    assert_eq!(check(&record.unwrap(), &[earlier]), Ok(None));
}

#[test]
fn each_record_has_its_sentence() {
    let apex = record("a.test", &by_url(), None);
    let wildcard = record("*.a.test", &by_url(), None);
    let good = "authority.example; accounturi=https://ca.example/acct/123";
    let set = "set _validation-persist.a.test. IN TXT \"authority.example; accounturi=https://ca.example/acct/123\"";
    let cases: &[(&[&str], &str)] = &[
        (&[], "there is no TXT record at _validation-persist.a.test: "),
        (&["other.example; accounturi=https://ca.example/acct/123"], "the TXT record is for another CA at "),
        (
            &["v=spf1 -all", "Authority.Example; accounturi=https://ca.example/acct/123"],
            "none of the 2 TXT records is for this CA at ",
        ),
        (
            &["authority.example; accounturi=https://ca.example/acct/124"],
            "the TXT record is for another account (\"authority.example; accounturi=",
        ),
        (&["authority.example"], "the TXT record is for another account (\"authority.example\") at "),
        (
            &["authority.example; accounturi"],
            "the TXT record is malformed (\"authority.example; accounturi\") at ",
        ),
        (&["authority.example; accounturi=https://ca.example/acct/123;"], "the TXT record is malformed "),
        (
            &["authority.example; accounturi=https://ca.example/acct/123; AccountURI=x"],
            "the TXT record is malformed ",
        ),
        (
            &["authority.example; accounturi=https://ca.example/acct/123; persistUntil=soon"],
            "the TXT record is malformed ",
        ),
        (
            &["authority.example; accounturi=https://ca.example/acct/123; persistUntil=1799999999"],
            "the TXT record ended at 2027-01-15T07:59:59Z, which is its persistUntil at ",
        ),
    ];
    for (values, beginning) in cases {
        let words = apex.words(&check(&apex, values).unwrap_err());
        assert!(words.starts_with(beginning) && words.ends_with(set), "{values:?}: {words}");
    }
    let unfit = check(&wildcard, &[good]).unwrap_err();
    assert_eq!(
        wildcard.words(&unfit),
        format!(
            "the TXT record does not allow wildcards, because it has no policy=wildcard (\"{good}\") at \
             _validation-persist.a.test: set _validation-persist.a.test. IN TXT \"{good}; policy=wildcard\""
        )
    );
    // The one that is closest to being right is told of.
    let several = [
        "authority.example",
        "other.example",
        "authority.example; accounturi=https://ca.example/acct/123; persistUntil=1",
    ];
    assert!(matches!(check(&apex, &several), Err(Unfit::Ended { .. })));
}

#[test]
fn a_record_may_have_other_parameters_and_stand_beside_others() {
    let apex = record("A.test.", &by_url(), None);
    let wildcard = record("*.a.test", &by_url(), None);
    let good = "authority.example;accounturi=https://ca.example/acct/123; POLICY=WildCard; future=1";
    for values in
        [&[good][..], &["other.example; accounturi=x", good], &["authority.example; nonsense", good]]
    {
        assert_eq!(check(&apex, values), Ok(None), "{values:?}");
        assert_eq!(check(&wildcard, values), Ok(None), "{values:?}");
    }
    let ends = format!("second.example; accounturi=https://ca.example/acct/123; persistUntil={}", NOW + 60);
    assert_eq!(check(&apex, &[&ends]), Ok(Some(Timestamp::from_second(NOW + 60).unwrap())));
    assert_eq!(check(&apex, &[&ends, good]), Ok(None), "the one that lasts longest counts");
}

#[test]
fn what_the_solver_asks_for_is_in_the_record() {
    let until = Timestamp::from_second(NOW + 3600).unwrap();
    let solver = DnsPersist01Solver {
        policy: Some(PersistPolicy::Wildcard),
        persist_until: Some(Time(until)),
        propagation: None,
    };
    let record = record("a.test", &by_url(), Some(&solver));
    let value =
        "authority.example; accounturi=https://ca.example/acct/123; policy=wildcard; persistUntil=1800003600";
    assert_eq!(record.value(), value);
    assert_eq!(check(&record, &[value]), Ok(Some(until)));
}

#[test]
fn a_long_record_is_several_strings() {
    let url = format!("https://ca.example/{}", "a".repeat(300));
    let account = PersistentAccount { url: &url, ..ACCOUNT };
    let record =
        PersistentRecord::new("a.test", &by_url(), &account, &DnsPersist01Solver::default()).unwrap();
    let line = record.zone_line();
    assert_eq!(line.matches('"').count(), 4, "{line}");
    assert_eq!(line.split('"').skip(1).step_by(2).collect::<String>(), record.value());
}

#[test]
fn what_a_ca_must_not_offer_is_refused() {
    let offer = |names: serde_json::Value| {
        Offer::of_challenge(&challenge(json!({ "issuer-domain-names": names })), None)
    };
    for bad in [
        json!([]),
        json!(["Authority.example"]),
        json!(["authority.example."]),
        json!(["a b"]),
        json!(["x; accounturi=y"]),
        json!(vec!["a.example"; 11]),
        json!([format!("{}.example", "a".repeat(260))]),
        json!("authority.example"),
        json!(null),
    ] {
        assert_eq!(offer(bad.clone()), Err(NoRecord::Issuers), "{bad}");
    }
    assert_eq!(Offer::of_challenge(&by_hash(), None), Err(NoRecord::NoPrefix));
    assert_eq!(Offer::of_challenge(&by_hash(), Some("a;b")), Err(NoRecord::NoPrefix));
    let solver = DnsPersist01Solver::default();
    // The CA chooses the URL: a record must not allow an account at another CA.
    let elsewhere = PersistentAccount { url: "https://other-ca.example/acct/1", ..ACCOUNT };
    let refused = PersistentRecord::new("a.test", &by_url(), &elsewhere, &solver);
    assert!(matches!(refused, Err(NoRecord::Elsewhere { .. })), "{refused:?}");
    let injected = PersistentAccount { url: "https://ca.example/1; policy=wildcard", ..ACCOUNT };
    let refused = PersistentRecord::new("a.test", &by_url(), &injected, &solver);
    assert!(matches!(refused, Err(NoRecord::AccountUrl { .. })), "{refused:?}");
}

#[test]
fn the_directory_says_the_same_before_there_is_a_challenge() {
    let meta = |meta| serde_json::from_value::<Meta>(meta).unwrap();
    let by_caa =
        Offer::of_directory(&meta(json!({ "caaIdentities": ["authority.example", "second.example"] })));
    assert_eq!(by_caa.unwrap(), by_url());
    let prefix = "https://ca.example/account-hash/";
    let hashed =
        meta(json!({ "caaIdentities": ["authority.example"], "issuerDomainNames": ["authority.example"],
        "accountHashPrefix": prefix }));
    assert_eq!(Offer::of_directory(&hashed), Offer::of_challenge(&by_hash(), Some(prefix)));
    assert_eq!(Offer::of_directory(&meta(json!({}))), Err(NoRecord::Issuers));
}

proptest! {
    #[test]
    fn any_value_is_judged_without_a_panic(values in prop::collection::vec(".{0,80}", 0..5), tail in ".{0,40}") {
        let apex = record("a.test", &by_url(), None);
        let _ = check(&apex, &values.iter().map(String::as_str).collect::<Vec<_>>());
        let ours = format!("authority.example;{tail}");
        if let Err(unfit) = check(&apex, &[&ours]) {
            prop_assert!(!apex.words(&unfit).contains(char::is_control));
        }
    }

    #[test]
    fn the_record_that_is_shown_is_accepted(name in "(\\*\\.)?[a-z]{1,20}\\.test", until in prop::option::of(NOW..NOW * 2), wildcard: bool) {
        let solver = DnsPersist01Solver {
            policy: wildcard.then_some(PersistPolicy::Wildcard),
            persist_until: until.map(|until| Time(Timestamp::from_second(until).unwrap())),
            propagation: None,
        };
        for offer in [by_url(), Offer::of_challenge(&by_hash(), Some("https://ca.example/h/")).unwrap()] {
            let record = record(&name, &offer, Some(&solver));
            prop_assert_eq!(check(&record, &[&record.value()]), Ok(until.map(|until| Timestamp::from_second(until).unwrap())));
        }
    }
}

const ACCOUNT: PersistentAccount<'static> = PersistentAccount {
    directory: "https://ca.example/directory",
    url: "https://ca.example/acct/123",
    thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    rolled_over: false,
};

fn challenge(mut offer: serde_json::Value) -> Challenge {
    offer["type"] = json!("dns-persist-01");
    serde_json::from_value(offer).unwrap()
}

fn by_hash() -> Challenge {
    challenge(json!({ "issuerDomainNames": ["authority.example"] }))
}

fn by_url() -> Offer {
    let offered = challenge(json!({ "issuer-domain-names": ["authority.example", "second.example"] }));
    Offer::of_challenge(&offered, None).unwrap()
}

fn record(name: &str, offer: &Offer, solver: Option<&DnsPersist01Solver>) -> PersistentRecord {
    PersistentRecord::new(name, offer, &ACCOUNT, solver.unwrap_or(&DnsPersist01Solver::default())).unwrap()
}

fn check(record: &PersistentRecord, values: &[&str]) -> Result<Option<Timestamp>, Unfit> {
    let values: Vec<Vec<u8>> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
    record.check(&values, Timestamp::from_second(NOW).unwrap())
}
