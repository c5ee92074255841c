use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::dns01::tests::record;
use certwright_egress::{Egress, Purpose};

fn settings(url: &str) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        mode: HttpRequestMode::Default,
        credentials: Credentials::None,
        ca_bundle: None,
        timeout: DEFAULT_TIMEOUT,
    }
}

async fn answering(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(template).mount(&server).await;
    server
}

/// The path, the Authorization header and the body of each request.
async fn requests(server: &MockServer) -> Vec<(String, Option<String>, Value)> {
    let requests = server.received_requests().await.unwrap();
    let shown = requests.iter().map(|request| {
        assert_eq!(request.headers["content-type"], "application/json");
        let authorization =
            request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        (request.url.path().to_owned(), authorization, request.body_json().unwrap())
    });
    shown.collect()
}

#[tokio::test]
async fn the_record_is_told() {
    let server = answering(ResponseTemplate::new(204)).await;
    let body = json!({"fqdn": "_acme-challenge.a.test.", "value": record("a.test").value});
    for base in ["", "/", "/some/base", "/some/base/"] {
        let provider = asked_by(settings(&format!("{}{base}", server.uri()))).unwrap();
        provider.present(&record("*.a.test")).await.unwrap();
        provider.clean_up(&record("a.test")).await.unwrap();
    }
    let paths = ["/present", "/cleanup", "/present", "/cleanup"];
    let paths = paths
        .map(str::to_owned)
        .into_iter()
        .chain(["/present", "/cleanup", "/present", "/cleanup"].map(|path| format!("/some/base{path}")));
    let expected = paths.map(|path| (path, None, body.clone())).collect::<Vec<_>>();
    assert_eq!(requests(&server).await, expected);
}

#[tokio::test]
async fn the_challenge_is_told_in_raw_mode() {
    let server = answering(ResponseTemplate::new(200).set_body_string("<html>whatever</html>")).await;
    let provider = asked_by(Settings { mode: HttpRequestMode::Raw, ..settings(&server.uri()) }).unwrap();
    provider.present(&record("*.a.test")).await.unwrap();
    let body = json!({"domain": "a.test", "token": "token", "keyAuth": "token.thumbprint"});
    assert_eq!(requests(&server).await, [("/present".to_owned(), None, body)]);
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let server = answering(ResponseTemplate::new(200)).await;
    let basic = Credentials::Basic { user: "me".to_owned(), password: "hunter2".into() };
    let bearer = Credentials::Bearer("hunter2".into());
    for credentials in [basic, bearer] {
        let provider = asked_by(Settings { credentials, ..settings(&server.uri()) }).unwrap();
        provider.present(&record("a.test")).await.unwrap();
        assert!(!format!("{provider:?}").contains("hunter2"));
    }
    let sent = requests(&server).await.into_iter().filter_map(|(_, authorization, _)| authorization);
    assert_eq!(sent.collect::<Vec<_>>(), ["Basic bWU6aHVudGVyMg==", "Bearer hunter2"]);
}

#[tokio::test]
async fn a_refusal_is_told_by_its_status_and_not_quoted() {
    let page = "<html><h1>Internal error</h1> request 8f3a-11</html>";
    let server = answering(ResponseTemplate::new(500).set_body_string(page)).await;
    let url = server.uri().replace("http://", "http://me:hunter2@");
    let provider = asked_by(settings(&format!("{url}/?key=hunter2"))).unwrap();
    for (result, path, text) in [
        (provider.present(&record("a.test")).await, "present", "adding the TXT record failed"),
        (provider.clean_up(&record("a.test")).await, "cleanup", "deleting the TXT record failed"),
    ] {
        let error = result.unwrap_err();
        let expected = format!("{text}: {}/{path} answered HTTP 500 (text/plain)", server.uri());
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = answering(ResponseTemplate::new(302).insert_header("location", "/elsewhere")).await;
    let provider = asked_by(settings(&server.uri())).unwrap();
    let error = provider.present(&record("a.test")).await.unwrap_err().to_string();
    assert!(error.ends_with("/present answered HTTP 302"), "{error}");
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_hangs_times_out() {
    let server = answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    let timeout = Duration::from_millis(50);
    let provider = asked_by(Settings { timeout, ..settings(&server.uri()) }).unwrap();
    let error = provider.present(&record("a.test")).await.unwrap_err().to_string();
    assert!(error.ends_with("/present did not answer in time"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let provider = asked_by(settings("http://127.0.0.1:1/dns")).unwrap();
    assert_eq!(
        provider.present(&record("a.test")).await.unwrap_err().to_string(),
        "adding the TXT record failed: http://127.0.0.1:1/dns/present cannot be reached: connection refused"
    );
}

#[test]
fn what_cannot_be_set_up_says_why() {
    let error = asked_by(settings("ftp://host/")).unwrap_err().to_string();
    assert_eq!(error, "ftp://host/ is not an http or https URL; correct httpRequest.url");
    let ca_bundle = Some(b"no PEM".to_vec());
    let error = asked_by(Settings { ca_bundle, ..settings("https://host/") }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "httpRequest cannot be set up: the CA bundle contains no usable PEM certificate"
    );
}

#[tokio::test]
async fn a_ca_bundle_is_trusted_and_needed() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem().into_bytes();
    let port = https_server(&made, 2).await;
    let url = format!("https://localhost:{port}/");
    let trusting = asked_by(Settings { ca_bundle: Some(pem), ..settings(&url) }).unwrap();
    trusting.present(&record("a.test")).await.unwrap();
    let other = asked_by(settings(&url)).unwrap();
    let error = other.present(&record("a.test")).await.unwrap_err().to_string();
    assert!(error.contains("present cannot be reached: TLS: certificate not trusted: "), "{error}");
}

/// Answers 204 on each connection.
async fn https_server(made: &rcgen::CertifiedKey<rcgen::KeyPair>, connections: usize) -> u16 {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for _ in 0..connections {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

fn asked_by(settings: Settings) -> Result<Provider, Error> {
    Provider::new(
        settings,
        &Clients::new(Egress::unrestricted(), Purpose::Provider, || jiff::Timestamp::UNIX_EPOCH),
    )
}
