//! The Secrets of an issuance: the private key before the order, the certificate after it is checked.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use tracing::warn;

use super::held::{Held, is_backup, private_key};
use super::outputs::{keystores_mark, more_data};
use super::work::ReconcileCertificate;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::secrets;
use certwright_core::issuance::{KeyOfOrder, Outcome};
use certwright_core::signing_request::is_for_request;
use certwright_core::spec::ValidatedCertificate;
use certwright_core::tls_secret::{self, tls_annotations, tls_data};
use certwright_pki::{Chain, KeyAlgorithm, KeyEncoding};
use certwright_runtime::clock;

impl ReconcileCertificate {
    /// Generates the private key of this issuance and stores it.
    pub(super) async fn store_key(
        &mut self,
        algorithm: KeyAlgorithm,
        encoding: KeyEncoding,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let key = context.key_makers.make(algorithm, &self.namespace).await?;
        let name = self.next_key_name();
        let pem = key.to_pem(encoding)?;
        let written = secrets::Written {
            namespace: &self.namespace,
            name: &name,
            purpose: certwright_api::SECRET_NEXT_PRIVATE_KEY,
            type_: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([(
                certwright_api::ANNOTATION_CERTIFICATE.to_owned(),
                self.name.clone(),
            )]),
            owner: self.certificate.controller_owner_ref(&()),
            data: BTreeMap::from([(
                certwright_api::SECRET_KEY_TLS_KEY.to_owned(),
                ByteString(pem.as_bytes().to_vec()),
            )]),
        };
        if written.create(&context.client, &context.metrics).await? {
            self.next_key = Some(key);
        } else if let Some(found) = secrets::read(&context.client, &self.namespace, &name).await? {
            self.next_key = match private_key(&found) {
                Some(stored) if stored.algorithm() == algorithm && !is_backup(&found) => Some(stored),
                _ => {
                    written.apply(&context.client, &context.metrics, Some(&found)).await?;
                    Some(key)
                }
            };
        }
        (self.backup, self.backup_view) = (None, None);
        Ok(Outcome::KeyStored(name))
    }

    /// Writes the TLS Secret, whole and in one write.
    pub(super) async fn store_certificate(
        &mut self,
        wanted: &ValidatedCertificate,
        chain: &Chain,
        key: &KeyOfOrder,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let held = Held::new(chain, self.key_of_order(key)?);
        self.state.begin_storing(&self.seen.snapshot(context), clock::now());
        self.write_secret(wanted, &held, context).await?;
        Ok(Outcome::Stored)
    }

    /// Rewrites the TLS Secret with its current certificate: its template, or the encoding of its key, has changed.
    pub(super) async fn refresh_secret(
        &mut self,
        wanted: ValidatedCertificate,
        context: &Context,
    ) -> Result<Outcome, Error> {
        self.write_again(wanted, self.secret.clone(), context).await?;
        Ok(Outcome::Refreshed)
    }

    /// Rewrites the lost TLS Secret from the backup.
    pub(super) async fn restore_secret(
        &mut self,
        wanted: ValidatedCertificate,
        context: &Context,
    ) -> Result<Outcome, Error> {
        self.write_again(wanted, self.backup.clone(), context).await?;
        warn!(secret = self.certificate.spec.secret_name, "restored a lost Secret");
        Ok(Outcome::Restored)
    }

    async fn write_again(
        &mut self,
        wanted: ValidatedCertificate,
        from: Option<Secret>,
        context: &Context,
    ) -> Result<(), Error> {
        // The issuer in use may be another one than the one that has issued it.
        let issuer = from.as_ref().and_then(|secret| tls_secret::view(secret, None, true).issuer);
        let wanted = wanted.issued_by_this(issuer.as_ref());
        let held = from.and_then(|secret| Held::by(&secret, &wanted));
        let held = held.ok_or(Error::Missing("the certificate that is to be written again"))?;
        self.write_secret(&wanted, &held, context).await
    }

    /// Stores a backup of the certificate and key of the TLS Secret in the Secret for the key of an issuance.
    pub(super) async fn keep_backup(&mut self, context: &Context) -> Result<(), Error> {
        let (Ok(wanted), Some(secret)) = (&self.in_use.wanted, &self.secret) else { return Ok(()) };
        let Some(held) = Held::by(secret, wanted) else { return Ok(()) };
        let name = self.next_key_name();
        let kept = secrets::Written {
            name: &name,
            purpose: certwright_api::SECRET_NEXT_PRIVATE_KEY,
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

    /// The TLS Secret to write.
    async fn certificate_secret<'a>(
        &'a self,
        wanted: &'a ValidatedCertificate,
        held: &Held,
    ) -> Result<secrets::Written<'a>, Error> {
        let mut annotations = tls_annotations(wanted, &self.name);
        let data = match &held.key {
            Some(key) => {
                let mark = keystores_mark(&wanted.outputs, &self.passwords, key)?;
                annotations.extend(mark.map(|mark| (certwright_api::ANNOTATION_KEYSTORES.to_owned(), mark)));
                let pem = key.to_pem(wanted.encoding)?;
                let mut data = tls_data(&held.chain, Some(pem.as_bytes()), held.ca.as_deref());
                data.extend(more_data(wanted, self.passwords.clone(), held, key).await?);
                data
            }
            None => tls_data(&held.chain, None, held.ca.as_deref()),
        };
        Ok(secrets::Written {
            namespace: &self.namespace,
            name: &wanted.secret_name,
            purpose: certwright_api::SECRET_TLS,
            type_: Some(wanted.secret_type()),
            labels: wanted.labels.clone(),
            annotations,
            // The certificate for a Kubernetes CertificateSigningRequest is copied to that; nobody else needs the Secret.
            owner: self
                .certificate
                .controller_owner_ref(&())
                .filter(|_| wanted.owner.is_some() || is_for_request(&self.certificate)),
            data,
        })
    }
}
