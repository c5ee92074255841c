//! Credentials of AWS: from a Secret, from IRSA or EKS Pod Identity, and of a role that these can assume.

pub(crate) mod sign;
#[cfg(test)]
mod tests;

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::cache::{Key, Lent};
use super::environment::read;
use super::{Ambient, Identity};
use crate::call::{Answer, Purpose, form, url};
use crate::error::ServiceError;

/// The name of sessions, which is part of AWS's messages and of its audit log.
const SESSION: &str = "certwright-dns";
const LIFETIME_SECONDS: &str = "3600";
const FORM: &str = "application/x-www-form-urlencoded";

/// An access key. `Debug` does not show its secrets.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// Its public part.
    pub access_key_id: String,
    /// Its secret part.
    pub secret_access_key: SecretString,
    /// What short-lived credentials have in addition.
    pub session_token: Option<SecretString>,
}

/// Whose credentials are used.
pub enum AwsSource {
    /// Those of this process.
    Ambient(Ambient),
    /// An access key from a Secret.
    Key(AwsCredentials),
}

impl Identity {
    /// Credentials from `source`, or if there is a `role`, its credentials, which are requested with those. STS is asked in `region`;
    /// with the credentials of this process in its own region, if it knows that.
    ///
    /// # Errors
    /// What AWS said, or what is missing.
    pub async fn aws(
        &self,
        source: &AwsSource,
        region: Option<&str>,
        role: Option<&str>,
    ) -> Result<AwsCredentials, ServiceError> {
        let region = match source {
            AwsSource::Ambient(_) => self.environment.aws_region.as_deref().or(region),
            AwsSource::Key(_) => region,
        };
        let credentials = match source {
            AwsSource::Ambient(_) => {
                let key = Key::of(&["aws", "ambient", region.unwrap_or_default()]);
                self.aws.get(key, self.aws_of_this_process(region)).await?
            }
            AwsSource::Key(key) => key.clone(),
        };
        let Some(role) = role else { return Ok(credentials) };
        // Ambient credentials are renewed, but remain those of the same identity.
        let key = match source {
            AwsSource::Ambient(_) => Key::of(&["aws", "role", role, region.unwrap_or_default(), "ambient"]),
            AwsSource::Key(AwsCredentials { access_key_id, secret_access_key, session_token }) => Key::of(&[
                "aws",
                "role",
                role,
                region.unwrap_or_default(),
                "key",
                access_key_id,
                secret_access_key.expose_secret(),
                session_token.as_ref().map_or("", ExposeSecret::expose_secret),
            ]),
        };
        self.aws.get(key, self.assume_role(&credentials, region, role)).await
    }

    async fn aws_of_this_process(&self, region: Option<&str>) -> Result<Lent<AwsCredentials>, ServiceError> {
        let environment = &self.environment;
        if let (Some(role), Some(file)) =
            (&environment.aws_role_arn, &environment.aws_web_identity_token_file)
        {
            return self.web_identity(region, role, file).await;
        }
        match &environment.aws_container_credentials_full_uri {
            Some(uri) => self.pod_identity(uri).await,
            None => Err(ServiceError::new(
                "certwright-dns has no AWS credentials: its pod has neither AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN (IRSA) \
                 nor AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity); set up one of them and restart the pod, or name an \
                 access key in the issuer",
            )),
        }
    }

    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
    async fn web_identity(
        &self,
        region: Option<&str>,
        role: &str,
        file: &str,
    ) -> Result<Lent<AwsCredentials>, ServiceError> {
        let token = read("AWS_WEB_IDENTITY_TOKEN_FILE", file)?;
        let body = form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", SESSION),
            ("WebIdentityToken", token.expose_secret()),
            ("DurationSeconds", LIFETIME_SECONDS),
        ]);
        let sts = sts(region)?;
        let doing = Purpose::Credentials("getting AWS credentials for the web identity of certwright-dns");
        let fill = |request: reqwest::RequestBuilder| request.header(CONTENT_TYPE, FORM).body(body);
        let answer = self.remote.send(doing, Method::POST, sts, fill).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal(words(&answer), &[&token]));
        }
        let parsed: Option<WebIdentity> = xml(&answer);
        parsed.and_then(|parsed| parsed.result.credentials.lent()).ok_or_else(|| answer.not_understood())
    }

    /// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>
    async fn pod_identity(&self, uri: &str) -> Result<Lent<AwsCredentials>, ServiceError> {
        let uri: Url = uri.parse().map_err(|_| {
            ServiceError::new("AWS_CONTAINER_CREDENTIALS_FULL_URI of certwright-dns is not a URL")
        })?;
        let file = self.environment.aws_container_authorization_token_file.as_deref();
        let token = file.map(|file| read("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)).transpose()?;
        let doing = Purpose::Credentials("getting AWS credentials from EKS Pod Identity");
        let fill = |request: reqwest::RequestBuilder| match &token {
            Some(token) => request.header(AUTHORIZATION, token.expose_secret()),
            None => request,
        };
        let answer = self.local.send(doing, Method::GET, uri, fill).await?;
        if !answer.status.is_success() {
            let words = answer.json().ok().map(|refusal: AgentRefusal| refusal.message);
            return Err(answer.refusal(words, &token.iter().collect::<Vec<_>>()));
        }
        let agent: AgentCredentials = answer.json()?;
        let expires = agent.expiration;
        Ok(Lent { value: credentials(agent.access_key_id, agent.secret_access_key, agent.token), expires })
    }

    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
    async fn assume_role(
        &self,
        source: &AwsCredentials,
        region: Option<&str>,
        role: &str,
    ) -> Result<Lent<AwsCredentials>, ServiceError> {
        let body = form(&[
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", SESSION),
            ("DurationSeconds", LIFETIME_SECONDS),
        ]);
        let sts = sts(region)?;
        let host = sts.host_str().unwrap_or_default();
        let scope = sign::Scope { region: region.unwrap_or("us-east-1"), service: "sts" };
        let request =
            sign::Request { method: "POST", host, path: "/", query: "", content_type: FORM, body: &body };
        let signed = sign::headers(&request, &scope, source, (self.clock)());
        let doing = Purpose::Credentials("assuming the AWS role");
        let fill = |request: reqwest::RequestBuilder| {
            let request = request.header(CONTENT_TYPE, FORM);
            signed
                .into_iter()
                .fold(request, |request, (name, value)| request.header(name, value))
                .body(body.clone())
        };
        let answer = self.remote.send(doing, Method::POST, sts.clone(), fill).await?;
        if !answer.status.is_success() {
            let secrets = source.session_token.iter().chain([&source.secret_access_key]);
            return Err(answer.refusal(words(&answer), &secrets.collect::<Vec<_>>()));
        }
        let parsed: Option<AssumedRole> = xml(&answer);
        parsed.and_then(|parsed| parsed.result.credentials.lent()).ok_or_else(|| answer.not_understood())
    }
}

/// The endpoint of STS in a region; the global one without.
fn sts(region: Option<&str>) -> Result<Url, ServiceError> {
    let Some(region) = region else { return url("https://sts.amazonaws.com", &[]) };
    // It becomes a part of the host's name.
    let is_region = (1..=40).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = format!("https://sts.{region}.{suffix}").parse().ok().filter(|_| is_region);
    url.ok_or_else(|| ServiceError::new("the region is not the name of an AWS region, such as eu-central-1"))
}

fn credentials(id: String, secret: String, token: String) -> AwsCredentials {
    let (secret_access_key, session_token) = (secret.into(), Some(token.into()));
    AwsCredentials { access_key_id: id, secret_access_key, session_token }
}

#[derive(Deserialize)]
struct WebIdentity {
    #[serde(rename = "AssumeRoleWithWebIdentityResult")]
    result: StsResult,
}

#[derive(Deserialize)]
struct AssumedRole {
    #[serde(rename = "AssumeRoleResult")]
    result: StsResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsResult {
    credentials: StsCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

impl StsCredentials {
    fn lent(self) -> Option<Lent<AwsCredentials>> {
        let expires: Timestamp = self.expiration.parse().ok()?;
        Some(Lent {
            value: credentials(self.access_key_id, self.secret_access_key, self.session_token),
            expires,
        })
    }
}

/// A refusal of any service of AWS with an XML API.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "Error")]
    error: RefusalDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RefusalDetails {
    code: String,
    #[serde(default)]
    message: String,
}

/// The answer of the agent on the node.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentCredentials {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Timestamp,
}

#[derive(Deserialize)]
struct AgentRefusal {
    #[serde(alias = "Message")]
    message: String,
}

/// The answer, if it is a document of this form.
pub(crate) fn xml<T: serde::de::DeserializeOwned>(answer: &Answer) -> Option<T> {
    quick_xml::de::from_str(std::str::from_utf8(answer.body()).ok()?).ok()
}

/// The code and the message of a refusal, without the times in it.
pub(crate) fn refusal(answer: &Answer) -> Option<(String, String)> {
    let RefusalDetails { code, message } = xml::<Refusal>(answer)?.error;
    let changes = [": current date/time", "Signature expired: ", "Signature not yet current: "];
    let end = changes.iter().filter_map(|text| message.find(text)).min().unwrap_or(message.len());
    let message = match message[..end].trim() {
        "" if end < message.len() => "the clock of certwright-dns is wrong",
        message => message,
    };
    Some((code, message.to_owned()))
}

fn words(answer: &Answer) -> Option<String> {
    refusal(answer).map(|(code, message)| format!("{code}: {message}"))
}
