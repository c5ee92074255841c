use std::collections::HashMap;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use super::world::{Data, HURRIED, IMPATIENT, Over, SOA_MINIMUM, World, name};
use crate::dns01::{Location, NameServer, NotVisible};
use certwright_api::PropagationCheck;

const FQDN: &str = "_acme-challenge.a.test";

fn location() -> Location {
    Location { fqdn: format!("{FQDN}."), zone: "a.test.".to_owned(), passed_over: None }
}

/// The zone a.test with the name servers ns1 at 127.0.0.2 and ns2 at 127.0.0.3.
async fn world() -> (World, Data, Data) {
    let mut world = World::new().await;
    world.known.add(&["a.test SOA", "a.test NS ns1.a.test", "a.test NS NS2.a.test"]);
    world.known.add(&["ns1.a.test A 127.0.0.2", "ns2.a.test A 127.0.0.3"]);
    let (ns1, ns2) = (world.server(2), world.server(3));
    ns1.add(&["a.test SOA", "_acme-challenge.a.test TXT ours"]);
    ns2.add(&["a.test SOA"]);
    (world, ns1, ns2)
}

async fn visible(world: &World) -> Result<(), NotVisible> {
    let resolver = world.resolver();
    resolver.visible(&location(), "ours", PropagationCheck::Authoritative).await.map(|_| ())
}

async fn recursive(world: &World) -> Result<(), NotVisible> {
    world.resolver().visible(&location(), "ours", PropagationCheck::Recursive).await.map(|_| ())
}

async fn text(world: &World) -> String {
    let text = visible(world).await.unwrap_err().to_string();
    assert_eq!(visible(world).await.unwrap_err().to_string(), text, "stable");
    text
}

fn without(ns2: &str) -> String {
    format!("1 of 2 name servers of a.test have the TXT record at {FQDN}: ns2.a.test (127.0.0.3) {ns2}")
}

#[tokio::test]
async fn a_value_on_every_server_is_visible_and_costs_only_the_queries() {
    let (world, ns1, ns2) = world().await;
    ns2.add(&["_acme-challenge.a.test TXT ours"]);
    assert_eq!(visible(&world).await, Ok(()));
    let mut asked = HashMap::new();
    for (name, kind, over) in world.known.queries() {
        assert_eq!(over, Over::Udp);
        *asked.entry((name, kind)).or_insert(0) += 1;
    }
    let once = [
        ("a.test.", RecordType::NS),
        ("ns1.a.test.", RecordType::A),
        ("ns1.a.test.", RecordType::AAAA),
        ("ns2.a.test.", RecordType::A),
        ("ns2.a.test.", RecordType::AAAA),
    ];
    assert_eq!(asked, once.into_iter().map(|(name, kind)| ((name.to_owned(), kind), 1)).collect());
    let txt = [(format!("{FQDN}."), RecordType::TXT, Over::Udp)];
    assert_eq!((ns1.queries(), ns2.queries()), (txt.to_vec(), txt.to_vec()));
}

#[tokio::test]
async fn the_values_are_counted_at_the_server_that_has_most_of_them() {
    let (world, ns1, ns2) = world().await;
    ns2.add(&["_acme-challenge.a.test TXT ours"]);
    world.known.add(&["_acme-challenge.a.test TXT ours"]);
    for number in 0..70 {
        let one = format!("_acme-challenge.a.test TXT value-{number:0>40}");
        ns2.add(&[one.as_str()]);
        if number < 30 {
            ns1.add(&[one.as_str()]);
            world.known.add(&[one.as_str()]);
        }
    }
    let resolver = world.resolver();
    for (check, count) in [(PropagationCheck::Authoritative, 71), (PropagationCheck::Recursive, 31)] {
        assert_eq!(resolver.visible(&location(), "ours", check).await, Ok(count), "{check:?}");
    }
}

#[tokio::test]
async fn a_lagging_server_is_named() {
    let (world, _, ns2) = world().await;
    assert_eq!(text(&world).await, without("has no such name (NXDOMAIN)"));
    ns2.add(&["x._acme-challenge.a.test TXT other"]);
    assert_eq!(text(&world).await, without("has no TXT record there"));
    ns2.add(&["_acme-challenge.a.test TXT old", "_acme-challenge.a.test TXT older"]);
    assert_eq!(text(&world).await, without("has TXT records with other values there"));
    ns2.add(&["_acme-challenge.a.test TXT ours"]);
    assert_eq!(visible(&world).await, Ok(()));
}

#[tokio::test]
async fn a_cname_in_the_place_of_the_record_is_shown() {
    let (world, _, ns2) = world().await;
    ns2.add(&["_acme-challenge.a.test CNAME x.acme.test"]);
    let what = "has a CNAME there that points to x.acme.test; set cnameStrategy to Follow or remove it";
    assert_eq!(text(&world).await, without(what));
}

#[tokio::test]
async fn a_server_that_does_not_serve_the_zone_is_named_with_what_it_said() {
    for (code, what) in [
        (ResponseCode::Refused, "answered REFUSED (it does not serve this client, or not this name)"),
        (ResponseCode::ServFail, "answered SERVFAIL (it has not loaded the zone, or its copy is too old)"),
        (ResponseCode::NotImp, "answered NOTIMP"),
    ] {
        let (world, _, ns2) = world().await;
        ns2.code(FQDN, code);
        assert_eq!(text(&world).await, without(what));
    }
    let (world, _, ns2) = world().await;
    ns2.lame();
    assert_eq!(text(&world).await, without("does not serve the zone, although an NS record names it"));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named() {
    let (world, _, ns2) = world().await;
    ns2.silent(FQDN);
    let resolver = world.resolver().with_limits(IMPATIENT);
    let error = resolver.visible(&location(), "ours", PropagationCheck::Authoritative).await.unwrap_err();
    assert_eq!(error.to_string(), without("did not answer in time"));

    let mut world = World::new().await;
    world.known.add(&["a.test SOA", "a.test NS ns1.a.test", "ns1.a.test A 127.0.0.2"]);
    world.close(2);
    let error = visible(&world).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "0 of 1 name servers of a.test have the TXT record at {FQDN}: ns1.a.test (127.0.0.2) refused the connection"
        )
    );
}

#[tokio::test]
async fn an_address_that_gives_no_answer_does_not_count_beside_one_that_does() {
    let (mut world, ns1, ns2) = world().await;
    ns2.add(&["_acme-challenge.a.test TXT ours"]);
    world.close(4);
    // Nothing listens at ::1 and at 127.0.0.4.
    world.known.add(&["ns1.a.test AAAA ::1", "ns1.a.test A 127.0.0.4"]);
    assert_eq!(visible(&world).await, Ok(()));
    ns1.code(FQDN, ResponseCode::Refused);
    assert!(text(&world).await.ends_with(
        "ns1.a.test (127.0.0.2) answered REFUSED (it does not serve this client, or not this name)"
    ));
}

#[tokio::test]
async fn every_address_of_a_server_has_to_have_the_value() {
    let (mut world, _, ns2) = world().await;
    ns2.add(&["_acme-challenge.a.test TXT ours"]);
    world.server(4).add(&["a.test SOA"]);
    world.known.add(&["ns2.a.test A 127.0.0.4"]);
    assert!(text(&world).await.ends_with(": ns2.a.test (127.0.0.4) has no such name (NXDOMAIN)"));
}

#[tokio::test]
async fn name_servers_that_cannot_be_found_are_told_apart() {
    let world = World::new().await;
    world.known.add(&["a.test SOA"]);
    assert_eq!(
        text(&world).await,
        "the zone a.test has no NS records; add them, or set propagation.check to Recursive"
    );
    world.known.add(&["a.test NS ns.a.test"]);
    assert!(
        text(&world).await.ends_with(": ns.a.test has no address in DNS, although an NS record names it")
    );
    world.known.code("ns.a.test", ResponseCode::ServFail);
    let what = format!(
        "ns.a.test has an address that cannot be looked up: name server {} answered",
        world.recursive()
    );
    assert!(text(&world).await.contains(&what));
    world.known.code("a.test", ResponseCode::Refused);
    let start = format!(
        "finding the name servers of a.test failed: name server {} answered REFUSED",
        world.recursive()
    );
    assert!(text(&world).await.starts_with(&start));
}

#[tokio::test]
async fn a_location_that_cannot_be_is_not_visible() {
    let (world, ..) = world().await;
    let location = Location { fqdn: "a..b.".to_owned(), zone: "b.".to_owned(), passed_over: None };
    for check in [PropagationCheck::Authoritative, PropagationCheck::Recursive] {
        let error = world.resolver().visible(&location, "ours", check).await.unwrap_err();
        assert_eq!(error, NotVisible::NotAName { name: "a..b.".to_owned() });
    }
}

#[tokio::test]
async fn one_value_among_a_hundred_is_found_over_tcp() {
    let (world, ns1, ns2) = world().await;
    for data in [&ns1, &ns2] {
        for number in 0..99 {
            data.add(&[&format!("{FQDN} TXT {number:043}")]);
        }
    }
    ns2.add(&["_acme-challenge.a.test TXT ours"]);
    assert_eq!(visible(&world).await, Ok(()));
    let over = ns2.queries().into_iter().map(|(_, _, over)| over).collect::<Vec<_>>();
    assert_eq!(over, [Over::Udp, Over::Tcp]);
}

#[tokio::test]
async fn a_long_answer_of_a_server_without_tcp_is_explained() {
    for (hangs, what) in [
        (false, "refused the connection over TCP; open its port for TCP, too"),
        (true, "did not answer in time over TCP; open its port for TCP, too"),
    ] {
        let mut world = World::new().await;
        world.known.add(&["a.test SOA", "a.test NS ns1.a.test", "ns1.a.test A 127.0.0.2"]);
        if hangs {
            world.hang_tcp(2)
        } else {
            world.close_tcp(2)
        }
        let ns1 = world.server(2);
        for number in 0..99 {
            ns1.add(&[&format!("{FQDN} TXT {number:043}")]);
        }
        let resolver = world.resolver().with_limits(IMPATIENT);
        let error = resolver.visible(&location(), "ours", PropagationCheck::Authoritative).await.unwrap_err();
        assert!(error.to_string().ends_with(what), "{error}");
    }
}

#[tokio::test]
async fn a_value_in_several_strings_is_joined() {
    let (world, _, ns2) = world().await;
    let data = RData::TXT(TXT::new(vec!["ou".to_owned(), "rs".to_owned()]));
    ns2.add_record(Record::from_rdata(name(FQDN), 60, data));
    assert_eq!(visible(&world).await, Ok(()));
}

#[tokio::test]
async fn recursive_servers_are_queried_if_configured() {
    let mut world = World::new().await;
    world.known.add(&["a.test SOA", "_acme-challenge.a.test CNAME x.acme.test", "x.acme.test TXT ours"]);
    assert_eq!(recursive(&world).await, Ok(()));
    let second = world.server(2);
    second.code(FQDN, ResponseCode::ServFail);
    let servers = [1, 2].map(|number| NameServer::Plain(world.address(number)));
    let resolver = world.resolver_of(&servers);
    let error = resolver.visible(&location(), "ours", PropagationCheck::Recursive).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "1 of 2 recursive name servers have the TXT record at {FQDN}: {} answered SERVFAIL (it cannot reach the \
             zone's name servers, or DNSSEC signatures are wrong)",
            servers[1]
        )
    );
}

#[tokio::test]
async fn a_negative_answer_may_be_cached() {
    let world = World::new().await;
    world.known.add(&["a.test SOA"]);
    let start = format!("0 of 1 recursive name servers have the TXT record at {FQDN}: {}", world.recursive());
    let remembered =
        format!("; it may have cached that, for at most {SOA_MINIMUM} s (the zone's SOA minimum)");
    let text = recursive(&world).await.unwrap_err().to_string();
    assert_eq!(text, format!("{start} has no such name (NXDOMAIN){remembered}"));
    world.known.add(&["x._acme-challenge.a.test TXT x"]);
    let text = recursive(&world).await.unwrap_err().to_string();
    assert_eq!(text, format!("{start} has no TXT record there{remembered}"));
    world.known.add(&["_acme-challenge.a.test TXT x"]);
    let text = recursive(&world).await.unwrap_err().to_string();
    assert_eq!(text, format!("{start} has TXT records with other values there"));
}

#[tokio::test]
async fn a_call_ends_even_if_every_server_is_slow() {
    let world = World::new().await;
    world.known.silent("a.test").silent(FQDN);
    let resolver = world.resolver().with_limits(HURRIED);
    for check in [PropagationCheck::Authoritative, PropagationCheck::Recursive] {
        let error = resolver.visible(&location(), "ours", check).await.unwrap_err();
        let text = format!("querying the TXT record at {FQDN} took too long; check the name servers");
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn at_most_thirteen_name_servers_of_a_zone_are_queried() {
    let mut world = World::new().await;
    world.known.add(&["a.test SOA"]);
    for number in 0..2000 {
        let ns = format!("ns{number}.a.test");
        world.known.add(&[&format!("a.test NS {ns}"), &format!("{ns} A 127.0.0.2")]);
    }
    let server = world.server(2);
    server.add(&["a.test SOA"]);
    let text = text(&world).await;
    let begin =
        "0 of 13 name servers of a.test (it has 2000, of which 13 are queried) have the TXT record at";
    assert!(text.starts_with(begin), "{text}");
    let looks = 2;
    let addresses = world.known.queries().iter().filter(|(_, kind, _)| *kind == RecordType::A).count();
    assert_eq!((addresses, server.queries().len()), (13 * looks, 13 * looks));
}

#[tokio::test]
async fn at_most_four_addresses_of_a_name_server_are_queried() {
    let mut world = World::new().await;
    world.known.add(&["a.test SOA", "a.test NS ns1.a.test"]);
    let server = world.server(2);
    server.add(&["a.test SOA", "_acme-challenge.a.test TXT ours"]);
    world.known.add(&["ns1.a.test A 127.0.0.2"]);
    for number in 3..200 {
        // Nothing listens at these, which does not matter if another one answers.
        world.known.add(&[&format!("ns1.a.test A 127.0.1.{number}")]);
    }
    assert_eq!(visible(&world).await, Ok(()));
    for number in 3..200 {
        world.known.add(&[&format!("ns1.a.test AAAA ::1:{number:x}")]);
    }
    assert_eq!(visible(&world).await, Ok(()), "of both kinds");
    assert_eq!(server.queries().len(), 2);
}
