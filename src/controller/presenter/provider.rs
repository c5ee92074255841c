//! A solver's provider, with the content of its Secrets.

use k8s_openapi::api::core::v1::Secret;
use reqwest::Url;
use secrecy::SecretString;

use super::webhook::{Failure, Webhook};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use certwright_api::{Dns01SecretKeySelector, DnsRecordStatus};
use certwright_runtime::clock;
use certwright_solver::dns01::webhook::Action;
use certwright_solver::dns01::{Record, acme_dns, http_request, rfc2136, services};

/// Adds TXT records to DNS, and removes them.
pub enum Provider {
    /// A webhook behind the Kubernetes API.
    Webhook(Webhook),
    /// An HTTP server.
    HttpRequest(http_request::Provider),
    /// A name server.
    Rfc2136(Box<rfc2136::Settings>),
    /// An acme-dns server.
    AcmeDns(acme_dns::Provider),
}

impl Provider {
    /// The provider of a record of a Certificate in `certificate_namespace`, with its Secrets; or why there is none.
    ///
    /// # Errors
    /// [`Error::ReadSecret`]
    pub async fn of(
        context: &Context,
        certificate_namespace: &str,
        record: &DnsRecordStatus,
    ) -> Result<Result<Self, String>, Error> {
        let solver = &record.solver;
        // A ClusterIssuer's Secrets are in the operator's own namespace, also if it has moved since.
        let namespace = match record.secrets_namespace == certificate_namespace {
            true => certificate_namespace,
            false => &context.config.cluster_resource_namespace,
        };
        let secrets = Secrets { context, namespace };
        let webhook = match services::webhook(&solver.services, &context.config.dns_webhook_group) {
            Some(Err(refused)) => return Ok(Err(refused.to_owned())),
            Some(Ok(certwright_dns)) => Some(certwright_dns),
            None => solver.webhook.clone(),
        };
        if let Some(settings) = webhook {
            let namespace = namespace.to_owned();
            let ambient = record.allow_ambient_credentials;
            return Ok(Ok(Self::Webhook(Webhook { settings, namespace, ambient })));
        }
        if let Some(settings) = &solver.http_request {
            return secrets.http_request(settings).await;
        }
        if let Some(settings) = &solver.rfc2136 {
            return secrets.rfc2136(settings).await;
        }
        if let Some(settings) = &solver.acme_dns {
            return secrets.acme_dns(settings).await;
        }
        Ok(Err("the solver names no provider".to_owned()))
    }

    /// Adds a record; this is idempotent.
    pub async fn present(&self, context: &Context, uid: &str, record: &Record) -> Result<(), Failure> {
        let done = match self {
            Self::Webhook(webhook) => return webhook.call(context, uid, Action::Present, record).await,
            Self::HttpRequest(provider) => provider.present(record).await.map_err(|error| error.to_string()),
            Self::Rfc2136(settings) => {
                rfc2136::present(settings, record).await.map_err(|error| error.to_string())
            }
            Self::AcmeDns(provider) => provider.present(record).await.map_err(|error| error.to_string()),
        };
        done.map_err(Failure::from)
    }

    /// Removes a record, and no other record with the same name.
    pub async fn clean_up(&self, context: &Context, uid: &str, record: &Record) -> Result<(), String> {
        match self {
            Self::Webhook(webhook) => {
                webhook.call(context, uid, Action::CleanUp, record).await.map_err(|failure| failure.words)
            }
            Self::HttpRequest(provider) => provider.clean_up(record).await.map_err(|error| error.to_string()),
            Self::Rfc2136(settings) => {
                rfc2136::clean_up(settings, record).await.map_err(|error| error.to_string())
            }
            Self::AcmeDns(provider) => provider.clean_up(record).await.map_err(|error| error.to_string()),
        }
    }
}

/// The Secrets that a solver names.
struct Secrets<'a> {
    context: &'a Context,
    namespace: &'a str,
}

impl Secrets<'_> {
    async fn http_request(
        &self,
        settings: &certwright_api::Dns01HttpRequest,
    ) -> Result<Result<Provider, String>, Error> {
        let credentials = if let Some(reference) = &settings.auth_secret_ref {
            let secret = match self.secret(&reference.name, "httpRequest.authSecretRef").await? {
                Ok(secret) => secret,
                Err(words) => return Ok(Err(words)),
            };
            match (self.text(&secret, "username"), self.text(&secret, "password")) {
                (Ok(user), Ok(password)) => {
                    http_request::Credentials::Basic { user, password: password.into() }
                }
                (Err(words), _) | (_, Err(words)) => return Ok(Err(words)),
            }
        } else if let Some(reference) = &settings.bearer_token_secret_ref {
            match self.value(reference, "token", "httpRequest.bearerTokenSecretRef").await? {
                Ok(token) => http_request::Credentials::Bearer(token.into()),
                Err(words) => return Ok(Err(words)),
            }
        } else {
            http_request::Credentials::None
        };
        let Ok(url) = Url::parse(&settings.url) else {
            return Ok(Err("httpRequest.url is not a URL".to_owned()));
        };
        let settings = http_request::Settings {
            url,
            mode: settings.mode.unwrap_or_default(),
            credentials,
            ca_bundle: settings.ca_bundle.as_ref().map(|bundle| bundle.0.clone()),
            timeout: settings.timeout.map_or(http_request::DEFAULT_TIMEOUT, Into::into),
        };
        let provider = http_request::Provider::new(settings, &self.context.http_clients);
        Ok(provider.map(Provider::HttpRequest).map_err(|error| error.to_string()))
    }

    async fn rfc2136(
        &self,
        settings: &certwright_api::Dns01Rfc2136,
    ) -> Result<Result<Provider, String>, Error> {
        /// As in cert-manager.
        const DEFAULT_ALGORITHM: &str = "HMACMD5";
        let key = match (&settings.tsig_key_name, &settings.tsig_secret_secret_ref) {
            (Some(name), Some(reference)) => {
                let field = "rfc2136.tsigSecretSecretRef";
                let secret: SecretString = match self.value(reference, "tsig-secret-key", field).await? {
                    Ok(secret) => secret.into(),
                    Err(words) => return Ok(Err(words)),
                };
                let algorithm = settings.tsig_algorithm.as_deref().unwrap_or(DEFAULT_ALGORITHM);
                match rfc2136::TsigKey::new(name, Some(algorithm), &secret) {
                    Ok(key) => Some(key),
                    Err(error) => {
                        return Ok(Err(format!("{}: {error}", self.named(&reference.name))));
                    }
                }
            }
            _ => None,
        };
        Ok(match settings.nameserver.parse() {
            Ok(server) => {
                let mut settings_of_update = rfc2136::Settings::new(server, key, clock::now);
                settings_of_update.egress = self.context.egress.clone();
                settings_of_update.protocol = settings.protocol.unwrap_or_default();
                Ok(Provider::Rfc2136(Box::new(settings_of_update)))
            }
            Err(error) => Err(format!("rfc2136.nameserver: {error}")),
        })
    }

    async fn acme_dns(
        &self,
        settings: &certwright_api::Dns01AcmeDns,
    ) -> Result<Result<Provider, String>, Error> {
        let reference = &settings.account_secret_ref;
        let json = match self.value(reference, "acmedns.json", "acmeDNS.accountSecretRef").await? {
            Ok(json) => json,
            Err(words) => return Ok(Err(words)),
        };
        let accounts = match acme_dns::Accounts::from_json(json.as_bytes()) {
            Ok(accounts) => accounts,
            Err(error) => return Ok(Err(format!("{}: {error}", self.named(&reference.name)))),
        };
        let Ok(host) = Url::parse(&settings.host) else {
            return Ok(Err("acmeDNS.host is not a URL".to_owned()));
        };
        let provider =
            acme_dns::Provider::new(acme_dns::Settings { host, accounts }, &self.context.http_clients);
        Ok(provider.map(Provider::AcmeDns).map_err(|error| error.to_string()))
    }

    async fn secret(&self, name: &str, field: &str) -> Result<Result<Secret, String>, Error> {
        let found = secrets::read(&self.context.client, self.namespace, name).await?;
        let missing = || format!("{}, which {field} names, does not exist; create it", self.named(name));
        Ok(found.ok_or_else(missing))
    }

    async fn value(
        &self,
        reference: &Dns01SecretKeySelector,
        default_key: &str,
        field: &str,
    ) -> Result<Result<String, String>, Error> {
        let secret = self.secret(&reference.name, field).await?;
        Ok(secret.and_then(|secret| self.text(&secret, reference.key.as_deref().unwrap_or(default_key))))
    }

    fn text(&self, secret: &Secret, key: &str) -> Result<String, String> {
        let named = || self.named(secret.metadata.name.as_deref().unwrap_or_default());
        let bytes = secrets::data(secret, key)
            .ok_or_else(|| format!("{} has no key {key}; add it, or name another", named()))?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| format!("{}, key {key}: the value is not text", named()))?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn named(&self, name: &str) -> String {
        format!("Secret {name} in namespace {}", self.namespace)
    }
}
