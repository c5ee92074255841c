use std::sync::Arc;

use hickory_resolver::proto::op::{Message, ResponseCode};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::world::{Handler, IMPATIENT, Over, World};
use crate::dns01::{CHALLENGE_LABEL, Location, NameServer, NotVisible, Resolver, Whose};
use certwright_api::{CnameStrategy, PropagationCheck};
use certwright_egress::Egress;

async fn failure(resolver: &Resolver) -> String {
    let text =
        resolver.locate(CHALLENGE_LABEL, "a.test", CnameStrategy::Follow).await.unwrap_err().to_string();
    let text = text.strip_prefix("looking up _acme-challenge.a.test failed: name server ").unwrap();
    let text = text.strip_suffix("; check these name servers, or configure others for dns-01").unwrap();
    text.split_once(' ').unwrap().1.to_owned()
}

/// A resolver whose server answers with `handler`.
async fn resolver_with(handler: Handler) -> Resolver {
    let mut world = World::new().await;
    world.serve(2, handler);
    world.resolver_of(&[NameServer::Plain(world.address(2))])
}

/// The same, for a server that does not give a usable answer.
async fn impatient_resolver_with(handler: Handler) -> Resolver {
    resolver_with(handler).await.with_limits(IMPATIENT)
}

/// A resolver that an administrator configures.
fn resolver_of(server: NameServer) -> Resolver {
    Resolver::new(&[server], Whose::Administrators, &Egress::default()).unwrap()
}

fn refusal(request: &[u8]) -> Message {
    let request = Message::from_vec(request).unwrap();
    let mut answer = Message::error_msg(request.metadata.id, request.metadata.op_code, ResponseCode::Refused);
    answer.queries = request.queries;
    answer
}

#[tokio::test]
async fn an_answer_to_something_else_is_not_taken() {
    let tampered: [fn(&mut Message); 4] = [
        |answer| answer.metadata.id ^= 1,
        |answer| {
            answer.queries[0].set_name("b.test.".parse().unwrap());
        },
        |answer| answer.metadata.message_type = hickory_resolver::proto::op::MessageType::Query,
        |answer| {
            answer.metadata.response_code = ResponseCode::NoError;
            answer.queries.clear();
        },
    ];
    for tamper in tampered {
        let resolver = impatient_resolver_with(Arc::new(move |request, _| {
            let mut answer = refusal(request);
            tamper(&mut answer);
            Some(answer.to_vec().unwrap())
        }));
        assert_eq!(failure(&resolver.await).await, "sent an answer that does not match the query");
    }
}

#[tokio::test]
async fn an_invalid_dns_message_is_distinguished_from_no_answer() {
    let resolver = impatient_resolver_with(Arc::new(|_, _| Some(b"HTTP/1.1 400 Bad Request".to_vec()))).await;
    assert_eq!(failure(&resolver).await, "sent an answer that does not match the query");
    let resolver = impatient_resolver_with(Arc::new(|_, _| None)).await;
    assert_eq!(failure(&resolver).await, "did not answer in time");
}

#[tokio::test]
async fn an_error_may_come_as_a_header_alone() {
    let resolver = resolver_with(Arc::new(|request, _| {
        let mut answer = refusal(request);
        answer.queries.clear();
        Some(answer.to_vec().unwrap())
    }));
    let refused = "answered REFUSED (it does not serve this client, or not this name)";
    assert_eq!(failure(&resolver.await).await, refused);
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let resolver = resolver_with(Arc::new(move |request, _| {
        if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return None;
        }
        Some(refusal(request).to_vec().unwrap())
    }));
    assert!(failure(&resolver.await).await.starts_with("answered REFUSED"));
}

#[tokio::test]
async fn an_answer_cut_short_is_fetched_over_tcp() {
    fn over_tcp(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Handler {
        Arc::new(move |request, over| match over {
            Over::Udp => Some(refusal(request).truncate().to_vec().unwrap()),
            Over::Tcp => answer(request),
        })
    }
    let resolver = resolver_with(over_tcp(|request| Some(refusal(request).to_vec().unwrap()))).await;
    assert!(failure(&resolver).await.starts_with("answered REFUSED"));
    let resolver = resolver_with(over_tcp(|_| Some(vec![0; 40]))).await;
    assert_eq!(failure(&resolver).await, "sent an answer that does not match the query");
    // The fake server closes the connection if it has no answer.
    let resolver = impatient_resolver_with(over_tcp(|_| None)).await;
    assert_eq!(failure(&resolver).await, "closed the connection before its answer was complete");
}

#[tokio::test]
async fn names_are_looked_up_over_https() {
    let world = World::new().await;
    world.known.add(&["a.test SOA"]);
    let server = MockServer::start().await;
    let upstream = world.known.clone();
    Mock::given(method("POST"))
        .and(path("/dns-query"))
        .and(header("content-type", "application/dns-message"))
        .respond_with(move |request: &Request| {
            let answer = upstream.answer(&request.body).unwrap();
            ResponseTemplate::new(200).set_body_raw(answer, "application/dns-message")
        })
        .mount(&server)
        .await;
    let url = |path: &str| NameServer::Https(format!("{}{path}", server.uri()).parse().unwrap());
    let resolver = resolver_of(url("/dns-query"));
    let located = resolver.locate(CHALLENGE_LABEL, "a.test", CnameStrategy::Follow).await;
    let (fqdn, zone) = ("_acme-challenge.a.test.".to_owned(), "a.test.".to_owned());
    let expected = Location { fqdn, zone, passed_over: None };
    assert_eq!(located, Ok(expected));
    let resolver = resolver_of(url("/elsewhere"));
    assert_eq!(failure(&resolver).await, "answered HTTP 404");
}

#[tokio::test]
async fn an_answer_over_https_must_match_the_query() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string("<html>Log in</html>"))
        .mount(&server)
        .await;
    let resolver = resolver_of(NameServer::Https(server.uri().parse().unwrap()));
    assert_eq!(failure(&resolver).await, "sent an answer that does not match the query");
    let closed = resolver_of("https://127.0.0.1:1/".parse().unwrap());
    assert_eq!(failure(&closed).await, "cannot be reached: connection refused");
}

/// No query is sent: the servers would answer.
#[tokio::test]
async fn name_servers_are_asked_only_where_the_egress_rules_permit_it() {
    const FORBIDDEN: &str = "is not allowed: the operator's egress rules forbid its address; an administrator can allow it with --egress-allow";
    let mut world = World::new().await;
    world.known.add(&["a.test SOA", "a.test NS ns.a.test.", "ns.a.test A 127.0.0.2"]);
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    world.serve(
        2,
        Arc::new(move |_, _| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            None
        }),
    );
    let of = |server: NameServer, whose| {
        let resolver = Resolver::new(&[server], whose, &Egress::default()).unwrap();
        resolver.with_authoritative_port(world.port)
    };
    assert_eq!(failure(&of(world.recursive(), Whose::Tenants)).await, FORBIDDEN);
    let https = "https://127.0.0.1:1/".parse::<NameServer>().unwrap();
    assert_eq!(failure(&of(https, Whose::Tenants)).await, FORBIDDEN);

    let resolver = of(world.recursive(), Whose::Administrators);
    let location = resolver.locate(CHALLENGE_LABEL, "a.test", CnameStrategy::Follow).await.unwrap();
    let unseen = resolver.visible(&location, "value", PropagationCheck::Authoritative).await.unwrap_err();
    let NotVisible::Lacking { lacking, .. } = &unseen else { panic!("{unseen}") };
    assert_eq!(lacking[0].to_string(), format!("ns.a.test (127.0.0.2) {FORBIDDEN}"));
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}
