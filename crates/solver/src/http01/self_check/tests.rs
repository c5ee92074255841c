//! Checks against a name server and web servers on loopback, which represent the Internet.

use std::convert::Infallible;

use hickory_resolver::proto::op::ResponseCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UdpSocket};

use self::world::{Page, World, Zone, closed_port, ok, redirect, tls_server};
use super::*;
use certwright_egress::Rules;

mod world;

const TOKEN: &str = "tok-A_1";
const EXPECTED: &str = "tok-A_1.thumb";

#[tokio::test]
async fn the_right_answer_passes() {
    let world = World::new().await;
    world.name("good.test", Zone::at(&["127.0.0.1"]));
    world.page("good.test", challenge_path(TOKEN), ok(EXPECTED));
    assert_eq!(world.check("good.test").await, Ok(()));
    assert_eq!(world.check("GOOD.test").await, Ok(()));
    let request = world.requests.lock().unwrap()[0].to_ascii_lowercase();
    let agent = format!("user-agent: certwright/{} (http-01 self-check)\r\n", env!("CARGO_PKG_VERSION"));
    assert!(request.contains(&agent), "{request}");
}

#[tokio::test]
async fn an_ip_address_is_fetched_without_dns() {
    let world = World::new().await;
    world.page("127.0.0.1", challenge_path(TOKEN), ok(EXPECTED));
    world.page("[::1]", challenge_path(TOKEN), ok(EXPECTED));
    assert_eq!(world.check("127.0.0.1").await, Ok(()));
    assert_eq!(world.check("::1").await, Ok(()));
    assert!(world.queries.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_identifier_that_is_not_valid_in_a_url_is_rejected() {
    let world = World::new().await;
    for identifier in ["", "a b", "user@good.test", "good.test/x", "good.test?x"] {
        let text = world.text(identifier).await;
        assert!(text.contains(" is neither a DNS name nor an IP address"), "{text}");
    }
}

#[tokio::test]
async fn a_name_made_since_the_last_check_is_seen_at_once() {
    let world = World::new().await;
    assert_eq!(
        world.text("new.test").await,
        "DNS has no name new.test (NXDOMAIN); create an A or AAAA record that points to the ingress controller"
    );
    world.name("new.test", Zone::at(&["127.0.0.1"]));
    world.page("new.test", challenge_path(TOKEN), ok(EXPECTED));
    assert_eq!(world.check("new.test").await, Ok(()));
}

#[tokio::test]
async fn a_name_without_addresses_is_told_from_one_that_does_not_exist() {
    let world = World::new().await;
    world.name("empty.test", Zone::at(&[]));
    assert!(world.text("empty.test").await.starts_with("empty.test has no A or AAAA record in DNS;"));
}

#[tokio::test]
async fn a_failing_name_server_is_named_with_what_it_did() {
    let world = World::new().await;
    world.name("broken.test", Zone::code(ResponseCode::ServFail));
    world.name("refused.test", Zone::code(ResponseCode::Refused));
    world.name("silent.test", Zone::silent());
    let start = |name: &str| format!("looking up {name} failed: name server {} ", world.name_server);
    for (name, what) in [
        ("broken.test", "answered SERVFAIL; "),
        ("refused.test", "answered REFUSED; "),
        ("silent.test", "did not answer in time; "),
    ] {
        let text = world.text(name).await;
        assert!(text.starts_with(&format!("{}{what}", start(name))), "{text}");
        assert_eq!(world.text(name).await, text);
    }
}

#[tokio::test]
async fn the_first_name_server_that_knows_decides() {
    let world = World::new().await;
    world.name("good.test", Zone::at(&["127.0.0.1"]));
    world.page("good.test", challenge_path(TOKEN), ok(EXPECTED));
    let mut check = world.self_check();
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    check.name_servers = NameServers::new(&[nobody.local_addr().unwrap(), world.name_server]).unwrap();
    assert_eq!(check.check("good.test", TOKEN, EXPECTED).await, Ok(()));
}

#[tokio::test]
async fn a_lookup_that_fails_for_one_family_alone_does_not_matter() {
    let world = World::new().await;
    world.name("half.test", Zone::at(&["127.0.0.1"]).failing_for_ipv6(ResponseCode::ServFail));
    world.page("half.test", challenge_path(TOKEN), ok(EXPECTED));
    assert_eq!(world.check("half.test").await, Ok(()));
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let world = World::new().await;
    world.name("down.test", Zone::at(&["127.0.0.9", "::1"]));
    let mut check = world.self_check();
    check.ports.http = closed_port().await;
    let text = check.check("down.test", TOKEN, EXPECTED).await.unwrap_err().to_string();
    let port = check.ports.http;
    assert!(
        text.starts_with(&format!(
            "127.0.0.9:{port} refused the connection, [::1]:{port} refused too; check"
        )),
        "{text}"
    );
}

#[tokio::test]
async fn an_ipv6_address_that_does_not_accept_is_skipped() {
    let world = World::new().await;
    world.name("both.test", Zone::at(&["2001:db8::1", "127.0.0.1"]));
    world.page("both.test", challenge_path(TOKEN), ok(EXPECTED));
    assert_eq!(world.check("both.test").await, Ok(()));
}

#[tokio::test]
async fn ipv6_that_answers_wrongly_fails_though_ipv4_is_right() {
    let world = World::new().await;
    world.name("both.test", Zone::at(&["::1", "127.0.0.1"]));
    world.page("both.test", challenge_path(TOKEN), ok(EXPECTED));
    world.pages_six.lock().unwrap().insert(("both.test".into(), challenge_path(TOKEN)), ok("It works!"));
    let text = world.text("both.test").await;
    let start = format!("[::1]:{} answered with other text instead of the key authorization;", world.port);
    assert!(text.starts_with(&start), "{text}");
}

#[tokio::test]
async fn silence_reset_and_gibberish_are_told_apart() {
    let world = World::new().await;
    for (name, page, words) in [
        ("silent.test", Page::Silence, "accepted the connection but did not answer in time;"),
        ("reset.test", Page::Close, "closed the connection without an answer;"),
        ("ssh.test", Page::Raw("SSH-2.0-OpenSSH\r\n\r\n".into()), "did not answer with HTTP;"),
    ] {
        world.name(name, Zone::at(&["127.0.0.1"]));
        world.page(name, challenge_path(TOKEN), page);
        let mut check = world.self_check();
        check.time_limit = Duration::from_secs(1);
        let failure = check.check(name, TOKEN, EXPECTED).await.unwrap_err();
        let start = format!("127.0.0.1:{} {words}", world.port);
        assert!(failure.to_string().starts_with(&start), "{failure}");
    }
}

#[tokio::test]
async fn redirects_are_followed_to_the_answer() {
    let world = World::new().await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    world.name("to.test", Zone::at(&["127.0.0.1"]));
    world.page("from.test", challenge_path(TOKEN), redirect(302, "/elsewhere"));
    world.page(
        "from.test",
        "/elsewhere".into(),
        redirect(308, &format!("http://to.test:{}/end?x=1", world.port)),
    );
    world.page("to.test", "/end?x=1".into(), ok(EXPECTED));
    assert_eq!(world.check("from.test").await, Ok(()));
}

#[tokio::test]
async fn a_failure_after_a_redirect_names_the_target() {
    let world = World::new().await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    world.page("from.test", challenge_path(TOKEN), redirect(301, "http://gone.test/x/tok-A_1;s=1?state=9#f"));
    let check = world.self_check();
    let failure = check.check("from.test", TOKEN, EXPECTED).await.unwrap_err();
    assert!(
        failure.to_string().starts_with("after a redirect to http://gone.test: DNS has no name gone.test"),
        "{failure}"
    );
}

#[tokio::test]
async fn the_target_of_a_redirect_is_not_quoted() {
    let world = World::new().await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    world.page("from.test", challenge_path(TOKEN), redirect(302, "/inside"));
    world.page("from.test", "/inside".into(), ok("password"));
    let text = world.text("from.test").await;
    assert!(
        text.starts_with("after a redirect to http://from.test")
            && text.contains(" answered with other text instead"),
        "{text}"
    );
    assert!(!text.contains("password") && !text.contains("inside"), "{text}");
}

#[tokio::test]
async fn a_redirect_to_https_without_tls_there_says_so() {
    let world = World::new().await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    world.page(
        "from.test",
        challenge_path(TOKEN),
        redirect(301, &format!("https://from.test:{}/", world.port)),
    );
    let text = world.text("from.test").await;
    assert!(text.contains("the TLS handshake with "), "{text}");
}

#[tokio::test]
async fn a_redirect_to_https_is_followed_with_any_certificate() {
    let world = World::new().await;
    let port = tls_server("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\ntok-A_1.thumb").await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    world.page("from.test", challenge_path(TOKEN), redirect(301, &format!("https://from.test:{port}/")));
    assert_eq!(world.check("from.test").await, Ok(()));
}

#[tokio::test]
async fn redirects_no_ca_follows_are_refused() {
    let world = World::new().await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    let mut check = world.self_check();
    check.ports.redirects_to_any = false;
    for (page, expected) in [
        (redirect(302, "ftp://from.test/x"), " to ftp:, which is neither http nor https;"),
        (
            redirect(302, "http://from.test:8080/x"),
            " to http://from.test:8080, but CAs follow redirects only to",
        ),
        (redirect(302, "http://[/"), " to something, which is not a URL;"),
        (
            Page::Raw("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".into()),
            " to nowhere, because it has no Location header;",
        ),
    ] {
        world.page("from.test", challenge_path(TOKEN), page);
        let failure = check.check("from.test", TOKEN, EXPECTED).await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn redirect_loops_and_endless_redirects_fail() {
    let world = World::new().await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    world.page("from.test", challenge_path(TOKEN), redirect(302, &challenge_path(TOKEN)));
    assert!(world.text("from.test").await.contains(", which was already visited;"));
    world.page("from.test", challenge_path(TOKEN), redirect(302, "/0"));
    for step in 0..20 {
        world.page("from.test", format!("/{step}"), redirect(302, &format!("/{}", step + 1)));
    }
    assert!(world.text("from.test").await.contains(", the eleventh in a row;"));
}

#[tokio::test]
async fn our_own_responder_passes_and_is_recognised_without_the_token() {
    struct One;
    impl crate::http01::responder::KeyAuthorizations for One {
        fn find(&self, host: &str, token: &str) -> Option<String> {
            (host == "own.test" && token == TOKEN).then(|| EXPECTED.to_owned())
        }
    }
    let world = World::new().await;
    world.name("own.test", Zone::at(&["127.0.0.1"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut check = world.self_check();
    check.ports.http = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer =
                service_fn(async |request| Ok::<_, Infallible>(crate::http01::answer(&request, &One)));
            http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await.unwrap();
        }
    });
    assert_eq!(check.check("own.test", TOKEN, EXPECTED).await, Ok(()));
    let failure = check.check("own.test", "other", "other.thumb").await.unwrap_err();
    assert!(matches!(failure, SelfCheckFailure::UnknownToken { .. }), "{failure}");
}

#[tokio::test]
async fn nothing_is_fetched_from_an_address_that_the_egress_rules_forbid() {
    let world = World::new().await;
    world.name("inner.test", Zone::at(&["127.0.0.1", "::1"]));
    let check = world.self_check_with(Egress::default());
    for host in ["inner.test", "127.0.0.1", "::1", "::ffff:127.0.0.1", "2130706433"] {
        let failure = check.check(host, TOKEN, EXPECTED).await.unwrap_err();
        let forbidden = " is not allowed: the operator's egress rules forbid its address; an administrator can allow it with \
                         --egress-allow";
        assert!(failure.to_string().ends_with(forbidden), "{failure}");
    }
    assert!(world.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_redirect_is_checked_against_the_egress_rules() {
    let world = World::new().await;
    world.name("from.test", Zone::at(&["127.0.0.1"]));
    world.name("inner.test", Zone::at(&["::1"]));
    let rules = Rules { allow: vec!["127.0.0.1".parse().unwrap()], ..Rules::default() };
    let check = world.self_check_with(Egress::new(rules, |_| {}));
    for (target, host) in [
        (format!("http://inner.test:{}/x", world.port), "inner.test"),
        (format!("http://[::1]:{}/x", world.port), "[::1]"),
        (format!("http://0:{}/x", world.port), "0.0.0.0"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "169.254.169.254"),
        ("http://[64:ff9b::a9fe:a9fe]/".to_owned(), "[64:ff9b::a9fe:a9fe]"),
    ] {
        world.page("from.test", challenge_path(TOKEN), redirect(302, &target));
        let failure = check.check("from.test", TOKEN, EXPECTED).await.unwrap_err();
        assert!(failure.to_string().contains(&format!(": {host} is not allowed: ")), "{failure}");
    }
    assert_eq!(world.requests.lock().unwrap().len(), 5, "those to from.test alone");
}
