//! A solver's provider, with the content of its Secrets.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use reqwest::Url;
use secrecy::SecretString;
use tokio::time::timeout;

use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use certwright_api::{Dns01SecretKeySelector, Dns01Webhook, DnsRecordStatus, OpaqueJson};
use certwright_core::naming::digest;
use certwright_runtime::clock;
use certwright_solver::dns01::{Record, acme_dns, http_request, rfc2136, webhook};

/// How long to wait for a webhook's answer: less than for the API server itself.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(25);

/// Adds TXT records to DNS, and removes them.
pub enum Provider {
    /// A webhook behind the Kubernetes API.
    Webhook {
        /// Which.
        settings: Dns01Webhook,
        /// The namespace of the Secrets in its config.
        namespace: String,
        /// Whether it may use ambient credentials.
        ambient: bool,
    },
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
        // This follows from the kind of issuer. The namespace in the status is only informative.
        let namespace = match record.allow_ambient_credentials {
            true => &context.config.namespace,
            false => certificate_namespace,
        };
        let secrets = Secrets { context, namespace };
        if let Some(settings) = &solver.webhook {
            let namespace = namespace.to_owned();
            let ambient = record.allow_ambient_credentials;
            return Ok(Ok(Self::Webhook { settings: settings.clone(), namespace, ambient }));
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
    pub async fn present(&self, context: &Context, uid: &str, record: &Record) -> Result<(), String> {
        match self {
            Self::Webhook { .. } => self.call(context, uid, webhook::Action::Present, record).await,
            Self::HttpRequest(provider) => provider.present(record).await.map_err(|error| error.to_string()),
            Self::Rfc2136(settings) => {
                rfc2136::present(settings, record).await.map_err(|error| error.to_string())
            }
            Self::AcmeDns(provider) => provider.present(record).await.map_err(|error| error.to_string()),
        }
    }

    /// Removes a record, and no other record with the same name.
    pub async fn clean_up(&self, context: &Context, uid: &str, record: &Record) -> Result<(), String> {
        match self {
            Self::Webhook { .. } => self.call(context, uid, webhook::Action::CleanUp, record).await,
            Self::HttpRequest(provider) => provider.clean_up(record).await.map_err(|error| error.to_string()),
            Self::Rfc2136(settings) => {
                rfc2136::clean_up(settings, record).await.map_err(|error| error.to_string())
            }
            Self::AcmeDns(provider) => provider.clean_up(record).await.map_err(|error| error.to_string()),
        }
    }

    /// Calls a webhook through the API server.
    async fn call(
        &self,
        context: &Context,
        uid: &str,
        action: webhook::Action,
        record: &Record,
    ) -> Result<(), String> {
        let Self::Webhook { settings, namespace, ambient } = self else { return Ok(()) };
        let Dns01Webhook { group_name, solver_name, config } = settings;
        let request_id = format!("{uid}-{}", digest(&format!("{action:?} {}", record.value)));
        let named = |words: String| format!("the webhook {solver_name} of {group_name} {words}");
        let config = config.as_ref().map(OpaqueJson::value).transpose();
        let config = config.map_err(|error| named(format!("cannot be called: {error}")))?;
        let payload = webhook::request(&request_id, action, record, namespace, *ambient, config);
        let body =
            serde_json::to_vec(&payload).map_err(|error| named(format!("cannot be called: {error}")))?;
        let request = Request::post(webhook::path(group_name, solver_name))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| named(format!("cannot be called: {error}")))?;
        let called = async {
            let answer = context.client.send(request).await;
            let answer = answer.map_err(|_| "cannot be reached through the API server")?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), webhook::MAX_ANSWER).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => "sent an answer of more than 128 KiB, which is not read; check its log",
                false => "sent an incomplete answer",
            })?;
            Ok((status, body.to_bytes()))
        };
        let called = timeout(WEBHOOK_TIMEOUT, called).await.unwrap_or(Err("did not answer in time"));
        let (status, body) = called.map_err(|words| named(words.to_owned()))?;
        match webhook::read(&body, &request_id) {
            Ok(()) if status.is_success() => Ok(()),
            Ok(()) => Err(named(format!("answered HTTP {}", status.as_u16()))),
            Err(webhook::Error::NotJson) if !status.is_success() => {
                Err(named(format!("answered HTTP {}", status.as_u16())))
            }
            Err(error) => Err(named(error.to_string())),
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
