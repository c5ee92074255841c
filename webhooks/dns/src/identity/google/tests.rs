use std::cell::Cell;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::identity::Environment;

const DNS_ADMIN: &str = "dns-admin@zones.iam.gserviceaccount.com";
const IMPERSONATION: &str = "/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/dns-admin@zones.iam.gserviceaccount.com:generateAccessToken";

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_800_000_000) };
}

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

fn clock() -> Timestamp {
    Timestamp::from_second(NOW.get()).unwrap()
}

#[tokio::test]
async fn the_metadata_service_is_asked_once_and_again_before_the_token_expires() {
    let server = MockServer::start().await;
    let asked = Mock::given(method("GET"))
        .and(path("/metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"))
        .and(header("metadata-flavor", "Google"));
    asked.respond_with(token("ya29.pod", 3599)).expect(2).mount(&server).await;
    let (identity, source) = (pod(Environment::default(), &server), ambient());
    for token in join_all((0..20).map(|_| identity.google(&source, None))).await {
        assert_eq!(token.unwrap().expose_secret(), "ya29.pod");
    }
    NOW.set(NOW.get() + 3599 - 181);
    identity.google(&ambient(), None).await.unwrap();
    NOW.set(NOW.get() + 1);
    identity.google(&ambient(), None).await.unwrap();
}

#[tokio::test]
async fn a_service_account_signs_for_its_token() {
    let server = MockServer::start().await;
    let asked = Mock::given(method("POST")).and(path("/oauth2.googleapis.com/token"));
    asked.respond_with(token("ya29.key", 3599)).expect(1).mount(&server).await;
    let identity = pod(Environment::default(), &server);
    let token = identity.google(&key("certs@zones.iam.gserviceaccount.com"), None).await.unwrap();
    assert_eq!(token.expose_secret(), "ya29.key");

    let request = &server.received_requests().await.unwrap()[0];
    let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (signed, signature) = form[1].1.rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, KEY.public_key().as_ref());
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let parts = signed.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let parts: Vec<Value> = parts.map(|part| serde_json::from_slice(&part).unwrap()).collect();
    assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "1f"}));
    let claims = json!({
        "iss": "certs@zones.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/ndev.clouddns.readwrite",
        "aud": "https://oauth2.googleapis.com/token", "iat": 1_800_000_000, "exp": 1_800_003_600,
    });
    assert_eq!(parts[1], claims);
}

#[tokio::test]
async fn a_service_account_is_impersonated_with_a_token_that_allows_it() {
    let server = MockServer::start().await;
    let asked = Mock::given(method("POST")).and(path("/oauth2.googleapis.com/token"));
    asked.respond_with(token("ya29.key", 3599)).expect(1).mount(&server).await;
    impersonated(
        "ya29.key",
        "ya29.admin",
        "https://www.googleapis.com/auth/ndev.clouddns.readwrite",
        &server,
    )
    .await;
    let identity = pod(Environment::default(), &server);
    for _ in 0..2 {
        let token = identity.google(&key("certs@zones"), Some(DNS_ADMIN)).await.unwrap();
        assert_eq!(token.expose_secret(), "ya29.admin");
    }
    let request = &server.received_requests().await.unwrap()[0];
    let assertion =
        form_urlencoded::parse(&request.body).find(|(name, _)| name == "assertion").unwrap().1.into_owned();
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
}

#[tokio::test]
async fn the_token_of_another_cluster_is_exchanged() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let (subject, config) = (directory.path().join("token"), directory.path().join("config"));
    std::fs::write(&subject, "eyJ.of.this.pod\n").unwrap();
    let audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/clusters/providers/on-premises";
    let external = json!({
        "universe_domain": "googleapis.com", "type": "external_account", "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": subject, "format": {"type": "text"}},
        "service_account_impersonation_url": format!("https:/{IMPERSONATION}"),
    });
    std::fs::write(&config, external.to_string()).unwrap();
    let asked = Mock::given(method("POST"))
        .and(path("/sts.googleapis.com/v1/token"))
        .and(body_string_contains("subject_token=eyJ.of.this.pod&"))
        .and(body_string_contains("audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2F"))
        .and(body_string_contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"));
    asked.respond_with(token("ya29.federated", 3599)).expect(1).mount(&server).await;
    impersonated("ya29.federated", "ya29.admin", ANYTHING, &server).await;
    let identity = pod(of_file(&config), &server);
    assert_eq!(identity.google(&ambient(), None).await.unwrap().expose_secret(), "ya29.admin");

    for (field, value, why) in [
        (
            "token_url",
            json!("https://evil.example/token"),
            "its token_url is not https://sts.googleapis.com/v1/token",
        ),
        (
            "credential_source",
            json!({"url": "http://169.254.169.254"}),
            "its credential_source names no file",
        ),
        (
            "service_account_impersonation_url",
            json!("https://evil.example/x:generateAccessToken"),
            "its service_account_impersonation_url is not one of Google",
        ),
    ] {
        let (mut external, server) = (external.clone(), MockServer::start().await);
        external[field] = value;
        std::fs::write(&config, external.to_string()).unwrap();
        Mock::given(method("POST")).respond_with(token("ya29.federated", 3599)).mount(&server).await;
        let error = pod(of_file(&config), &server).google(&ambient(), None).await.unwrap_err();
        assert!(error.message.ends_with(why), "{error}");
    }
}

#[tokio::test]
async fn a_tenants_file_names_no_host_and_no_file_of_this_process() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "of the operator").unwrap();
    let external = json!({
        "type": "external_account", "audience": "x", "subject_token_type": "x",
        "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"file": secret},
    });
    let mut elsewhere: Value = serde_json::from_str(&key_file("certs@zones")).unwrap();
    let mut no_key = elsewhere.clone();
    elsewhere["token_uri"] = json!("https://evil.example/token");
    no_key["private_key"] = json!("hunter2");
    for (file, why) in [
        (external.to_string(), "its type is not service_account"),
        (elsewhere.to_string(), "its token_uri is not https://oauth2.googleapis.com/token"),
        ("hunter2".to_owned(), "it is not the JSON file that Google has made"),
        (
            r#"{"type": "service_account"}"#.to_owned(),
            "client_email, private_key, private_key_id or token_uri is missing",
        ),
        (no_key.to_string(), "its private_key is not an RSA key in PEM"),
    ] {
        let source = GoogleSource::ServiceAccountKey(file.into());
        let refused = pod(Environment::default(), &server).google(&source, None).await;
        assert_eq!(refused.unwrap_err().message, format!("the service account's key cannot be used: {why}"));
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn nobody_gets_the_token_of_another_key() {
    let server = MockServer::start().await;
    let asked = Mock::given(method("POST")).and(path("/oauth2.googleapis.com/token"));
    asked.respond_with(token("ya29.alice", 3599)).up_to_n_times(2).mount(&server).await;
    Mock::given(method("POST"))
        .and(path(IMPERSONATION))
        .respond_with(impersonation("ya29.admin"))
        .mount(&server)
        .await;
    let (identity, alice) = (pod(Environment::default(), &server), key("alice@zones"));
    identity.google(&alice, None).await.unwrap();
    identity.google(&alice, Some(DNS_ADMIN)).await.unwrap();
    let requests = async || server.received_requests().await.unwrap().len();
    assert_eq!(requests().await, 3);
    for mallory in [key("mallory@zones"), ambient()] {
        for impersonate in [None, Some(DNS_ADMIN)] {
            identity.google(&mallory, impersonate).await.unwrap_err();
        }
    }
    assert_eq!(requests().await, 7);
    identity.google(&alice, Some(DNS_ADMIN)).await.unwrap();
    assert_eq!(requests().await, 7);
}

#[tokio::test]
async fn a_refusal_has_the_words_of_google_without_secrets() {
    let refused = async |answer: ResponseTemplate| {
        let server = MockServer::start().await;
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let identity = pod(Environment::default(), &server);
        let error = identity.google(&key("certs@zones"), None).await.unwrap_err();
        let request = &server.received_requests().await.unwrap()[0];
        let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
        assert!(!error.message.contains(&form[1].1));
        error
    };
    let answer = json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
    let error = refused(ResponseTemplate::new(400).set_body_json(answer)).await;
    assert_eq!(
        error.message,
        "getting a token for the service account's key failed: oauth2.googleapis.com answered HTTP 400: invalid_grant: \
         Invalid JWT Signature."
    );
    let error = refused(ResponseTemplate::new(503).insert_header("retry-after", "30")).await;
    assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(30)));

    let server = MockServer::start().await;
    let tokens = Mock::given(path("/oauth2.googleapis.com/token"));
    tokens.respond_with(token("ya29.key", 3599)).mount(&server).await;
    let denied = json!({"error": {"code": 403, "status": "PERMISSION_DENIED",
        "message": "Permission 'iam.serviceAccounts.getAccessToken' denied for ya29.key"}});
    Mock::given(path(IMPERSONATION))
        .respond_with(ResponseTemplate::new(403).set_body_json(denied))
        .mount(&server)
        .await;
    let error =
        pod(Environment::default(), &server).google(&key("certs@zones"), Some(DNS_ADMIN)).await.unwrap_err();
    assert_eq!(
        error.message,
        "impersonating the service account failed: iamcredentials.googleapis.com answered HTTP 403: Permission \
         'iam.serviceAccounts.getAccessToken' denied for <redacted>; check the credentials and their rights"
    );
}

fn pod(environment: Environment, server: &MockServer) -> Identity {
    Identity::of_a_test(environment, clock, &server.uri())
}

fn of_file(path: &std::path::Path) -> Environment {
    let file = path.to_str().unwrap().to_owned();
    Environment { google_application_credentials: Some(file), ..Environment::default() }
}

fn ambient() -> GoogleSource {
    GoogleSource::Ambient(Ambient::permitted(true).unwrap())
}

fn key(email: &str) -> GoogleSource {
    GoogleSource::ServiceAccountKey(key_file(email).into())
}

fn key_file(email: &str) -> String {
    let der: Pkcs8V1Der<'_> = KEY.as_der().unwrap();
    let private_key = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
    let file = json!({
        "type": "service_account", "project_id": "zones", "private_key_id": "1f", "private_key": private_key,
        "client_email": email, "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    file.to_string()
}

fn token(token: &str, seconds: u32) -> ResponseTemplate {
    let body = json!({"access_token": token, "expires_in": seconds, "token_type": "Bearer"});
    ResponseTemplate::new(200).set_body_json(body)
}

fn impersonation(token: &str) -> ResponseTemplate {
    let expires = clock().saturating_add(SignedDuration::from_hours(1)).unwrap();
    ResponseTemplate::new(200).set_body_json(json!({"accessToken": token, "expireTime": expires}))
}

async fn impersonated(with: &str, answer: &str, scope: &str, server: &MockServer) {
    let asked = Mock::given(method("POST"))
        .and(path(IMPERSONATION))
        .and(header("authorization", format!("Bearer {with}").as_str()))
        .and(body_json(json!({"scope": [scope], "lifetime": "3600s"})));
    asked.respond_with(impersonation(answer)).expect(1).mount(server).await;
}
