//! What the next step of an issuance is decided on, and what it can be.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Challenged, Learned, Leftovers, State};
use crate::backoff::Backoff;
use crate::disposition::Disposition;
use crate::duplicates;
use crate::records::Chore;
use crate::reissue::{self, Current, Due, SecretView};
use crate::renewal::Asking;
use crate::revocation::{self, Asked};
use crate::spec::{InvalidSpec, ValidatedCertificate};
use certwright_acme::NewOrder;
use certwright_api::{CertificateStatus, RenewalInfoStatus, Solver};
use certwright_pki::KeyAlgorithm;

/// The longest that an order is waited for, whatever the CA says of its end: a human may have to approve it there.
const LONGEST_ORDER: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The same of an order of which the CA does not say when it ends.
const ENDLESS_ORDER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long an order lives of which the CA does not say it.
const ORDER_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// The issuer that a Certificate names.
#[derive(Clone, Debug, PartialEq)]
pub enum IssuerView {
    /// It does not exist.
    NotFound,
    /// It exists and cannot be used; the message says why.
    NotReady {
        /// What its condition says.
        message: String,
    },
    /// Its account can be used.
    Ready {
        /// URL of the account.
        account: String,
        /// Its solvers.
        solvers: Vec<Solver>,
        /// The profile to ask for.
        profile: Option<String>,
    },
}

/// What was found in the cluster, and what the operator's settings are. The machine changes nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// Unique id of the Certificate.
    pub uid: &'a str,
    /// `metadata.generation` of the Certificate.
    pub generation: i64,
    /// Labels of the Certificate; solvers select by them.
    pub labels: &'a BTreeMap<String, String>,
    /// The annotation that asks for a renewal.
    pub renew_request: Option<&'a str>,
    /// The spec.
    pub wanted: &'a Result<ValidatedCertificate, InvalidSpec>,
    /// The other Certificate whose claim to the same Secret is older.
    pub claimed_by: Option<&'a str>,
    /// The Certificate of cert-manager's that keeps the Secret.
    pub kept_by: Option<&'a str>,
    /// The TLS Secret.
    pub secret: &'a SecretView,
    /// The certificate and its key that are kept for when the Secret is lost once more, as the Secret would hold them.
    pub backup: Option<&'a SecretView>,
    /// So many equal certificates are ordered within a week because the Secret was lost; 0 for any number.
    pub duplicate_limit: usize,
    /// A certificate that is due because of the time is ordered so long after the last one at the earliest.
    pub min_interval: Duration,
    /// Why the Secret cannot be written: a password for its keystores is missing.
    pub password_missing: Option<&'a str>,
    /// The private key that is stored for this issuance.
    pub next_key: Option<KeyAlgorithm>,
    /// The issuer.
    pub issuer: &'a IssuerView,
    /// Why the issuer is not for this Certificate.
    pub not_allowed: Option<&'a str>,
    /// The status as the API server has it.
    pub recorded: Option<&'a CertificateStatus>,
    /// Whether the issuer lets CAs be asked for a lifetime.
    pub asks_lifetime: bool,
    /// Bounds of the wait after failures.
    pub backoff: Backoff,
    /// How far the clock of the issuer's CA is ahead of the local one; `None` if the CA was not asked yet.
    pub ca_ahead: Option<SignedDuration>,
    /// How long a failing self-check is waited for before the CA is asked all the same.
    pub self_check_timeout: Duration,
    /// Name of the Certificate.
    pub name: &'a str,
    /// Whether the Certificate has our finalizer.
    pub held: bool,
    /// Whether, and when, the CA is asked when the certificate is best renewed.
    pub asking: Asking<'a>,
    /// Which certificates are to be revoked.
    pub revocation: Asked<'a>,
}

/// What the next step is decided on: a snapshot, and the state that the issuance has reached.
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
    /// What was found, and what `state` has come of it.
    pub fn with(&'a self, state: &'a State) -> Situation<'a> {
        Situation { seen: self, state }
    }

    /// What time it is at the CA when it is `now` here: what it says of certificates and orders is measured by its clock.
    pub fn at_ca(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.ca_ahead.unwrap_or_default()).unwrap_or(now)
    }

    /// What time it is here when it is `then` at the CA.
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

    /// The lifetime to ask the CA for, where the issuer lets it be asked.
    pub fn lifetime(&self) -> Option<SignedDuration> {
        self.wanted.as_ref().ok()?.duration.filter(|_| self.asks_lifetime)
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing, before `until`; `None` if only a change of the cluster can make an issuance due.
    Rest {
        /// The renewal time.
        until: Option<Timestamp>,
    },
    /// Nothing, before `until` or a change; the condition `Issuing` says what is waited for.
    Wait {
        /// When to look again; `None` if a watch will tell.
        until: Option<Timestamp>,
        /// A constant of [`certificate_reason`](certwright_api::certificate_reason).
        reason: &'static str,
        /// A sentence for people.
        message: String,
        /// Whether the order makes room for others meanwhile.
        makes_room: bool,
    },
    /// Nothing, before `until`: the failure that stands in the condition is not long enough ago.
    BackOff {
        /// `status.nextAttemptTime`.
        until: Timestamp,
    },
    /// Write the status: what comes next must not be done before it is on record.
    Record,
    /// Ask the CA what time it is: before an order that is due because of the time.
    AskTime,
    /// Ask the CA for the account: it has refused something that an account which has ended is refused.
    AskAccount,
    /// Take one of the issuer's places for orders under way.
    TakePlace,
    /// Make a private key and store it.
    StoreKey,
    /// Place an order.
    PlaceOrder(Box<NewOrder>),
    /// Ask for the state of the order with this URL.
    ReadOrder(String),
    /// Ask for the state of the order's authorizations, with these URLs.
    ReadAuthorizations(Vec<String>),
    /// Record the challenges, then put the answers where the CA will look.
    Present(Vec<Challenged>),
    /// See whether the answers can be seen.
    SelfCheck,
    /// Tell the CA to look at the challenges with these URLs.
    Answer(Vec<String>),
    /// Send the certificate signing request to this URL.
    Finalize(String),
    /// Fetch the certificate from this URL, choose the chain, check it.
    Download(String),
    /// Write the TLS Secret, and record the request for a renewal that this answers.
    StoreCertificate,
    /// Ask the CA when the certificate is best renewed.
    AskForRenewalInfo,
    /// No issuance is due: remove whatever the last one left, and forget its failures. Not before: a certificate that
    /// is stored and due again at once is a failure, too.
    CleanUp,
    /// Tidy up; an order that is under way goes on.
    Tidy(Chore),
    /// See to the certificates that are to be revoked.
    Revocation(revocation::Chore),
    /// Write the TLS Secret anew with the certificate that it has: its template, or how its key is written, has changed.
    RefreshSecret,
    /// Write the TLS Secret, which was lost, anew with the certificate that is kept.
    RestoreSecret,
    /// The order is of no use: remove what it left, and go on without it.
    Abandon {
        /// Why.
        message: String,
    },
    /// The issuance has failed: record it, remove what it left.
    Fail(Failure),
    /// The issuance has ended: remove what is presented, and this.
    Remove(Leftovers),
}

/// A failed issuance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A constant of [`certificate_reason`](certwright_api::certificate_reason).
    pub reason: &'static str,
    /// What happened, what the CA said, what to do.
    pub message: String,
    /// What happens next.
    pub disposition: Disposition,
    /// How long the CA wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl<'a> Situation<'a> {
    /// What was learned of the order under way.
    pub(super) fn learned(&self) -> &'a Learned {
        self.state.progress.of(self.state.status.order.as_ref())
    }
}

impl Situation<'_> {
    /// What the reissue checks look at; `None` if the spec cannot be honoured.
    pub fn current<'a>(&'a self, now: Timestamp) -> Option<Current<'a>> {
        Some(Current {
            wanted: self.wanted.as_ref().ok()?,
            secret: self.secret,
            uid: self.uid,
            suggestion: self.suggestion(),
            under_way: self.state.status.order.is_some(),
            renew_request: self.renew_request,
            observed_renew_request: self.state.status.observed_renew_request.as_deref(),
            now: self.at_ca(now),
        })
    }

    /// When the CA suggests to renew the certificate, if it is to be heeded.
    pub fn suggestion(&self) -> Option<&RenewalInfoStatus> {
        self.state.status.acme.as_ref()?.ari.as_ref().filter(|_| self.asking.wanted)
    }

    /// When the CA is to be asked for that.
    pub(super) fn next_question(&self) -> Option<Timestamp> {
        let leaf = self.secret.leaf()?;
        self.asking.next(leaf, self.suggestion(), &reissue::renewal_seed(self.uid, leaf))
    }

    /// The id of the certificate that an order placed now is to replace (RFC 9773 section 5): the one in the Secret, if it came
    /// from this account, shares a name with the order, and the CA was heard of it.
    pub fn replaces(&self) -> Option<&str> {
        let (wanted, leaf) = (self.wanted.as_ref().ok()?, self.secret.leaf()?);
        let IssuerView::Ready { account, .. } = self.issuer else { return None };
        let id = leaf.certificate_id.as_deref()?;
        let known = self.suggestion()?;
        let issuer = (&wanted.issuer_name, wanted.issuer_kind.as_str());
        let same_issuer =
            self.secret.issuer.as_ref().is_some_and(|(name, kind)| (name, kind.as_str()) == issuer);
        let shares_name = wanted.subject.dns_names.iter().any(|name| leaf.dns_names.contains(name))
            || wanted.subject.ip_addresses.iter().any(|address| leaf.ip_addresses.contains(address));
        (known.certificate_id == id && known.account == *account && same_issuer && shares_name).then_some(id)
    }

    /// Why an issuance is due, if one is.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        reissue::due(&self.current(now)?)
    }

    /// Whether somebody asks for a certificate, and has not got it yet.
    pub(super) fn asks_for_another(&self) -> bool {
        self.renew_request.is_some()
            && self.renew_request != self.state.status.observed_renew_request.as_deref()
    }

    pub(super) fn has_leftovers(&self, now: Timestamp) -> bool {
        self.state.status.order.is_some()
            || (self.backup.is_some() && self.next_duplicate(now).is_none())
            || self.is_presented()
            || self.state.status.next_private_key_secret_name.is_some()
            || self.next_key.is_some()
    }

    /// When the next equal certificate may be ordered because the Secret was lost, if it may not now.
    pub fn next_duplicate(&self, now: Timestamp) -> Option<Timestamp> {
        let names = duplicates::names_digest(&self.wanted.as_ref().ok()?.names());
        duplicates::free_at(&self.state.status.recent_issuances, &names, self.duplicate_limit, now)
    }

    /// Whether what is kept is what the spec asks for.
    pub(super) fn can_restore(&self, now: Timestamp) -> bool {
        let (Some(backup), Some(current)) = (self.backup, self.current(now)) else { return false };
        reissue::due(&Current { secret: backup, renew_request: None, ..current }).is_none()
    }

    pub(super) fn is_presented(&self) -> bool {
        self.learned().presented || !self.state.status.challenges.is_empty()
    }

    /// Whether the order was there already when the issuance failed last.
    pub(super) fn failed_with_this_order(&self) -> bool {
        let failed = self.state.status.last_failure_time.as_ref();
        self.state.status.order.as_ref().zip(failed).is_some_and(|(order, failed)| order.created <= *failed)
    }

    /// When what an order has left is of no use any more.
    pub(super) fn leftovers_end(&self) -> Option<Timestamp> {
        let order = self.state.status.order.as_ref()?;
        let after = |lifetime| order.created.0.saturating_add(lifetime).unwrap_or(order.created.0);
        let expires = order.expires.as_ref().map(|expires| self.here(expires.0));
        Some(expires.unwrap_or_else(|| after(ORDER_LIFETIME)).min(after(LONGEST_ORDER)))
    }

    /// Whether the CA has taken longer for the order than it is waited for.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        self.state
            .status
            .order
            .as_ref()
            .is_some_and(|order| now.duration_since(order.created.0) > self.patience())
    }

    /// For how long the order is waited for, as messages say it.
    pub(super) fn patience_in_words(&self) -> String {
        format!("{} days", self.patience().as_hours() / 24)
    }

    fn patience(&self) -> SignedDuration {
        let expires = self.state.status.order.as_ref().and_then(|order| order.expires.as_ref());
        if expires.is_some() { LONGEST_ORDER } else { ENDLESS_ORDER }
    }
}
