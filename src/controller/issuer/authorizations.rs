//! Keeps the authorizations in the spec of an issuer: executes the steps that `core` decides.

use futures::future::try_join_all;
use jiff::Timestamp;
use tracing::{Instrument, debug, debug_span, info, warn};

use super::gather::ReconcileIssuer;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer_record::secrets_namespace;
use crate::controller::presenter;
use crate::runtime::traces::name_of;
use certwright_acme::Account;
use certwright_api::{CONDITION_READY, DnsRecordStatus, FINALIZER_ACCOUNT};
use certwright_core::account::due_after_authorizations;
use certwright_core::authorization::{
    AuthorizationStep, LastStep, Next, Outcome, Report, Snapshot, State, last_step, next_step,
};
use certwright_core::conditions::is_true;
use certwright_core::deletion::Deletion;
use certwright_core::issuance::Challenged;
use certwright_core::records::Removal;
use certwright_runtime::clock;

/// The number of steps after which other issuers with the same account get their turn.
const TURN: usize = 64;

impl ReconcileIssuer {
    /// Keeps the authorizations, now that there is nothing else to do for the account before `until`. Returns when to look again.
    pub(super) async fn keep_authorizations(
        &mut self,
        until: Option<Timestamp>,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        let status = &self.state.status;
        let has_none = status.authorizations.is_empty() && status.dns_records.is_empty();
        if has_none && self.issuer.spec.authorizations.is_empty() {
            return Ok(until);
        }
        let next = match self.usable_account(context) {
            Some(account) => self.prove_names(&account, context).await?,
            None => self.remove_records(None, context).await?,
        };
        let until = until.into_iter().chain(next).min();
        Ok(due_after_authorizations(&self.state, &self.seen.snapshot(), until, clock::now()))
    }

    /// The account, if it can be used.
    fn usable_account(&self, context: &Context) -> Option<Account> {
        let acme = self.state.status.acme.as_ref()?;
        is_true(&self.state.status.conditions, CONDITION_READY).then_some(())?;
        let (key, secret) = (self.key.clone()?, self.account_secret.clone());
        context.accounts.resume(&self.issuer.spec, secret, key, &acme.uri).ok()
    }

    async fn prove_names(
        &mut self,
        account: &Account,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        for _ in 0..TURN {
            let now = clock::now();
            let thumbprint = account.thumbprint();
            let step = {
                let (seen, mut state) = self.of_authorizations(account, &thumbprint);
                state.note_spec(&seen, now);
                next_step(&state, &seen, now)
            };
            debug!(?step, "next step for the authorizations");
            let span = debug_span!("step", step = name_of(&step));
            let outcome = self.act_on(step, account, context).instrument(span).await?;
            let consequence = {
                let (seen, mut state) = self.of_authorizations(account, &thumbprint);
                state.apply(&seen, outcome, clock::now())
            };
            for report in consequence.reports {
                self.report_authorization(report, context).await?;
            }
            if let Next::Wait(until) = consequence.next {
                return Ok(until);
            }
        }
        Ok(Some(clock::now()))
    }

    /// What the decision is based on.
    fn of_authorizations<'a>(
        &'a mut self,
        account: &'a Account,
        thumbprint: &'a str,
    ) -> (Snapshot<'a>, State<'a>) {
        let issuer = &self.seen.issuer;
        let seen = Snapshot {
            wanted: &issuer.spec.authorizations,
            solvers: &issuer.spec.solvers,
            uid: &issuer.uid,
            generation: issuer.generation,
            server: &issuer.spec.server,
            account: account.url(),
            thumbprint,
            ca_ahead: account.server().ahead(),
            backoff: self.seen.backoff(),
        };
        (seen, State { status: &mut self.state.status, progress: &mut self.progress })
    }

    async fn act_on(
        &mut self,
        step: AuthorizationStep,
        account: &Account,
        context: &Context,
    ) -> Result<Outcome, Error> {
        Ok(match step {
            AuthorizationStep::Rest { until } => Outcome::Rested { until },
            AuthorizationStep::Wait { until, name, message } => Outcome::Waited { until, name, message },
            AuthorizationStep::Request { name, subdomains } => {
                let answer = account.new_authorization(&name, subdomains).await;
                Outcome::Requested { name, answer }
            }
            AuthorizationStep::Read { name, url } => {
                Outcome::Read { name, answer: account.authorization(&url).await }
            }
            AuthorizationStep::Present(challenged) => self.present(challenged, account, context).await?,
            AuthorizationStep::SelfCheck(challenged) => {
                let expected = account.key_authorization(&challenged.token);
                let seen = presenter::see(context, &self.state.status.dns_records, &expected).await;
                match seen {
                    Ok(count) => Outcome::SelfChecked { failures: Vec::new(), counts: vec![count] },
                    Err(words) => {
                        Outcome::SelfChecked { failures: vec![challenged.unseen(words)], counts: Vec::new() }
                    }
                }
            }
            AuthorizationStep::Answer(url) => Outcome::Answered(account.answer(&url).await),
            AuthorizationStep::Fail(failure) => Outcome::Failed(failure),
            AuthorizationStep::GiveUp(url) => {
                if let Err(error) = account.deactivate_authorization(&url).await {
                    debug!(%error, "could not deactivate a pending authorization");
                }
                Outcome::GivenUp
            }
            AuthorizationStep::Remove(removals) => {
                Outcome::RecordsRemoved(self.withdraw(removals, context).await?)
            }
        })
    }

    /// Records the TXT record, then adds it.
    async fn present(
        &mut self,
        challenged: Box<Challenged>,
        account: &Account,
        context: &Context,
    ) -> Result<Outcome, Error> {
        let one = std::slice::from_ref(&*challenged);
        let secrets = secrets_namespace(&self.issuer, &context.config.cluster_resource_namespace).to_owned();
        let ambient = context.config.ambient_credentials.may_use(self.issuer.id.kind);
        let (located, failures) = presenter::located(context, account, one, &secrets, ambient).await;
        if !failures.is_empty() {
            return Ok(Outcome::Presented { challenged, failures });
        }
        State { status: &mut self.state.status, progress: &mut self.progress }
            .begin_presentation(located, clock::now());
        if !self.issuer.has_finalizer {
            self.write_finalizers(&[FINALIZER_ACCOUNT], context).await?;
        }
        self.flush(context).await?;
        let whose = (self.namespace(), self.issuer.uid.as_str());
        let failures = presenter::add(context, whose, &self.state.status.dns_records, one).await?;
        Ok(Outcome::Presented { challenged, failures })
    }

    /// Asks providers to remove records, all concurrently.
    async fn withdraw(
        &self,
        removals: Vec<Removal>,
        context: &Context,
    ) -> Result<Vec<(DnsRecordStatus, Result<(), String>)>, Error> {
        let whose = (self.namespace(), self.issuer.uid.as_str());
        try_join_all(removals.into_iter().map(async |Removal { record, patience }| {
            let answer = presenter::remove(context, whose, &record, patience).await?;
            Ok((record, answer))
        }))
        .await
    }

    /// Removes all records: the issuer is being deleted, or its account cannot be used. Returns when to continue, if a provider has
    /// failed.
    pub(super) async fn remove_records(
        &mut self,
        deletion: Option<Deletion>,
        context: &Context,
    ) -> Result<Option<Timestamp>, Error> {
        loop {
            let now = clock::now();
            let mut state = State { status: &mut self.state.status, progress: &mut self.progress };
            let removals = match last_step(&mut state, deletion, now) {
                None => return Ok(None),
                Some(LastStep::Wait(until)) => {
                    self.flush(context).await?;
                    return Ok(Some(until));
                }
                Some(LastStep::Remove(removals)) => removals,
            };
            let answers = self.withdraw(removals, context).await?;
            let mut state = State { status: &mut self.state.status, progress: &mut self.progress };
            for report in state.removed(&answers, deletion, clock::now()) {
                self.report_authorization(report, context).await?;
            }
        }
    }

    async fn report_authorization(&mut self, report: Report, context: &Context) -> Result<(), Error> {
        match report {
            Report::Write => self.flush(context).await?,
            Report::Event(event) => {
                context.events.publish(&self.issuer.reference, &event).await;
            }
            Report::Authorized { name, expires } => {
                let expires = expires.map(|expires| expires.to_string()).unwrap_or_default();
                info!(name, expires, "the account is authorized for a name");
                context.metrics.authorization(true);
            }
            Report::NotAuthorized { failure, attempts, until } => {
                let (name, reason, message) = (failure.name, failure.reason, failure.message);
                warn!(name, reason, attempts, %until, why = message, "a name could not be authorized");
                context.metrics.authorization(false);
            }
            Report::LeftBehind(record, words) => {
                warn!(fqdn = record.fqdn, words, "a TXT record is left behind");
                context.metrics.record_left_behind();
            }
        }
        Ok(())
    }

    fn namespace(&self) -> &str {
        self.issuer.id.namespace.as_deref().unwrap_or_default()
    }
}
