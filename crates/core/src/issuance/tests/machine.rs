//! An issuance in a world in which anything may happen at any time. Whatever happens, the invariants hold (see [`World`]), and
//! when the world is friendly again, there is a certificate.

use std::time::Duration;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::ca::{Fault, Finalization, Flaw, Identifiers, Refusal, Revokes, Validation};
use super::world::{DUPLICATE_LIMIT, NAME, Turn, World, Write};
use crate::issuance::{IssuanceStep, IssuerView};
use certwright_api::{ListedReason, RevocationPolicy, RevocationSpec, RotationPolicy};
use certwright_pki::PrivateKey;

#[derive(Clone, Debug)]
pub enum Event {
    /// The operator takes this many steps, unless it has to wait.
    Steps(usize),
    /// The operator continues until it has to wait.
    Runs,
    /// The operator runs, and then as much time passes as it waits for.
    Waits,
    Passes(SignedDuration),
    Crashes,
    /// The operator crashes after this many more effects.
    WillCrash(u32),
    /// The next writes to the API server end like this.
    NextWrites(Vec<Write>),

    NextCall(Fault),
    Validates(Validation),
    Finalizes(Finalization),
    KnowsTheNames(bool),
    Certificates(Option<Flaw>),
    WritesIdentifiers(Identifiers),
    RetryAfter(Option<Duration>),
    OrdersAreForgotten,
    CaRevokes(Revokes),
    CaRevokesUnasked(ListedReason),

    Names(&'static [&'static str]),
    KeySize(i32),
    Rotation(RotationPolicy),
    /// The spec becomes invalid, or valid again.
    Spoilt(bool),
    NamesIssuer(&'static str),
    FallsBackTo(&'static [&'static str]),
    RehearsesWith(bool),
    AccountIsOut(&'static str, bool),
    AccountIsRefused(&'static str, bool),
    RenewalIsRequested(u8),
    RevocationIsRequested(Option<&'static str>),
    RevokesReplaced(bool),
    IsClaimed(bool),

    SecretIsDeleted,
    /// Somebody else creates the Secret, or takes it over.
    SecretBelongsTo(Option<&'static str>),
    SecretKeyIsReplaced,
    SecretKeyIsSpoilt,
    SecretCertificateIsRemoved,
    SecretCertificateIsSpoilt,
    SecretIssuerIsRemoved,
    NextKeyIsLost,

    IssuerIsGone(&'static str),
    IssuerIsNotReady(&'static str),
    IssuerIsReady(&'static str, &'static str),
    /// Names are proved by tls-alpn-01 from now on.
    ProvesOverTls,
    SelfCheckPasses(bool),
    PlaceIsFree(bool),
    CaaAllowsOnly(Option<&'static str>),
    /// It is checked whether the certificate is served, with this result; or no longer.
    Serves(Option<bool>),
}

pub fn event() -> impl Strategy<Value = Event> {
    use Event::*;
    let issuer = || prop::sample::select(vec!["one", "two"]);
    let operator = prop_oneof![
        6 => (1..6usize).prop_map(Steps),
        3 => Just(Runs),
        4 => Just(Waits),
        1 => (0..10_000i64).prop_map(|second| Passes(SignedDuration::from_secs(second))),
        1 => (1..120i64).prop_map(|day| Passes(SignedDuration::from_hours(24 * day))),
        1 => Just(Crashes),
        2 => (0..8u32).prop_map(WillCrash),
        3 => writes().prop_map(NextWrites),
    ];
    let ca = prop_oneof![
        3 => fault().prop_map(NextCall),
        2 => prop::sample::select(vec![
            Validation::Succeeds,
            Validation::Hangs,
            Validation::Fails("connection"),
            Validation::Fails("caa"),
            Validation::Fails("rateLimited"),
        ])
        .prop_map(Validates),
        2 => prop::sample::select(vec![
            Finalization::Succeeds,
            Finalization::Hangs,
            Finalization::Fails("serverInternal"),
            Finalization::Fails("OUT_OF_CREDIT"),
        ])
        .prop_map(Finalizes),
        1 => any::<bool>().prop_map(KnowsTheNames),
        1 => prop::option::of(prop::sample::select(vec![
            Flaw::OtherKey,
            Flaw::NameMissing,
            Flaw::NameAdded,
            Flaw::NoChain,
            Flaw::Expired,
            Flaw::DueAlready,
        ]))
        .prop_map(Certificates),
        1 => prop::sample::select(vec![Identifiers::AsAsked, Identifiers::InCapitals, Identifiers::LeftOut])
            .prop_map(WritesIdentifiers),
        1 => prop::option::of((0..600u64).prop_map(Duration::from_secs)).prop_map(RetryAfter),
        1 => Just(OrdersAreForgotten),
        1 => prop::sample::select(Revokes::ALL.to_vec()).prop_map(CaRevokes),
        1 => prop::sample::select(ListedReason::ALL.to_vec()).prop_map(CaRevokesUnasked),
    ];
    let spec = prop_oneof![
        3 => prop::sample::select(vec![&["a.test"] as &[_], &["b.test"], &["a.test", "b.test"], &["*.a.test", "b.test"]])
            .prop_map(Names),
        1 => prop::sample::select(vec![256, 384]).prop_map(KeySize),
        2 => prop::sample::select(vec![RotationPolicy::Always, RotationPolicy::Never]).prop_map(Rotation),
        1 => any::<bool>().prop_map(Spoilt),
        1 => issuer().prop_map(NamesIssuer),
        1 => prop::sample::select(vec![&["two"][..], &["one"], &["two", "one"], &[]]).prop_map(FallsBackTo),
        1 => any::<bool>().prop_map(RehearsesWith),
        1 => (issuer(), any::<bool>()).prop_map(|(name, out)| AccountIsOut(name, out)),
        1 => (issuer(), any::<bool>()).prop_map(|(name, refused)| AccountIsRefused(name, refused)),
        1 => any::<u8>().prop_map(RenewalIsRequested),
        1 => prop::sample::select(vec![
            None, Some("superseded"), Some("keyCompromise"), Some("nonsense"),
        ])
        .prop_map(RevocationIsRequested),
        1 => any::<bool>().prop_map(RevokesReplaced),
        1 => any::<bool>().prop_map(IsClaimed),
    ];
    let cluster = prop_oneof![
        Just(SecretIsDeleted),
        prop::sample::select(vec![None, Some(NAME), Some("another")]).prop_map(SecretBelongsTo),
        Just(SecretKeyIsReplaced),
        Just(SecretKeyIsSpoilt),
        Just(SecretCertificateIsRemoved),
        Just(SecretCertificateIsSpoilt),
        Just(SecretIssuerIsRemoved),
        Just(NextKeyIsLost),
        issuer().prop_map(IssuerIsGone),
        issuer().prop_map(IssuerIsNotReady),
        (issuer(), prop::sample::select(vec!["account/one", "account/two", "account/three"]))
            .prop_map(|(issuer, account)| IssuerIsReady(issuer, account)),
        Just(ProvesOverTls),
        any::<bool>().prop_map(SelfCheckPasses),
        any::<bool>().prop_map(PlaceIsFree),
        prop::sample::select(vec![None, Some("ca.test"), Some("other.test")]).prop_map(CaaAllowsOnly),
        prop::option::of(any::<bool>()).prop_map(Serves),
    ];
    prop_oneof![6 => operator, 3 => ca, 2 => spec, 2 => cluster]
}

/// How writes to the API server end.
pub fn writes() -> impl Strategy<Value = Vec<Write>> {
    let write =
        prop_oneof![3 => Just(Write::Succeeds), 2 => Just(Write::Fails), 2 => Just(Write::AnswerLost)];
    prop::collection::vec(write, 1..12)
}

fn fault() -> impl Strategy<Value = Fault> {
    let refusals = vec![
        ("timeout", None),
        ("unexpectedStatus", Some(404)),
        ("unexpectedStatus", Some(502)),
        ("rateLimited", Some(429)),
        ("RATE_LIMITED", Some(429)),
        ("serverInternal", Some(500)),
        ("orderNotReady", Some(403)),
        ("malformed", Some(400)),
        ("badNonce", Some(400)),
        ("rejectedIdentifier", Some(403)),
        ("SUSPENDED_ACCOUNT", Some(403)),
        ("BAD_SIGNATURE", Some(400)),
    ];
    let retry_after = prop::option::of((1..90_000u64).prop_map(Duration::from_secs));
    (prop::sample::select(refusals), retry_after, any::<bool>()).prop_map(
        |((code, status), retry_after, lost)| match lost {
            true => Fault { refusal: Refusal::no_answer(), answer_lost: true },
            false => Fault { refusal: Refusal { code, status, retry_after }, answer_lost: false },
        },
    )
}

impl World {
    pub fn meet(&mut self, event: Event) {
        match event {
            Event::Steps(count) => {
                for _ in 0..count {
                    if self.step() != Turn::On {
                        break;
                    }
                }
            }
            Event::Runs => drop(self.run()),
            Event::Waits => match self.run() {
                Turn::Waits(Some(until)) | Turn::Rests(until) => self.now = until,
                _ => {}
            },
            Event::Passes(time) => self.now += time,
            Event::Crashes => self.crash(),
            Event::NextWrites(writes) => self.writes.extend(writes),
            Event::WillCrash(effects) => self.crash_after = Some(effects),

            Event::NextCall(fault) => self.ca.faults.push_back(fault),
            Event::Validates(validation) => self.ca.validation = validation,
            Event::Finalizes(finalization) => self.ca.finalization = finalization,
            Event::KnowsTheNames(knows) => self.ca.knows_the_names = knows,
            Event::Certificates(flaw) => self.ca.flaw = flaw,
            Event::WritesIdentifiers(identifiers) => self.ca.identifiers = identifiers,
            Event::RetryAfter(wait) => self.ca.retry_after = wait,
            Event::CaRevokes(revokes) => self.ca.revokes = revokes,
            Event::CaRevokesUnasked(reason) => self.ca_revokes(reason),
            Event::OrdersAreForgotten => self.ca.orders.iter_mut().for_each(|order| order.forgotten = true),

            Event::Names(names) => self.names_are(names),
            Event::KeySize(size) => self.key_size_is(size),
            Event::Rotation(policy) => self.rotation_is(policy),
            Event::Spoilt(spoilt) => self.edit(|spec| {
                spec.ip_addresses = if spoilt { vec!["none".to_owned()] } else { Vec::new() };
            }),
            Event::FallsBackTo(names) => self.falls_back_to(names),
            Event::RehearsesWith(rehearses) => match rehearses {
                true => self.rehearses_with("two"),
                false => self.edit(|spec| spec.rehearsal_issuer_ref = None),
            },
            Event::AccountIsOut(name, out) => self.account_is_out(name, out),
            Event::AccountIsRefused(name, refused) => self.account_is_refused(name, refused),
            Event::NamesIssuer(name) => self.edit(|spec| spec.issuer_ref.name = name.to_owned()),
            Event::RenewalIsRequested(value) => self.renew_request = Some(value.to_string()),
            Event::RevocationIsRequested(reason) => self.revoke_request = reason.map(str::to_owned),
            Event::RevokesReplaced(revokes) => self.edit(|spec| {
                let policy = if revokes { RevocationPolicy::Superseded } else { RevocationPolicy::Never };
                let revocation = RevocationSpec { on_replace: policy, ..RevocationSpec::default() };
                spec.revocation = revokes.then_some(revocation);
            }),
            Event::IsClaimed(claimed) => self.claimed_by = claimed.then(|| "another".to_owned()),

            Event::SecretIsDeleted => self.secret = None,
            Event::SecretBelongsTo(owner) => self.secret_belongs_to(owner),
            Event::SecretKeyIsReplaced => {
                if let Some(Some(Ok(key))) = self.secret.as_mut().map(|secret| &mut secret.key) {
                    *key = PrivateKey::generate(key.algorithm()).unwrap();
                }
            }
            Event::SecretKeyIsSpoilt => {
                if let Some(secret) = &mut self.secret {
                    secret.key = Some(Err("damaged".to_owned()));
                }
            }
            Event::SecretCertificateIsRemoved => {
                if let Some(secret) = &mut self.secret {
                    secret.chain = None;
                }
            }
            Event::SecretCertificateIsSpoilt => {
                if let Some(secret) = &mut self.secret {
                    secret.chain = Some(Err("damaged".to_owned()));
                }
            }
            Event::SecretIssuerIsRemoved => {
                if let Some(secret) = &mut self.secret {
                    secret.issuer = None;
                }
            }
            Event::NextKeyIsLost => self.next_key = None,

            Event::IssuerIsGone(name) => drop(self.issuers.remove(name)),
            Event::IssuerIsNotReady(name) => {
                let message = "the CA cannot be reached".to_owned();
                self.issuers.insert(name.to_owned(), IssuerView::NotReady { message, ca_is_cause: true });
            }
            Event::IssuerIsReady(name, account) => self.issuer_is_ready(name, account),
            Event::ProvesOverTls => self.proves_over_tls(None),
            Event::SelfCheckPasses(passes) => self.self_check_passes = passes,
            Event::PlaceIsFree(free) => self.place_is_free = free,
            Event::CaaAllowsOnly(ca) => self.caa_allows("a.test", ca),
            Event::Serves(is) => self.serves(is),
        }
    }

    /// Once the world is friendly, there is a certificate; then nothing is ordered before the renewal time, and one
    /// certificate at that time.
    pub fn ends_with_a_certificate(&mut self) {
        self.becomes_friendly();
        let (begin, orders) = (self.now, self.ca.orders.len());
        let revoked = self.state.status.revoked.as_ref();
        let revoked_again =
            revoked.is_some_and(|known| known.early_revocations > Some(1)) || self.listed.is_some();
        let mut renewal = self.run_until_rest();
        self.check_issued();
        assert!(self.ca.orders.len() <= orders + 2, "one order that is spoilt, and one that is not");
        // The longest Retry-After; or the CA has revoked certificates again and again.
        let longest =
            if revoked_again { SignedDuration::from_hours(90 * 24) } else { SignedDuration::from_hours(36) };
        assert!(self.now.duration_since(begin) <= longest, "{}", self.now);

        let orders = self.ca.orders.len();
        if self.backup.is_some() {
            self.now = renewal;
            renewal = self.run_until_rest();
            assert!(self.backup.is_none(), "{:?}", self.last_steps());
            assert_eq!(self.ca.orders.len(), orders);
        }
        self.now = renewal - SignedDuration::from_secs(1);
        self.crash();
        assert_eq!(self.next_step(), IssuanceStep::Rest { until: Some(renewal) });
        self.now = renewal;
        assert!(self.run_until_rest() > renewal);
        assert_eq!(self.ca.orders.len(), orders + 1);
        self.check_issued();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_end_is_a_certificate(events in prop::collection::vec(event(), 0..60)) {
        let mut world = World::new();
        for event in events {
            world.meet(event);
        }
        world.ends_with_a_certificate();
    }
}

/// The operator also looks again before the renewal time: when the backup for a lost Secret is no longer needed.
#[test]
fn a_backup_for_a_lost_secret_does_not_move_the_renewal() {
    let mut world = World::new();
    for _ in 0..DUPLICATE_LIMIT {
        world.meet(Event::SecretIsDeleted);
        world.run_until_rest();
        world.meet(Event::Passes(SignedDuration::from_mins(1)));
    }
    assert!(world.backup.is_some());
    world.ends_with_a_certificate();
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(40) })]

    /// However often the CA rejects requests and the operator crashes, the backoff limits the rate of requests.
    #[test]
    fn a_ca_that_always_fails_is_asked_ever_less(
        validation in prop::sample::select(vec![Validation::Fails("connection"), Validation::Fails("caa")]),
        flaw in prop::option::of(prop::sample::select(vec![
            Flaw::OtherKey, Flaw::NameMissing, Flaw::NameAdded, Flaw::NoChain, Flaw::Expired, Flaw::DueAlready,
        ])),
        crashes in prop::collection::vec(0..12u32, 0..4),
    ) {
        let mut world = World::new();
        match flaw {
            Some(_) => world.ca.flaw = flaw,
            None => world.ca.validation = validation,
        }
        let crashed = crashes.len();
        let mut crashes = crashes.into_iter();
        let end = world.now + SignedDuration::from_hours(7 * 24);
        while world.now < end {
            world.crash_after = crashes.next();
            match world.run() {
                Turn::Waits(Some(until)) => world.now = until,
                turn => prop_assert!(false, "{:?} after {:?}", turn, world.last_steps()),
            }
        }
        prop_assert!(world.ca.orders.len() <= 31 + crashed, "{} orders in a week", world.ca.orders.len());
    }
}
