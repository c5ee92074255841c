//! Requests to `certwright-dns`, through the API server and without it.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use certwright_cluster::{CertwrightDns, Replica, TestNamespace};
use http::{Method, Request};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use reqwest::{Certificate, Identity, StatusCode};
use serde_json::{Value, json};

/// An API group of this test's own.
pub fn group(ns: &TestNamespace) -> String {
    format!("{}.dns.test", ns.name)
}

/// The path without its last part.
pub fn parent(path: &str) -> String {
    path.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default()
}

/// A challenge of `a.test`, with this `config`.
pub fn payload(config: Value) -> String {
    json!({
        "apiVersion": "webhook.acme.cert-manager.io/v1alpha1", "kind": "ChallengePayload",
        "request": {
            "uid": "7", "action": "Present", "type": "dns-01", "dnsName": "a.test", "key": "value",
            "resourceNamespace": "default", "resolvedFQDN": "_acme-challenge.a.test.", "resolvedZone": "a.test.",
            "allowAmbientCredentials": false, "config": config,
        },
    })
    .to_string()
}

/// Asks through the API server.
pub async fn ask(ns: &TestNamespace, method: Method, path: &str, body: &str) -> Result<Value> {
    let request = Request::builder().method(method).uri(path).header("Content-Type", "application/json");
    Ok(ns.client.request::<Value>(request.body(body.as_bytes().to_vec())?).await?)
}

/// A token of a service account that has no roles here.
pub async fn token(ns: &TestNamespace) -> Result<String> {
    ns.apply(r#"{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "caller"}}"#).await?;
    let accounts = ns.api::<ServiceAccount>();
    let token =
        accounts.create_token_request("caller", &PostParams::default(), &TokenRequest::default()).await?;
    Ok(token.status.context("no token")?.token)
}

/// Somebody who connects to a replica without the API server.
pub struct Direct<'a> {
    pub ns: &'a TestNamespace,
    pub dns: &'a CertwrightDns<'a>,
    pub replica: &'a Replica,
}

impl Direct<'_> {
    /// Calls the solver.
    pub async fn post(
        &self,
        identity: Option<Identity>,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(StatusCode, String)> {
        self.send(Method::POST, &self.dns.path(), identity, headers, body).await
    }

    /// Sends a request, and trusts what the APIService names.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        identity: Option<Identity>,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(StatusCode, String)> {
        let client = self.client(&self.bundle().await?, identity)?;
        self.send_by(client, method, path, headers, body).await
    }

    /// The same, by a client of [`Direct::client`].
    pub async fn send_by(
        &self,
        client: reqwest::Client,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(StatusCode, String)> {
        let (_, port) = self.replica.secure.rsplit_once(':').context("no port")?;
        let request = client.request(method, format!("https://{}:{port}{path}", self.dns.host()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.body(body).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// The authorities that the APIService names.
    pub async fn bundle(&self) -> Result<String> {
        let service = self.ns.get(&self.dns.target()).await?.context("no APIService")?;
        let bundle = service["spec"]["caBundle"].as_str().context("no caBundle")?;
        Ok(String::from_utf8(BASE64_STANDARD.decode(bundle)?)?)
    }

    /// A client that trusts these authorities.
    pub fn client(&self, bundle: &str, identity: Option<Identity>) -> Result<reqwest::Client> {
        let authorities = Certificate::from_pem_bundle(bundle.as_bytes())?;
        let builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(authorities)
            .resolve(&self.dns.host(), self.replica.secure.parse()?);
        let builder = match identity {
            Some(identity) => builder.identity(identity),
            None => builder,
        };
        Ok(builder.build()?)
    }
}
