//! Workload identity federation: a token of the cluster is exchanged for one of Google.
//! <https://google.aip.dev/auth/4117>

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ServiceError;
use crate::identity::environment::read;

const IMPERSONATION: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/";

/// A configuration that `gcloud iam workload-identity-pools create-cred-config` has made. It names files of this process, so it is
/// never taken from a tenant.
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    #[serde(rename = "type")]
    _kind: Kind,
    pub audience: String,
    pub subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: Source,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ExternalAccount,
}

#[derive(Deserialize)]
struct Source {
    file: Option<String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format {
    Text,
    Json { subject_token_field_name: String },
}

impl ExternalAccount {
    /// Whether this is a configuration that is supported here.
    pub fn check(&self) -> Result<(), ServiceError> {
        match self.token_url.as_str() {
            "https://sts.googleapis.com/v1/token" => Ok(()),
            _ => Err(unsupported("its token_url is not https://sts.googleapis.com/v1/token")),
        }
    }

    /// The token of the cluster.
    pub fn subject_token(&self) -> Result<SecretString, ServiceError> {
        let Source { file, format } = &self.credential_source;
        let file = file.as_ref().ok_or_else(|| unsupported("its credential_source names no file"))?;
        let content = read("credential_source", file)?;
        let Some(Format::Json { subject_token_field_name }) = format else { return Ok(content) };
        let parsed: Option<Value> = serde_json::from_str(content.expose_secret()).ok();
        let token = parsed.as_ref().and_then(|parsed| parsed.get(subject_token_field_name)?.as_str());
        token.map(SecretString::from).ok_or_else(|| {
            unsupported(
                "the file in its credential_source is not JSON with the field in subject_token_field_name",
            )
        })
    }

    /// The service account to impersonate.
    pub fn impersonated(&self) -> Result<Option<&str>, ServiceError> {
        let Some(url) = &self.service_account_impersonation_url else { return Ok(None) };
        let email =
            url.strip_prefix(IMPERSONATION).and_then(|rest| rest.strip_suffix(":generateAccessToken"));
        email
            .map(Some)
            .ok_or_else(|| unsupported("its service_account_impersonation_url is not one of Google"))
    }
}

fn unsupported(why: &str) -> ServiceError {
    ServiceError::new(format!(
        "the file in GOOGLE_APPLICATION_CREDENTIALS of certwright-dns cannot be used: {why}"
    ))
}
