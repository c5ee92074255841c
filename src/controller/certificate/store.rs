//! The Secrets of an issuance: the private key before anything is ordered, the certificate once it is checked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use kube::Resource;
use kube::runtime::events::EventType;
use tracing::info;

use super::Next;
use super::gather::Work;
use crate::api::{self, Certificate, certificate_reason as reason};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::{events, secrets};
use crate::core::spec::ValidatedCertificate;
use crate::pki::{Chain, KeyAlgorithm, PrivateKey};

impl Work {
    /// Makes the private key of this issuance and stores it.
    pub(super) async fn store_key(&mut self, context: &Context) -> Result<Next, Error> {
        let Ok(wanted) = &self.wanted else { return Ok(Next::Until(None)) };
        let key = generate(wanted.key).await?;
        let name = self.next_key_name();
        let pem = key.to_pem(wanted.encoding)?;
        let written = secrets::Written {
            namespace: &self.namespace,
            name: &name,
            purpose: api::SECRET_NEXT_PRIVATE_KEY,
            type_: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([(api::ANNOTATION_CERTIFICATE.to_owned(), self.name.clone())]),
            owner: self.certificate.controller_owner_ref(&()),
            data: BTreeMap::from([(api::SECRET_KEY_TLS_KEY.to_owned(), ByteString(pem.as_bytes().to_vec()))]),
        };
        if written.create(&context.client, &context.metrics).await? {
            self.next_key = Some(key);
        } else if let Some(found) = secrets::read(&context.client, &self.namespace, &name).await? {
            self.next_key = match secrets::data(&found, api::SECRET_KEY_TLS_KEY).map(PrivateKey::from_pem) {
                Some(Ok(stored)) if stored.algorithm() == wanted.key => Some(stored),
                _ => {
                    written.apply(&context.client, &context.metrics, Some(&found)).await?;
                    Some(key)
                }
            };
        }
        self.status.next_private_key_secret_name = Some(name);
        Ok(Next::Step)
    }

    /// Writes the TLS Secret, whole and in one write.
    pub(super) async fn store_certificate(
        &mut self,
        now: Timestamp,
        context: &Context,
    ) -> Result<Next, Error> {
        let (Ok(wanted), Some(chain), Some(key)) =
            (self.wanted.clone(), self.progress.chain.clone(), self.key_of_order())
        else {
            return Ok(Next::Until(None));
        };
        let ca = ca(&chain).map(String::into_bytes);
        self.write_secret(&wanted, chain.pem().into_bytes(), ca, &key, context).await?;
        self.record_issued(&chain, &wanted, key, now, context).await;
        Ok(Next::Step)
    }

    /// Writes the TLS Secret anew with the certificate that it has: its template, or how its key is written, has changed.
    pub(super) async fn refresh_secret(&mut self, context: &Context) -> Result<Next, Error> {
        let (Ok(wanted), Some(secret), Some(key)) =
            (self.wanted.clone(), self.secret.clone(), self.current_key.clone())
        else {
            return Ok(Next::Until(None));
        };
        let bytes = |name: &str| secrets::data(&secret, name).map(<[u8]>::to_vec);
        let (chain, ca) = (bytes(api::SECRET_KEY_TLS_CRT), bytes(api::SECRET_KEY_CA_CRT));
        self.write_secret(&wanted, chain.unwrap_or_default(), ca, &key, context).await?;
        self.secret_view.as_written = true;
        Ok(Next::Step)
    }

    async fn write_secret(
        &self,
        wanted: &ValidatedCertificate,
        chain: Vec<u8>,
        ca: Option<Vec<u8>>,
        key: &PrivateKey,
        context: &Context,
    ) -> Result<(), Error> {
        let pem = key.to_pem(wanted.encoding)?;
        let mut data = BTreeMap::from([
            (api::SECRET_KEY_TLS_CRT.to_owned(), ByteString(chain)),
            (api::SECRET_KEY_TLS_KEY.to_owned(), ByteString(pem.as_bytes().to_vec())),
        ]);
        data.extend(ca.map(|ca| (api::SECRET_KEY_CA_CRT.to_owned(), ByteString(ca))));
        let written = secrets::Written {
            namespace: &self.namespace,
            name: &wanted.secret_name,
            purpose: api::SECRET_TLS,
            type_: Some(secrets::TYPE_TLS),
            labels: wanted.labels.clone(),
            annotations: annotations(&self.certificate, wanted, &self.name),
            owner: None,
            data,
        };
        written.apply(&context.client, &context.metrics, self.secret.as_ref()).await
    }

    async fn record_issued(
        &mut self,
        chain: &Chain,
        wanted: &ValidatedCertificate,
        key: PrivateKey,
        now: Timestamp,
        context: &Context,
    ) {
        let leaf = chain.leaf().clone();
        let why = self.situation(context).due(now).map_or(reason::SECRET_MISSING, |due| due.reason);
        let begun = self.status.order.as_ref().map_or(now, |order| order.created.0);
        let took = std::time::Duration::try_from(now.duration_since(begun)).unwrap_or_default();
        context.metrics.issued(why, took);
        let note = format!(
            "Issued by {}: serial number {}, valid until {}",
            leaf.issuer_name, leaf.serial_number, leaf.not_after
        );
        info!(serial_number = leaf.serial_number, not_after = %leaf.not_after, "issued");
        self.secret_view.exists = true;
        self.secret_view.certificate_name = Some(self.name.clone());
        self.secret_view.issuer = Some((wanted.issuer_name.clone(), wanted.issuer_kind.as_str().to_owned()));
        self.secret_view.as_written = true;
        self.secret_view.requested_names = Some(wanted.names());
        self.secret_view.key = Some(Ok((key.algorithm(), key.public_key_der().to_vec())));
        self.secret_view.leaf = Some(Ok(leaf));
        self.current_key = Some(key);
        self.status.observed_renew_request = self.renew_request().map(str::to_owned);
        events::publish(context, &self.reference(), EventType::Normal, reason::ISSUED, "Issue", &note).await;
    }
}

/// Makes a private key where it holds up nothing else.
pub(in crate::controller) async fn generate(algorithm: KeyAlgorithm) -> Result<PrivateKey, Error> {
    let made = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm)).await;
    Ok(made.unwrap_or(Err(crate::pki::KeyError::Generate(algorithm)))?)
}

/// The topmost certificate of the chain: what a client may want to trust, unless it knows better.
fn ca(chain: &Chain) -> Option<String> {
    let top = chain.certificates().skip(1).last()?;
    Some(pem::encode(&pem::Pem::new("CERTIFICATE", top)))
}

fn annotations(
    certificate: &Certificate,
    wanted: &ValidatedCertificate,
    name: &str,
) -> BTreeMap<String, String> {
    let mut annotations = wanted.annotations.clone();
    let names: Vec<String> = wanted.names().into_iter().collect();
    annotations.extend([
        (api::ANNOTATION_WRITTEN_AS.to_owned(), wanted.written_as()),
        (api::ANNOTATION_REQUESTED_NAMES.to_owned(), names.join(",")),
        (api::ANNOTATION_CERTIFICATE.to_owned(), name.to_owned()),
        (api::ANNOTATION_ISSUER_NAME.to_owned(), certificate.spec.issuer_ref.name.clone()),
        (api::ANNOTATION_ISSUER_KIND.to_owned(), certificate.spec.issuer_ref.kind.as_str().to_owned()),
    ]);
    annotations
}
