use std::collections::BTreeMap;

use certwright_egress::Egress;
use certwright_runtime::clock;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::config::{SecretKeyRef, parse};
use crate::error::ServiceError;
use crate::identity::{AwsCredentials, Environment, Identity};
use crate::service::Service;

#[tokio::test]
async fn the_credentials_of_the_pod_are_used_only_if_that_is_allowed_and_the_config_names_none() {
    let server = pod_identity().await;
    for config in [
        json!({"provider": "route53"}),
        json!({"provider": "google", "settings": {"project": "p"}}),
        json!({"provider": "azure", "settings": {"subscriptionID": "s", "resourceGroupName": "g"}}),
    ] {
        let error = connect(config, &[], false, &server).await.err().unwrap();
        assert!(
            error.message.starts_with("the config has no credentials, and this issuer may not use those"),
            "{error}"
        );
    }
    let incomplete = json!({"provider": "route53", "credentials": {"sessionToken": {"secretRef": {"name": "s", "key": "k"}}}});
    let error = connect(incomplete, &[("k", "Z1")], true, &server).await.err().unwrap();
    assert!(
        error.message.starts_with("config.settings.accessKeyID is missing, which provider route53 needs"),
        "{error}"
    );
    assert!(server.received_requests().await.unwrap().is_empty());

    let service = connect(json!({"provider": "route53"}), &[], true, &server).await.unwrap();
    assert_eq!(key(&service), ["ASIAPOD", "secret-of-the-pod", "session-of-the-pod"]);
}

#[tokio::test]
async fn the_credentials_of_the_pod_are_not_sent_to_a_server_of_the_issuers_author() {
    let server = pod_identity().await;
    let config = json!({"provider": "route53", "settings": {"endpoint": "https://192.0.2.1"}});
    let error = connect(config, &[], true, &server).await.err().unwrap();
    assert!(error.message.starts_with("config.settings.endpoint needs credentials of its own"), "{error}");
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn credentials_of_a_secret_are_used_although_the_pod_has_others() {
    let server = pod_identity().await;
    let config = json!({
        "provider": "route53", "settings": {"accessKeyID": "AKIATENANT"},
        "credentials": {"secretAccessKey": {"secretRef": {"name": "s", "key": "k"}}},
    });
    let service = connect(config, &[("k", "secret-of-the-tenant\n")], true, &server).await.unwrap();
    assert_eq!(key(&service), ["AKIATENANT", "secret-of-the-tenant", ""]);
    assert!(server.received_requests().await.unwrap().is_empty());

    // The metadata service would have a token.
    let config = json!({
        "provider": "google", "settings": {"project": "p"},
        "credentials": {"serviceAccount": {"secretRef": {"name": "s", "key": "k"}}},
    });
    let error = connect(config, &[("k", "{}")], true, &server).await.err().unwrap();
    assert_eq!(
        error.message,
        "the service account's key cannot be used: it is not the JSON file that Google has made"
    );
}

#[tokio::test]
async fn a_client_secret_needs_its_application() {
    let server = pod_identity().await;
    let mut config = json!({
        "provider": "azure", "settings": {"subscriptionID": "s", "resourceGroupName": "g", "clientID": "c"},
        "credentials": {"clientSecret": {"secretRef": {"name": "s", "key": "k"}}},
    });
    let error = connect(config.clone(), &[("k", "secret")], true, &server).await.err().unwrap();
    assert!(
        error.message.starts_with("config.settings.tenantID is missing, which provider azure needs"),
        "{error}"
    );
    config["settings"]["tenantID"] = json!("t");
    let token = json!({"access_token": "eyJ.token", "expires_in": 3599});
    let asked = Mock::given(method("POST")).and(path("/login.chinacloudapi.cn/t/oauth2/v2.0/token"));
    asked.respond_with(ResponseTemplate::new(200).set_body_json(token)).expect(1).mount(&server).await;
    config["settings"]["environment"] = json!("AzureChinaCloud");
    assert!(matches!(connect(config, &[("k", "secret")], false, &server).await, Ok(Service::Azure(_))));
}

#[tokio::test]
async fn a_role_is_assumed_with_the_key_of_a_secret() {
    let server = pod_identity().await;
    let config = json!({
        "provider": "route53",
        "settings": {"accessKeyID": "AKIATENANT", "role": "arn:aws:iam::1:role/dns", "region": "eu-west-1"},
        "credentials": {"secretAccessKey": {"secretRef": {"name": "s", "key": "k"}}},
    });
    let credentials = "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                       <Expiration>2099-01-01T00:00:00Z</Expiration>";
    let answer = format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials>{credentials}</Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    let asked = Mock::given(method("POST")).and(path("/sts.eu-west-1.amazonaws.com/"));
    asked.respond_with(ResponseTemplate::new(200).set_body_string(answer)).expect(1).mount(&server).await;
    let service = connect(config, &[("k", "secret")], false, &server).await.unwrap();
    assert_eq!(key(&service), ["ASIAROLE", "s", "t"]);
}

/// A pod with EKS Pod Identity.
async fn pod_identity() -> MockServer {
    let server = MockServer::start().await;
    let credentials = json!({"AccessKeyId": "ASIAPOD", "SecretAccessKey": "secret-of-the-pod",
        "Token": "session-of-the-pod", "Expiration": "2099-01-01T00:00:00Z"});
    let asked = Mock::given(method("GET")).and(path("/169.254.170.23/v1/credentials"));
    asked.respond_with(ResponseTemplate::new(200).set_body_json(credentials)).mount(&server).await;
    server
}

async fn connect(
    config: Value,
    secret: &[(&str, &str)],
    may_use_ambient: bool,
    server: &MockServer,
) -> Result<Service, ServiceError> {
    let uri = Some("http://169.254.170.23/v1/credentials".to_owned());
    let environment = Environment { aws_container_credentials_full_uri: uri, ..Environment::default() };
    let identity = Identity::of_a_test(environment, clock::now, &server.uri());
    let secrets: BTreeMap<SecretKeyRef, SecretString> = secret
        .iter()
        .map(|(key, content)| {
            (SecretKeyRef { name: "s".to_owned(), key: (*key).to_owned() }, (*content).into())
        })
        .collect();
    parse(&config).unwrap().connect(&secrets, &Egress::default(), &identity, may_use_ambient).await
}

/// The access key of Route 53.
fn key(service: &Service) -> [&str; 3] {
    let Service::Aws(service) = service else { panic!("another service") };
    let AwsCredentials { access_key_id, secret_access_key, session_token } = &service.credentials;
    let token = session_token.as_ref().map(ExposeSecret::expose_secret);
    [access_key_id, secret_access_key.expose_secret(), token.unwrap_or_default()]
}
