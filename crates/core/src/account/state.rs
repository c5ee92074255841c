//! What is known of an issuer's account, and what it is decided on.

use jiff::Timestamp;

use super::outcome::{CaAccount, Verdict};
use super::rollover::{Keys, Known, View};
use super::{KeyId, KeySecret, MacKey, Recorded, Situation, evidence};
use crate::backoff::Backoff;
use certwright_acme::AcmeError;
use certwright_api::{AcmeIssuer, IssuerStatus, PreviousAccount};

/// The state of an issuer's account in one reconcile: what is recorded, and what was learned on the way.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The status to record.
    pub status: IssuerStatus,
    /// The status that the API server has.
    pub recorded: IssuerStatus,
    /// The accounts that the issuers of the account key Secret had before.
    pub history: Vec<PreviousAccount>,
    /// The answer to a key change, until the CA has said which key the account has.
    pub change: Option<Result<(), AcmeError>>,
    /// Whether the CA was asked, since this process started, if it knows the key.
    pub(super) looked_up: bool,
    /// Which of the two keys the CA knows, if it was asked since that may have changed.
    pub(super) known: Option<Known>,
    /// Whether the CA does not know the next key.
    pub(super) next_is_unknown: bool,
    /// The account whose keys the CA was asked about.
    pub(super) asked_about: Option<Recorded>,
    /// Whether Certificates may be waiting to learn which key the account has.
    pub(super) awaited: bool,
    /// What the CA said that has to be acted upon first.
    pub(super) pending: Option<Pending>,
    /// Whether the CA has no account for the key of an issuer that is being deleted.
    pub(super) has_no_account: bool,
}

/// What the CA said that has to be acted upon before anything else.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// The account exists and can be used. The Secret has to say so before the status does.
    Confirmed {
        account: CaAccount,
        /// The contact to record.
        contact: Vec<String>,
        /// Whether the account was found by its key.
        found: bool,
    },
    /// The account at this URL is deactivated. The Secret has to say so before the status does.
    Ended {
        url: String,
        /// Whether the operator has deactivated it just now.
        by_us: bool,
    },
    /// The CA does not know the account on record. It may know its key.
    Unknown { recorded: Recorded, error: AcmeError },
}

impl State {
    /// The state at the beginning of a reconcile.
    pub fn new(recorded: IssuerStatus, server: &str) -> Self {
        let previous = recorded.acme.iter().flat_map(|acme| &acme.previous_accounts);
        let history = previous.filter(|previous| evidence::is_harmless(previous, server)).cloned().collect();
        Self { status: recorded.clone(), recorded, history, ..Self::default() }
    }

    /// This process uses the account already, so it is known which key it has.
    pub fn key_is_known(&mut self) {
        self.known = Some(Known::Current);
    }

    /// The account whose keys the CA was asked about.
    pub fn asked_about(&self) -> Option<&Recorded> {
        self.asked_about.as_ref()
    }

    /// Takes note of the previous accounts that the account key Secret lists, if it lists any.
    pub fn note_history(&mut self, on_secret: Option<Vec<PreviousAccount>>) {
        if let Some(history) = on_secret {
            self.history = history;
        }
        if let Some(acme) = &mut self.status.acme {
            acme.previous_accounts.clone_from(&self.history);
        }
    }

    /// Forgets an account in the status that the Secret does not confirm, and returns its URL. It is looked for again.
    pub fn drop_unconfirmed(&mut self, key_secret: &KeySecret) -> Option<String> {
        let KeySecret::Key { account: on_secret, .. } = key_secret else { return None };
        let doubted = self.status.acme.take_if(|acme| !evidence::is_confirmed(acme, on_secret.as_ref()))?;
        Some(doubted.uri)
    }
}

/// What was gathered about an issuer.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The spec.
    pub spec: &'a AcmeIssuer,
    /// `metadata.uid` of the issuer.
    pub uid: &'a str,
    /// `metadata.generation` of the issuer.
    pub generation: i64,
    /// Name of the account key Secret, and the key in its data.
    pub key_secret_name: (&'a str, &'a str),
    /// The namespace of the issuer's Secrets, where the issuer itself has none.
    pub secrets_namespace: Option<&'a str>,
    /// The account key Secret.
    pub key_secret: &'a KeySecret,
    /// The key id of the external account.
    pub key_id: &'a KeyId,
    /// The MAC key.
    pub mac_key: &'a MacKey,
    /// Version of the Secrets with the MAC key and the key id, once they were read.
    pub external_account_version: Option<&'a str>,
    /// The annotation that asks for the deactivation of an account.
    pub deactivate: Option<&'a str>,
    /// Since when the issuer is being deleted.
    pub deleted: Option<Timestamp>,
    /// Whether the issuer has our finalizer.
    pub held: bool,
    /// The account key and the next one.
    pub keys: Keys<'a>,
    /// What the CA said about the account when a Certificate used it.
    pub verdict: Option<&'a Verdict>,
    /// The terms of service in the newest directory that was fetched.
    pub latest_terms: Option<&'a str>,
    /// How long to wait after failures.
    pub backoff: Backoff,
}

impl<'a> Snapshot<'a> {
    /// What is gathered and what is known, together.
    pub(super) fn with(&self, state: &'a State) -> Situation<'a> {
        let keys = self.keys;
        Situation {
            spec: self.spec,
            generation: self.generation,
            status: &state.status,
            key_secret_name: self.key_secret_name,
            secrets_namespace: self.secrets_namespace,
            key_secret: self.key_secret,
            key_id: self.key_id,
            mac_key: self.mac_key,
            external_account_version: self.external_account_version,
            history: &state.history,
            deactivate: self.deactivate,
            held: self.held,
            looked_up: state.looked_up,
            rollover: View { keys, known: state.known, next_is_unknown: state.next_is_unknown },
        }
    }

    /// RFC 7638 thumbprint of the account key.
    pub(super) fn thumbprint(&self) -> Option<&'a str> {
        match self.key_secret {
            KeySecret::Key { thumbprint, .. } => Some(thumbprint),
            _ => None,
        }
    }

    /// Algorithm and size of the account key, as the status shows them.
    pub(super) fn key_algorithm(&self) -> String {
        self.keys.algorithm.map(|algorithm| algorithm.to_string()).unwrap_or_default()
    }

    /// The key id that the account is to be bound to, if it is known.
    pub(super) fn wanted_key_id(&self) -> Option<String> {
        match self.key_id {
            KeyId::Known(key_id) => Some(key_id.clone()),
            _ => None,
        }
    }
}
