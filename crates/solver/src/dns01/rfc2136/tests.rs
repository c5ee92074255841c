//! Updates of a server on loopback that signs and verifies as in RFC 8945.

mod signature;

use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::OpCode;
use hickory_resolver::proto::rr::rdata::tsig::{
    TSIG, TsigAlgorithm, TsigError, make_tsig_record, message_tbs,
};
use hickory_resolver::proto::rr::{DNSClass, RecordType};
use secrecy::SecretString;

use super::*;
use crate::dns01::tests::record;
use crate::dns01::tests::world::{Handler, IMPATIENT, Over, World};
use certwright_egress::Egress;

const NOW: i64 = 1_700_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn key(algorithm: Algorithm) -> TsigKey {
    let secret = SecretString::from("c2VjcmV0IHRoYXQgaXMgc2hhcmVkIHdpdGggdGhlIG5hbWUgc2VydmVy");
    TsigKey::new("Key.test", Some(&algorithm.to_string()), &secret).unwrap()
}

fn settings(world: &World, key: Option<TsigKey>) -> Settings {
    let server = world.address(2).to_string().parse().unwrap();
    Settings { egress: Egress::unrestricted(), ..Settings::new(server, key, now) }
}

/// A name server that accepts updates.
#[derive(Clone)]
struct Primary {
    key: Option<TsigKey>,
    code: ResponseCode,
    error: Option<TsigError>,
    clock: i64,
    truncates: bool,
    /// Changes an answer before it is signed.
    before: fn(&mut Message),
    /// Changes a TSIG record before its MAC is computed.
    tsig: fn(&mut TSIG),
    /// Changes an answer after it was signed.
    after: fn(&mut Message),
    updates: Arc<Mutex<Vec<(Message, Over)>>>,
}

impl Primary {
    fn new(key: Option<TsigKey>) -> Self {
        Self {
            key,
            code: ResponseCode::NoError,
            error: None,
            clock: NOW,
            truncates: false,
            before: |_| {},
            tsig: |_| {},
            after: |_| {},
            updates: Arc::default(),
        }
    }

    fn answering(code: ResponseCode) -> Self {
        Self { code, ..Self::new(Some(key(Algorithm::Sha256))) }
    }

    fn failing(error: TsigError) -> Self {
        Self { error: Some(error), ..Self::answering(ResponseCode::NotAuth) }
    }

    fn handler(self) -> Handler {
        Arc::new(move |bytes, over| Some(self.answer(bytes, over)))
    }

    fn answer(&self, bytes: &[u8], over: Over) -> Vec<u8> {
        let mut request = Message::from_vec(bytes).unwrap();
        let mac = self.key.as_ref().map(|key| verified_mac(&mut request, key, self.error.is_none()));
        let mut answer = Message::response(request.metadata.id, OpCode::Update);
        answer.queries.clone_from(&request.queries);
        answer.metadata.response_code = self.code;
        answer.metadata.truncation = self.truncates && over == Over::Udp;
        self.updates.lock().unwrap().push((request, over));
        (self.before)(&mut answer);
        if let (Some(key), Some(mac)) = (&self.key, mac) {
            self.sign(&mut answer, key, &mac);
        }
        (self.after)(&mut answer);
        answer.to_vec().unwrap()
    }

    fn sign(&self, answer: &mut Message, key: &TsigKey, request_mac: &[u8]) {
        let (error, id, clock) = (self.error, answer.metadata.id, u64::try_from(self.clock).unwrap());
        let bad_time = error == Some(TsigError::BadTime);
        let (time, other) = match bad_time {
            true => (u64::try_from(NOW).unwrap(), clock.to_be_bytes()[2..].to_vec()),
            false => (clock, Vec::new()),
        };
        let mut tsig = TSIG::new(key.algorithm.to_dns(), time, 300, Vec::new(), id, error, other);
        (self.tsig)(&mut tsig);
        if !matches!(error, Some(TsigError::BadKey | TsigError::BadSig)) {
            let length = u16::try_from(request_mac.len()).unwrap().to_be_bytes();
            let signed = message_tbs(answer, &tsig, &key.name).unwrap();
            tsig.mac = key.algorithm.sign(&key.secret, &[&length, request_mac, &signed].concat());
        }
        answer.signature = Some(Box::new(make_tsig_record(key.name.clone(), tsig)));
    }

    async fn world(&self) -> World {
        let mut world = World::new().await;
        world.serve(2, self.clone().handler());
        world
    }

    async fn present(&self) -> Result<(), Error> {
        let world = self.world().await;
        present(&settings(&world, self.key.clone()), &record("a.test")).await
    }

    async fn error(&self) -> Error {
        self.present().await.unwrap_err()
    }

    /// The error's text without its beginning, which is the same for all errors.
    async fn text(&self) -> String {
        let world = self.world().await;
        let settings = settings(&world, self.key.clone());
        let error = present(&settings, &record("a.test")).await.unwrap_err();
        let server = format!("name server {}", settings.nameserver);
        let text = error.to_string();
        let text = text.strip_prefix("adding the TXT record failed: ").unwrap();
        text.replace(&server, "it")
    }
}

/// Checks the MAC of a request, and removes it from the message.
fn verified_mac(request: &mut Message, key: &TsigKey, check: bool) -> Vec<u8> {
    // Where a feature of hickory is on that other crates of the workspace need, it is not among the additional records.
    let (name, class, ttl, tsig) = match request.signature.take() {
        Some(record) => (record.name, record.dns_class, record.ttl, record.data),
        None => {
            let last = request.additionals.pop().unwrap();
            let RData::TSIG(tsig) = last.data else { panic!("the last record is no TSIG record") };
            (last.name, last.dns_class, last.ttl, tsig)
        }
    };
    assert_eq!((class, ttl), (DNSClass::ANY, 0));
    if check {
        assert_eq!(name, key.name);
        assert_eq!(tsig.algorithm, key.algorithm.to_dns());
        assert_eq!((tsig.time, tsig.fudge), (NOW.try_into().unwrap(), 300));
        let signed = message_tbs(request, &tsig, &name).unwrap();
        assert!(key.algorithm.verify(&key.secret, &signed, &tsig.mac));
    }
    tsig.mac
}

#[tokio::test]
async fn every_algorithm_signs_and_verifies() {
    for algorithm in Algorithm::ALL {
        let primary = Primary::new(Some(key(algorithm)));
        let world = primary.world().await;
        let settings = settings(&world, primary.key.clone());
        assert_eq!(present(&settings, &record("a.test")).await, Ok(()), "{algorithm}");
        assert_eq!(clean_up(&settings, &record("a.test")).await, Ok(()), "{algorithm}");
    }
}

#[tokio::test]
async fn one_value_is_added_and_that_alone_deleted() {
    let primary = Primary::new(None);
    let world = primary.world().await;
    let settings = Settings { ttl: 30, ..settings(&world, None) };
    present(&settings, &record("*.a.test")).await.unwrap();
    clean_up(&settings, &record("*.a.test")).await.unwrap();
    let updates = primary.updates.lock().unwrap();
    for ((update, over), (class, ttl)) in updates.iter().zip([(DNSClass::IN, 30), (DNSClass::NONE, 0)]) {
        assert_eq!((update.metadata.op_code, *over), (OpCode::Update, Over::Udp));
        let zone = &update.queries[0];
        assert_eq!((zone.name().to_ascii().as_str(), zone.query_type()), ("a.test.", RecordType::SOA));
        assert!(update.answers.is_empty(), "no prerequisite");
        let [change] = update.authorities.as_slice() else { panic!("{update}") };
        assert_eq!(change.name.to_ascii(), "_acme-challenge.a.test.");
        assert_eq!((change.dns_class, change.ttl), (class, ttl));
        assert_eq!(change.data, RData::TXT(TXT::new(vec![record("a.test").value])));
    }
    assert_eq!(updates.len(), 2);
}

#[tokio::test]
async fn what_is_already_so_is_a_success() {
    let primary = Primary::answering(ResponseCode::YXRRSet);
    assert_eq!(primary.present().await, Ok(()));
    for code in [ResponseCode::NXRRSet, ResponseCode::NXDomain] {
        let primary = Primary::answering(code);
        let world = primary.world().await;
        let settings = settings(&world, primary.key.clone());
        assert_eq!(clean_up(&settings, &record("a.test")).await, Ok(()));
        let error = present(&settings, &record("a.test")).await.unwrap_err().to_string();
        assert!(error.contains(" to the update of _acme-challenge.a.test; "), "{error}");
    }
}

#[tokio::test]
async fn each_response_code_has_its_own_message() {
    for (code, text) in [
        (
            ResponseCode::NotAuth,
            "it answered NOTAUTH: it is not the primary of the zone a.test, or does not allow the key Key.test to \
             change it; send updates to the primary, and allow them there",
        ),
        (
            ResponseCode::NotZone,
            "it answered NOTZONE: _acme-challenge.a.test is not in its zone a.test; the zone in DNS and the server's \
             differ, so check which zones it serves",
        ),
        (
            ResponseCode::Refused,
            "it answered REFUSED: it does not allow the key Key.test to change _acme-challenge.a.test in the zone a.test; \
             allow TXT updates there (in BIND, update-policy or allow-update)",
        ),
        (
            ResponseCode::ServFail,
            "it answered SERVFAIL: it could not write the change to the zone a.test; its log says why (often it cannot \
             write its journal file, or is a secondary whose primary is down)",
        ),
        (
            ResponseCode::NotImp,
            "it answered NOTIMP: it does not support dynamic updates (RFC 2136); enable them there, or use another solver",
        ),
        (
            ResponseCode::FormErr,
            "it answered FORMERR: it cannot parse the update; an old server may not know the key's algorithm, or something \
             in between changes the messages",
        ),
        (
            ResponseCode::YXDomain,
            "it answered YXDOMAIN to the update of _acme-challenge.a.test; its log may say why",
        ),
    ] {
        let primary = Primary::answering(code);
        assert_eq!(primary.text().await, text);
        // An error is accepted without a signature, too.
        let unsigned = Primary { after: |answer| answer.signature = None, ..primary };
        assert_eq!(unsigned.text().await, text);
    }
    let without_key = Primary { key: None, ..Primary::answering(ResponseCode::Refused) };
    assert!(without_key.text().await.contains("it does not allow clients without a TSIG key to change "));
}

#[tokio::test]
async fn an_unknown_key_is_named() {
    assert_eq!(
        Primary::failing(TsigError::BadKey).text().await,
        "it answered BADKEY: it does not know a key Key.test with the algorithm hmac-sha256; both must match its \
         configuration"
    );
}

#[tokio::test]
async fn another_secret_is_explained() {
    assert_eq!(
        Primary::failing(TsigError::BadSig).text().await,
        "it answered BADSIG: its secret for the key Key.test differs from ours; store the one in its configuration"
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_compared_with_ours() {
    for (clock, text) in [
        (NOW + 3 * 3600 + 59, "its clock is 3 hours ahead of ours"),
        (NOW - 420, "its clock is 7 minutes behind ours"),
        (NOW + 86_400, "its clock is 1 day ahead of ours"),
    ] {
        let primary = Primary { clock, ..Primary::failing(TsigError::BadTime) };
        let expected =
            format!("it answered BADTIME: {text}, but at most 5 minutes are accepted; set the clocks");
        assert_eq!(primary.text().await, expected);
        let theirs = Timestamp::from_second(clock).unwrap();
        let Error::BadTime { difference: Some(difference), .. } = primary.error().await else { panic!() };
        assert_eq!(difference, ClockDifference { ours: now(), theirs });
    }
    let silent = Primary { tsig: |tsig| tsig.other.clear(), ..Primary::failing(TsigError::BadTime) };
    let text = "it answered BADTIME: its clock and ours differ by more than 5 minutes; set the clocks";
    assert_eq!(silent.text().await, text);
}

#[tokio::test]
async fn another_tsig_error_is_given_by_number() {
    assert_eq!(
        Primary::failing(TsigError::BadTrunc).text().await,
        "it answered with the TSIG error 22 for the key Key.test; its log may say why"
    );
}

#[tokio::test]
async fn tcp_is_used_when_the_answer_is_cut_short_or_asked_for() {
    let primary = Primary { truncates: true, ..Primary::answering(ResponseCode::NoError) };
    let world = primary.world().await;
    let mut settings = settings(&world, primary.key.clone());
    let overs = || primary.updates.lock().unwrap().drain(..).map(|(_, over)| over).collect::<Vec<_>>();
    assert_eq!(present(&settings, &record("a.test")).await, Ok(()));
    assert_eq!(overs(), [Over::Udp, Over::Tcp]);
    settings.protocol = DnsProtocol::Tcp;
    assert_eq!(present(&settings, &record("a.test")).await, Ok(()));
    assert_eq!(overs(), [Over::Tcp]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let mut world = World::new().await;
    let mut settings = Settings { limits: IMPATIENT, ..settings(&world, None) };
    world.serve(2, Arc::new(|_, _| None));
    let error = clean_up(&settings, &record("a.test")).await.unwrap_err().to_string();
    let server = settings.nameserver.clone();
    assert_eq!(error, format!("deleting the TXT record failed: name server {server} did not answer in time"));
    settings.nameserver = world.address(3).to_string().parse().unwrap();
    world.close(3);
    for protocol in [DnsProtocol::Udp, DnsProtocol::Tcp] {
        settings.protocol = protocol;
        let error = present(&settings, &record("a.test")).await.unwrap_err().to_string();
        let server = &settings.nameserver;
        let expected = format!("adding the TXT record failed: name server {server} refused the connection");
        assert_eq!(error, expected);
    }
    settings.nameserver = "no-such-host.invalid".parse().unwrap();
    assert_eq!(
        present(&settings, &record("a.test")).await.unwrap_err().to_string(),
        "adding the TXT record failed: the name server's name no-such-host.invalid cannot be resolved; correct \
         rfc2136.nameserver"
    );
}

#[tokio::test]
async fn a_host_name_is_resolved() {
    let mut world = World::new().await;
    let port = world.port;
    // 127.0.0.1 is the recursive server.
    let _ = world.server(3);
    let mut settings = Settings::new(format!("localhost:{port}").parse().unwrap(), None, now);
    let error = present(&settings, &record("a.test")).await.unwrap_err().to_string();
    let forbidden = format!(
        "adding the TXT record failed: name server localhost:{port} is not allowed: the operator's egress rules forbid \
         its address; an administrator can allow it with --egress-allow"
    );
    assert_eq!(error, forbidden);
    settings.egress = Egress::unrestricted();
    let error = present(&settings, &record("a.test")).await.unwrap_err().to_string();
    assert!(error != forbidden && !error.contains("cannot be resolved"), "{error}");
}

#[tokio::test]
async fn a_record_outside_its_zone_is_refused() {
    let world = World::new().await;
    let settings = settings(&world, None);
    let mut record = record("b.test");
    let error = present(&settings, &record).await.unwrap_err().to_string();
    assert_eq!(error, "_acme-challenge.b.test is not in the zone a.test");
    record.zone = "a..test".to_owned();
    let error = present(&settings, &record).await.unwrap_err().to_string();
    assert_eq!(error, "\"a..test\" is not a DNS name");
    let record = Record { value: "x".repeat(256), ..super::super::tests::record("a.test") };
    let error = present(&settings, &record).await.unwrap_err().to_string();
    assert_eq!(error, "the update for _acme-challenge.a.test is too long for a DNS message");
}

#[test]
fn every_way_to_write_a_server_is_understood() {
    for (text, shown) in [
        ("ns.test", "ns.test"),
        (" NS.test:53", "ns.test"),
        ("ns.test:5353", "ns.test:5353"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5353", "192.0.2.1:5353"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
    ] {
        let server = text.parse::<Server>().unwrap();
        assert_eq!(server.to_string(), shown);
        assert_eq!(server.to_string().parse(), Ok(server));
    }
    for text in ["", ":53", "ns.test:x", "ns.test:53:53", "a b", "udp://ns.test"] {
        let error = text.parse::<Server>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{text:?} is not a name server; ")), "{error}");
    }
}

#[test]
fn settings_do_not_show_the_secret() {
    let settings = Settings::new("ns.test".parse().unwrap(), Some(key(Algorithm::Md5)), now);
    assert!(format!("{settings:?}").contains("TsigKey(Key.test, hmac-md5)"), "{settings:?}");
}
