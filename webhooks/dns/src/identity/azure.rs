//! Access tokens of Azure: for a client secret, for the workload identity of this process, or for a managed identity of its node.

#[cfg(test)]
mod tests;

use http::Method;
use http::header::CONTENT_TYPE;
use jiff::SignedDuration;
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::cache::{Key, Lent};
use super::environment::read;
use super::{Ambient, Identity};
use crate::call::{Answer, Purpose, form, url};
use crate::error::ServiceError;

const FORM: &str = "application/x-www-form-urlencoded";

/// One of the clouds that Azure consists of, by the names that Azure's tools use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
pub enum AzureCloud {
    /// All others.
    #[default]
    #[strum(serialize = "AzurePublicCloud")]
    Public,
    /// China, operated by 21Vianet.
    #[strum(serialize = "AzureChinaCloud")]
    China,
    /// The government of the United States.
    #[strum(serialize = "AzureUSGovernmentCloud")]
    UsGovernment,
}

impl AzureCloud {
    /// The server that issues tokens.
    fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.chinacloudapi.cn",
            Self::UsGovernment => "https://login.microsoftonline.us",
        }
    }

    /// The server of the Resource Manager, which tokens are for.
    #[must_use]
    pub fn resource_manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::China => "https://management.chinacloudapi.cn",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
        }
    }
}

/// Whose credentials are used.
pub enum AzureSource {
    /// The workload identity of this process, or a managed identity of its node.
    Ambient {
        /// The permission.
        ambient: Ambient,
        /// Another tenant than that of the workload identity.
        tenant_id: Option<String>,
        /// Another identity.
        client_id: Option<String>,
        /// A managed identity of the node, by its resource.
        resource_id: Option<String>,
    },
    /// The secret of an application, from a Secret.
    ClientSecret {
        /// The application's tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}

/// How an application proves that it is itself.
struct Proof<'a> {
    kind: &'static [(&'static str, &'static str)],
    field: &'static str,
    value: &'a SecretString,
}

impl Identity {
    /// A token for the Resource Manager of a cloud.
    ///
    /// # Errors
    /// What Azure said, or what is missing.
    pub async fn azure(&self, source: &AzureSource, cloud: AzureCloud) -> Result<SecretString, ServiceError> {
        match source {
            AzureSource::ClientSecret { tenant_id, client_id, client_secret } => {
                let value = client_secret;
                let key =
                    Key::of(&["azure", cloud.into(), "secret", tenant_id, client_id, value.expose_secret()]);
                let request = async {
                    let doing = Purpose::Credentials("getting a token for the client secret");
                    let proof = Proof { kind: &[], field: "client_secret", value };
                    let url = url(cloud.authority(), &[tenant_id, "oauth2", "v2.0", "token"])?;
                    self.client_credentials(doing, cloud, url, client_id, proof).await
                };
                self.tokens.get(key, request).await
            }
            AzureSource::Ambient { ambient: _, tenant_id, client_id, resource_id } => {
                let (tenant, client) = (tenant_id.as_deref(), client_id.as_deref());
                let resource = resource_id.as_deref();
                let parts = [tenant, client, resource].map(Option::unwrap_or_default);
                let key = Key::of(&["azure", cloud.into(), "ambient", parts[0], parts[1], parts[2]]);
                let request = async {
                    match &self.environment.azure_federated_token_file {
                        Some(file) => self.workload_identity(cloud, tenant, client, file).await,
                        None => self.managed_identity(cloud, client, resource).await,
                    }
                };
                self.tokens.get(key, request).await
            }
        }
    }

    /// <https://azure.github.io/azure-workload-identity/docs/>
    async fn workload_identity(
        &self,
        cloud: AzureCloud,
        tenant: Option<&str>,
        client: Option<&str>,
        file: &str,
    ) -> Result<Lent<SecretString>, ServiceError> {
        let environment = &self.environment;
        let missing = |what| {
            ServiceError::new(format!("the pod of certwright-dns has no {what}, and the config neither"))
        };
        let tenant =
            tenant.or(environment.azure_tenant_id.as_deref()).ok_or_else(|| missing("AZURE_TENANT_ID"))?;
        let client =
            client.or(environment.azure_client_id.as_deref()).ok_or_else(|| missing("AZURE_CLIENT_ID"))?;
        let token = read("AZURE_FEDERATED_TOKEN_FILE", file)?;
        let mut token_url = url(cloud.authority(), &[tenant, "oauth2", "v2.0", "token"])?;
        if let Some(authority) = &environment.azure_authority_host {
            let authority: Option<Url> = authority.parse().ok().filter(|url: &Url| url.scheme() == "https");
            let host = authority.as_ref().and_then(Url::host_str);
            if token_url.set_host(host).is_err() || host.is_none() {
                return Err(ServiceError::new("AZURE_AUTHORITY_HOST of certwright-dns is not an https URL"));
            }
        }
        let proof = Proof {
            kind: &[("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")],
            field: "client_assertion",
            value: &token,
        };
        let doing = Purpose::Credentials("getting a token for the workload identity of certwright-dns");
        self.client_credentials(doing, cloud, token_url, client, proof).await
    }

    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    async fn client_credentials(
        &self,
        doing: Purpose,
        cloud: AzureCloud,
        url: Url,
        client: &str,
        Proof { kind, field, value }: Proof<'_>,
    ) -> Result<Lent<SecretString>, ServiceError> {
        let scope = format!("{}/.default", cloud.resource_manager());
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("scope", &scope),
            (field, value.expose_secret()),
        ];
        let body = form(&[&pairs, kind].concat());
        let fill = |request: RequestBuilder| request.header(CONTENT_TYPE, FORM).body(body);
        let answer = self.remote.send(doing, Method::POST, url, fill).await?;
        self.azure_token(&answer, &[value])
    }

    /// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
    async fn managed_identity(
        &self,
        cloud: AzureCloud,
        client: Option<&str>,
        resource: Option<&str>,
    ) -> Result<Lent<SecretString>, ServiceError> {
        let mut url = url("http://169.254.169.254", &["metadata", "identity", "oauth2", "token"])?;
        let whose = client.map(|id| ("client_id", id)).or(resource.map(|id| ("msi_res_id", id)));
        let query = [("api-version", "2018-02-01"), ("resource", cloud.resource_manager())];
        url.query_pairs_mut().extend_pairs(query.into_iter().chain(whose));
        let doing = Purpose::Credentials("getting a token for the managed identity of the node");
        let fill = |request: RequestBuilder| request.header("metadata", "true");
        let answer = self.local.send(doing, Method::GET, url, fill).await?;
        self.azure_token(&answer, &[])
    }

    fn azure_token(
        &self,
        answer: &Answer,
        secrets: &[&SecretString],
    ) -> Result<Lent<SecretString>, ServiceError> {
        if !answer.status.is_success() {
            return Err(answer.refusal(words(answer), secrets));
        }
        let Token { access_token, expires_in } = answer.json()?;
        // The metadata service sends the number as a string.
        let seconds = expires_in.as_u64().or_else(|| expires_in.as_str()?.parse().ok());
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok()).map(i64::from);
        let expires =
            seconds.map(|seconds| (self.clock)().saturating_add(SignedDuration::from_secs(seconds)));
        match expires {
            Some(Ok(expires)) => Ok(Lent { value: access_token.into(), expires }),
            _ => Err(answer.not_understood()),
        }
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: Value,
}

/// What the authority said (RFC 6749 section 5.2), without the ids and the time that follow.
fn words(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let Refusal { error, error_description } = answer.json().ok()?;
    let description = error_description.split("Trace ID:").next().unwrap_or_default().trim();
    Some(if description.is_empty() { error } else { format!("{error}: {description}") })
}
