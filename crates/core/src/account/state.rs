//! The state of an issuer's account.

use super::outcome::CaAccount;
use super::rollover::Known;
use super::{KeySecret, Recorded, evidence};
use certwright_acme::AcmeError;
use certwright_api::{IssuerStatus, PreviousAccount};

/// The state of an issuer's account in one reconcile: what is recorded, and what the reconcile has learned.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The status to record.
    pub status: IssuerStatus,
    /// The status in the API server.
    pub recorded: IssuerStatus,
    /// The previous accounts of the issuers that use the account key Secret.
    pub history: Vec<PreviousAccount>,
    /// The CA's answer to a key change, until the CA has confirmed which key the account has.
    pub change: Option<Result<(), AcmeError>>,
    /// Whether the key is known to have no account: it was just generated, or the CA has said so.
    pub(super) looked_up: bool,
    /// Which of the two keys the account has; `None` if that is not known.
    pub(super) known: Option<Known>,
    /// Whether the CA has said that it does not know the next key.
    pub(super) next_is_unknown: bool,
    /// The account whose keys the CA was asked about.
    pub(super) asked_about: Option<Recorded>,
    /// Whether Certificates may be waiting until it is known which key the account has.
    pub(super) awaited: bool,
    /// An answer of the CA that must be handled first.
    pub(super) pending: Option<Pending>,
    /// Whether the CA has no account for the key of an issuer that is being deleted.
    pub(super) has_no_account: bool,
}

/// An answer of the CA that must be handled before anything else.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// The account exists and can be used. This must be recorded in the Secret first, and then in the status.
    Confirmed {
        account: CaAccount,
        /// The contact to record.
        contact: Vec<String>,
        /// Whether the account was found by its key.
        found: bool,
    },
    /// The account at this URL is deactivated. This must be recorded in the Secret first, and then in the status.
    Ended {
        url: String,
        /// Whether the operator has just deactivated it.
        by_us: bool,
    },
    /// The CA does not know the recorded account. It may still know the key.
    Unknown { recorded: Recorded, error: AcmeError },
}

impl State {
    /// The state at the beginning of a reconcile.
    pub fn new(recorded: IssuerStatus, server: &str) -> Self {
        let previous = recorded.acme.iter().flat_map(|acme| &acme.previous_accounts);
        let history = previous.filter(|previous| evidence::is_harmless(previous, server)).cloned().collect();
        Self { status: recorded.clone(), recorded, history, ..Self::default() }
    }

    /// Records that this process already uses the account with its current key.
    pub fn key_is_known(&mut self) {
        self.known = Some(Known::Current);
    }

    /// Records the previous accounts that the account key Secret lists. If it has no list, keeps those from the status.
    pub fn note_history(&mut self, on_secret: Option<Vec<PreviousAccount>>) {
        if let Some(history) = on_secret {
            self.history = history;
        }
        if let Some(acme) = &mut self.status.acme {
            acme.previous_accounts.clone_from(&self.history);
        }
    }

    /// Drops an account that the Secret does not confirm from the status, and returns its URL. It is then looked up again.
    pub fn drop_unconfirmed(&mut self, key_secret: &KeySecret) -> Option<String> {
        let KeySecret::Key { account: on_secret, .. } = key_secret else { return None };
        let doubted = self.status.acme.take_if(|acme| !evidence::is_confirmed(acme, on_secret.as_ref()))?;
        Some(doubted.uri)
    }
}
