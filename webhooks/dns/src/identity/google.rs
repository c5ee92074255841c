//! Access tokens of Google Cloud: for a service account's key, or for the identity of this process, and of a service account that
//! these can impersonate.

mod external_account;
mod service_account;
#[cfg(test)]
mod tests;

use http::Method;
use http::header::CONTENT_TYPE;
use jiff::{SignedDuration, Timestamp};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::cache::{Key, Lent};
use super::environment::read;
use super::{Ambient, Identity};
use crate::call::{Answer, Purpose, form, url};
use crate::error::ServiceError;

use self::external_account::ExternalAccount;
use self::service_account::ServiceAccount;

/// What a token is for, if it is used to get another one.
const ANYTHING: &str = "https://www.googleapis.com/auth/cloud-platform";
/// What a token is for.
const CLOUD_DNS: &str = "https://www.googleapis.com/auth/ndev.clouddns.readwrite";
const FORM: &str = "application/x-www-form-urlencoded";

/// Whose credentials are used.
pub enum GoogleSource {
    /// Those of this process.
    Ambient(Ambient),
    /// A service account's key in JSON, from a Secret.
    ServiceAccountKey(SecretString),
}

impl Identity {
    /// A token for Cloud DNS from `source`, or if there is a service account to `impersonate`, its token, which is requested with that
    /// one.
    ///
    /// # Errors
    /// What Google said, or what is missing.
    pub async fn google(
        &self,
        source: &GoogleSource,
        impersonate: Option<&str>,
    ) -> Result<SecretString, ServiceError> {
        let scope = if impersonate.is_some() { ANYTHING } else { CLOUD_DNS };
        let (kind, key) = match source {
            GoogleSource::Ambient(_) => ("ambient", ""),
            GoogleSource::ServiceAccountKey(key) => ("key", key.expose_secret()),
        };
        let request = async {
            match source {
                GoogleSource::Ambient(_) => self.google_of_this_process(scope).await,
                GoogleSource::ServiceAccountKey(key) => self.service_account(key, scope).await,
            }
        };
        let token = self.tokens.get(Key::of(&["google", scope, kind, key]), request).await?;
        match impersonate {
            None => Ok(token),
            Some(account) => {
                let key = Key::of(&["google", "impersonate", account, kind, key]);
                self.tokens.get(key, self.impersonate(&token, account, CLOUD_DNS)).await
            }
        }
    }

    /// Application default credentials: <https://cloud.google.com/docs/authentication/application-default-credentials>
    async fn google_of_this_process(&self, scope: &str) -> Result<Lent<SecretString>, ServiceError> {
        const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
        let Some(file) = &self.environment.google_application_credentials else {
            return self.metadata().await;
        };
        let content = read(VARIABLE, file)?;
        if let Ok(account) = serde_json::from_str::<ExternalAccount>(content.expose_secret()) {
            return self.external_account(&account).await;
        }
        self.service_account(&content, scope).await
    }

    /// <https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity>
    async fn metadata(&self) -> Result<Lent<SecretString>, ServiceError> {
        let path = ["computeMetadata", "v1", "instance", "service-accounts", "default", "token"];
        let url = url("http://metadata.google.internal", &path)?;
        let fill = |request: RequestBuilder| request.header("metadata-flavor", "Google");
        let doing = Purpose::Credentials("getting a token from Google's metadata service");
        let answer = self.local.send(doing, Method::GET, url, fill).await?;
        self.token(&answer, &[])
    }

    /// RFC 7523: <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>
    async fn service_account(
        &self,
        key: &SecretString,
        scope: &str,
    ) -> Result<Lent<SecretString>, ServiceError> {
        let account = ServiceAccount::parse(key)?;
        let assertion = account.assertion(scope, (self.clock)())?;
        let body = form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose_secret()),
        ]);
        let doing = Purpose::Credentials("getting a token for the service account's key");
        let token_url = url("https://oauth2.googleapis.com", &["token"])?;
        let fill = |request: RequestBuilder| request.header(CONTENT_TYPE, FORM).body(body);
        let answer = self.remote.send(doing, Method::POST, token_url, fill).await?;
        self.token(&answer, &[&assertion])
    }

    /// RFC 8693: <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>
    async fn external_account(&self, account: &ExternalAccount) -> Result<Lent<SecretString>, ServiceError> {
        account.check()?;
        let subject = account.subject_token()?;
        let body = form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", &account.audience),
            ("subject_token_type", &account.subject_token_type),
            ("subject_token", subject.expose_secret()),
            ("scope", ANYTHING),
        ]);
        let doing = Purpose::Credentials("exchanging the token of certwright-dns for one of Google");
        let token_url = url("https://sts.googleapis.com", &["v1", "token"])?;
        let fill = |request: RequestBuilder| request.header(CONTENT_TYPE, FORM).body(body);
        let answer = self.remote.send(doing, Method::POST, token_url, fill).await?;
        let token = self.token(&answer, &[&subject])?;
        match account.impersonated()? {
            None => Ok(token),
            // It may have to impersonate another one.
            Some(email) => self.impersonate(&token.value, email, ANYTHING).await,
        }
    }

    /// <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>
    async fn impersonate(
        &self,
        token: &SecretString,
        account: &str,
        scope: &str,
    ) -> Result<Lent<SecretString>, ServiceError> {
        let method = format!("{account}:generateAccessToken");
        let path = ["v1", "projects", "-", "serviceAccounts", &method];
        let url = url("https://iamcredentials.googleapis.com", &path)?;
        let doing = Purpose::Credentials("impersonating the service account");
        let body = json!({"scope": [scope], "lifetime": "3600s"}).to_string();
        let fill = |request: RequestBuilder| {
            request.header(CONTENT_TYPE, "application/json").bearer_auth(token.expose_secret()).body(body)
        };
        let answer = self.remote.send(doing, Method::POST, url, fill).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal(words(&answer), &[token]));
        }
        let Impersonated { access_token, expire_time } = answer.json()?;
        Ok(Lent { value: access_token.into(), expires: expire_time })
    }

    /// The token in an answer (RFC 6749 section 5).
    fn token(&self, answer: &Answer, secrets: &[&SecretString]) -> Result<Lent<SecretString>, ServiceError> {
        if !answer.status.is_success() {
            return Err(answer.refusal(words(answer), secrets));
        }
        let Token { access_token, expires_in } = answer.json()?;
        let expires = (self.clock)().saturating_add(SignedDuration::from_secs(expires_in.into()));
        Ok(Lent { value: access_token.into(), expires: expires.map_err(|_| answer.not_understood())? })
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
    expire_time: Timestamp,
}

/// What Google said, in the form of its APIs, or in that of RFC 6749 section 5.2.
fn words(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Refusal {
        OfApi { error: ApiError },
        OfToken { error: String, error_description: Option<String> },
    }
    #[derive(Deserialize)]
    struct ApiError {
        message: String,
    }
    Some(match answer.json().ok()? {
        Refusal::OfApi { error: ApiError { message } } => message,
        Refusal::OfToken { error, error_description: Some(description) } => format!("{error}: {description}"),
        Refusal::OfToken { error, error_description: None } => error,
    })
}
