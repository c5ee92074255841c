//! Which CAA records apply to a name.

use std::sync::Arc;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::RecordType;

use super::world::{HURRIED, IMPATIENT, World};
use crate::dns01::{CaaLookupError, CaaRecord, CaaRecords, Resolver};

#[tokio::test]
async fn the_closest_domain_with_records_counts() {
    let world = World::new().await;
    world.known.add(&[
        "test SOA",
        "a.test CAA 0;issue;one.example",
        "b.a.test CAA 128;issuewild;two.example",
    ]);
    world.known.add(&["b.a.test CAA 0;issue;", "c.a.test A 192.0.2.1"]);
    let resolver = world.resolver();
    assert_eq!(
        caa(&resolver, "www.b.a.test").await,
        found("b.a.test", &[(false, "issue", ""), (true, "issuewild", "two.example")])
    );
    for name in ["a.test", "c.a.test", "x.y.c.a.test", "*.c.a.test", "C.A.TEST."] {
        assert_eq!(caa(&resolver, name).await, found("a.test", &[(false, "issue", "one.example")]), "{name}");
    }
    assert_eq!(caa(&resolver, "other.test").await, Ok(None));
}

#[tokio::test]
async fn parents_that_names_share_are_queried_once() {
    let world = World::new().await;
    world.known.add(&["test SOA", "a.test A 192.0.2.1"]);
    let names = ["a.test", "b.a.test", "*.b.a.test", "c.a.test"].map(str::to_owned);
    let answers = world.resolver().caa(&names.into()).await;
    assert!(answers.len() == 4 && answers.values().all(|answer| *answer == Ok(None)), "{answers:?}");
    let mut queries: Vec<_> = world.known.queries().into_iter().map(|(name, kind, _)| (name, kind)).collect();
    queries.sort();
    let expected = ["a.test.", "b.a.test.", "c.a.test.", "test."];
    assert_eq!(queries, expected.map(|name| (name.to_owned(), RecordType::CAA)));
}

#[tokio::test]
async fn the_target_of_a_cname_counts_and_its_parents_do_not() {
    let world = World::new().await;
    world.known.add(&["test SOA", "host.test SOA", "host.test CAA 0;issue;host.example"]);
    world.known.add(&["a.test CAA 0;issue;a.example", "www.a.test CNAME one.host.test"]);
    world.known.add(&["alias.a.test CNAME two.host.test", "two.host.test CAA 0;issue;two.example"]);
    let resolver = world.resolver();
    assert_eq!(caa(&resolver, "www.a.test").await, found("a.test", &[(false, "issue", "a.example")]));
    assert_eq!(
        caa(&resolver, "alias.a.test").await,
        found("two.host.test", &[(false, "issue", "two.example")])
    );
}

/// A server that does not follow CNAMEs itself.
#[tokio::test]
async fn cnames_are_followed_and_a_loop_ends() {
    let mut world = World::new().await;
    let known = world.server(2);
    known.add(&["a.test CNAME b.test", "b.test CNAME c.test", "c.test CAA 0;issue;c.example"]);
    known.add(&["l.test CNAME m.test", "m.test CNAME l.test"]).without_soa();
    let one_step = move |bytes: &[u8], _| {
        let mut answer = Message::from_vec(&known.answer(bytes)?).ok()?;
        answer.answers.truncate(1);
        answer.to_vec().ok()
    };
    world.serve(3, Arc::new(one_step));
    let resolver = world.resolver_of(&[crate::dns01::NameServer::Plain(world.address(3))]);
    assert_eq!(caa(&resolver, "a.test").await, found("c.test", &[(false, "issue", "c.example")]));
    assert_eq!(
        caa(&resolver, "l.test").await,
        Err(CaaLookupError::TooManyCnames { domain: "l.test".to_owned() })
    );
}

#[tokio::test]
async fn a_failing_lookup_is_told_from_no_records() {
    let world = World::new().await;
    world.known.add(&["test SOA", "a.b.test CAA 0;issue;a.example", "c.test A 192.0.2.1"]);
    world.known.code("b.test", ResponseCode::ServFail).silent("d.test");
    let resolver = world.resolver().with_limits(IMPATIENT);
    // The failure of a parent does not matter if the name has records.
    assert_eq!(caa(&resolver, "a.b.test").await, found("a.b.test", &[(false, "issue", "a.example")]));
    let error = caa(&resolver, "x.b.test").await.unwrap_err();
    assert!(
        error.to_string().starts_with("looking up the CAA records of b.test failed: name server 127.0.0.1")
    );
    assert!(!resolver.is_bogus(&error).await, "it fails without DNSSEC, too");
    let error = caa(&resolver, "d.test").await.unwrap_err();
    assert!(error.to_string().ends_with("did not answer in time"), "{error}");
    assert!(!resolver.is_bogus(&error).await);
    for name in ["", "a b.test", "\u{e9}.test"] {
        assert_eq!(caa(&resolver, name).await, Err(CaaLookupError::NotAName { name: name.to_owned() }));
    }
    let names = ["a.b.test", "d.test"].map(str::to_owned);
    let answers = world.resolver().with_limits(HURRIED).caa(&names.into()).await;
    assert_eq!(answers["d.test"], Err(CaaLookupError::OutOfTime { domain: "d.test".to_owned() }));
    assert_eq!(answers["a.b.test"], found("a.b.test", &[(false, "issue", "a.example")]));
}

#[tokio::test]
async fn signatures_are_to_blame_if_there_is_an_answer_without_them() {
    let mut world = World::new().await;
    let known = world.server(2);
    known.add(&["test SOA", "a.test CAA 0;issue;a.example"]);
    let validating = move |bytes: &[u8], _| {
        let query = Message::from_vec(bytes).ok()?;
        let mut answer = Message::from_vec(&known.answer(bytes)?).ok()?;
        if !query.metadata.checking_disabled {
            answer.metadata.response_code = ResponseCode::ServFail;
        }
        answer.to_vec().ok()
    };
    world.serve(3, Arc::new(validating));
    let resolver = world.resolver_of(&[crate::dns01::NameServer::Plain(world.address(3))]);
    let error = caa(&resolver, "a.test").await.unwrap_err();
    assert!(resolver.is_bogus(&error).await, "{error}");
}

async fn caa(resolver: &Resolver, name: &str) -> Result<Option<CaaRecords>, CaaLookupError> {
    let mut answers = resolver.caa(&[name.to_owned()].into()).await;
    answers.remove(name).unwrap()
}

fn found(domain: &str, records: &[(bool, &str, &str)]) -> Result<Option<CaaRecords>, CaaLookupError> {
    let records = records.iter().map(|(critical, tag, value)| CaaRecord {
        critical: *critical,
        tag: (*tag).to_owned(),
        value: value.as_bytes().to_vec(),
    });
    Ok(Some(CaaRecords { domain: domain.to_owned(), records: records.collect() }))
}
