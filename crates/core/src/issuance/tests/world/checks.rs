//! What holds in the end, and the steps that led there.

use super::*;
use crate::conditions::condition;
use crate::issuance::failure_reasons;
use crate::reissue::Due;

/// The metrics count each reason from 0.
pub(super) fn check_is_counted(reason: &str) {
    assert!(failure_reasons().any(|known| known == reason), "{reason} is not counted from 0");
}

impl World {
    /// What was learned about the current order.
    pub fn learned(&mut self) -> &mut Learned {
        self.state.learn()
    }

    pub fn check_nothing_is_left(&self) {
        assert_eq!(self.presented, None);
        assert!(self.next_key.is_none(), "a private key is left");
        for status in [&self.state.status, &self.recorded] {
            assert_eq!(status.order, None);
            assert_eq!(status.challenges, []);
            assert_eq!(status.next_private_key_secret_name, None);
        }
    }

    /// The Secret holds a certificate that matches the spec.
    /// A Certificate that is at rest without a look at its Secret is at rest with one, and until the same time.
    pub(super) fn check_rest(&self, step: &IssuanceStep) {
        if self.next_key.is_some() || self.backup.is_some() {
            return;
        }
        let Some(until) = self.at_rest_until() else { return };
        let IssuanceStep::Rest { until: looks_again } = step else {
            panic!("at rest until {until}, but the next step is {step:?}")
        };
        assert_eq!(
            Some(until),
            self.or_expiry(*looks_again).into_iter().chain(next_chore(&self.state.status)).min()
        );
    }

    /// Until when it is certain without the Secret that there is nothing to do.
    pub fn at_rest_until(&self) -> Option<Timestamp> {
        let version = self.secret_view().version;
        self.look_at(&SecretView::default(), &self.state, |seen, state| {
            at_rest_until(state, seen, version.as_deref(), self.now)
        })
    }

    /// Why an issuance is due, if one is.
    pub fn due(&self) -> Option<Due> {
        self.look(&self.state, |seen, state| seen.with(state).due(self.now))
    }

    pub fn check_issued(&self) {
        let wanted = self.wanted().unwrap();
        let secret = self.secret.as_ref().expect("a Secret");
        assert_eq!(secret.certificate_name.as_deref(), Some(NAME));
        let Some(Ok(chain)) = &secret.chain else { panic!("no chain") };
        let key = match (&secret.key, &self.csr_key) {
            (Some(Ok(key)), _) if wanted.csr.is_none() => key,
            (_, Some(key)) if wanted.csr.is_some() => key,
            other => panic!("no key: {other:?}"),
        };
        assert_eq!(key.algorithm(), wanted.key);
        assert_eq!(chain.check(key, &wanted.subject, self.at_ca()), Ok(()));
        assert_eq!(self.state.status.next_attempt_time, None);
    }

    /// Status, reason and message of the condition `type_`.
    pub fn condition(&self, type_: &str) -> Option<(String, String, String)> {
        let found = condition(&self.state.status.conditions, type_)?.clone();
        Some((found.status, found.reason, found.message))
    }

    /// The notes of the events with this reason.
    pub fn events(&self, reason: &str) -> Vec<String> {
        let of_reason = |report: &Report| match report {
            Report::Event(event) if event.reason == reason => Some(event.note.clone()),
            _ => None,
        };
        self.reports.iter().filter_map(of_reason).collect()
    }

    /// Waits, and returns whether that was written into the status.
    pub fn writes_wait(&mut self, until: Option<Timestamp>, reason: &'static str, message: &str) -> bool {
        let before = self.recorded.clone();
        let message = message.to_owned();
        let turn = self.carry_out(IssuanceStep::Wait { until, reason, message, makes_room: false });
        assert!(matches!(turn, Ok(Turn::Waits(found)) if found == until));
        self.recorded != before
    }

    /// When the status changes, if nothing happens before `until`.
    pub fn or_expiry(&self, until: Option<Timestamp>) -> Option<Timestamp> {
        self.look(&self.state, |seen, state| state.or_expiry(seen, until, self.now))
    }

    pub fn last_steps(&self) -> &[String] {
        &self.steps[self.steps.len().saturating_sub(MOST_STEPS)..]
    }

    /// The names of the steps that were taken.
    pub fn step_names(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.split([' ', '(', '{']).next().unwrap_or_default()).collect()
    }
}
