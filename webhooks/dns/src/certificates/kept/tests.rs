use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;
use crate::certificates::certificates;

const HOUR: Duration = Duration::from_secs(3600);
const LIFETIMES: Lifetimes = Lifetimes { authority: HOUR, certificate: Duration::from_secs(1200) };
const TURN: Duration = Duration::from_secs(10);

#[test]
fn a_client_that_learns_of_bundles_late_trusts_every_certificate() {
    let late = LIFETIMES.overlap() - TURN;
    let mut world = World::new();
    let mut bundles = vec![];
    let mut signers = vec![];
    for _ in 0..1500 {
        world.turn(true);
        bundles.push((world.now, world.kept.bundle()));
        let seen = bundles.iter().rev().find(|(since, _)| *since + late <= world.now);
        let seen = &seen.unwrap_or(&bundles[0]).1;
        verify(seen, &world.kept, world.now).unwrap_or_else(|error| panic!("at {}: {error}", world.now));
        // A replica that does not lead serves what it read late.
        verify(&world.kept.bundle(), &world.older(late), world.now).unwrap();
        let issuer = world.kept.serving.as_ref().unwrap().issuer.clone();
        if signers.last() != Some(&issuer) {
            signers.push(issuer);
        }
        assert!(world.kept.authorities.len() <= 3, "{:?}", world.kept);
    }
    assert!(signers.len() >= 5, "authorities follow each other: {signers:?}");
}

#[test]
fn an_authority_that_is_not_published_signs_only_when_the_old_one_has_expired() {
    let mut world = World::new();
    world.turn(true);
    let first = world.kept.newest().unwrap().to_owned();
    while world.now < world.start + HOUR - TURN {
        world.turn(false);
        verify(&first, &world.kept, world.now).unwrap();
    }
    for _ in 0..3 {
        world.turn(false);
    }
    verify(world.kept.newest().unwrap(), &world.kept, world.now).unwrap();
}

#[test]
fn another_process_continues_with_what_was_kept() {
    let mut world = World::new();
    world.turn(true);
    let kept = Kept::read(&world.kept.data()).unwrap();
    assert_eq!(kept, world.kept);
    assert_eq!(kept.renewed(&names(), LIFETIMES, None, world.now).unwrap(), kept, "nothing is due");
    while world.kept.authorities.len() == 1 || world.kept.serving.as_ref().unwrap().issuer == world.subject(0)
    {
        world.turn(true);
    }
    assert_eq!(Kept::read(&world.kept.data()).unwrap(), world.kept, "two authorities");
    let restarted = world.kept.renewed(&names(), LIFETIMES, None, world.now).unwrap();
    assert_eq!(restarted.serving, world.kept.serving, "the new authority goes on signing");
}

#[test]
fn other_names_need_another_certificate() {
    let mut world = World::new();
    world.turn(true);
    let other = vec!["other.dns.svc".to_owned()];
    let renewed = world.kept.renewed(&other, LIFETIMES, None, world.now).unwrap();
    assert_eq!(renewed.serving.unwrap().names, other);
    assert_eq!(renewed.authorities, world.kept.authorities);
}

#[test]
fn a_secret_with_something_else_is_an_error() {
    let mut data = {
        let mut world = World::new();
        world.turn(true);
        world.kept.data()
    };
    data.insert(AUTHORITY_KEYS.to_owned(), ByteString(b"none".to_vec()));
    assert!(matches!(Kept::read(&data), Err(CertificateError::Keys)));
    assert!(Kept::read(&BTreeMap::new()).is_err());
}

struct World {
    start: Timestamp,
    now: Timestamp,
    kept: Kept,
    history: Vec<(Timestamp, Kept)>,
    published: Option<(String, Timestamp)>,
}

impl World {
    fn new() -> Self {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        Self { start, now: start, kept: Kept::default(), history: vec![], published: None }
    }

    fn turn(&mut self, publish: bool) {
        self.now += TURN;
        let newest = self.kept.newest().map(str::to_owned);
        let published = self.published.as_ref().filter(|(which, _)| Some(which) == newest.as_ref());
        let published = published.map(|(_, since)| *since);
        self.kept = self.kept.renewed(&names(), LIFETIMES, published, self.now).unwrap();
        self.history.push((self.now, self.kept.clone()));
        let newest = self.kept.newest().unwrap();
        if publish && self.published.as_ref().is_none_or(|(which, _)| which != newest) {
            self.published = Some((newest.to_owned(), self.now));
        }
    }

    fn older(&self, late: Duration) -> Kept {
        let older = self.history.iter().rev().find(|(since, _)| *since + late <= self.now);
        older.unwrap_or(&self.history[0]).1.clone()
    }

    fn subject(&self, index: usize) -> String {
        self.kept.authorities[index].own.subject.clone()
    }
}

fn names() -> Vec<String> {
    vec!["certwright-dns.dns.svc".to_owned(), "certwright-dns.dns.svc.cluster.local".to_owned()]
}

/// What a client checks that trusts `bundle`.
fn verify(bundle: &str, kept: &Kept, now: Timestamp) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("bundle", bundle.as_bytes()).unwrap());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    let shown = kept.shown().unwrap();
    let name = ServerName::try_from(names()[0].clone()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap()));
    verifier.build().unwrap().verify_server_cert(&shown.chain[0], &[], &name, &[], now).map(drop)
}
