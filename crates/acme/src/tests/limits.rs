use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::fake_ca::{FakeCa, config, key, problem, raw_server};
use crate::{Account, AcmeError, Server, ServerConfig, Share};

#[tokio::test]
async fn an_answer_in_json_is_read_up_to_64_kib_whether_or_not_its_length_is_announced() {
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 10 << 20);
    let error = directory(announced).await.unwrap_err();
    assert_eq!(what(&error), "it is longer than 64 KiB", "nothing of it was sent");
    let body = format!("{{\"newNonce\":\"{}\"", "x".repeat(64 << 10));
    let error = directory(format!("HTTP/1.1 200 OK\r\n\r\n{body}")).await.unwrap_err();
    assert_eq!(what(&error), "it is longer than 64 KiB");
    assert_eq!(
        error.to_string(),
        "reading the directory failed: the answer of 127.0.0.1 is not accepted: it is longer than 64 KiB; check the \
         issuer's server URL, or contact the CA's operator"
    );
}

#[tokio::test]
async fn headers_are_read_up_to_32_kib() {
    let fat: String = (0..40).map(|n| format!("x-fat-{n}: {}\r\n", "f".repeat(1000))).collect();
    let error =
        directory(format!("HTTP/1.1 200 OK\r\n{fat}content-length: 2\r\n\r\n{{}}")).await.unwrap_err();
    assert_eq!(what(&error), "its headers are longer than 32 KiB");
}

#[tokio::test]
async fn a_directory_leads_to_urls_of_http() {
    let ca = FakeCa::start_with(|directory, _| directory["newOrder"] = json!("file:///etc/passwd")).await;
    let error = ca.server().directory().await.unwrap_err();
    assert_eq!(what(&error), "its newOrder URL is not an http or https URL");
}

#[tokio::test]
async fn a_token_that_could_leave_its_path_is_not_accepted() {
    let ca = FakeCa::start().await;
    let token = format!("../../{}", "a".repeat(30));
    let url = ca.url("/challenge/1");
    ca.on("/authz/1", move |_| {
        ResponseTemplate::new(200).set_body_json(json!({
            "status": "pending", "identifier": { "type": "dns", "value": "a.example" },
            "challenges": [{ "type": "http-01", "url": url, "status": "pending", "token": token }],
        }))
    })
    .await;
    let error = ca.account().authorization(&ca.url("/authz/1")).await.unwrap_err();
    assert!(
        what(&error).starts_with("the token of its http-01 challenge is not 22 to 256 characters"),
        "{error}"
    );
}

#[tokio::test]
async fn a_chain_is_read_up_to_ten_certificates_and_128_kib_and_ten_alternates() {
    let ca = FakeCa::start().await;
    let certificate = |length: usize| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", "A".repeat(length))
    };
    for (path, count, length) in [("/good", 10, 8000), ("/many", 11, 8), ("/fat", 1, 200_000)] {
        let chain = certificate(length).repeat(count);
        let links = vec!["<https://ca.example/alternate>;rel=\"alternate\""; 400].join(",");
        ca.on(path, move |_| {
            ResponseTemplate::new(200).set_body_string(&chain).insert_header("link", links.as_str())
        })
        .await;
    }
    let account = ca.account();
    let chain = account.certificate(&ca.url("/good")).await.unwrap().value;
    assert_eq!(chain.alternates.len(), 10);
    let error = account.certificate(&ca.url("/many")).await.unwrap_err();
    assert_eq!(what(&error), "its chain has 11 certificates, but at most 10 are accepted");
    assert_eq!(what(&account.certificate(&ca.url("/fat")).await.unwrap_err()), "it is longer than 128 KiB");
}

#[tokio::test]
async fn a_problem_keeps_at_most_a_hundred_subproblems() {
    let ca = FakeCa::start().await;
    let subproblem = json!({ "type": "t", "detail": "d" });
    let body =
        json!({ "type": "urn:ietf:params:acme:error:compound", "subproblems": vec![subproblem; 2000] });
    ca.on("/order/1", move |_| ResponseTemplate::new(403).set_body_json(&body)).await;
    let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.problem().unwrap().subproblems.len(), 100);
}

#[tokio::test]
async fn a_nonce_that_is_too_long_or_not_printable_is_ignored() {
    for nonce in ["n".repeat(513), "a b".to_owned(), String::new()] {
        let answer = format!("HTTP/1.1 200 OK\r\nreplay-nonce: {nonce}\r\ncontent-length: 0\r\n\r\n");
        let url = raw_server(answer);
        let ca = FakeCa::start_with(|directory, _| directory["newNonce"] = json!(url)).await;
        let error = ca.account().order(&ca.url("/order/1")).await.unwrap_err();
        assert!(error.to_string().contains("newNonce returned no Replay-Nonce header"), "{error}");
    }
}

#[tokio::test]
async fn a_ca_that_takes_its_time_to_refuse_each_nonce_is_not_asked_64_times() {
    static NOW: AtomicI64 = AtomicI64::new(0);
    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
    }
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| {
        NOW.fetch_add(25, Ordering::SeqCst);
        problem(400, "urn:ietf:params:acme:error:badNonce", "no")
    })
    .await;
    let server = Server::new(ServerConfig { clock, ..ca.config() }).unwrap();
    let account = Account::resume(&server, key(), ca.url("/account/1"));
    let error = account.order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!((error.code(), ca.requests().len()), ("badNonce", 3));
}

#[tokio::test]
async fn a_tenant_has_no_more_requests_under_way_than_its_share_at_all_its_cas_together() {
    let (base, most) = slow_server();
    let share = Share::new(3);
    let servers = (0..20).map(|n| Server::new(config(format!("{base}/{n}"))).unwrap().within(share.clone()));
    let servers: Vec<Server> = servers.collect();
    for outcome in join_all(servers.iter().map(Server::directory)).await {
        outcome.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_tenant_that_waits_for_its_share_does_not_keep_others_from_the_same_directory() {
    let (base, _) = slow_server();
    let server = Server::new(config(base)).unwrap();
    let share = Share::new(1);
    let taken = share.try_enter().unwrap();
    let waiting = server.within(share);
    let mut waiting = Box::pin(waiting.directory());
    assert!(futures::poll!(&mut waiting).is_pending());
    server.directory().await.unwrap();
    drop(taken);
    waiting.await.unwrap();
}

/// Answers each request with a directory after 50 ms. Returns its URL and the maximum number of concurrent requests.
fn slow_server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, under_way, most) = (stream.unwrap(), under_way.clone(), most.clone());
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The client sends nothing more.
                stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let _ = stream.read(&mut [0; 1]);
                under_way.fetch_sub(1, Ordering::SeqCst);
                let body = r#"{"newNonce":"http://ca.example/n","newAccount":"http://ca.example/a","newOrder":"http://ca.example/o"}"#;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    (url, seen)
}

async fn directory(answer: String) -> Result<Arc<crate::Directory>, AcmeError> {
    Server::new(config(raw_server(answer))).unwrap().directory().await
}

fn what(error: &AcmeError) -> &str {
    match error {
        AcmeError::OutOfBounds { what, .. } => what,
        other => panic!("{other:?}"),
    }
}
