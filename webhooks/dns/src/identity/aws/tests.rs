use std::cell::Cell;
use std::collections::HashMap;

use futures::future::join_all;
use serde_json::json;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::identity::Environment;

const ROLE: &str = "arn:aws:iam::123456789012:role/dns";
const OTHER_ROLE: &str = "arn:aws:iam::210987654321:role/zones";
const TOKEN: &str = "eyJ0b2tlbiI.of.this.pod";

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_800_000_000) };
}

fn clock() -> Timestamp {
    Timestamp::from_second(NOW.get()).unwrap()
}

#[tokio::test]
async fn a_web_identity_is_exchanged_in_the_region_of_the_pod_and_renewed_in_time() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    sts("sts.eu-west-1.amazonaws.com", web_identity("ASIA1"), &server).await;
    let identity = irsa(&directory, Some("eu-west-1"), &server);
    let source = ambient();
    let all = join_all((0..20).map(|_| identity.aws(&source, Some("us-east-1"), None))).await;
    for credentials in all {
        let AwsCredentials { access_key_id, secret_access_key, session_token } = credentials.unwrap();
        let secrets =
            [&secret_access_key, &session_token.unwrap()].map(|secret| secret.expose_secret().to_owned());
        assert_eq!(
            (access_key_id.as_str(), secrets),
            ("ASIA1", ["secret/ASIA1".to_owned(), "session=ASIA1".to_owned()])
        );
    }
    let requests = forms(&server).await;
    assert_eq!(requests.len(), 1, "one for all of them");
    let expected = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "certwright-dns"),
        ("WebIdentityToken", TOKEN),
        ("DurationSeconds", "3600"),
    ];
    assert_eq!(requests[0], expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    // The platform has replaced the token meanwhile.
    NOW.set(NOW.get() + 3600 - 180);
    std::fs::write(directory.path().join("token"), "the.next.one").unwrap();
    server.reset().await;
    sts("sts.eu-west-1.amazonaws.com", web_identity("ASIA2"), &server).await;
    assert_eq!(identity.aws(&ambient(), None, None).await.unwrap().access_key_id, "ASIA2");
    assert_eq!(forms(&server).await[0]["WebIdentityToken"], "the.next.one");
}

#[tokio::test]
async fn each_region_has_its_endpoint() {
    for (region, host) in [
        (None, "sts.amazonaws.com"),
        (Some("us-gov-west-1"), "sts.us-gov-west-1.amazonaws.com"),
        (Some("cn-north-1"), "sts.cn-north-1.amazonaws.com.cn"),
    ] {
        let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
        sts(host, web_identity("ASIA1"), &server).await;
        irsa(&directory, None, &server).aws(&ambient(), region, None).await.unwrap();
    }
    let server = MockServer::start().await;
    for region in ["evil.example/", "a.b", "EU", "", "x@y"] {
        let error = keyless(&server).aws(&key("AKIA1"), Some(region), Some(ROLE)).await.unwrap_err();
        assert_eq!(
            error.message, "the region is not the name of an AWS region, such as eu-central-1",
            "{region}"
        );
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_agent_of_eks_pod_identity_is_asked_with_the_token_of_the_pod() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let agent = json!({
        "AccessKeyId": "ASIA1", "SecretAccessKey": "secret", "Token": "session", "AccountId": "123456789012",
        "Expiration": clock().saturating_add(jiff::SignedDuration::from_hours(6)).unwrap(),
    });
    let asked = Mock::given(method("GET")).and(path("/169.254.170.23/v1/credentials"));
    let asked = asked.and(header("authorization", TOKEN));
    asked.respond_with(ResponseTemplate::new(200).set_body_json(agent)).expect(2).mount(&server).await;
    let identity = pod_identity(&directory, &server);
    assert_eq!(identity.aws(&ambient(), None, None).await.unwrap().access_key_id, "ASIA1");
    NOW.set(NOW.get() + 3599);
    identity.aws(&ambient(), None, None).await.unwrap();
    NOW.set(NOW.get() + 1);
    identity.aws(&ambient(), None, None).await.unwrap();

    server.reset().await;
    let refusal = json!({"message": "[e1]: (AccessDeniedException): Unauthorized Exception! EKS does not have permissions"});
    let refusing = Mock::given(method("GET")).respond_with(ResponseTemplate::new(400).set_body_json(refusal));
    refusing.mount(&server).await;
    let error = pod_identity(&directory, &server).aws(&ambient(), None, None).await.unwrap_err();
    assert_eq!(
        error.message,
        "getting AWS credentials from EKS Pod Identity failed: 169.254.170.23 answered HTTP 400: [e1]: \
         (AccessDeniedException): Unauthorized Exception! EKS does not have permissions"
    );
}

#[tokio::test]
async fn a_role_is_assumed_with_the_credentials_of_the_source() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    sts("sts.eu-west-1.amazonaws.com", web_identity("ASIA1"), &server).await;
    let identity = irsa(&directory, Some("eu-west-1"), &server);
    identity.aws(&ambient(), None, None).await.unwrap();
    server.reset().await;
    sts("sts.eu-west-1.amazonaws.com", assumed("ASIA2"), &server).await;
    let credentials = identity.aws(&ambient(), None, Some(OTHER_ROLE)).await.unwrap();
    assert_eq!(credentials.access_key_id, "ASIA2");
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["x-amz-security-token"], "session=ASIA1");
    let authorization = requests[0].headers["authorization"].to_str().unwrap();
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=ASIA1/20270115/eu-west-1/sts/aws4_request, ")
    );
    let form = &forms(&server).await[0];
    assert_eq!((form["Action"].as_str(), form["RoleArn"].as_str()), ("AssumeRole", OTHER_ROLE));
}

#[tokio::test]
async fn nobody_gets_what_was_requested_with_other_credentials() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    sts("sts.amazonaws.com", assumed("ASIA-OF-ALICE"), &server).await;
    let mut identity = irsa(&directory, None, &server);
    let alice = identity.aws(&key("AKIA-ALICE"), None, Some(ROLE)).await.unwrap();
    assert_eq!(alice.access_key_id, "ASIA-OF-ALICE");
    server.reset().await;
    let denied =
        "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>";
    let denied = format!(
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{denied}</ErrorResponse>"#
    );
    let refusing =
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(403).set_body_string(denied));
    refusing.mount(&server).await;
    for others in [key("AKIA-MALLORY"), ambient()] {
        identity.aws(&others, None, Some(ROLE)).await.unwrap_err();
    }
    let mut same_id = key("AKIA-ALICE");
    if let AwsSource::Key(key) = &mut same_id {
        key.secret_access_key = "guessed".into();
    }
    identity.aws(&same_id, None, Some(ROLE)).await.unwrap_err();
    identity.aws(&key("AKIA-ALICE"), None, Some(OTHER_ROLE)).await.unwrap_err();
    assert_eq!(server.received_requests().await.unwrap().len(), 4);
    identity.aws(&key("AKIA-ALICE"), None, Some(ROLE)).await.unwrap();
    // A tenant's key is used as it is, even if this process has an identity.
    identity.environment = Environment::default();
    assert_eq!(identity.aws(&key("AKIA-MALLORY"), None, None).await.unwrap().access_key_id, "AKIA-MALLORY");
    assert_eq!(server.received_requests().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_refusal_has_the_words_of_sts_without_tokens_and_times() {
    let xml = |code: &str, message: &str| {
        let error =
            format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        format!(
            r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{error}<RequestId>d1</RequestId></ErrorResponse>"#
        )
    };
    let denied = xml("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity");
    let expired =
        "Token expired: current date/time 1800000001 must be before the expiration date/time 1800000000";
    let wrong_clock = "Signature expired: 20270115T080000Z is now earlier than 20270115T081000Z (20270115T081500Z - 5 min.)";
    for (answer, expected) in [
        (
            answered(403, "text/xml", &denied),
            "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity; check the credentials and their rights",
        ),
        (
            answered(400, "text/xml", &xml("ExpiredTokenException", expired)),
            "ExpiredTokenException: Token expired",
        ),
        (
            answered(403, "text/xml", &xml("SignatureDoesNotMatch", wrong_clock)),
            "SignatureDoesNotMatch: the clock of certwright-dns is wrong; check the credentials and their rights",
        ),
        (
            answered(400, "text/xml", &xml("InvalidIdentityToken", &format!("cannot read {TOKEN}"))),
            "InvalidIdentityToken: cannot read <redacted>",
        ),
    ] {
        let error = refused(answer).await;
        let status = error.message.split("answered ").nth(1).unwrap();
        assert_eq!(status.split_once(": ").unwrap().1, expected);
        assert!(!error.message.contains(TOKEN), "{}", error.message);
    }
    let html = refused(answered(502, "text/html", "<h1>Bad gateway</h1>")).await;
    assert_eq!(
        html.message,
        "getting AWS credentials for the web identity of certwright-dns failed: sts.amazonaws.com answered HTTP 502 (text/html)"
    );
    let nonsense = refused(answered(200, "text/html", "<h1>Sign in to the WLAN</h1>")).await;
    assert_eq!(
        nonsense.message,
        "getting AWS credentials for the web identity of certwright-dns failed: sts.amazonaws.com sent an answer that has an \
         unexpected form (text/html)"
    );
    let throttled =
        answered(429, "text/xml", &xml("Throttling", "Rate exceeded")).insert_header("retry-after", "7");
    assert_eq!(refused(throttled).await.retry_after, Some(std::time::Duration::from_secs(7)));
}

#[tokio::test]
async fn without_an_identity_there_is_a_sentence() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let error = keyless(&server).aws(&ambient(), None, None).await.unwrap_err();
    assert!(
        error.message.starts_with("certwright-dns has no AWS credentials: its pod has neither"),
        "{error}"
    );
    let identity = irsa(&directory, None, &server);
    std::fs::remove_file(directory.path().join("token")).unwrap();
    let error = identity.aws(&ambient(), None, None).await.unwrap_err();
    assert_eq!(
        error.message,
        "reading the file in AWS_WEB_IDENTITY_TOKEN_FILE of certwright-dns failed: entity not found"
    );
}

async fn refused(answer: ResponseTemplate) -> ServiceError {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    irsa(&directory, None, &server).aws(&ambient(), None, None).await.unwrap_err()
}

fn answered(status: u16, media_type: &str, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, media_type)
}

fn ambient() -> AwsSource {
    AwsSource::Ambient(Ambient::permitted(true).unwrap())
}

fn key(id: &str) -> AwsSource {
    let secret_access_key = format!("secret of {id}").into();
    AwsSource::Key(AwsCredentials { access_key_id: id.to_owned(), secret_access_key, session_token: None })
}

fn irsa(directory: &tempfile::TempDir, region: Option<&str>, server: &MockServer) -> Identity {
    let environment = Environment {
        aws_region: region.map(str::to_owned),
        aws_role_arn: Some(ROLE.to_owned()),
        aws_web_identity_token_file: Some(token_in(directory)),
        ..Environment::default()
    };
    Identity::of_a_test(environment, clock, &server.uri())
}

fn pod_identity(directory: &tempfile::TempDir, server: &MockServer) -> Identity {
    let environment = Environment {
        aws_container_credentials_full_uri: Some("http://169.254.170.23/v1/credentials".to_owned()),
        aws_container_authorization_token_file: Some(token_in(directory)),
        ..Environment::default()
    };
    Identity::of_a_test(environment, clock, &server.uri())
}

fn keyless(server: &MockServer) -> Identity {
    Identity::of_a_test(Environment::default(), clock, &server.uri())
}

fn token_in(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn sts(host: &str, answer: String, server: &MockServer) {
    let asked = Mock::given(method("POST")).and(path(format!("/{host}/")));
    asked.respond_with(answered(200, "text/xml", &answer)).expect(1).mount(server).await;
}

/// The sample response of AWS's API reference.
fn web_identity(id: &str) -> String {
    let credentials = credentials_of(id);
    format!(
        r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:certwright-dns:certwright-dns</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/dns/certwright-dns</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:certwright-dns</AssumedRoleId>
    </AssumedRoleUser>
    {credentials}
    <Provider>arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/1</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#
    )
}

/// The sample response of AWS's API reference.
fn assumed(id: &str) -> String {
    let credentials = credentials_of(id);
    format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <AssumedRoleUser>
      <AssumedRoleId>ARO123EXAMPLE123:certwright-dns</AssumedRoleId>
      <Arn>arn:aws:sts::123456789012:assumed-role/demo/certwright-dns</Arn>
    </AssumedRoleUser>
    {credentials}
    <PackedPolicySize>8</PackedPolicySize>
  </AssumeRoleResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</AssumeRoleResponse>"#
    )
}

fn credentials_of(id: &str) -> String {
    let expires = clock().saturating_add(jiff::SignedDuration::from_hours(1)).unwrap();
    format!(
        "<Credentials>
      <SessionToken>session={id}</SessionToken>
      <SecretAccessKey>secret/{id}</SecretAccessKey>
      <Expiration>{expires}</Expiration>
      <AccessKeyId>{id}</AccessKeyId>
    </Credentials>"
    )
}

async fn forms(server: &MockServer) -> Vec<HashMap<String, String>> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|request| form_urlencoded::parse(&request.body).into_owned().collect()).collect()
}
