//! The issuers: are they ready, are their MAC keys well-formed, and do their CAs answer?

use std::collections::BTreeMap;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::Finding;
use crate::command::ca::answering;
use crate::command::error::words;
use crate::command::mac_key::age;
use crate::command::outlook::{condition, named};
use crate::command::{Cluster, Error, causes};
use crate::controller::issuer_record::{IssuerId, IssuerRecord};
use certwright_acme::{Server, parse_mac_key};
use certwright_api::{AnyIssuer, CONDITION_READY, Certificate, ClusterIssuer, Issuer, IssuerKind};
use certwright_core::account::mac_key_in_secret;
use certwright_core::reading::Reading;
use certwright_egress::Egress;
use certwright_runtime::clock;

/// All issuers of a namespace or of all namespaces, the ClusterIssuers, and findings about those that cannot be read.
pub(super) async fn all(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<(Vec<IssuerRecord>, Vec<Finding>), Error> {
    let issuers: Vec<Reading<Issuer>> = cluster.all(namespace, &ListParams::default(), "Issuers").await?;
    let api = Api::<Reading<ClusterIssuer>>::all(cluster.client.clone());
    // Skip them for users with permissions in a single namespace only.
    let cluster_issuers = match api.list(&ListParams::default()).await {
        Ok(found) => found.items,
        Err(_) if namespace.is_some() => Vec::new(),
        Err(error) => return Err(Error::api("list ClusterIssuers", &error)),
    };
    let mut found = (Vec::new(), Vec::new());
    issuers.into_iter().for_each(|issuer| sort(issuer, &mut found));
    cluster_issuers.into_iter().for_each(|issuer| sort(issuer, &mut found));
    Ok(found)
}

fn sort<K: AnyIssuer>(reading: Reading<K>, (issuers, findings): &mut (Vec<IssuerRecord>, Vec<Finding>)) {
    let called = named(&K::kind(&()), reading.namespace().as_deref(), &reading.name_any());
    match reading.usable() {
        Ok(issuer) => issuers.push(IssuerRecord::from(&issuer)),
        Err(fault) => findings.push(Finding::fail(
            Error::Unreadable(called, fault).to_string(),
            "Correct the field. Until then, the operator does nothing for this object.",
        )),
    }
}

/// The issuer of a Certificate, if it is one of these.
pub(super) fn of<'a>(issuers: &'a [IssuerRecord], certificate: &Certificate) -> Option<&'a IssuerRecord> {
    let id = IssuerId::of(certificate);
    issuers.iter().find(|issuer| issuer.id == id)
}

pub(super) fn called(issuer: &IssuerRecord) -> String {
    named(issuer.id.kind.as_str(), issuer.id.namespace.as_deref(), &issuer.id.name)
}

/// Are they ready, and are their MAC keys well-formed?
pub(super) async fn findings(
    cluster: &Cluster,
    issuers: &[IssuerRecord],
    own_namespace: &str,
) -> Vec<Finding> {
    if issuers.is_empty() {
        return vec![Finding::warn(
            "there are no Issuers and no ClusterIssuers",
            "Create one: see docs/issuers.md.",
        )];
    }
    let mut findings = Vec::new();
    for issuer in issuers {
        findings.push(readiness(issuer));
        findings.extend(mac_key(cluster, issuer, own_namespace).await);
    }
    findings
}

/// Where to read more about an issuer.
pub(super) fn see(issuer: &IssuerRecord) -> String {
    let namespace =
        issuer.id.namespace.as_ref().map_or(String::new(), |namespace| format!(" -n {namespace}"));
    let kind = issuer.id.kind.as_str().to_lowercase();
    format!("See: certwright status {kind} {}{namespace}", issuer.id.name)
}

fn readiness(issuer: &IssuerRecord) -> Finding {
    let (called, see) = (called(issuer), see(issuer));
    match condition(&issuer.status.conditions, CONDITION_READY) {
        Some(ready) if ready.status == "True" => Finding::ok(format!("{called} is ready")),
        Some(ready) => {
            Finding::fail(format!("{called} is not ready: {}: {}", ready.reason, ready.message), see)
        }
        None => Finding::fail(format!("the operator has not processed {called} yet"), see),
    }
}

/// Is the MAC key of an issuer that needs it well-formed?
async fn mac_key(cluster: &Cluster, issuer: &IssuerRecord, own_namespace: &str) -> Option<Finding> {
    let binding = issuer.spec.external_account_binding.as_ref()?;
    let namespace = match issuer.id.kind {
        IssuerKind::Issuer => issuer.id.namespace.as_deref()?,
        IssuerKind::ClusterIssuer => own_namespace,
    };
    let (name, key) = (&binding.key_secret_ref.name, mac_key_in_secret(&issuer.spec));
    let (called, secret) = (called(issuer), format!("Secret {namespace}/{name}"));
    let registered = issuer.status.acme.is_some();
    let found = Api::<Secret>::namespaced(cluster.client.clone(), namespace).get_opt(name).await;
    let found = match &found {
        Err(error) => {
            let words = format!("the MAC key of {called} cannot be read: {}", words(error));
            return Some(Finding::warn(words, "Ask somebody who may read Secrets there to run the check."));
        }
        Ok(None) if registered => {
            return Some(Finding::ok(format!("{called} is registered, and no longer needs {secret}")));
        }
        Ok(Some(_)) if registered => {
            let words = format!("{called} is registered, and no longer needs {secret}, which can be deleted");
            return Some(Finding::ok(words));
        }
        Ok(None) => {
            return Some(Finding::fail(
                format!("{secret} with the MAC key of {called} does not exist"),
                "Create it.",
            ));
        }
        Ok(Some(found)) => found,
    };
    let (data, age) =
        (found.data.as_ref().and_then(|data| data.get(key)), age(&issuer.spec, found, clock::now()));
    Some(match data.map(|data| parse_mac_key(&data.0)) {
        None => Finding::fail(
            format!("{secret} has no key {key}, where {called} expects its MAC key"),
            "Add it, or name another key in externalAccountBinding.keySecretRef.key.",
        ),
        Some(Err(error)) => Finding::fail(
            format!("{key} of {secret} is not a valid MAC key for {called}: {error}"),
            "Paste it as the CA shows it. In a manifest, stringData takes it as it is.",
        ),
        Some(Ok(_)) => {
            let words = format!("{key} of {secret} is a well-formed MAC key for {called}, {}", age.words);
            match age.too_old {
                false => Finding::ok(words),
                true => {
                    Finding::warn(words, "Create a new one in the CA's portal, and paste it into the Secret.")
                }
            }
        }
    })
}

/// The CAs that answered.
pub(super) type Servers = BTreeMap<ServerKey, Server>;
/// How an issuer reaches its CA: the URL, the CA bundle, and whether the server is not verified.
type ServerKey = (String, Option<Vec<u8>>, Option<bool>);

/// How an issuer reaches its CA.
pub(super) fn server_key(issuer: &IssuerRecord) -> ServerKey {
    let bundle = issuer.spec.ca_bundle.as_ref().map(|bundle| bundle.0.clone());
    (issuer.spec.server.clone(), bundle, issuer.spec.skip_tls_verify)
}

/// Do the CAs answer? Returns also those that do.
pub(super) async fn directories(issuers: &[IssuerRecord], egress: &Egress) -> (Vec<Finding>, Servers) {
    let mut by_server = BTreeMap::new();
    for issuer in issuers {
        by_server.entry(server_key(issuer)).or_insert(issuer);
    }
    let asked = by_server.into_iter().map(async |(key, issuer)| {
        let answer = answering(issuer, egress).await;
        (key, issuer, answer)
    });
    let (mut findings, mut servers) = (Vec::new(), Servers::new());
    for (key, issuer, answer) in join_all(asked).await {
        let url = &issuer.spec.server;
        findings.push(match answer {
            Ok(server) => {
                servers.insert(key, server);
                Finding::ok(format!("the CA at {url} answers from this machine"))
            }
            Err(error) => Finding::fail(
                format!("the CA at {url} cannot be used from this machine: {}", causes(&error)),
                format!(
                    "If {} is ready, the operator can reach it another way. Otherwise check the URL, DNS, firewalls and the proxy.",
                    called(issuer)
                ),
            ),
        });
    }
    (findings, servers)
}
