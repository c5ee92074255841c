use std::cell::Cell;
use std::collections::HashMap;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use wiremock::matchers::{header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::identity::Environment;

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";
const SECRET: &str = "qWgdYAmab0YSkuL1qKv5bPX";

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_800_000_000) };
}

fn clock() -> Timestamp {
    Timestamp::from_second(NOW.get()).unwrap()
}

#[tokio::test]
async fn a_client_secret_gets_one_token_for_all_until_it_expires() {
    let server = MockServer::start().await;
    let asked = Mock::given(method("POST"))
        .and(path(format!("/login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")));
    asked.respond_with(token("eyJ.secret")).expect(2).mount(&server).await;
    let (identity, source) = (pod(Environment::default(), &server), secret(TENANT, SECRET));
    for token in join_all((0..20).map(|_| identity.azure(&source, AzureCloud::Public))).await {
        assert_eq!(token.unwrap().expose_secret(), "eyJ.secret");
    }
    let form = form(&server).await;
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://management.azure.com/.default"),
        ("client_secret", SECRET),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    NOW.set(NOW.get() + 3599 - 180);
    identity.azure(&source, AzureCloud::Public).await.unwrap();
}

#[tokio::test]
async fn each_cloud_has_its_hosts() {
    for (cloud, name, authority, scope) in [
        (
            AzureCloud::China,
            "AzureChinaCloud",
            "login.chinacloudapi.cn",
            "https://management.chinacloudapi.cn/.default",
        ),
        (
            AzureCloud::UsGovernment,
            "AzureUSGovernmentCloud",
            "login.microsoftonline.us",
            "https://management.usgovcloudapi.net/.default",
        ),
    ] {
        assert_eq!(name.parse(), Ok(cloud));
        let server = MockServer::start().await;
        let asked = Mock::given(method("POST")).and(path(format!("/{authority}/{TENANT}/oauth2/v2.0/token")));
        asked.respond_with(token("eyJ.secret")).expect(1).mount(&server).await;
        pod(Environment::default(), &server).azure(&secret(TENANT, SECRET), cloud).await.unwrap();
        assert_eq!(form(&server).await["scope"], scope);
    }
}

#[tokio::test]
async fn a_workload_identity_is_asked_for_with_the_token_of_the_pod() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let asked = Mock::given(method("POST")).and(path(format!("/login.example/{TENANT}/oauth2/v2.0/token")));
    asked.respond_with(token("eyJ.workload")).expect(1).mount(&server).await;
    let identity = pod(workload(&directory), &server);
    assert_eq!(
        identity.azure(&ambient(None, None), AzureCloud::Public).await.unwrap().expose_secret(),
        "eyJ.workload"
    );
    let form = form(&server).await;
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://management.azure.com/.default"),
        ("client_assertion", "eyJ.of.this.pod"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn the_config_can_name_another_identity_of_the_pod() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let asked = Mock::given(method("POST")).and(path("/login.example/other.example/oauth2/v2.0/token"));
    asked.respond_with(token("eyJ.other")).expect(1).mount(&server).await;
    let identity = pod(workload(&directory), &server);
    let other = AzureSource::Ambient {
        ambient: Ambient::permitted(true).unwrap(),
        tenant_id: Some("other.example".to_owned()),
        client_id: Some("other".to_owned()),
        resource_id: None,
    };
    assert_eq!(identity.azure(&other, AzureCloud::Public).await.unwrap().expose_secret(), "eyJ.other");
    assert_eq!(form(&server).await["client_id"], "other");
}

#[tokio::test]
async fn a_managed_identity_of_the_node_is_asked_for_by_its_id() {
    let resource =
        "/subscriptions/1/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/dns";
    for (source, name, value) in [
        (ambient(Some(CLIENT), None), "client_id", CLIENT),
        (ambient(None, Some(resource)), "msi_res_id", resource),
    ] {
        let server = MockServer::start().await;
        let asked = Mock::given(method("GET"))
            .and(path("/169.254.169.254/metadata/identity/oauth2/token"))
            .and(query_param("api-version", "2018-02-01"))
            .and(query_param("resource", "https://management.azure.com"))
            .and(query_param(name, value))
            .and(header("metadata", "true"));
        let answer = json!({"access_token": "eyJ.node", "client_id": CLIENT, "expires_in": "86399",
            "expires_on": "1800086399", "resource": "https://management.azure.com/", "token_type": "Bearer"});
        asked.respond_with(ResponseTemplate::new(200).set_body_json(answer)).expect(1).mount(&server).await;
        let identity = pod(Environment::default(), &server);
        assert_eq!(identity.azure(&source, AzureCloud::Public).await.unwrap().expose_secret(), "eyJ.node");
    }
    let server = MockServer::start().await;
    let asked = Mock::given(method("GET")).and(query_param_is_missing("client_id"));
    let refusal = json!({"error": "invalid_request", "error_description": "Identity not found"});
    asked.respond_with(ResponseTemplate::new(400).set_body_json(refusal)).mount(&server).await;
    let error = pod(Environment::default(), &server)
        .azure(&ambient(None, None), AzureCloud::Public)
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "getting a token for the managed identity of the node failed: 169.254.169.254 answered HTTP 400: invalid_request: \
         Identity not found"
    );
}

#[tokio::test]
async fn nobody_gets_the_token_of_another_identity() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    Mock::given(method("POST")).respond_with(token("eyJ.alice")).up_to_n_times(1).mount(&server).await;
    let identity = pod(workload(&directory), &server);
    identity.azure(&secret(TENANT, SECRET), AzureCloud::Public).await.unwrap();
    for other in
        [secret(TENANT, "guessed"), secret("other", SECRET), ambient(None, None), ambient(Some(CLIENT), None)]
    {
        identity.azure(&other, AzureCloud::Public).await.unwrap_err();
    }
    identity.azure(&secret(TENANT, SECRET), AzureCloud::China).await.unwrap_err();
    identity.azure(&secret(TENANT, SECRET), AzureCloud::Public).await.unwrap();
    assert_eq!(server.received_requests().await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_refusal_has_the_words_of_azure_without_ids_times_and_secrets() {
    let server = MockServer::start().await;
    let description = format!(
        "AADSTS7000215: Invalid client secret provided: {SECRET}. Trace ID: 0f5c81a8 Correlation ID: 85f3e0a2 Timestamp: \
         2027-01-15 08:00:00Z"
    );
    let refusal =
        json!({"error": "invalid_client", "error_description": description, "error_codes": [7_000_215]});
    let refusing =
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(401).set_body_json(refusal));
    refusing.mount(&server).await;
    let error = pod(Environment::default(), &server).azure(&secret(TENANT, SECRET), AzureCloud::Public).await;
    assert_eq!(
        error.unwrap_err().message,
        "getting a token for the client secret failed: login.microsoftonline.com answered HTTP 401: invalid_client: \
         AADSTS7000215: Invalid client secret provided: <redacted>.; check the credentials and their rights"
    );
    for tenant in ["..", ""] {
        let error =
            pod(Environment::default(), &server).azure(&secret(tenant, SECRET), AzureCloud::Public).await;
        assert!(error.unwrap_err().message.contains("not valid"));
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_pod_lacks_is_named() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let missing = async |environment| {
        pod(environment, &server).azure(&ambient(None, None), AzureCloud::Public).await.unwrap_err().message
    };
    let no_client = Environment { azure_client_id: None, ..workload(&directory) };
    assert_eq!(
        missing(no_client).await,
        "the pod of certwright-dns has no AZURE_CLIENT_ID, and the config neither"
    );
    let http = Environment {
        azure_authority_host: Some("http://login.example/".to_owned()),
        ..workload(&directory)
    };
    assert_eq!(missing(http).await, "AZURE_AUTHORITY_HOST of certwright-dns is not an https URL");
}

fn pod(environment: Environment, server: &MockServer) -> Identity {
    Identity::of_a_test(environment, clock, &server.uri())
}

fn workload(directory: &tempfile::TempDir) -> Environment {
    let path = directory.path().join("token");
    std::fs::write(&path, "eyJ.of.this.pod").unwrap();
    Environment {
        azure_authority_host: Some("https://login.example/".to_owned()),
        azure_client_id: Some(CLIENT.to_owned()),
        azure_tenant_id: Some(TENANT.to_owned()),
        azure_federated_token_file: Some(path.to_str().unwrap().to_owned()),
        ..Environment::default()
    }
}

fn secret(tenant_id: &str, client_secret: &str) -> AzureSource {
    let (tenant_id, client_id) = (tenant_id.to_owned(), CLIENT.to_owned());
    AzureSource::ClientSecret { tenant_id, client_id, client_secret: client_secret.into() }
}

fn ambient(client_id: Option<&str>, resource_id: Option<&str>) -> AzureSource {
    AzureSource::Ambient {
        ambient: Ambient::permitted(true).unwrap(),
        tenant_id: None,
        client_id: client_id.map(str::to_owned),
        resource_id: resource_id.map(str::to_owned),
    }
}

fn token(token: &str) -> ResponseTemplate {
    let body =
        json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token});
    ResponseTemplate::new(200).set_body_json(body)
}

/// What the first request has sent.
async fn form(server: &MockServer) -> HashMap<String, String> {
    let requests = server.received_requests().await.unwrap();
    form_urlencoded::parse(&requests[0].body).into_owned().collect()
}
