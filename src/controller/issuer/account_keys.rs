//! What is gathered about the current account key, the next one, and the other issuers that use them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::{AccountSecret, IssuerRecord};
use crate::controller::secrets;
use crate::controller::shard::are_validating;
use certwright_acme::jwk_thumbprint;
use certwright_api::AcmeIssuer;
use certwright_core::account::rollover::{Keys, NextKey, Peer, stated_algorithm};
use certwright_core::account::{must_keep_its_key, refusal_of_key};
use certwright_pki::PrivateKey;

/// The key in a Secret's data that holds the next private key, if `key` holds the current one.
pub(super) fn next_key(key: &str) -> String {
    format!("{key}.next")
}

/// What is gathered about the current key and the next key.
#[derive(Default)]
pub(super) struct AccountKeys {
    pub(super) next: Option<(PrivateKey, NextKey)>,
    created: Option<Timestamp>,
    last_rollover: Option<Timestamp>,
    peers: Vec<Peer>,
    validating: bool,
    must_stay: Option<String>,
}

impl AccountKeys {
    /// Records which other issuers use the same key, and, if it is about to be changed, whether a CA is validating with it.
    pub(super) async fn gather_sharing(
        &mut self,
        issuer: &IssuerRecord,
        secret: &AccountSecret,
        context: &Context,
    ) -> Result<(), Error> {
        let concerned = self.next.is_some()
            || issuer.roll_over.is_some()
            || issuer.rebind.is_some()
            || issuer.spec.account_key.is_some();
        if !concerned {
            return Ok(());
        }
        let sharing = context.issuers_of_secret(secret, None);
        if self.next.is_some() {
            self.validating = are_validating(context, &sharing).await?;
        }
        let others = sharing.into_iter().filter(|other| other.uid != issuer.uid);
        self.peers = others.map(peer).collect();
        Ok(())
    }

    /// Records whether a CA is validating challenges of any issuer that uses the key.
    pub(super) async fn see_validations(
        &mut self,
        secret: &AccountSecret,
        context: &Context,
    ) -> Result<(), Error> {
        self.validating = are_validating(context, &context.issuers_of_secret(secret, None)).await?;
        Ok(())
    }

    /// Records the next key and the dates of both keys, as the Secret has them; `key` is the current one, stored under
    /// `data_key`.
    pub(super) fn see(
        &mut self,
        secret: Option<&Secret>,
        key: Option<&PrivateKey>,
        data_key: &str,
        spec: &AcmeIssuer,
    ) {
        self.must_stay = secret.and_then(|secret| must_keep_its_key(secret, spec));
        let pem = secret.and_then(|secret| secrets::data(secret, &next_key(data_key)));
        let next = pem.and_then(|pem| {
            PrivateKey::from_pem(pem).map_err(|error| error.to_string()).and_then(usable).ok()
        });
        let time = |name: &str| secret.and_then(|secret| time_on(secret, name));
        self.next = next.map(|next| {
            let seen = NextKey {
                algorithm: next.algorithm(),
                created: time(certwright_api::ANNOTATION_NEXT_KEY_CREATED),
            };
            (next, seen)
        });
        // The annotations count only if they are about the key in the Secret.
        let of =
            secret.and_then(|secret| secrets::annotation(secret, certwright_api::ANNOTATION_KEY_THUMBPRINT));
        let annotated = of.is_none_or(|of| key.is_some_and(|key| jwk_thumbprint(key) == of));
        let about_key = |name: &str| time(name).filter(|_| annotated);
        let made = secret.and_then(|secret| secret.metadata.creation_timestamp.as_ref()).map(|time| time.0);
        self.created = about_key(certwright_api::ANNOTATION_KEY_CREATED).or(made);
        self.last_rollover = about_key(certwright_api::ANNOTATION_LAST_KEY_ROLLOVER);
    }

    /// The input of the state machine. `key` is the current key, and `request` is the annotation that requests a rollover.
    pub(super) fn view<'a>(&'a self, key: Option<&PrivateKey>, request: Option<&'a str>) -> Keys<'a> {
        Keys {
            algorithm: key.map(PrivateKey::algorithm),
            created: self.created,
            last_rollover: self.last_rollover,
            next: self.next.as_ref().map(|(_, next)| next),
            request,
            peers: &self.peers,
            validating: self.validating,
            must_stay: self.must_stay.as_deref(),
        }
    }
}

/// Returns the key if an account can have it, or else why not.
pub(super) fn usable(key: PrivateKey) -> Result<PrivateKey, String> {
    refusal_of_key(key.algorithm()).map_or(Ok(key), Err)
}

fn time_on(secret: &Secret, name: &str) -> Option<Timestamp> {
    secrets::annotation(secret, name)?.parse().ok()
}

fn peer(issuer: IssuerRecord) -> Peer {
    Peer {
        name: format!("{} {}", issuer.id.kind.as_str(), issuer.id.name),
        algorithm: stated_algorithm(&issuer.spec),
        server: issuer.spec.server,
    }
}
