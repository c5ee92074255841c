#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use tokio::net::UdpSocket;

use super::world::{HURRIED, IMPATIENT, Over, World};
use crate::dns01::{CHALLENGE_LABEL, Whose};
use crate::dns01::{LocateError, Location, NameServer, Resolver};
use certwright_api::CnameStrategy;
use certwright_egress::Egress;

async fn follow(world: &World, name: &str) -> Result<Location, LocateError> {
    world.resolver().locate(CHALLENGE_LABEL, name, CnameStrategy::Follow).await
}

async fn text(world: &World, name: &str) -> String {
    let text = follow(world, name).await.unwrap_err().to_string();
    assert_eq!(follow(world, name).await.unwrap_err().to_string(), text, "stable");
    text
}

fn at(fqdn: &str, zone: &str) -> Result<Location, LocateError> {
    Ok(Location { fqdn: fqdn.to_owned(), zone: zone.to_owned(), passed_over: None })
}

async fn world() -> World {
    let world = World::new().await;
    world.known.add(&[". SOA", "com SOA", "a.test SOA", "www.a.test A 192.0.2.1", "acme.test SOA"]);
    world
}

#[tokio::test]
async fn a_name_without_a_cname_costs_one_query() {
    let world = world().await;
    assert_eq!(follow(&world, "a.test").await, at("_acme-challenge.a.test.", "a.test."));
    let asked = ("_acme-challenge.a.test.".to_owned(), RecordType::CNAME, Over::Udp);
    assert_eq!(world.known.queries(), [asked]);
    let located = world.resolver().locate(CHALLENGE_LABEL, "a.test", CnameStrategy::None).await;
    assert_eq!(located, at("_acme-challenge.a.test.", "a.test."));
    assert_eq!(world.known.queries().len(), 1);
}

#[tokio::test]
async fn a_wildcard_has_the_challenge_of_its_apex() {
    let world = world().await;
    for name in ["*.a.test", "A.Test.", "*.a.TEST."] {
        assert_eq!(follow(&world, name).await, at("_acme-challenge.a.test.", "a.test."), "{name}");
    }
}

#[tokio::test]
async fn the_closest_zone_is_found_for_a_name_deep_below_it() {
    let world = world().await;
    world.known.add(&["sub.a.test SOA"]);
    assert_eq!(follow(&world, "x.y.a.test").await, at("_acme-challenge.x.y.a.test.", "a.test."));
    assert_eq!(follow(&world, "x.sub.a.test").await, at("_acme-challenge.x.sub.a.test.", "sub.a.test."));
    world.known.add(&["_acme-challenge.a.test SOA"]);
    assert_eq!(follow(&world, "a.test").await, at("_acme-challenge.a.test.", "_acme-challenge.a.test."));
}

#[tokio::test]
async fn the_zone_is_found_where_negative_answers_lack_the_soa() {
    let world = world().await;
    world.known.without_soa();
    assert_eq!(follow(&world, "x.a.test").await, at("_acme-challenge.x.a.test.", "a.test."));
    assert_eq!(follow(&world, "www.a.test").await, at("_acme-challenge.www.a.test.", "a.test."));
}

#[tokio::test]
async fn cnames_are_followed_across_zones_and_several_hops() {
    let world = world().await;
    world.known.add(&[
        "_acme-challenge.a.test CNAME One.acme.test",
        "one.acme.test CNAME two.a.test",
        "two.a.test CNAME x.acme.test",
    ]);
    assert_eq!(follow(&world, "a.test").await, at("x.acme.test.", "acme.test."));
}

#[tokio::test]
async fn a_cname_is_left_alone_if_so_wanted() {
    let world = world().await;
    world.known.add(&["_acme-challenge.a.test CNAME x.acme.test"]);
    let located = world.resolver().locate(CHALLENGE_LABEL, "a.test", CnameStrategy::None).await;
    assert_eq!(located, at("_acme-challenge.a.test.", "a.test."));
}

#[tokio::test]
async fn cnames_in_a_circle_are_shown() {
    let world = world().await;
    world.known.add(&["_acme-challenge.a.test CNAME one.a.test", "one.a.test CNAME two.a.test"]);
    world.known.add(&["two.a.test CNAME one.a.test"]);
    assert_eq!(
        text(&world, "a.test").await,
        "the CNAMEs at _acme-challenge.a.test form a loop (_acme-challenge.a.test to one.a.test to two.a.test to \
         one.a.test); point the last one to the name of the TXT record"
    );
}

#[tokio::test]
async fn sixteen_cnames_are_followed_and_seventeen_are_not() {
    let world = world().await;
    world.known.add(&["_acme-challenge.a.test CNAME c1.a.test"]);
    for hop in 1..16 {
        world.known.add(&[&format!("c{hop}.a.test CNAME c{}.a.test", hop + 1)]);
    }
    assert_eq!(follow(&world, "a.test").await, at("c16.a.test.", "a.test."));
    world.known.add(&["c16.a.test CNAME c17.a.test"]);
    assert_eq!(
        text(&world, "a.test").await,
        "there are more than 16 CNAMEs in a row at _acme-challenge.a.test; shorten the chain, because CAs follow fewer"
    );
}

#[tokio::test]
async fn a_wildcard_cname_that_catches_the_challenge_by_accident_is_passed_over() {
    let world = world().await;
    world.known.add(&["*.a.test CNAME ingress.acme.test"]);
    let passed_over = |fqdn: &str| {
        let location = at(fqdn, "a.test.").unwrap();
        Ok(Location { passed_over: Some("ingress.acme.test".to_owned()), ..location })
    };
    for (name, challenge) in
        [("a.test", "_acme-challenge.a.test."), ("x.y.a.test", "_acme-challenge.x.y.a.test.")]
    {
        assert_eq!(follow(&world, name).await, passed_over(challenge));
    }
    let located = world.resolver().locate(CHALLENGE_LABEL, "a.test", CnameStrategy::None).await;
    assert_eq!(located, at("_acme-challenge.a.test.", "a.test."));
}

#[tokio::test]
async fn a_cname_set_on_purpose_beside_a_wildcard_is_followed() {
    let world = world().await;
    world.known.add(&["*.a.test CNAME ingress.acme.test", "_acme-challenge.a.test CNAME x.acme.test"]);
    assert_eq!(follow(&world, "a.test").await, at("x.acme.test.", "acme.test."));
}

#[tokio::test]
async fn a_cname_into_no_domain_is_called_dangling() {
    let world = world().await;
    for (name, target) in [("one.a.test", "x.gone.com"), ("two.a.test", "x.no-such-tld")] {
        world.known.add(&[&format!("_acme-challenge.{name} CNAME {target}")]);
        assert_eq!(
            text(&world, name).await,
            format!(
                "the CNAME at _acme-challenge.{name} points to {target}, but there is no such domain; create its zone, \
                 or point the CNAME elsewhere"
            )
        );
    }
}

#[tokio::test]
async fn a_cname_to_a_name_that_does_not_exist_yet_is_not_dangling() {
    let world = world().await;
    world.known.add(&["_acme-challenge.a.test CNAME deep.down.acme.test"]);
    assert_eq!(follow(&world, "a.test").await, at("deep.down.acme.test.", "acme.test."));
}

#[tokio::test]
async fn a_name_in_no_zone_is_refused() {
    let world = world().await;
    for name in ["gone.com", "www.gone.com", "gone.no-such-tld"] {
        let expected = format!(
            "there is no zone for _acme-challenge.{name}: the name servers find no such domain; create it, or \
             configure others for dns-01"
        );
        assert_eq!(text(&world, name).await, expected);
        let as_it_is = world.resolver().locate(CHALLENGE_LABEL, name, CnameStrategy::None).await.unwrap_err();
        assert_eq!(as_it_is.to_string(), expected);
    }
    let nowhere = World::new().await;
    assert!(matches!(follow(&nowhere, "a.test").await, Err(LocateError::NoZone { .. })));
}

#[tokio::test]
async fn a_private_top_level_zone_may_hold_names() {
    let world = world().await;
    world.known.add(&["corp SOA", "host.corp A 192.0.2.1"]);
    assert_eq!(follow(&world, "host.corp").await, at("_acme-challenge.host.corp.", "corp."));
    assert_eq!(follow(&world, "*.corp").await, at("_acme-challenge.corp.", "corp."));
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    let world = world().await;
    for name in ["", "*", "*.", "a..test", "a b.test", "a/b", "bücher.test", &"a.".repeat(200)] {
        assert!(matches!(follow(&world, name).await, Err(LocateError::NotAName { .. })), "{name}");
    }
}

#[tokio::test]
async fn each_failure_has_its_own_message() {
    let world = world().await;
    let resolver = world.resolver().with_limits(IMPATIENT);
    world.known.silent("_acme-challenge.silent.test");
    for (name, code) in [
        ("servfail.test", ResponseCode::ServFail),
        ("refused.test", ResponseCode::Refused),
        ("formerr.test", ResponseCode::FormErr),
        ("odd.test", ResponseCode::Unknown(3841 - 3830)),
    ] {
        world.known.code(&format!("_acme-challenge.{name}"), code);
    }
    for (name, what) in [
        (
            "servfail.test",
            "answered SERVFAIL (it cannot reach the zone's name servers, or DNSSEC signatures are wrong)",
        ),
        ("refused.test", "answered REFUSED (it does not serve this client, or not this name)"),
        ("formerr.test", "answered FORMERR"),
        ("odd.test", "answered the response code 11"),
        ("silent.test", "did not answer in time"),
    ] {
        let error = resolver.locate(CHALLENGE_LABEL, name, CnameStrategy::Follow).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "looking up _acme-challenge.{name} failed: name server {} {what}; check these name servers, or \
                 configure others for dns-01",
                world.recursive()
            )
        );
    }
}

#[tokio::test]
async fn a_failing_lookup_of_a_random_name_does_not_show_that_name() {
    let world = world().await;
    world.known.add(&["_acme-challenge.a.test CNAME x.acme.test", "*.a.test CNAME lost.test"]);
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let upstream = world.address(1);
    // Forwards queries for the challenge and rejects the rest.
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = server.recv_from(&mut buffer).await {
            let mut answer = buffer[..length].to_vec();
            if answer.windows(15).any(|window| window == b"_acme-challenge") {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.send_to(&answer, upstream).await.unwrap();
                let length = socket.recv(&mut buffer).await.unwrap();
                answer = buffer[..length].to_vec();
            } else {
                answer[2] |= 0x80;
                answer[3] = 5;
            }
            server.send_to(&answer, peer).await.unwrap();
        }
    });
    let resolver =
        Resolver::new(&[NameServer::Plain(address)], Whose::Administrators, &Egress::default()).unwrap();
    let error =
        resolver.locate(CHALLENGE_LABEL, "a.test", CnameStrategy::Follow).await.unwrap_err().to_string();
    let expected =
        format!("looking up a random name under a.test failed: name server {address} answered REFUSED");
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn the_next_server_decides_where_one_fails() {
    let mut world = world().await;
    let broken = world.server(2);
    broken.code("_acme-challenge.a.test", ResponseCode::ServFail);
    world.close(3);
    let servers = [2, 3, 1].map(|number| NameServer::Plain(world.address(number)));
    let resolver = world.resolver_of(&servers);
    let located = resolver.locate(CHALLENGE_LABEL, "a.test", CnameStrategy::Follow).await;
    assert_eq!(located, at("_acme-challenge.a.test.", "a.test."));
    world.known.code("_acme-challenge.a.test", ResponseCode::Refused);
    let error =
        resolver.locate(CHALLENGE_LABEL, "a.test", CnameStrategy::Follow).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "looking up _acme-challenge.a.test failed: name server {} answered SERVFAIL (it cannot reach the zone's name \
             servers, or DNSSEC signatures are wrong), name server {} refused the connection, name server {} answered \
             REFUSED (it does not serve this client, or not this name); check these name servers, or configure \
             others for dns-01",
            servers[0], servers[1], servers[2]
        )
    );
}

#[tokio::test]
async fn a_failing_lookup_of_a_cname_target_names_the_cname() {
    let world = world().await;
    world
        .known
        .add(&["_acme-challenge.a.test CNAME x.lame.test"])
        .code("x.lame.test", ResponseCode::ServFail);
    let text = text(&world, "a.test").await;
    let start =
        "looking up x.lame.test (the target of the CNAME at _acme-challenge.a.test) failed: name server ";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn a_call_ends_even_if_every_server_is_slow() {
    let world = world().await;
    world.known.silent("_acme-challenge.a.test");
    let resolver = world.resolver().with_limits(HURRIED);
    for strategy in [CnameStrategy::None, CnameStrategy::Follow] {
        assert_eq!(
            resolver.locate(CHALLENGE_LABEL, "a.test", strategy).await.unwrap_err().to_string(),
            "the lookups for _acme-challenge.a.test took too long; check the name servers, or configure others for \
             dns-01"
        );
    }
}
