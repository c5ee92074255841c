use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::next_step::decide;
use super::*;
use certwright_api::{
    AccountKey, AccountKeyAlgorithm, AcmeAccountStatus, AcmeIssuer, CONDITION_READY, ExternalAccountBinding,
    IssuerStatus, KeyIdSecretRef, PreviousAccount, SecretKeySelector, issuer_reason as reason,
};
use certwright_pki::KeyAlgorithm;

mod binding;
mod failure;
mod machine;
mod retry;
mod snapshot;
pub(super) mod world;

pub(super) use snapshot::snapshot;
pub(super) use world::refusal;

const SERVER: &str = "https://acme.test/v2/DV";

#[test]
fn a_new_issuer_makes_its_key_asks_the_ca_and_registers() {
    let mut case = Case { key_secret: KeySecret::Missing, ..Case::default() };
    assert_eq!(case.step(), AccountStep::MakeKey);
    case.key_secret = key("new", true, None);
    assert_eq!(case.step(), AccountStep::LookUp);
    case.looked_up = true;
    assert_eq!(case.step(), AccountStep::Register);
    case.status.acme = Some(account("new", SERVER, None));
    assert_eq!(case.step(), AccountStep::Rest);
}

#[test]
fn a_key_secret_that_cannot_be_used_is_not_replaced() {
    let waits = |key_secret| Case { key_secret, ..Case::default() }.waits();
    assert_eq!(
        waits(KeySecret::NoSuchKey),
        (
            reason::SECRET_KEY_NOT_FOUND,
            "Secret account has no key tls.key for the account key; add it, or delete the Secret to generate a new one"
                .to_owned()
        )
    );
    assert_eq!(
        waits(KeySecret::Unusable("the private key is not valid PEM".to_owned())),
        (
            reason::INVALID_ACCOUNT_KEY,
            "Secret account, key tls.key: the private key is not valid PEM; put a private key there, as PEM or \
             JWK, or delete the Secret to generate a new one"
                .to_owned()
        )
    );
}

#[test]
fn a_lost_key_is_not_replaced_behind_the_users_back() {
    let mut case = Case { key_secret: KeySecret::Missing, ..Case::registered() };
    let (reason, message) = case.waits();
    assert_eq!(reason, reason::SECRET_NOT_FOUND);
    assert!(
        message.contains("Secret account") && message.contains("https://acme.test/account/1"),
        "{message}"
    );
    case.bind("kid");
    assert_eq!(case.step(), AccountStep::MakeKey, "the account is given up anyway");
    case.status.acme = Some(account("lost", SERVER, Some("kid")));
    assert_eq!(case.waits().0, reason::SECRET_NOT_FOUND);
    case.spec.server = "https://acme.test/v2/OV".to_owned();
    assert_eq!(case.step(), AccountStep::MakeKey, "the account is given up anyway");
}

#[test]
fn a_missing_secret_is_looked_for_again_within_a_minute() {
    let mut case = Case { key_secret: KeySecret::NoSuchKey, ..Case::default() };
    let until = |case: &Case| match case.step() {
        AccountStep::Wait { until: Some(until), .. } => until.duration_since(now()).as_secs(),
        step => panic!("{step:?}"),
    };
    assert_eq!(until(&case), 1);
    for (age, wait) in [(10, 5), (3600, 60)] {
        case.condition("False", reason::SECRET_KEY_NOT_FOUND, 1);
        case.status.conditions[0].last_transition_time = Time(now() - jiff::SignedDuration::from_secs(age));
        assert_eq!(until(&case), wait, "{age}");
    }
}

#[test]
fn an_account_on_record_is_used_without_asking() {
    assert_eq!(Case::registered().step(), AccountStep::Rest);
    assert_eq!(Case::registered_and_bound().step(), AccountStep::Rest);
    let unbound = Case { spec: Case::default().spec, key_id: KeyId::Unbound, ..Case::registered_and_bound() };
    assert_eq!(unbound.step(), AccountStep::Rest, "a binding that is no longer in the spec changes nothing");
}

#[test]
fn an_account_that_is_only_on_the_secret_is_adopted() {
    let recorded = recorded(SERVER, None);
    let mut case = Case { key_secret: key("mine", true, Some(recorded.clone())), ..Case::default() };
    assert_eq!(case.step(), AccountStep::Adopt(recorded.clone()));
    case.status.acme = Some(account("another", SERVER, None));
    assert_eq!(case.step(), AccountStep::Adopt(recorded), "the status speaks of another key");
    let bound = Recorded { key_id: Some("kid".to_owned()), ..Case::recorded() };
    let case = Case { key_secret: key("mine", true, Some(bound.clone())), ..Case::bound_to("kid") };
    assert_eq!(case.step(), AccountStep::Adopt(bound));
}

#[test]
fn another_server_is_another_account_even_if_only_the_path_differs() {
    for server in ["https://acme.test/v2/OV", "https://other.test/v2/DV"] {
        for mut case in [Case::registered(), Case::registered_and_bound()] {
            case.spec.server = server.to_owned();
            assert_eq!(case.step(), AccountStep::LookUp, "{server}");
            case.looked_up = true;
            case.mac_key = MacKey::Usable;
            assert_eq!(case.step(), AccountStep::Register, "{server}");
        }
    }
}

#[test]
fn a_key_of_the_users_is_never_replaced() {
    let mut case = Case { looked_up: true, mac_key: MacKey::Usable, ..Case::registered_and_bound() };
    case.key_secret = key("mine", false, Some(Recorded { key_id: Some("kid".into()), ..Case::recorded() }));
    case.bind("kid-2");
    assert_eq!(
        case.waits(),
        (
            reason::INVALID_ACCOUNT_KEY,
            "Secret account, key tls.key: the account of this private key is bound to the key id kid and cannot be bound \
             to another; put a new private key there, or delete the Secret to generate a new one"
                .to_owned()
        )
    );
    // The account is registered, but so far it is recorded only in the Secret.
    case.key_secret = key("mine", false, Some(Recorded { key_id: Some("kid-2".into()), ..Case::recorded() }));
    assert!(matches!(case.step(), AccountStep::Adopt(_)));
}

fn update_contact() -> AccountStep {
    AccountStep::UpdateContact { account: "https://acme.test/account/1".to_owned() }
}

#[test]
fn a_changed_address_is_told_to_the_ca_and_nothing_else() {
    let mut case = Case::registered_and_bound();
    for (spec, told, expected) in [
        (Some("a@test"), None, update_contact()),
        (Some("a@test"), Some("b@test"), update_contact()),
        (None, Some("b@test"), update_contact()),
        (Some(""), Some("b@test"), update_contact()),
        (Some("a@test"), Some("a@test"), AccountStep::Rest),
        (Some(""), None, AccountStep::Rest),
    ] {
        case.spec.email = spec.map(str::to_owned);
        case.status.acme.as_mut().unwrap().last_registered_email = told.map(str::to_owned);
        assert_eq!(case.step(), expected, "{spec:?} {told:?}");
    }
}

#[test]
fn each_of_several_addresses_is_told_to_the_ca() {
    let mut case = Case::registered();
    case.spec.email = Some("a@test".to_owned());
    case.spec.emails = vec!["b@test".to_owned()];
    assert_eq!(case.step(), update_contact());
    note_contact(case.status.acme.as_mut().unwrap(), vec!["a@test".to_owned(), "b@test".to_owned()]);
    assert_eq!(case.step(), AccountStep::Rest);
    case.spec.emails.clear();
    assert_eq!(case.step(), update_contact());
}

#[test]
fn where_no_key_may_be_made_none_is_made() {
    let mut case = Case { key_secret: KeySecret::Missing, ..Case::default() };
    case.spec.disable_account_key_generation = Some(true);
    assert_eq!(
        case.waits(),
        (
            reason::SECRET_NOT_FOUND,
            "Secret account with the account key does not exist, and disableAccountKeyGeneration prevents generating one; create it"
                .to_owned()
        )
    );
    for key_secret in [KeySecret::NoSuchKey, KeySecret::Unusable("it is none".to_owned())] {
        case.key_secret = key_secret;
        let (_, message) = case.waits();
        assert!(!message.contains("made"), "{message}");
    }
    let mut case = Case::registered_and_bound();
    case.spec.disable_account_key_generation = Some(true);
    case.bind("kid-2");
    assert_eq!(case.waits().0, reason::INVALID_ACCOUNT_KEY);
}

#[test]
fn an_unusable_account_is_never_tried_again_until_the_spec_changes() {
    for mut case in [Case::registered(), Case::default(), Case { looked_up: true, ..Case::bound_to("kid") }] {
        case.condition("False", reason::ACCOUNT_UNUSABLE, case.generation);
        case.status.failed_attempts = Some(1);
        for hours in [0, 1, 24 * 365] {
            let step = case.step_at(now() + jiff::SignedDuration::from_hours(hours));
            assert_eq!(step, AccountStep::Hold { until: None });
        }
        case.generation += 1;
        assert_ne!(case.step(), AccountStep::Hold { until: None });
    }
}

#[test]
fn after_a_failure_nothing_is_done_before_its_time_or_a_new_spec() {
    let mut case = Case::default();
    case.condition("False", reason::CA_UNAVAILABLE, case.generation);
    case.status.failed_attempts = Some(1);
    let until = now() + jiff::SignedDuration::from_mins(1);
    case.status.next_attempt_time = Some(Time(until));
    assert_eq!(case.step(), AccountStep::Hold { until: Some(until) });
    assert_eq!(case.step_at(until), AccountStep::LookUp);
    case.generation += 1;
    assert_eq!(case.step(), AccountStep::LookUp);
}

#[test]
fn a_time_that_is_left_over_does_not_hold_an_account_that_is_ready() {
    let mut case = Case::registered();
    case.condition("True", reason::ACCOUNT_REGISTERED, case.generation);
    case.status.next_attempt_time = Some(Time(now() + jiff::SignedDuration::from_mins(1)));
    assert_eq!(case.step(), AccountStep::Rest);
}

#[test]
fn the_key_is_the_one_that_the_spec_asks_for() {
    use AccountKeyAlgorithm::{Ecdsa, Rsa};
    for (algorithm, size, expected) in [
        (None, None, KeyAlgorithm::ECDSA_P256),
        (Some(Ecdsa), Some(256), KeyAlgorithm::ECDSA_P256),
        (Some(Ecdsa), Some(384), KeyAlgorithm::ECDSA_P384),
        (Some(Rsa), None, KeyAlgorithm::Rsa(3072)),
        (Some(Rsa), Some(2048), KeyAlgorithm::Rsa(2048)),
        (Some(Rsa), Some(3072), KeyAlgorithm::Rsa(3072)),
        (Some(Rsa), Some(4096), KeyAlgorithm::Rsa(4096)),
    ] {
        let spec = AcmeIssuer {
            account_key: Some(AccountKey { algorithm, size, ..AccountKey::default() }),
            ..AcmeIssuer::default()
        };
        assert_eq!(account_key_algorithm(&spec), expected);
    }
    assert_eq!(account_key_algorithm(&AcmeIssuer::default()), KeyAlgorithm::ECDSA_P256);
}

/// The input of the decision on the next step. By default there is only a key.
#[derive(Clone)]
struct Case {
    spec: AcmeIssuer,
    generation: i64,
    status: IssuerStatus,
    key_secret: KeySecret,
    key_id: KeyId,
    mac_key: MacKey,
    external_account_version: Option<String>,
    history: Vec<PreviousAccount>,
    deactivate: Option<String>,
    has_finalizer: bool,
    looked_up: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            spec: AcmeIssuer { server: SERVER.to_owned(), ..AcmeIssuer::default() },
            generation: 1,
            status: IssuerStatus::default(),
            key_secret: key("mine", true, None),
            key_id: KeyId::Unbound,
            mac_key: MacKey::NotRead,
            external_account_version: None,
            history: Vec::new(),
            deactivate: None,
            has_finalizer: false,
            looked_up: false,
        }
    }
}

impl Case {
    fn registered() -> Self {
        let mut case = Self { key_secret: key("mine", true, Some(Self::recorded())), ..Self::default() };
        case.status.acme = Some(account("mine", SERVER, None));
        case
    }

    fn registered_and_bound() -> Self {
        let recorded = Recorded { key_id: Some("kid".to_owned()), ..Self::recorded() };
        let mut case = Self { key_secret: key("mine", true, Some(recorded)), ..Self::bound_to("kid") };
        case.status.acme = Some(account("mine", SERVER, Some("kid")));
        case
    }

    fn bound_to(key_id: &str) -> Self {
        let mut case = Self::default();
        case.bind(key_id);
        case
    }

    fn bind(&mut self, key_id: &str) {
        self.spec.external_account_binding = Some(binding(key_id));
        self.key_id = KeyId::Known(key_id.to_owned());
    }

    fn recorded() -> Recorded {
        recorded(SERVER, None)
    }

    fn condition(&mut self, status: &str, reason: &str, generation: i64) {
        self.status.conditions = vec![Condition {
            type_: CONDITION_READY.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: Some(generation),
            last_transition_time: Time(now()),
        }];
    }

    fn step(&self) -> AccountStep {
        self.step_at(now())
    }

    fn step_at(&self, at: Timestamp) -> AccountStep {
        let seen = Snapshot {
            generation: self.generation,
            key_id: &self.key_id,
            mac_key: &self.mac_key,
            external_account_version: self.external_account_version.as_deref(),
            deactivate: self.deactivate.as_deref(),
            has_finalizer: self.has_finalizer,
            ..snapshot(&self.spec, &self.key_secret)
        };
        let state = State {
            status: self.status.clone(),
            history: self.history.clone(),
            looked_up: self.looked_up,
            ..State::default()
        };
        decide(&seen.with(&state), at)
    }

    fn waits(&self) -> (&'static str, String) {
        match self.step() {
            AccountStep::Wait { until: Some(_), reason, message } => (reason, message),
            step => panic!("{step:?}"),
        }
    }
}

fn key(thumbprint: &str, ours: bool, account: Option<Recorded>) -> KeySecret {
    KeySecret::Key { thumbprint: thumbprint.to_owned(), ours, account }
}

fn account(thumbprint: &str, server: &str, key_id: Option<&str>) -> AcmeAccountStatus {
    AcmeAccountStatus {
        uri: "https://acme.test/account/1".to_owned(),
        server: server.to_owned(),
        key_thumbprint: thumbprint.to_owned(),
        bound_key_id: key_id.map(str::to_owned),
        ..AcmeAccountStatus::default()
    }
}

fn recorded(server: &str, key_id: Option<&str>) -> Recorded {
    Recorded {
        url: "https://acme.test/account/1".to_owned(),
        server: server.to_owned(),
        key_id: key_id.map(str::to_owned),
        deactivated: None,
    }
}

pub(super) fn binding(key_id: &str) -> ExternalAccountBinding {
    ExternalAccountBinding {
        key_id: Some(key_id.to_owned()),
        key_id_secret_ref: None,
        key_secret_ref: SecretKeySelector { name: "eab".to_owned(), key: None },
        key_algorithm: None,
    }
}

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().unwrap()
}
