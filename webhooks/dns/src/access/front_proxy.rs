//! The API server as a front proxy (Kubernetes, "Configure the Aggregation Layer"): which certificates it has, and the headers in
//! which it names users. Every cluster has both in one ConfigMap.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::certificates::{CertificateError, certificates, common_name, x509};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
/// How often the ConfigMap is read.
const EVERY: Duration = Duration::from_secs(10);

/// What a front proxy is recognized by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontProxy {
    /// The authorities of its certificates. Empty if the cluster has no front proxy.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The common names of its certificates; all, if empty.
    names: Vec<String>,
    username: Vec<String>,
    uid: Vec<String>,
    groups: Vec<String>,
    extra: Vec<String>,
}

/// Why it is not known how to recognize it.
#[derive(Debug, thiserror::Error)]
pub enum FrontProxyError {
    /// The ConfigMap cannot be read.
    #[error(
        "reading the ConfigMap {NAMESPACE}/{NAME} failed; the service account needs the Role {NAME}-reader"
    )]
    Read(#[source] kube::Error),
    /// It is not as Kubernetes writes it.
    #[error("{0} in the ConfigMap {NAMESPACE}/{NAME} is not a list in JSON")]
    List(&'static str, #[source] serde_json::Error),
    /// The authorities cannot be read.
    #[error(transparent)]
    Authorities(#[from] CertificateError),
}

impl FrontProxy {
    fn read(data: &BTreeMap<String, String>) -> Result<Self, FrontProxyError> {
        let list = |key: &'static str| match data.get(key) {
            Some(text) => serde_json::from_str(text).map_err(|source| FrontProxyError::List(key, source)),
            None => Ok(Vec::<String>::new()),
        };
        let prefixes = list("requestheader-extra-headers-prefix")?;
        let authorities = data.get("requestheader-client-ca-file").map(String::as_str).unwrap_or_default();
        Ok(Self {
            authorities: certificates("requestheader-client-ca-file", authorities.as_bytes())?,
            names: list("requestheader-allowed-names")?,
            username: list("requestheader-username-headers")?,
            uid: list("requestheader-uid-headers")?,
            groups: list("requestheader-group-headers")?,
            extra: prefixes.iter().map(|prefix| prefix.to_ascii_lowercase()).collect(),
        })
    }

    /// The user that the headers name, if the certificate is that of the front proxy. One of [`Self::authorities`] must have
    /// signed the certificate.
    #[must_use]
    pub fn user(&self, certificate: &CertificateDer<'_>, headers: &HeaderMap) -> Option<UserInfo> {
        if !self.names.is_empty() {
            let parsed = x509("the client's certificate", certificate).ok()?;
            let name = common_name(&parsed)?;
            self.names.iter().find(|allowed| *allowed == name)?;
        }
        let all = |names: &[String]| {
            let values = names.iter().flat_map(|name| headers.get_all(name.as_str()));
            values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect::<Vec<_>>()
        };
        let first = |names: &[String]| all(names).into_iter().find(|value| !value.is_empty());
        Some(UserInfo {
            username: Some(first(&self.username)?),
            uid: first(&self.uid),
            groups: Some(all(&self.groups)),
            extra: Some(self.extra(headers)),
        })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in headers {
            let key = self.extra.iter().find_map(|prefix| name.as_str().strip_prefix(prefix.as_str()));
            if let (Some(key), Ok(value)) = (key, value.to_str()) {
                let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
                extra.entry(key).or_default().push(value.to_owned());
            }
        }
        extra
    }
}

/// What the ConfigMap says, once it can be read, and the task that keeps it up to date.
pub fn follow(
    client: Client,
) -> (watch::Receiver<Option<Arc<FrontProxy>>>, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = watch::channel(None);
    let task = async move {
        let maps = Api::<ConfigMap>::namespaced(client, NAMESPACE);
        let mut turns = interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            turns.tick().await;
            let map = maps.get(NAME).await.map_err(FrontProxyError::Read);
            match map.and_then(|map| FrontProxy::read(&map.data.unwrap_or_default())) {
                Ok(read) => {
                    failing = false;
                    take(&sender, read);
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        let error = &error as &dyn std::error::Error;
                        warn!(error, "it is not known which certificates the API server has; retrying");
                    }
                }
            }
        }
    };
    (receiver, task)
}

fn take(sender: &watch::Sender<Option<Arc<FrontProxy>>>, read: FrontProxy) {
    if sender.borrow().as_deref() == Some(&read) {
        return;
    }
    match read.authorities.len() {
        0 => warn!("the cluster has no requestheader-client-ca-file: only bearer tokens are accepted"),
        authorities => info!(authorities, "the API server's certificates are known"),
    }
    sender.send_replace(Some(Arc::new(read)));
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn the_user_is_the_one_of_the_headers_with_groups_and_extra() {
        let user = front_proxy(&["front-proxy-client"])
            .user(&certificate("front-proxy-client"), &sent(&HEADERS))
            .unwrap();
        assert_eq!(user.username.as_deref(), Some("alice"));
        assert_eq!(user.uid.as_deref(), Some("7"));
        assert_eq!(user.groups, Some(vec!["a".to_owned(), "system:authenticated".to_owned()]));
        let extra = [("example.org/scopes".to_owned(), vec!["x".to_owned(), "y".to_owned()])];
        assert_eq!(user.extra, Some(extra.into()));
    }

    #[test]
    fn other_names_and_requests_without_a_user_are_nobody() {
        let proxy = front_proxy(&["front-proxy-client"]);
        assert_eq!(proxy.user(&certificate("kubelet"), &sent(&HEADERS)), None);
        assert_eq!(proxy.user(&certificate("front-proxy-client"), &sent(&HEADERS[1..])), None);
        assert_eq!(proxy.user(&certificate("front-proxy-client"), &sent(&[("x-remote-user", "")])), None);
        assert!(front_proxy(&[]).user(&certificate("kubelet"), &sent(&HEADERS)).is_some(), "no names: all");
    }

    #[test]
    fn a_config_map_of_another_form_is_an_error() {
        let read = |key: &str, text: &str| FrontProxy::read(&[(key.to_owned(), text.to_owned())].into());
        assert!(read("requestheader-allowed-names", "front-proxy-client").is_err());
        assert!(read("client-ca-file", "other keys do not matter").is_ok());
    }

    const HEADERS: [(&str, &str); 6] = [
        ("x-remote-user", "alice"),
        ("x-remote-uid", "7"),
        ("x-remote-group", "a"),
        ("x-remote-group", "system:authenticated"),
        ("x-remote-extra-Example.org%2fScopes", "x"),
        ("x-remote-extra-example.org%2Fscopes", "y"),
    ];

    fn front_proxy(names: &[&str]) -> FrontProxy {
        let data = [
            ("requestheader-allowed-names", serde_json::json!(names).to_string()),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#.to_owned()),
            ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#.to_owned()),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#.to_owned()),
            ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#.to_owned()),
        ];
        FrontProxy::read(&data.map(|(key, text)| (key.to_owned(), text)).into()).unwrap()
    }

    fn sent(headers: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        headers.iter().map(header).collect()
    }

    fn certificate(common_name: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }
}
