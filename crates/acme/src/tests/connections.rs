use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wiremock::matchers::method;
use wiremock::{Mock, ResponseTemplate};

use super::fake_ca::{FakeCa, config, epoch, raw_server};
use crate::{AcmeError, Operation, Server, ServerConfig, Trust};
use certwright_egress::{Egress, Rules};

#[tokio::test]
async fn an_unknown_directory_entry_does_no_harm() {
    let directory = serde_json::json!({
        "newNonce": "https://ca.example/n", "newAccount": "https://ca.example/a", "newOrder": "https://ca.example/o",
        "Xq3-random": "https://community.letsencrypt.org/t/417", "delegations": ["x"],
        "meta": { "profiles": { "classic": "as ever" }, "caaIdentities": null, "delegation-enabled": true },
    });
    let directory = directory_at(raw_server(ok(&directory.to_string()))).await.unwrap();
    assert_eq!(directory.meta.profiles["classic"], "as ever");
    assert_eq!((directory.key_change.as_deref(), directory.meta.external_account_required), (None, false));
    assert!(directory.meta.caa_identities.is_empty());
}

#[tokio::test]
async fn identities_for_caa_records_are_read_unless_there_are_too_many() {
    for (identities, count) in [
        (serde_json::json!(["ca.example", "ca.example.org"]), 2),
        (serde_json::json!(vec!["ca.example"; 64]), 64),
        (serde_json::json!(vec!["ca.example"; 65]), 0),
        (serde_json::json!("ca.example"), 0),
        (serde_json::json!([1]), 0),
    ] {
        let directory = serde_json::json!({
            "newNonce": "https://ca.example/n", "newAccount": "https://ca.example/a", "newOrder": "https://ca.example/o",
            "meta": { "caaIdentities": identities },
        });
        let directory = directory_at(raw_server(ok(&directory.to_string()))).await.unwrap();
        assert_eq!(directory.meta.caa_identities.len(), count, "{identities}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_a_directory_says_which_field_is_missing() {
    let error = directory_at(raw_server(ok(r#"{"hello":"world"}"#))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the directory failed: the answer of 127.0.0.1 does not conform to RFC 8555: 200 without a media type, \
         not an ACME directory (missing field `newNonce`)"
    );
}

#[tokio::test]
async fn the_directory_is_fetched_once_an_hour() {
    static NOW: AtomicI64 = AtomicI64::new(0);
    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
    }
    let ca = FakeCa::start().await;
    let server = Server::new(ServerConfig { clock, ..ca.config() }).unwrap();
    let mut fetched = Vec::new();
    for now in [0, 3599, 3600, 3601] {
        NOW.store(now, Ordering::SeqCst);
        server.directory().await.unwrap();
        fetched.push(ca.count("GET").await);
    }
    assert_eq!(fetched, [1, 1, 2, 2]);
}

#[tokio::test]
async fn a_crowd_shares_one_failed_fetch_and_the_next_caller_tries_again() {
    let ca = FakeCa::start().await;
    let slow = ResponseTemplate::new(503).set_delay(Duration::from_millis(200));
    Mock::given(method("GET")).respond_with(slow).mount(ca.http()).await;
    let server = ca.server();
    for outcome in join_all((0..50).map(|_| server.directory())).await {
        assert_eq!(outcome.unwrap_err().status(), Some(503));
    }
    assert_eq!(ca.count("GET").await, 1);
    server.directory().await.unwrap_err();
    assert_eq!(ca.count("GET").await, 2);
}

#[tokio::test]
async fn a_server_that_hangs_times_out() {
    let ca = FakeCa::start().await;
    ca.on("/order/1", |_| ResponseTemplate::new(200).set_delay(Duration::from_secs(30))).await;
    let server = Server::new(ServerConfig { timeout: Duration::from_secs(2), ..ca.config() }).unwrap();
    let account = crate::Account::resume(&server, super::fake_ca::key(), ca.url("/account/1"));
    let error = account.order(&ca.url("/order/1")).await.unwrap_err();
    assert!(matches!(error, AcmeError::Timeout { .. }), "{error:?}");
    assert_eq!(error.to_string(), "reading the order failed: no answer from 127.0.0.1 in time");
}

#[tokio::test]
async fn a_body_that_stops_half_way_is_cut_short() {
    let error = directory_at(raw_server("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"newNonce\":"))
        .await
        .unwrap_err();
    assert!(matches!(&error, AcmeError::Malformed { what, .. } if what == "it is incomplete"), "{error:?}");
}

#[tokio::test]
async fn a_refusal_whose_body_stops_half_way_keeps_status_and_retry_after() {
    let answer = "HTTP/1.1 429 Slow\r\nretry-after: 9\r\ncontent-length: 500\r\n\r\n{";
    let error = directory_at(raw_server(answer)).await.unwrap_err();
    assert_eq!((error.status(), error.retry_after()), (Some(429), Some(Duration::from_secs(9))));
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let body = "x".repeat(2 << 20);
    let error = directory_at(raw_server(ok(&body))).await.unwrap_err();
    assert!(
        matches!(&error, AcmeError::OutOfBounds { what, .. } if what == "it is longer than 64 KiB"),
        "{error:?}"
    );
    let answer = format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let error = directory_at(raw_server(answer)).await.unwrap_err();
    assert!(matches!(&error, AcmeError::Http { kind, .. } if kind.is_empty()), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_but_told() {
    for (target, told) in [
        ("https://127.0.0.1/v2/directory?secret", "a redirect to https://127.0.0.1"),
        ("https://secret.example/v2/directory", "a redirect to another host"),
    ] {
        let answer = format!("HTTP/1.1 301 Moved\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let error = directory_at(raw_server(answer)).await.unwrap_err();
        let text = format!("reading the directory failed: 127.0.0.1 answered HTTP 301 ({told})");
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn refused_connections_on_different_ports_read_the_same() {
    let mut texts = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/directory", listener.local_addr().unwrap());
        drop(listener);
        texts.push(directory_at(url).await.unwrap_err().to_string());
    }
    assert_eq!(texts, ["reading the directory failed: cannot reach 127.0.0.1: connection refused"; 2]);
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_told_from_a_server_that_speaks_no_http() {
    let error = directory_at(raw_server("")).await.unwrap_err();
    assert_eq!(error.to_string(), "reading the directory failed: cannot reach 127.0.0.1: connection closed");
    let error = directory_at(raw_server("220 mail.example ESMTP\r\n")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the directory failed: cannot reach 127.0.0.1: the server does not speak HTTP"
    );
}

#[tokio::test]
async fn a_certificate_is_trusted_only_with_the_bundle_that_holds_its_root() {
    let (ours, other) = (certificate(2096), certificate(2096));
    let url = tls_server(&ours);
    let with = |trust| ServerConfig { trust, ..config(url.clone()) };
    let bundle = |pem: String| Trust::Bundle(pem.into_bytes());
    let unlocked = |trust| async move { Server::new(trust).unwrap().directory().await };

    unlocked(with(bundle(ours.cert.pem()))).await.unwrap();
    unlocked(with(bundle(other.cert.pem() + &ours.cert.pem()))).await.unwrap();
    unlocked(with(Trust::SkipVerify)).await.unwrap();
    let error = unlocked(with(bundle(other.cert.pem()))).await.unwrap_err();
    assert!(matches!(error, AcmeError::Tls { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with(
            "reading the directory failed: cannot reach localhost: TLS: certificate not trusted: "
        ),
        "{text}"
    );
}

#[tokio::test]
async fn an_expired_certificate_reads_the_same_at_every_attempt() {
    let expired = certificate(2001);
    let trust = Trust::Bundle(expired.cert.pem().into_bytes());
    let error = Server::new(ServerConfig { trust, ..config(tls_server(&expired)) })
        .unwrap()
        .directory()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the directory failed: cannot reach localhost: TLS: certificate not trusted: expired"
    );
}

#[tokio::test]
async fn https_to_a_port_without_tls_is_explained() {
    let url = raw_server("HTTP/1.1 400 Bad Request\r\n\r\n").replace("http://", "https://");
    let error = Server::new(ServerConfig { trust: Trust::SkipVerify, ..config(url) })
        .unwrap()
        .directory()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading the directory failed: cannot reach 127.0.0.1: TLS: the server does not speak TLS"
    );
}

#[test]
fn an_invalid_server_url_is_rejected() {
    for url in ["", "ca.example/directory", "ftp://ca.example/", "https://", "mailto:ca@example.com"] {
        let error = Server::new(config(url)).unwrap_err();
        assert_eq!(error, AcmeError::DirectoryUrl(url.to_owned()));
    }
}

#[test]
fn a_bundle_without_a_certificate_is_refused() {
    for pem in [
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n",
    ] {
        let trust = Trust::Bundle(pem.as_bytes().to_vec());
        let config = ServerConfig { trust, ..config("https://ca.example/directory") };
        assert_eq!(Server::new(config).unwrap_err(), AcmeError::Bundle, "{pem:?}");
    }
}

/// Set in the process that this test starts, because a proxy in the environment affects every other test.
const BEHIND_PROXY: &str = "CERTWRIGHT_TEST_BEHIND_PROXY";

#[tokio::test]
async fn the_proxy_of_the_environment_is_used() {
    if std::env::var_os(BEHIND_PROXY).is_some() {
        return behind_a_proxy().await;
    }
    let directory = r#"{"newNonce":"http://ca.invalid/n","newAccount":"http://ca.invalid/a","newOrder":"http://ca.invalid/o"}"#;
    let proxy = raw_server(ok(directory)).replace("/directory", "");
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::the_proxy_of_the_environment_is_used")])
        .env(BEHIND_PROXY, "yes")
        .env("http_proxy", proxy)
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let ran = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && ran.contains("1 passed"), "{output:?}");
}

async fn behind_a_proxy() {
    // The proxy is on loopback, and resolves names. Addresses and this host's name are still rejected.
    let at = |url: &'static str| async move {
        Server::new(ServerConfig::new(url, epoch)).unwrap().directory().await
    };
    at("http://ca.invalid/directory").await.unwrap();
    for url in ["http://169.254.169.254/", "http://2130706433/", "http://localhost/", "http://x.localhost./"]
    {
        assert_eq!(at(url).await.unwrap_err().code(), "egressForbidden", "{url}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_the_egress_rules_forbid() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (host, shown) in [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1.", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        ("[::ffff:7f00:1]", "[::ffff:7f00:1]"),
        ("localhost", "localhost"),
    ] {
        let server = Server::new(ServerConfig::new(format!("http://{host}:{port}/metrics"), epoch)).unwrap();
        let error = server.directory().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "reading the directory failed: {shown} is not allowed: the operator's egress rules forbid its address; an \
                 administrator can allow it with --egress-allow"
            )
        );
    }
    let accepted = futures::poll!(std::pin::pin!(listener.accept()));
    assert!(accepted.is_pending(), "{accepted:?}");
}

#[tokio::test]
async fn the_urls_in_a_directory_are_checked_as_its_own_is() {
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let inner = format!("http://127.0.0.2:{}", listener.local_addr().unwrap().port());
    let directory = format!(r#"{{"newNonce":"{inner}/n","newAccount":"{inner}/a","newOrder":"{inner}/o"}}"#);
    let url = raw_server(ok(&directory));
    let rules = Rules { allow: vec!["127.0.0.1".parse().unwrap()], ..Rules::default() };
    let egress = Egress::new(rules, |_| {});
    let server = Server::new(ServerConfig { egress, ..ServerConfig::new(url, epoch) }).unwrap();
    server.directory().await.unwrap();
    let account = crate::Account::resume(&server, super::fake_ca::key(), format!("{inner}/account/1"));
    let error = account.order(&format!("{inner}/order/1")).await.unwrap_err();
    assert_eq!((error.code(), error.operation()), ("egressForbidden", Some(Operation::NewNonce)));
    let accepted = futures::poll!(std::pin::pin!(listener.accept()));
    assert!(accepted.is_pending(), "{accepted:?}");
}

async fn directory_at(url: String) -> Result<Arc<crate::Directory>, AcmeError> {
    Server::new(config(url)).unwrap().directory().await
}

/// An error must not show the body to the author of the issuer, who may have no access to the server.
#[tokio::test]
async fn an_answer_that_is_not_a_directory_is_not_quoted() {
    let start = "reading the directory failed: ";
    let no_directory = |kind: &str| {
        format!("{start}the answer of 127.0.0.1 does not conform to RFC 8555: {kind}, not an ACME directory")
    };
    let acme = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"secret"}"#;
    for (status, typ, body, text) in [
        ("200 OK", "application/json", r#""secret""#, no_directory("200 application/json")),
        ("200 OK", "application/json", r#"{"newNonce":{"secret":1}}"#, no_directory("200 application/json")),
        ("200 OK", "text/html; a=secret", "<h1>secret</h1>", no_directory("200 text/html")),
        ("403 No", "text/plain", "secret", format!("{start}127.0.0.1 answered HTTP 403 (text/plain)")),
        (
            "403 No",
            "application/problem+json",
            r#"{"type":"about:secret","title":"secret","detail":"secret","instance":"secret"}"#,
            format!("{start}127.0.0.1 answered HTTP 403 (application/problem+json)"),
        ),
        (
            "429 No",
            "application/problem+json",
            acme,
            format!("{start}urn:ietf:params:acme:error:rateLimited"),
        ),
    ] {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-type: {typ}\r\ncontent-length: {length}\r\n\r\n{body}");
        let error = directory_at(raw_server(answer)).await.unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A self-signed certificate for `localhost`.
fn certificate(expires: i32) -> CertifiedKey<KeyPair> {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(expires, 1, 1);
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

/// Serves a directory over TLS, and returns its URL.
fn tls_server(identity: &CertifiedKey<KeyPair>) -> String {
    let chain = vec![CertificateDer::from(identity.cert.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            if stream.read(&mut [0; 4096]).is_ok() {
                let directory = r#"{"newNonce":"https://ca.example/n","newAccount":"https://ca.example/a","newOrder":"https://ca.example/o"}"#;
                let _ = stream.write_all(ok(directory).as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    format!("https://localhost:{port}/directory")
}
