//! Route 53 without an access key: AWS's STS and Route 53, both of moto, at their own host names.

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};

use crate::compare::{Lego, Other, compare, environment};
use crate::fake::http;
use crate::lab::Lab;
use crate::route53::Aws;
use crate::webhook::Given;

const ROLE: &str = "arn:aws:iam::123456789012:role/certwright-dns";

#[tokio::test]
async fn route_53_is_changed_with_the_web_identity_of_the_pod_as_by_lego() -> Result<()> {
    let (lab, directory) = (Lab::start().await?, tempfile::tempdir()?);
    let aws = Aws::start(&lab.cluster).await?;
    for host in ["sts.eu-central-1.amazonaws.com", "route53.amazonaws.com"] {
        lab.host(host, forward(aws.url.clone()))?;
    }
    let token = directory.path().join("token");
    std::fs::write(&token, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.signature")?;
    let mut pod = lab.environment();
    // lego's SDK prefers this one, which the machine may have set.
    pod.insert("AWS_CA_BUNDLE".to_owned(), pod["SSL_CERT_FILE"].clone());
    pod.extend(environment(&[
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token.to_string_lossy()),
        ("AWS_REGION", "eu-central-1"),
    ]));
    let (reset, values) = (async || aws.reset().await, async || aws.values().await);
    let lego = Lego {
        provider: "route53",
        // The machine's own bundle, if it has one, would come before that of the test.
        environment: environment(&[
            ("AWS_WAIT_FOR_RECORD_SETS_CHANGED", "false"),
            ("AWS_CA_BUNDLE", &pod["SSL_CERT_FILE"]),
        ]),
        nameserver: &lab.name_server(),
        differs: &[],
    };
    let given = keyless(json!({}));
    compare(&lab.cluster, &given, &pod, Some(Other::Lego(lego)), reset, values).await?;
    // moto lets anybody assume any role.
    let given = keyless(json!({ "role": "arn:aws:iam::123456789012:role/zones" }));
    compare(&lab.cluster, &given, &pod, None, reset, values).await
}

fn keyless(settings: Value) -> Given {
    let config = json!({ "provider": "route53", "settings": settings });
    Given { may_use_ambient: true, ..Given::new(config, &[]) }
}

/// A server that hands each request on.
fn forward(url: String) -> Router {
    let client = http();
    Router::new().fallback(async move |method: Method, uri: Uri, mut headers: HeaderMap, body: Bytes| {
        let request = client.request(method, format!("{url}{uri}"));
        headers.remove("content-length");
        let answer = request.headers(headers).body(body).send().await.unwrap();
        let (status, body) = (answer.status(), answer.bytes().await.unwrap());
        Response::builder().status(status).header("content-type", "text/xml").body(Body::from(body)).unwrap()
    })
}
