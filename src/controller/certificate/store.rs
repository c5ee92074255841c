//! The Secrets of an issuance: the private key before anything is ordered, the certificate once it is checked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::runtime::events::EventType;
use tracing::{info, warn};

use super::Next;
use super::gather::{Work, is_backup, private_key};
use crate::api::{self, Certificate, certificate_reason as reason};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use crate::core::spec::ValidatedCertificate;
use crate::pki::{Chain, PrivateKey};

impl Work {
    /// Makes the private key of this issuance and stores it.
    pub(super) async fn store_key(&mut self, context: &Context) -> Result<Next, Error> {
        let Ok(wanted) = &self.wanted else { return Ok(Next::Until(None)) };
        let key = context.key_makers.make(wanted.key, &self.namespace).await?;
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
            self.next_key = match private_key(&found) {
                Some(stored) if stored.algorithm() == wanted.key && !is_backup(&found) => Some(stored),
                _ => {
                    written.apply(&context.client, &context.metrics, Some(&found)).await?;
                    Some(key)
                }
            };
        }
        (self.backup, self.backup_view) = (None, None);
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
            (self.wanted.clone(), self.learned().chain.clone(), self.key_of_order())
        else {
            return Ok(Next::Until(None));
        };
        let held = Held { chain: chain.pem().into_bytes(), ca: ca(&chain).map(String::into_bytes), key };
        let why = self.situation(context).due(now).map_or(reason::SECRET_MISSING, |due| due.reason);
        self.record_revocable(context).await?;
        self.learn().stored_for = Some(why);
        self.write_secret(&wanted, &held, context).await?;
        self.status.observed_renew_request = self.renew_request().map(str::to_owned);
        self.record_issued(now, context);
        Ok(Next::Step)
    }

    /// Writes the TLS Secret anew with the certificate that it has: its template, or how its key is written, has changed.
    pub(super) async fn refresh_secret(&mut self, context: &Context) -> Result<Next, Error> {
        let (Ok(wanted), Some(held)) = (self.wanted.clone(), self.secret.as_ref().and_then(Held::by)) else {
            return Ok(Next::Until(None));
        };
        self.write_secret(&wanted, &held, context).await?;
        Ok(Next::Step)
    }

    /// Writes the TLS Secret, which was lost, anew with the certificate that is kept.
    pub(super) async fn restore_secret(&mut self, context: &Context) -> Result<Next, Error> {
        let (Ok(wanted), Some(held)) = (self.wanted.clone(), self.backup.as_ref().and_then(Held::by)) else {
            return Ok(Next::Until(None));
        };
        self.write_secret(&wanted, &held, context).await?;
        let note = format!(
            "Secret {} was lost once more and has the certificate again that it had; so many equal ones were issued within a \
             week that none is ordered for this. Find out what deletes or overwrites it",
            wanted.secret_name
        );
        warn!(secret = wanted.secret_name, "a lost Secret is restored");
        self.tell(EventType::Warning, reason::SECRET_RESTORED, "Restore", note);
        Ok(Next::Step)
    }

    /// Keeps the certificate and the key that the TLS Secret holds in the place of the key of the issuance.
    pub(super) async fn keep_backup(&mut self, context: &Context) -> Result<(), Error> {
        let (Ok(wanted), Some(held)) = (&self.wanted, self.secret.as_ref().and_then(Held::by)) else {
            return Ok(());
        };
        let name = self.next_key_name();
        let kept = secrets::Written {
            name: &name,
            purpose: api::SECRET_NEXT_PRIVATE_KEY,
            type_: None,
            labels: BTreeMap::new(),
            owner: self.certificate.controller_owner_ref(&()),
            ..self.certificate_secret(wanted, &held).await?
        };
        let over = secrets::read(&context.client, &self.namespace, &name).await?;
        let kept = kept.apply(&context.client, &context.metrics, over.as_ref()).await?;
        self.see_next_key(Some(kept), context);
        Ok(())
    }

    async fn write_secret(
        &mut self,
        wanted: &ValidatedCertificate,
        held: &Held,
        context: &Context,
    ) -> Result<(), Error> {
        let written = self.certificate_secret(wanted, held).await?;
        let written = written.apply(&context.client, &context.metrics, self.secret.as_ref()).await?;
        self.see_secret(Some(written), context);
        Ok(())
    }

    /// The TLS Secret as it shall be.
    async fn certificate_secret<'a>(
        &'a self,
        wanted: &'a ValidatedCertificate,
        held: &Held,
    ) -> Result<secrets::Written<'a>, Error> {
        let pem = held.key.to_pem(wanted.encoding)?;
        let mut data = BTreeMap::from([
            (api::SECRET_KEY_TLS_CRT.to_owned(), ByteString(held.chain.clone())),
            (api::SECRET_KEY_TLS_KEY.to_owned(), ByteString(pem.as_bytes().to_vec())),
        ]);
        data.extend(held.ca.clone().map(|ca| (api::SECRET_KEY_CA_CRT.to_owned(), ByteString(ca))));
        data.extend(self.more_data(wanted, held).await?);
        let mut annotations = annotations(&self.certificate, wanted, &self.name);
        let mark = self.keystores_mark(&held.key)?;
        annotations.extend(mark.map(|mark| (api::ANNOTATION_KEYSTORES.to_owned(), mark)));
        Ok(secrets::Written {
            namespace: &self.namespace,
            name: &wanted.secret_name,
            purpose: api::SECRET_TLS,
            type_: Some(secrets::TYPE_TLS),
            labels: wanted.labels.clone(),
            annotations,
            owner: None,
            data,
        })
    }

    /// Says that the certificate is in the Secret, unless that was said.
    pub(super) fn record_issued(&mut self, now: Timestamp, context: &Context) {
        let learned = self.learned();
        let stored = learned.stored_for.zip(learned.chain.clone());
        let Some((why, chain)) = stored.filter(|(_, chain)| self.secret_view.leaf() == Some(chain.leaf()))
        else {
            return;
        };
        self.learn().stored_for = None;
        let leaf = chain.leaf();
        let begun = self.status.order.as_ref().map_or(now, |order| order.created.0);
        let took = std::time::Duration::try_from(now.duration_since(begun)).unwrap_or_default();
        context.metrics.issued(why, took);
        let wanted = self.wanted.as_ref().ok();
        let not_asked = wanted.filter(|wanted| wanted.duration.is_some() && self.lifetime().is_none());
        let duration = not_asked.map_or(String::new(), |wanted| {
            format!(
                ". The duration was not asked for, since {} {} does not say enableDurationFeature",
                wanted.issuer_kind.as_str(),
                wanted.issuer_name
            )
        });
        let note = format!(
            "Issued by {}: serial number {}, valid until {}{duration}",
            leaf.issuer_name, leaf.serial_number, leaf.not_after
        );
        info!(serial_number = leaf.serial_number, not_after = %leaf.not_after, "issued");
        self.tell(EventType::Normal, reason::ISSUED, "Issue", note);
    }
}

/// A certificate with its key, as a Secret holds it.
#[derive(Clone)]
pub(super) struct Held {
    /// The certificate and what it is signed with, in PEM.
    pub(super) chain: Vec<u8>,
    /// What `ca.crt` holds.
    pub(super) ca: Option<Vec<u8>>,
    pub(super) key: PrivateKey,
}

impl Held {
    fn by(secret: &Secret) -> Option<Self> {
        let bytes = |name: &str| secrets::data(secret, name).map(<[u8]>::to_vec);
        Some(Self {
            chain: bytes(api::SECRET_KEY_TLS_CRT)?,
            ca: bytes(api::SECRET_KEY_CA_CRT),
            key: private_key(secret)?,
        })
    }
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
