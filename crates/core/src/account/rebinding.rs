//! Binding anew on request: an account with a new key replaces the current one, and is bound to the same external account. This
//! is what CAs ask for after a MAC key has leaked.

use jiff::Timestamp;

use super::situation::Situation;
use super::state::State;
use super::{AccountStep, KeySecret, Snapshot, history, registration};
use crate::conditions::condition;
use crate::events::Event;
use certwright_api::{
    AcmeAccountStatus, CONDITION_ACCOUNT_REBOUND, PreviousAccount, issuer_reason as reason,
};

/// The maximum number of previous accounts that are still valid. The account key Secret holds their keys.
const MOST_ACCOUNTS: usize = 20;
/// The action of the events.
const ACTION: &str = "Rebind";

/// What the annotation requests.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// Nothing.
    None,
    /// Nothing any more, or the account is being replaced already.
    Taken,
    /// A rebinding that cannot begin, with the reason, the message, and when to check again.
    Refused(&'static str, String, Option<Timestamp>),
    /// A rebinding, whose next step this is.
    Due(AccountStep),
}

fn request(situation: &Situation<'_>, now: Timestamp) -> Request {
    let Some(requested) = situation.rebind else { return Request::None };
    let acme = situation.state.status.acme.as_ref();
    let Some(acme) = acme.filter(|acme| acme.observed_rebind_request.as_deref() != Some(requested)) else {
        return Request::Taken;
    };
    let KeySecret::Key { thumbprint, ours, .. } = situation.key_secret else { return Request::Taken };
    if acme.key_thumbprint != *thumbprint || acme.server != situation.spec.server {
        return Request::Taken;
    }
    let secret = situation.named(situation.key_secret_name.0);
    if situation.spec.external_account_binding.is_none() {
        let message = "The account was not rebound: the issuer has no external account; set \
                       spec.acme.externalAccountBinding";
        return Request::Refused(reason::NO_EXTERNAL_ACCOUNT, message.to_owned(), None);
    }
    if !ours || !situation.may_make_key() {
        let message = format!(
            "The account was not rebound: that takes a new account key, and Certwright must not replace the key in Secret \
             {secret}; put a new private key there"
        );
        return Request::Refused(reason::ACCOUNT_KEY_NOT_OURS, message, None);
    }
    if let Some(peer) = situation.keys.peers.iter().find(|peer| peer.server != situation.spec.server) {
        let message = format!(
            "The account was not rebound: {} also uses the key in Secret {secret}, at {}; give each issuer its own Secret \
             with privateKeySecretRef",
            peer.name, peer.server
        );
        return Request::Refused(reason::ACCOUNT_KEY_SHARED, message, None);
    }
    let valid = situation.state.history.iter().filter(|account| account.deactivation_time.is_none()).count();
    if valid >= MOST_ACCOUNTS {
        let message = format!(
            "The account was not rebound: the issuer has {valid} previous accounts that are still valid; deactivate those in \
             status.acme.previousAccounts that you no longer need"
        );
        return Request::Refused(reason::TOO_MANY_ACCOUNTS, message, None);
    }
    // The current account is given up only once its replacement has a MAC key to be registered with.
    match registration::register(situation, now) {
        AccountStep::Register => Request::Due(AccountStep::ReplaceKey),
        AccountStep::Wait { until, reason, message } => {
            Request::Refused(reason, format!("The account was not rebound: {message}"), until)
        }
        step => Request::Due(step),
    }
}

/// The next step of a requested rebinding, if one can be taken.
pub(super) fn due(situation: &Situation<'_>, now: Timestamp) -> Option<AccountStep> {
    match request(situation, now) {
        Request::Due(step) => Some(step),
        _ => None,
    }
}

/// The account to return to, because the request for its rebinding was withdrawn before another account was registered.
pub(super) fn withdrawn<'a>(situation: &Situation<'a>) -> Option<&'a PreviousAccount> {
    let KeySecret::Key { thumbprint, ours: true, account: None } = situation.key_secret else { return None };
    let acme = situation.state.status.acme.as_ref();
    if situation.rebind.is_some() || acme.is_some_and(|acme| acme.key_thumbprint == *thumbprint) {
        return None;
    }
    let last = situation.state.history.last().filter(|last| last.rebound == Some(true))?;
    history::is_usable(last, &situation.spec.server, situation.wanted_key_id()?).then_some(last)
}

/// Records that the failures of the withdrawn rebinding no longer count, before the account is returned to.
pub(super) fn forget_failures(previous: &PreviousAccount, now: Timestamp) -> AccountStep {
    AccountStep::Wait {
        until: Some(now),
        reason: reason::REBINDING_WITHDRAWN,
        message: format!("The rebinding was withdrawn; the account {} is used again", previous.uri),
    }
}

impl State {
    /// Records in the status what the annotation requests.
    pub(super) fn note_rebinding(&mut self, snapshot: &Snapshot<'_>, now: Timestamp) {
        match request(&snapshot.with(self), now) {
            Request::None => {
                self.status.conditions.retain(|condition| condition.type_ != CONDITION_ACCOUNT_REBOUND);
            }
            Request::Taken | Request::Due(_) => {}
            Request::Refused(reason, message, _) => {
                self.set_condition(CONDITION_ACCOUNT_REBOUND, false, reason, &message, snapshot, now);
            }
        }
    }

    /// When to check again whether a requested rebinding can begin.
    pub(super) fn next_rebinding(&self, snapshot: &Snapshot<'_>, now: Timestamp) -> Option<Timestamp> {
        match request(&snapshot.with(self), now) {
            Request::Refused(_, _, until) => until,
            _ => None,
        }
    }

    /// Records that the request is taken care of: by the account in the status, which replaces `before`.
    pub(super) fn note_rebound(
        &mut self,
        before: Option<&AcmeAccountStatus>,
        snapshot: &Snapshot<'_>,
        now: Timestamp,
    ) {
        let request = snapshot.rebind.map(str::to_owned);
        let Some(acme) = &mut self.status.acme else { return };
        if let Some(same) = before.filter(|before| before.uri == acme.uri) {
            acme.observed_rebind_request.clone_from(&same.observed_rebind_request);
            return;
        }
        acme.observed_rebind_request.clone_from(&request);
        let replaced = before.filter(|before| {
            before.bound_key_id == acme.bound_key_id && before.observed_rebind_request != request
        });
        let Some((replaced, _)) = replaced.zip(request) else { return };
        let has_records = snapshot.spec.solvers.iter().any(|solver| solver.dns_persist01.is_some());
        let records = match has_records {
            true => {
                ". Names that are proved with dns-persist-01 need a record for the new account before their next renewal; \
                 `certwright dns-record` prints it"
            }
            false => "",
        };
        let message = format!("The account {} replaces {}, as requested{records}", acme.uri, replaced.uri);
        self.set_condition(CONDITION_ACCOUNT_REBOUND, true, reason::ACCOUNT_REBOUND, &message, snapshot, now);
    }

    /// An event to publish with the status, if the condition has a new message.
    pub(super) fn news_of_rebinding(&self) -> Option<Event> {
        let now = condition(&self.status.conditions, CONDITION_ACCOUNT_REBOUND)?;
        let before = condition(&self.recorded.conditions, CONDITION_ACCOUNT_REBOUND);
        let is_news = before.is_none_or(|before| before.message != now.message);
        let event = if now.status == "True" { Event::normal } else { Event::warning };
        is_news.then(|| event(now.reason.clone(), ACTION, now.message.clone()))
    }
}

#[cfg(test)]
mod tests;
