use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = "https://ca.example/acct/1";

#[test]
fn a_set_without_a_record_about_issuance_allows_every_ca() {
    assert_eq!(allowed("a.test", &[]), Ok(()));
    assert_eq!(allowed("a.test", &["0 iodef mailto:a@a.test", "0 unknown x"]), Ok(()));
    assert_eq!(allowed("a.test", &["0 issuewild ;"]), Ok(()), "that is about wildcards");
}

#[test]
fn one_record_for_the_ca_is_enough() {
    for values in [
        &["0 issue ca.example"] as &[_],
        &["0 issue other.example", "0 issue ca.example"],
        &["0 issue ;", "0 issue ca.example"],
        &["0 issue %%%%%", "0 issue ca.example"],
        &["0 ISSUE CA.Example"],
        &["128 issue ca.example"],
        &["0 issue  \tca.example  "],
        &["0 issue ca.example;"],
        &["0 issue ca.example; "],
        &["0 issue ca.example; policy=ev; a-b=c=d"],
        &["0 issue ca.example; empty="],
        &["0 issue second.example"],
    ] {
        assert_eq!(allowed("a.test", values), Ok(()), "{values:?}");
    }
}

#[test]
fn a_value_that_does_not_match_the_grammar_allows_no_ca() {
    for value in [
        "",
        ";",
        "other.example",
        "%%%%%",
        "ca.example.",
        "ca..example",
        "-ca.example",
        "ca.example x",
        "ca.example; ;",
        "ca.example; a=b;",
        "ca.example; a",
        "ca.example; =b",
        "ca.example; a_b=c",
        "ca.example; a=b c",
        "ca.example, other.example",
        "ca.example; a=\u{e9}",
    ] {
        let words = allowed("a.test", &[&format!("0 issue {value}")]).unwrap_err();
        assert!(words.contains("none of them is for this CA"), "{value:?}: {words}");
    }
    let bytes = Property { critical: false, tag: "issue".to_owned(), value: vec![0xff, b'c', b'a'] };
    let set = RelevantSet { domain: "a.test".to_owned(), properties: vec![bytes] };
    check(&request("a.test", &identities()), &set).unwrap_err();
}

#[test]
fn issuewild_replaces_issue_for_wildcards_only() {
    let values = ["0 issue ca.example", "0 issuewild other.example"];
    assert_eq!(allowed("a.test", &values), Ok(()));
    assert_eq!(
        allowed("*.a.test", &values).unwrap_err(),
        "the CAA records of a.test do not allow ca.example to issue for *.a.test: none of them is for this CA (0 issuewild \
         \"other.example\"); add the record a.test. IN CAA 0 issuewild \"ca.example\", and check the result with: dig a.test CAA"
    );
    let values = ["0 issue other.example", "0 issuewild ca.example"];
    allowed("a.test", &values).unwrap_err();
    assert_eq!(allowed("*.a.test", &values), Ok(()));
    assert_eq!(allowed("*.a.test", &["0 issue ca.example"]), Ok(()));
    let words = allowed("*.a.test", &["0 issue other.example"]).unwrap_err();
    assert!(words.contains("a.test. IN CAA 0 issue \"ca.example\""), "{words}");
}

#[test]
fn a_critical_record_that_no_ca_knows_forbids_it() {
    assert_eq!(
        allowed("a.test", &["0 issue ca.example", "128 tbs Unknown"]).unwrap_err(),
        "the CAA records of a.test do not allow ca.example to issue for a.test: the tag tbs is critical, and CAs do not know \
         it; remove the critical flag or that record, and check the result with: dig a.test CAA"
    );
    for tag in ["iodef", "IssueMail", "issuevmc", "contactemail", "contactphone", "issuewild"] {
        assert_eq!(allowed("a.test", &["0 issue ca.example", &format!("128 {tag} x")]), Ok(()), "{tag}");
    }
}

#[test]
fn a_record_may_be_for_one_account() {
    let identities = identities();
    let unknown = Request { account: None, ..request("a.test", &identities) };
    for (account, allows) in [
        ("https://ca.example/acct/1", true),
        ("https://ca.example/acct/2", false),
        ("https://ca.example/acct/11", false),
        ("https://ca.example/ACCT/", false),
        ("https://staging.ca.example/acct/7", false),
        // A CA may know an account by several URLs, and decides.
        ("https://old.ca.example/reg/1", true),
        ("urn:example:customer:7", true),
        ("", false),
        ("1", false),
    ] {
        let value = format!("0 issue ca.example; accounturi={account}");
        assert_eq!(allowed("a.test", &[&value]).is_ok(), allows, "{account}");
        assert_eq!(check(&unknown, &set(&[&value])), Ok(()), "{account}");
    }
    let twice =
        "0 issue ca.example; accounturi=https://ca.example/acct/1; accounturi=https://ca.example/acct/1";
    allowed("a.test", &[twice]).unwrap_err();
    assert_eq!(
        allowed("a.test", &["0 issue ca.example; accounturi=https://ca.example/acct/2; x=y"]).unwrap_err(),
        "the CAA records of a.test do not allow ca.example to issue for a.test: those for this CA are for another account \
         (0 issue \"ca.example; accounturi=https://ca.example/acct/2; x=y\"); add the record a.test. IN CAA 0 issue \
         \"ca.example; accounturi=https://ca.example/acct/1; x=y\", and check the result with: dig a.test CAA"
    );
}

#[test]
fn a_record_may_be_for_some_validation_methods() {
    for (methods, allows) in [
        ("http-01", true),
        ("dns-01,HTTP-01", true),
        ("ca-special,http-01", true),
        ("dns-01", false),
        ("", false),
        ("http-01,", false),
        ("http-01, dns-01", false),
        ("http_01,http-01", false),
    ] {
        let value = format!("0 issue ca.example; validationmethods={methods}");
        assert_eq!(allowed("a.test", &[&value]).is_ok(), allows, "{methods:?}");
    }
    let identities = identities();
    let unknown = Request { method: None, ..request("a.test", &identities) };
    assert_eq!(check(&unknown, &set(&["0 issue ca.example; validationmethods=dns-01"])), Ok(()));
    let none = check(&unknown, &set(&["0 issue ca.example; validationmethods="])).unwrap_err();
    assert!(
        none.words("ca.example", &["a.test"]).contains("do not allow validation with any method (0 issue")
    );
    assert_eq!(
        allowed(
            "a.test",
            &["0 issue ca.example;accounturi=https://ca.example/acct/1;validationmethods=dns-01"]
        )
        .unwrap_err(),
        "the CAA records of a.test do not allow ca.example to issue for a.test: those for this CA do not allow validation \
         with http-01 (0 issue \"ca.example;accounturi=https://ca.example/acct/1;validationmethods=dns-01\"); add the record \
         a.test. IN CAA 0 issue \"ca.example; accounturi=https://ca.example/acct/1; validationmethods=http-01\", and check \
         the result with: dig a.test CAA"
    );
}

/// One that restricts the account, another one the method: the latter is closer.
#[test]
fn the_record_to_add_is_like_the_one_that_is_closest() {
    let values = [
        "0 issue ca.example; accounturi=https://ca.example/acct/2",
        "0 issue second.example; validationmethods=dns-01; x=y",
    ];
    let words = allowed("a.test", &values).unwrap_err();
    let record =
        "add the record a.test. IN CAA 0 issue \"second.example; validationmethods=http-01; x=y\", and";
    assert!(words.contains(record), "{words}");
}

#[test]
fn names_and_records_are_listed_in_part() {
    let values: Vec<String> = (0..7).map(|number| format!("0 issue ca{number}.example")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let forbidden = check(&request("a.test", &identities()), &set(&values)).unwrap_err();
    assert_eq!(
        forbidden.words("ca.example", &["a", "b", "c", "d", "e", "f"]),
        "the CAA records of a.test do not allow ca.example to issue for a, b, c, d, e and 1 more: none of them is for \
         this CA (0 issue \"ca0.example\", 0 issue \"ca1.example\", 0 issue \"ca2.example\", 0 issue \"ca3.example\", \
         0 issue \"ca4.example\" and 2 more)"
    );
}

#[test]
fn only_domain_names_are_identities() {
    let named = ["CA.Example.", "", "second.example", "no domain", "a;b"].map(str::to_owned);
    assert_eq!(usable(&named), identities());
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "ca.example",
        ";",
        " ",
        "=",
        "accounturi",
        "validationmethods",
        ",",
        "http-01",
        ACCOUNT,
        "\"",
        "\\",
        "\n",
        "a",
    ]);
    let piece = prop_oneof![4 => word.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..40)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever the records contain: what is said is one line of bounded length, and the record that it names allows the CA.
    #[test]
    fn the_record_to_add_would_allow_it(
        records in prop::collection::vec((any::<bool>(), "issue|issuewild|iodef|[a-z0-9]{1,30}", bytes()), 1..8),
        wildcard in any::<bool>(),
    ) {
        let properties =
            records.into_iter().map(|(critical, tag, value)| Property { critical, tag, value }).collect();
        let mut set = RelevantSet { domain: "a.test".to_owned(), properties };
        let identities = identities();
        let request = request(if wildcard { "*.a.test" } else { "a.test" }, &identities);
        if let Err(forbidden) = check(&request, &set) {
            let said = format!("{}; {}", forbidden.words("ca.example", &[request.name]), forbidden.what_to_do());
            prop_assert!(!said.chars().any(char::is_control) && said.chars().count() < 4000, "{}", said);
            match forbidden.remedy {
                Remedy::Add { tag, value } => {
                    let added = Property { critical: false, tag: tag.to_owned(), value: value.into_bytes() };
                    set.properties.push(added);
                }
                Remedy::Remove => {
                    set.properties.iter_mut().for_each(|property| property.critical = false);
                    return Ok(());
                }
            }
            prop_assert_eq!(check(&request, &set), Ok(()));
        }
    }
}

/// What is said, if the records, written as `<flags> <tag> <value>`, do not allow the CA.
fn allowed(name: &str, records: &[&str]) -> Result<(), String> {
    let identities = identities();
    check(&request(name, &identities), &set(records)).map_err(|forbidden| {
        format!("{}; {}", forbidden.words("ca.example", &[name]), forbidden.what_to_do())
    })
}

fn identities() -> Vec<String> {
    vec!["ca.example".to_owned(), "second.example".to_owned()]
}

fn request<'a>(name: &'a str, identities: &'a [String]) -> Request<'a> {
    Request { name, identities, account: Some(ACCOUNT), method: Some("http-01") }
}

fn set(records: &[&str]) -> RelevantSet {
    let property = |record: &&str| {
        let (flags, rest) = record.split_once(' ').unwrap();
        let (tag, value) = rest.split_once(' ').unwrap();
        Property { critical: flags == "128", tag: tag.to_owned(), value: value.as_bytes().to_vec() }
    };
    RelevantSet { domain: "a.test".to_owned(), properties: records.iter().map(property).collect() }
}
