//! Bindings to an external account.

use super::*;

#[test]
fn a_binding_needs_its_mac_key_once() {
    let mut case = Case { looked_up: true, key_secret: key("new", true, None), ..Case::bound_to("kid") };
    assert_eq!(case.step(), AccountStep::ReadMacKey);
    case.mac_key = MacKey::Usable;
    assert_eq!(case.step(), AccountStep::Register);
    case.status.acme = Some(account("new", SERVER, Some("kid")));
    for mac_key in [MacKey::NotRead, MacKey::SecretMissing, MacKey::NoSuchKey, MacKey::Unusable("!".into())] {
        case.mac_key = mac_key;
        assert_eq!(case.step(), AccountStep::Rest, "{:?}", case.mac_key);
    }
}

#[test]
fn each_fault_of_the_mac_key_names_secret_and_key() {
    let step = |mac_key: MacKey, key: Option<&str>| {
        let mut case = Case { looked_up: true, mac_key, ..Case::bound_to("kid") };
        let binding = case.spec.external_account_binding.as_mut().unwrap();
        binding.key_secret_ref.key = key.map(str::to_owned);
        case.waits()
    };
    assert_eq!(
        step(MacKey::SecretMissing, None),
        (
            reason::SECRET_NOT_FOUND,
            "Secret eab, which externalAccountBinding.keySecretRef names, does not exist; create it"
                .to_owned()
        )
    );
    assert_eq!(
        step(MacKey::NoSuchKey, None),
        (
            reason::SECRET_KEY_NOT_FOUND,
            "Secret eab has no key secret, which externalAccountBinding.keySecretRef names; add it, or name another"
                .to_owned()
        )
    );
    assert_eq!(
        step(MacKey::Unusable("it is not base64".to_owned()), Some("mac")),
        (
            reason::INVALID_MAC_KEY,
            "Secret eab, key mac: it is not base64; paste the MAC key as the CA shows it".to_owned()
        )
    );
}

#[test]
fn another_key_id_is_another_account_with_another_key() {
    let mut case = Case::registered_and_bound();
    case.bind("kid-2");
    assert_eq!(case.step(), AccountStep::ReplaceKey);
    case.key_secret = key("second", true, None);
    assert_eq!(case.step(), AccountStep::LookUp);
    case.looked_up = true;
    assert_eq!(case.step(), AccountStep::ReadMacKey);
    case.mac_key = MacKey::Usable;
    assert_eq!(case.step(), AccountStep::Register);
    case.status.acme = Some(account("second", SERVER, Some("kid-2")));
    assert_eq!(case.step(), AccountStep::Rest);
}

#[test]
fn another_key_id_replaces_the_key_also_where_only_the_status_knows_the_old_one() {
    let mut case = Case::registered_and_bound();
    case.key_secret = key("mine", true, None);
    case.bind("kid-2");
    assert_eq!(case.step(), AccountStep::ReplaceKey);
}

#[test]
fn a_binding_that_is_new_in_the_spec_is_another_account() {
    let mut case = Case::registered();
    case.bind("kid");
    assert_eq!(case.step(), AccountStep::ReplaceKey);
}

#[test]
fn a_key_id_that_cannot_be_read_changes_nothing_for_an_account_that_is_bound() {
    for key_id in [KeyId::SecretMissing, KeyId::NoSuchKey, KeyId::Unusable("it is empty".to_owned())] {
        let mut case = Case { key_id: key_id.clone(), ..Case::registered_and_bound() };
        by_secret(&mut case);
        assert_eq!(case.step(), AccountStep::Rest, "{key_id:?}");
        case.status.acme = None;
        assert!(matches!(case.step(), AccountStep::Adopt(_)), "{key_id:?}");
        case.key_secret = KeySecret::Missing;
        case.status.acme = Some(account("mine", SERVER, Some("kid")));
        assert_eq!(case.waits().0, reason::SECRET_NOT_FOUND, "{key_id:?}");
    }
}

#[test]
fn a_new_account_waits_for_its_key_id() {
    for (key_id, expected_reason, expected) in [
        (
            KeyId::SecretMissing,
            reason::SECRET_NOT_FOUND,
            "Secret ids, which externalAccountBinding.keyIDSecretRef names, does not exist; create it",
        ),
        (
            KeyId::NoSuchKey,
            reason::SECRET_KEY_NOT_FOUND,
            "Secret ids has no key keyID, which externalAccountBinding.keyIDSecretRef names; add it, or name another",
        ),
        (
            KeyId::Unusable("the key id is empty".to_owned()),
            reason::INVALID_KEY_ID,
            "Secret ids, key keyID: the key id is empty; paste the key id as the CA shows it",
        ),
    ] {
        let mut case = Case { looked_up: true, ..Case::bound_to("kid") };
        by_secret(&mut case);
        case.key_id = key_id;
        assert_eq!(case.waits(), (expected_reason, expected.to_owned()));
    }
    let mut case = Case { looked_up: true, ..Case::bound_to("kid") };
    by_secret(&mut case);
    assert_eq!(case.step(), AccountStep::ReadMacKey);
}

#[test]
fn a_key_id_that_is_wanted_again_gets_its_account_back() {
    let previous = PreviousAccount {
        uri: "https://acme.test/account/0".to_owned(),
        server: SERVER.to_owned(),
        bound_key_id: Some("kid".to_owned()),
        key_thumbprint: "old".to_owned(),
        secret_key: Some("tls.key.old".to_owned()),
        ..PreviousAccount::default()
    };
    let history = vec![previous.clone()];
    let mut case =
        Case { key_secret: key("new", true, None), history: history.clone(), ..Case::bound_to("kid-2") };
    assert_eq!(case.step(), AccountStep::LookUp);
    case.bind("kid");
    assert_eq!(case.step(), AccountStep::ReturnTo(previous.clone()), "the new key was never registered");
    let mut case = Case { history, ..Case::registered_and_bound() };
    case.status.acme = Some(account("mine", SERVER, Some("kid-2")));
    case.key_secret = key("mine", true, None);
    assert_eq!(case.step(), AccountStep::ReturnTo(previous), "the present account is bound to another");
    case.key_secret = key("mine", false, None);
    assert_eq!(case.waits().0, reason::INVALID_ACCOUNT_KEY, "a key of the user's is not replaced");
}

#[test]
fn a_refused_external_account_is_tried_again_with_another_secret_only() {
    let mut case = Case { looked_up: true, mac_key: MacKey::Usable, ..Case::bound_to("kid") };
    case.condition("False", reason::ACCOUNT_UNUSABLE, case.generation);
    case.status.failed_attempts = Some(1);
    case.status.refused_external_account_version = Some("/7".to_owned());
    case.external_account_version = Some("/7".to_owned());
    let AccountStep::Hold { until: Some(until) } = case.step() else { panic!("{:?}", case.step()) };
    assert!(until.duration_since(now()).as_secs() <= 60, "its Secret is looked at");
    case.external_account_version = Some("/8".to_owned());
    assert_eq!(case.step(), AccountStep::Register);
}

fn by_secret(case: &mut Case) {
    let binding = case.spec.external_account_binding.as_mut().unwrap();
    binding.key_id = None;
    binding.key_id_secret_ref = Some(KeyIdSecretRef { name: "ids".to_owned(), key: None });
}
