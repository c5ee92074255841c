//! One reconcile of a Certificate: what it has found, and what it has to do.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::{Resource, ResourceExt};

use super::issuers::IssuerInUse;
use super::outputs::Passwords;
use crate::controller::context::Context;
use certwright_api::{CaaCheck, Certificate};
use certwright_core::deletion::Deletion;
use certwright_core::events::Event;
use certwright_core::issuance::{Candidate, Memory, Snapshot, State};
use certwright_core::ledger::Unverified;
use certwright_core::naming::next_private_key_secret;
use certwright_core::reissue::SecretView;
use certwright_core::renewal::{RenewalInfoPoll, RenewalInfoPolling};
use certwright_core::revoked::Finding;
use certwright_core::served;
use certwright_pki::PrivateKey;

/// One reconcile of a Certificate.
pub(super) struct ReconcileCertificate {
    /// What was found.
    pub(super) seen: Seen,
    /// The state of the issuance. Its recorded part is written when necessary.
    pub(super) state: State,
    /// Events that are not published yet.
    pub(super) news: Vec<Event>,
    /// Entries of the status that are not verifiably the operator's.
    pub(super) unverified: Unverified,
    /// Whether there is nothing to do, and so nothing to remember.
    pub(super) at_rest: bool,
}

impl Deref for ReconcileCertificate {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl DerefMut for ReconcileCertificate {
    fn deref_mut(&mut self) -> &mut Seen {
        &mut self.seen
    }
}

/// What was found in the cluster.
pub(super) struct Seen {
    /// The Certificate as the API server last returned it.
    pub(super) certificate: Arc<Certificate>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// The issuer in use.
    pub(super) in_use: IssuerInUse,
    /// The issuers that the spec names, if it names more than one.
    pub(super) candidates: Vec<Candidate>,
    /// The names of the Certificates that name the same Secret.
    pub(super) same_secret: Vec<String>,
    pub(super) claimed_by: Option<String>,
    /// cert-manager's Certificate that manages the Secret.
    pub(super) kept_by: Option<String>,
    /// The TLS Secret as it was read, and its parsed content.
    pub(super) secret: Option<Secret>,
    pub(super) secret_view: SecretView,
    /// The passwords of the keystores.
    pub(super) passwords: Passwords,
    /// The key in the TLS Secret.
    pub(super) current_key: Option<PrivateKey>,
    /// The backup of the certificate and its key, in case the TLS Secret is lost again.
    pub(super) backup: Option<Secret>,
    pub(super) backup_view: Option<SecretView>,
    /// The key that is stored for this issuance.
    pub(super) next_key: Option<PrivateKey>,
    /// Whether it waits for a slot.
    pub(super) queued: bool,
    /// When the CA was last asked for renewal information.
    pub(super) asked: Option<RenewalInfoPoll>,
    /// Whether its namespace is being deleted.
    pub(super) namespace_is_ending: bool,
    /// What was found on a revocation list.
    pub(super) listed: Option<Arc<Finding>>,
    /// What was found about what servers show.
    pub(super) served: Option<Arc<served::Finding>>,
}

impl Seen {
    /// The snapshot for the state machine.
    pub(super) fn snapshot(&self, context: &Context) -> Snapshot<'_> {
        Snapshot {
            uid: &self.uid,
            name: &self.name,
            generation: self.generation(),
            labels: self.certificate.labels(),
            annotations: self.certificate.annotations(),
            namespace: self.certificate.metadata.namespace.as_deref().unwrap_or_default(),
            renew_request: self.renew_request(),
            wanted: &self.in_use.wanted,
            claimed_by: self.claimed_by.as_deref(),
            kept_by: self.kept_by.as_deref(),
            secret: &self.secret_view,
            backup: self.backup_view.as_ref(),
            password_missing: self.passwords.as_ref().err().map(String::as_str),
            duplicate_limit: context.config.duplicate_certificate_limit,
            min_interval: context.config.min_issuance_interval,
            next_key: self.next_key.as_ref().map(PrivateKey::algorithm),
            issuer: &self.in_use.issuer_view,
            candidates: &self.candidates,
            not_allowed: self.in_use.not_allowed.as_deref(),
            recorded: self.certificate.status.as_ref(),
            asks_lifetime: self.in_use.issuer.as_ref().and_then(|issuer| issuer.spec.enable_duration_feature)
                == Some(true),
            checks_caa: self.checks_caa(),
            backoff: context.config.backoff,
            ca_ahead: self.ca_ahead(),
            self_check_timeout: context.config.self_check_timeout,
            has_finalizer: self.has_finalizer(),
            asking: RenewalInfoPolling {
                wanted: self.asks_ca(),
                asked: self.asked.as_ref(),
                began: context.renewal_info_polls.began(),
            },
            revocation: self.asked_to_revoke(),
            listed: self.listed.as_deref(),
            checks_lists: !context.config.revocation_check_interval.is_zero(),
            served: context.config.served.observed(&self.certificate, self.served.as_deref()),
        }
    }

    /// Whether CAA records are checked before an order is placed.
    fn checks_caa(&self) -> bool {
        let check = self.in_use.issuer.as_ref().and_then(|issuer| issuer.spec.caa_check);
        check.unwrap_or_default() == CaaCheck::Enforce
    }

    /// The deletion of the Certificate, if it is being deleted.
    pub(super) fn deletion(&self) -> Option<Deletion> {
        let since = self.certificate.metadata.deletion_timestamp.as_ref()?.0;
        Some(Deletion { since, with_namespace: self.namespace_is_ending })
    }

    /// How far the CA's clock is ahead.
    pub(super) fn ca_ahead(&self) -> Option<SignedDuration> {
        self.in_use.account.as_ref()?.server().ahead()
    }

    /// The CA's time when it is `now` here.
    pub(super) fn at_ca(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.ca_ahead().unwrap_or_default()).unwrap_or(now)
    }

    /// Whether the Certificate still exists. Nobody would remove objects that are created for a deleted one.
    pub(super) fn still_exists(&self, context: &Context) -> bool {
        context.cache.has_certificate(&self.namespace, &self.name, &self.uid)
    }

    /// Whether the Certificate has our finalizer.
    pub(super) fn has_finalizer(&self) -> bool {
        self.certificate.finalizers().iter().any(|finalizer| finalizer == certwright_api::FINALIZER)
    }

    pub(super) fn generation(&self) -> i64 {
        self.certificate.metadata.generation.unwrap_or_default()
    }

    pub(super) fn renew_request(&self) -> Option<&str> {
        self.certificate.annotations().get(certwright_api::ANNOTATION_RENEW).map(String::as_str)
    }

    pub(super) fn next_key_name(&self) -> String {
        next_private_key_secret(&self.name, &self.uid)
    }

    pub(super) fn reference(&self) -> ObjectReference {
        self.certificate.object_ref(&())
    }
}

impl ReconcileCertificate {
    /// Keeps what this reconcile has learned, and could not write, for the next one.
    pub(super) fn put_back(&mut self, context: &Context) {
        let state = std::mem::take(&mut self.state);
        let exists = context.cache.knows_certificate(&self.namespace, &self.name, &self.uid);
        let kept = (!self.at_rest && exists).then(|| {
            let recorded = self.certificate.status.clone().unwrap_or_default();
            (Memory::of(&recorded, state), std::mem::take(&mut self.news))
        });
        context.in_flight.keep(&self.uid, kept);
    }
}
