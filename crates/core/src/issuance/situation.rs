//! What the decision on the next step is based on.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Candidate, IssuerView, KeyOfOrder, Learned, State};
use crate::backoff::Backoff;
use crate::duplicates;
use crate::reissue::{self, Current, Due, SecretView, Urgency};
use crate::renewal::RenewalInfoPolling;
use crate::revocation::RevocationRequests;
use crate::revoked::{self, Finding};
use crate::served::Observed;
use crate::spec::{InvalidSpec, ValidatedCertificate};
use certwright_api::{CertificateStatus, RenewalInfoStatus};
use certwright_pki::{Chain, KeyAlgorithm};

/// The longest wait for an order, whatever its expiry: a person at the CA may have to approve it.
const LONGEST_ORDER: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The same, if the CA does not say when the order expires.
const ENDLESS_ORDER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The assumed lifetime of an order, if the CA does not say when it expires.
const ORDER_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// What was found in the cluster, and the operator's settings. The state machine does not change any of it.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// Unique id of the Certificate.
    pub uid: &'a str,
    /// `metadata.generation` of the Certificate.
    pub generation: i64,
    /// Labels of the Certificate; solvers select by them.
    pub labels: &'a BTreeMap<String, String>,
    /// Annotations of the Certificate; some change the http-01 solver.
    pub annotations: &'a BTreeMap<String, String>,
    /// Namespace of the Certificate.
    pub namespace: &'a str,
    /// The annotation that requests a renewal.
    pub renew_request: Option<&'a str>,
    /// The spec.
    pub wanted: &'a Result<ValidatedCertificate, InvalidSpec>,
    /// The other Certificate whose claim to the same Secret is older.
    pub claimed_by: Option<&'a str>,
    /// cert-manager's Certificate that manages the Secret.
    pub kept_by: Option<&'a str>,
    /// The TLS Secret.
    pub secret: &'a SecretView,
    /// The backup of the certificate and its key, in case the Secret is lost again, as the Secret would hold them.
    pub backup: Option<&'a SecretView>,
    /// The maximum number of certificates for the same names that are ordered within a week because the Secret was lost; 0
    /// means no limit.
    pub duplicate_limit: usize,
    /// The minimum time between the last order and one that is due because of time.
    pub min_interval: Duration,
    /// Why the Secret cannot be written: a password for its keystores is missing.
    pub password_missing: Option<&'a str>,
    /// The private key that is stored for this issuance.
    pub next_key: Option<KeyAlgorithm>,
    /// The issuer.
    pub issuer: &'a IssuerView,
    /// The issuers that the spec names, in the order in which they are tried, if it names more than one.
    pub candidates: &'a [Candidate],
    /// Why the issuer does not allow this Certificate.
    pub not_allowed: Option<&'a str>,
    /// The status in the API server.
    pub recorded: Option<&'a CertificateStatus>,
    /// Whether the issuer allows orders to request a lifetime.
    pub asks_lifetime: bool,
    /// Whether CAA records are looked up before an order is placed.
    pub checks_caa: bool,
    /// Bounds of the wait after failures.
    pub backoff: Backoff,
    /// How far the clock of the issuer's CA is ahead of the local one; `None` if that is not known yet.
    pub ca_ahead: Option<SignedDuration>,
    /// How long a self-check may fail before the CA is told to validate anyway.
    pub self_check_timeout: Duration,
    /// Name of the Certificate.
    pub name: &'a str,
    /// Whether the Certificate has our finalizer.
    pub has_finalizer: bool,
    /// Whether and when the CA is asked for renewal information.
    pub asking: RenewalInfoPolling<'a>,
    /// Which certificates are to be revoked.
    pub revocation: RevocationRequests<'a>,
    /// What the issuer's revocation list says about a certificate of this Certificate, if that may be news.
    pub listed: Option<&'a Finding>,
    /// Whether revocation lists are fetched.
    pub checks_lists: bool,
    /// What servers show of the certificate in the Secret.
    pub served: Observed<'a>,
}

/// What the decision on the next step is based on: a snapshot, and the state of the issuance.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What was found.
    pub seen: &'a Snapshot<'a>,
    /// The state of the issuance.
    pub state: &'a State,
}

impl<'a> Deref for Situation<'a> {
    type Target = Snapshot<'a>;

    fn deref(&self) -> &Snapshot<'a> {
        self.seen
    }
}

impl<'a> Snapshot<'a> {
    /// The snapshot together with the state.
    pub fn with(&'a self, state: &'a State) -> Situation<'a> {
        Situation { seen: self, state }
    }

    /// The CA's time when it is `now` here: times in certificates and orders are compared with the CA's clock.
    pub fn at_ca(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.ca_ahead.unwrap_or_default()).unwrap_or(now)
    }

    /// The local time when it is `then` at the CA.
    pub(super) fn here(&self, then: Timestamp) -> Timestamp {
        then.saturating_sub(self.ca_ahead.unwrap_or_default()).unwrap_or(then)
    }

    /// The issuer, for people.
    pub(super) fn issuer_in_words(&self) -> String {
        let wanted = self.wanted.as_ref().ok();
        wanted.map_or_else(String::new, |wanted| {
            format!("{} {}", wanted.issuer_kind.as_str(), wanted.issuer_name)
        })
    }

    /// Whether the issuer in use can be asked.
    pub(super) fn can_be_used(&self) -> bool {
        matches!(self.issuer, IssuerView::Ready { .. }) && self.not_allowed.is_none()
    }

    /// Whether the issuer in use is the one for rehearsals.
    pub(super) fn rehearses(&self) -> bool {
        self.wanted.as_ref().is_ok_and(|wanted| wanted.rehearses)
    }

    /// The lifetime to request from the CA, if the issuer allows that.
    pub fn lifetime(&self) -> Option<SignedDuration> {
        self.wanted.as_ref().ok()?.duration.filter(|_| self.asks_lifetime)
    }
}

impl<'a> Situation<'a> {
    /// What was learned about the current order.
    pub(super) fn learned(&self) -> &'a Learned {
        self.state.progress.of(self.state.status.order.as_ref())
    }
}

impl Situation<'_> {
    /// The input of the reissue checks; `None` if the spec is invalid.
    pub fn current<'a>(&'a self, now: Timestamp) -> Option<Current<'a>> {
        let wanted = self.wanted.as_ref().ok()?;
        Some(Current {
            wanted,
            secret: self.secret,
            revoked: revoked::why(&self.state.status, self.secret, wanted.on_revoked),
            uid: self.uid,
            suggestion: self.suggestion(),
            under_way: self.state.status.order.is_some(),
            renew_request: self.renew_request,
            observed_renew_request: self.state.status.observed_renew_request.as_deref(),
            now: self.at_ca(now),
        })
    }

    /// The CA's renewal information, if the issuer uses it.
    pub fn suggestion(&self) -> Option<&RenewalInfoStatus> {
        self.state.status.acme.as_ref()?.ari.as_ref().filter(|_| self.asking.wanted)
    }

    /// When to ask the CA for it.
    pub(super) fn next_question(&self) -> Option<Timestamp> {
        let leaf = self.secret.leaf()?;
        self.asking.next(leaf, self.suggestion(), self.uid)
    }

    /// The id of the certificate that an order placed now is to replace (RFC 9773 section 5): the one in the Secret, if it was
    /// issued to this account, shares a name with the order, and the CA has answered about it.
    pub fn replaces(&self) -> Option<&str> {
        let (wanted, leaf) = (self.wanted.as_ref().ok()?, self.secret.leaf()?);
        let IssuerView::Ready { account, .. } = self.issuer else { return None };
        let id = leaf.certificate_id.as_deref()?;
        let known = self.suggestion()?;
        let same_issuer = self.is_from_issuer_of(wanted);
        let shares_name = wanted.subject.dns_names.iter().any(|name| leaf.dns_names.contains(name))
            || wanted.subject.ip_addresses.iter().any(|address| leaf.ip_addresses.contains(address));
        (known.certificate_id == id && known.account == *account && same_issuer && shares_name).then_some(id)
    }

    /// Whether the certificate in the Secret is from the issuer that the spec names.
    pub(super) fn is_from_issuer_of(&self, wanted: &ValidatedCertificate) -> bool {
        let issuer = (&wanted.issuer_name, wanted.issuer_kind.as_str());
        self.secret.issuer.as_ref().is_some_and(|(name, kind)| (name, kind.as_str()) == issuer)
    }

    /// The private key of the issuance, if it is there: the one generated for it, or else the one in the Secret. If the
    /// certificate has been downloaded, the key must match it. The key of a certificate signing request is kept elsewhere.
    pub(super) fn key_of_order(&self, wanted: &ValidatedCertificate) -> Option<KeyOfOrder> {
        let leaf = self.learned().chain.as_ref().map(Chain::leaf);
        if let Some(csr) = &wanted.csr {
            let fits = leaf.is_none_or(|leaf| leaf.public_key_der == csr.public_key_der);
            return fits.then(|| KeyOfOrder::Elsewhere(csr.clone()));
        }
        if self.next_key == Some(wanted.key) {
            let fits = leaf.is_none_or(|leaf| leaf.public_key_algorithm == Some(wanted.key));
            return fits.then_some(KeyOfOrder::Generated);
        }
        let public_key = || Some(&self.secret.key.as_ref()?.as_ref().ok()?.1);
        let reused =
            reissue::reuses_key(wanted, self.secret, revoked::needs_new_key(&self.state.status, self.secret));
        let fits = reused && leaf.is_none_or(|leaf| public_key() == Some(&leaf.public_key_der));
        fits.then_some(KeyOfOrder::Current)
    }

    /// Why an issuance is due, if one is.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        reissue::due(&self.current(now)?)
    }

    /// How urgently the issuance needs an order slot.
    pub(super) fn urgency(&self, now: Timestamp) -> Urgency {
        self.current(now).map_or(Urgency::Unusable, |current| Urgency::of(&current))
    }

    /// Whether a renewal was requested and has not been completed yet.
    pub(super) fn asks_for_another(&self) -> bool {
        self.renew_request.is_some()
            && self.renew_request != self.state.status.observed_renew_request.as_deref()
    }

    /// Whether the object itself says which renewal request was completed.
    pub(super) fn renew_request_is_recorded(&self) -> bool {
        let recorded = self.recorded.and_then(|recorded| recorded.observed_renew_request.as_ref());
        recorded == self.state.status.observed_renew_request.as_ref()
    }

    pub(super) fn has_leftovers(&self, now: Timestamp) -> bool {
        self.state.status.order.is_some()
            || (self.backup.is_some() && self.next_duplicate(now).is_none())
            || self.is_presented()
            || self.state.status.next_private_key_secret_name.is_some()
            || self.next_key.is_some()
    }

    /// When the next certificate for the same names may be ordered because the Secret was lost, if not now.
    pub fn next_duplicate(&self, now: Timestamp) -> Option<Timestamp> {
        let names = duplicates::names_digest(&self.wanted.as_ref().ok()?.names());
        duplicates::free_at(&self.state.status.recent_issuances, &names, self.duplicate_limit, now)
    }

    /// Whether the backup matches the spec.
    pub(super) fn can_restore(&self, now: Timestamp) -> bool {
        let (Some(backup), Some(current)) = (self.backup, self.current(now)) else { return false };
        let revoked = revoked::why(&self.state.status, backup, current.wanted.on_revoked);
        reissue::due(&Current { secret: backup, revoked, renew_request: None, ..current }).is_none()
    }

    pub(super) fn is_presented(&self) -> bool {
        self.learned().proof.presented().is_some() || !self.state.status.challenges.is_empty()
    }

    /// Whether the order already existed when the issuance last failed.
    pub(super) fn failed_with_this_order(&self) -> bool {
        let failed = self.state.status.last_failure_time.as_ref();
        self.state.status.order.as_ref().zip(failed).is_some_and(|(order, failed)| order.created <= *failed)
    }

    /// When the order is old enough to tell whether something happened before or after it was placed.
    pub(super) fn order_settles(&self) -> Option<Timestamp> {
        const RESOLUTION: SignedDuration = SignedDuration::from_secs(2);
        self.state.status.order.as_ref()?.created.0.checked_add(RESOLUTION).ok()
    }

    /// When the leftovers of an order become useless.
    pub(super) fn leftovers_end(&self) -> Option<Timestamp> {
        let order = self.state.status.order.as_ref()?;
        let after = |lifetime| order.created.0.saturating_add(lifetime).unwrap_or(order.created.0);
        let expires = order.expires.as_ref().map(|expires| self.here(expires.0));
        Some(expires.unwrap_or_else(|| after(ORDER_LIFETIME)).min(after(LONGEST_ORDER)))
    }

    /// Whether the CA has taken longer for the order than allowed.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        self.state
            .status
            .order
            .as_ref()
            .is_some_and(|order| now.duration_since(order.created.0) > self.patience())
    }

    /// The longest wait for the order, for messages.
    pub(super) fn patience_in_words(&self) -> String {
        format!("{} days", self.patience().as_hours() / 24)
    }

    fn patience(&self) -> SignedDuration {
        let expires = self.state.status.order.as_ref().and_then(|order| order.expires.as_ref());
        if expires.is_some() { LONGEST_ORDER } else { ENDLESS_ORDER }
    }
}
