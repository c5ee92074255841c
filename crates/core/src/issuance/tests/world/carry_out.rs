//! The steps of the operator, executed.

use super::*;
use crate::issuance::{KeyOfOrder, Request};
use crate::secret::TYPE_TLS;
use certwright_acme::RenewalInfo;

impl World {
    pub(super) fn carry_out(&mut self, step: IssuanceStep) -> Result<Turn, Broken> {
        let outcome = match step {
            IssuanceStep::Rest { until } => {
                self.take_in(Outcome::Rested { until })?;
                self.check_nothing_is_left();
                let renews = self.wanted().unwrap().renews;
                assert!(until.is_some() || !renews, "a certificate has a renewal time");
                let Some(until) = until else { return Ok(Turn::Waits(None)) };
                assert!(until > self.now);
                assert_eq!(self.has_finalizer, holds(&self.state.status));
                return Ok(match next_chore(&self.state.status) {
                    Some(next) if next < until => Turn::Waits(Some(next)),
                    _ => Turn::Rests(until),
                });
            }
            IssuanceStep::Wait { until, reason, message, makes_room } => {
                assert!(until.is_none_or(|until| until > self.now), "a wait that is over");
                if until.is_none() {
                    assert!(self.presented.is_none(), "nobody will come to remove it: {reason}");
                }
                Outcome::Waited { until, reason, message, makes_room }
            }
            IssuanceStep::BackOff { until } => {
                assert!(until > self.now, "a wait that is over");
                Outcome::BackedOff { until }
            }
            IssuanceStep::Record => {
                self.flush()?;
                Outcome::Recorded
            }
            IssuanceStep::AskTime => {
                self.asked_time = true;
                Outcome::AskedTime(Ok(()))
            }
            IssuanceStep::AskAccount => Outcome::AskedAccount(Ok(match self.account_has_ended {
                true => AccountStatus::Deactivated,
                false => AccountStatus::Valid,
            })),
            IssuanceStep::CheckCaa(question) => {
                assert!(self.checks_caa && self.state.status.order.is_none());
                let found = question.names.iter().filter_map(|asked| {
                    let base = asked.name.trim_start_matches("*.");
                    Some((asked.name.clone(), self.caa.get(base)?.clone()))
                });
                let found = if self.identities.is_empty() { Vec::new() } else { found.collect() };
                let answer = CaaAnswer { identities: self.identities.clone(), found };
                Outcome::CheckedCaa(question, Ok(answer))
            }
            IssuanceStep::TakeSlot(_) => {
                let taken = self.place_is_free;
                let turn = self.take_in(Outcome::Slot { taken, per_account: 50, waiting: self.queue })?;
                // A slot becomes free, and this one is next.
                let soon = self.now + SignedDuration::from_secs(1);
                return Ok(if taken { turn } else { Turn::Waits(Some(soon)) });
            }
            IssuanceStep::StoreKey(algorithm, _) => {
                assert_eq!(self.wanted().unwrap().csr, None, "its key is elsewhere");
                self.write(|world| {
                    let fits = |key: &PrivateKey| key.algorithm() == algorithm;
                    if !world.next_key.as_ref().is_some_and(fits) {
                        world.next_key = Some(PrivateKey::generate(algorithm).unwrap());
                    }
                    world.backup = None;
                })?;
                Outcome::KeyStored("next-key".to_owned())
            }
            IssuanceStep::PlaceOrder(asked) => {
                assert!(self.state.progress.slot, "orders under way are bounded");
                let allowed = self.state.progress.caa_allows.as_ref();
                let names = allowed.iter().flat_map(|question| &question.names).map(|asked| &asked.name);
                assert!(!self.checks_caa || names.eq(&self.wanted().unwrap().subject.dns_names));
                let account = self.account();
                let placed = self.ca.place(&account, asked.identifiers.clone(), self.at_ca());
                let answer = self.called(Operation::NewOrder, placed)?.map(|(url, order)| AcmeResponse {
                    value: order,
                    location: Some(url),
                    retry_after: None,
                });
                Outcome::OrderPlaced { asked: *asked, account, answer }
            }
            IssuanceStep::ReadOrder(url) => {
                let (account, of_status) = self.order();
                assert_eq!(url, of_status);
                let read = self.ca.read(&account, &url, self.at_ca());
                Outcome::OrderRead(self.order_answer(Operation::Order, read))
            }
            IssuanceStep::ReadAuthorizations(_) => {
                let (account, url) = self.order();
                let read = self.ca.authorizations(&account, &url, self.at_ca());
                Outcome::AuthorizationsRead(read.map_err(|refusal| refusal.error(Operation::Authorization)))
            }
            IssuanceStep::Present(challenged) => self.present(challenged)?,
            IssuanceStep::SelfCheck => {
                let counts = self.value_count.clone().into_iter().collect();
                Outcome::SelfChecked { failures: self.self_check(), counts, persist_until: None }
            }
            IssuanceStep::Answer(challenges) => self.answer(&challenges)?,
            IssuanceStep::Finalize(url, request) => self.finalize(&url, &request)?,
            IssuanceStep::Download(_, request) => self.download(&request),
            IssuanceStep::StoreCertificate { wanted, chain, key } => {
                self.store_certificate(&wanted, *chain, &key)?
            }
            IssuanceStep::RestoreSecret(_) => {
                self.write(|world| world.secret.clone_from(&world.backup))?;
                Outcome::Restored
            }
            IssuanceStep::AskForRenewalInfo { certificate_id, .. } => {
                assert_eq!(Some(certificate_id), self.certificate_id());
                let info = |suggested_window| RenewalInfo { suggested_window, explanation_url: None };
                let answer = |value| AcmeResponse { value, location: None, retry_after: None };
                let turn =
                    self.take_in(Outcome::RenewalInfoRead(Ok(self.ca.suggests.map(info).map(answer))))?;
                self.asked = self.reports.iter().rev().find_map(|report| match report {
                    Report::RenewalInfoAsked(asked) => Some(asked.clone()),
                    _ => None,
                });
                return Ok(turn);
            }
            IssuanceStep::RefreshSecret(wanted) => {
                let written_as = wanted.written_as();
                self.write(|world| world.secret.as_mut().unwrap().written_as = written_as)?;
                Outcome::Refreshed
            }
            IssuanceStep::Revocation(revocation::RevocationTask::KeepLedger(ledger, remark)) => {
                Outcome::LedgerKept(ledger, remark)
            }
            IssuanceStep::Revocation(revocation::RevocationTask::Revoke(revocation, patience)) => {
                self.revoke(revocation, patience)?
            }
            IssuanceStep::Revocation(revocation::RevocationTask::GiveUp(revocation, words)) => {
                Outcome::RevocationGivenUp(revocation, words)
            }
            IssuanceStep::Tidy(CleanupTask::RemoveRecords(removals)) => self.remove_records(removals)?,
            IssuanceStep::Tidy(CleanupTask::Release) => {
                self.write(|world| {
                    world.has_finalizer = false;
                    world.is_gone = world.deleted.is_some();
                })?;
                Outcome::Released
            }
            IssuanceStep::Tidy(CleanupTask::Withdraw) => {
                self.withdraw()?;
                Outcome::Withdrawn
            }
            IssuanceStep::CleanUp => Outcome::Ended(Ending::Done),
            IssuanceStep::Abandon { message } => Outcome::Ended(Ending::Abandoned(message)),
            IssuanceStep::Fail(failure) => {
                assert!(!failure.message.is_empty());
                Outcome::Ended(Ending::Failed(failure))
            }
            IssuanceStep::Remove(leftovers) => self.remove(&leftovers)?,
            IssuanceStep::EndRehearsal(rehearsal) => Outcome::Ended(Ending::Rehearsed(rehearsal)),
            IssuanceStep::UseIssuer(issuer) => {
                assert_eq!(self.state.status.order, None, "an order is abandoned at its own CA");
                Outcome::IssuerChosen(issuer)
            }
            IssuanceStep::RecordRevoked(finding) => Outcome::RevokedRecorded(finding),
            IssuanceStep::RecordServed(finding) => Outcome::ServedRecorded(finding),
            IssuanceStep::ReadRevocationList { .. } => {
                self.listed.clone_from(&self.on_list);
                Outcome::RevocationListRead
            }
        };
        self.take_in(outcome)
    }

    /// A call that the CA has processed is an effect that a crash does not undo.
    pub(super) fn called<T>(
        &mut self,
        operation: Operation,
        outcome: Result<T, Refusal>,
    ) -> Result<Result<T, AcmeError>, Broken> {
        if outcome.is_ok() {
            self.effect()?;
        }
        Ok(outcome.map_err(|refusal| refusal.error(operation)))
    }

    fn order_answer(
        &self,
        operation: Operation,
        order: Result<Order, Refusal>,
    ) -> Result<AcmeResponse<Order>, AcmeError> {
        let answer = |value| AcmeResponse { value, location: None, retry_after: self.ca.retry_after };
        order.map(answer).map_err(|refusal| refusal.error(operation))
    }

    fn self_check(&self) -> Vec<Unseen> {
        assert!(self.presented.is_some());
        let challenge = &self.state.status.challenges[0];
        let failure = Unseen {
            challenge: challenge.url.clone(),
            typ: serde_json::from_value(challenge.type_.clone().into()).unwrap(),
            words: "a.test: connection refused".to_owned(),
            unserved: false,
            retry_after: None,
        };
        if self.self_check_passes { Vec::new() } else { vec![failure] }
    }

    fn present(&mut self, challenged: Vec<Challenged>) -> Result<Outcome, Broken> {
        assert!(self.state.progress.slot, "orders under way are bounded");
        let records: Vec<_> = challenged.iter().filter_map(records::of).collect();
        let added: Vec<_> = records.iter().map(records::in_dns).collect();
        self.change(|state, seen, now| state.begin_presentation(seen, &challenged, records, now));
        self.flush()?;
        let answers = challenged.iter().map(|one| (one.name.clone(), one.token.clone())).collect();
        self.write(|world| {
            world.presented = Some(answers);
            world.zone.extend(added);
        })?;
        Ok(Outcome::Presented { challenged, failures: Vec::new() })
    }

    pub(super) fn answer(&mut self, challenges: &[String]) -> Result<Outcome, Broken> {
        let (account, url) = self.order();
        self.check_order_is_recorded(&url);
        let mut answers = Vec::new();
        for (authorization, found) in self.state.learned().authorizations.clone().unwrap().found {
            let challenge = &found.challenges[0];
            if !challenges.contains(&challenge.url) {
                continue;
            }
            let seen = self
                .presented
                .as_ref()
                .and_then(|answers| answers.get(found.name().trim_start_matches("*.")));
            assert_eq!(seen, Some(&challenge.token), "what is answered is presented");
            // All calls are made, even if one fails.
            let answer = self.ca.answer(&account, &url, &authorization);
            let answer = self.called(Operation::Challenge, answer)?;
            let retry_after = self.ca.retry_after;
            let answer = answer.map(|value| AcmeResponse { value, location: None, retry_after });
            answers.push((challenge.url.clone(), answer));
        }
        Ok(Outcome::Answered(answers))
    }

    fn finalize(&mut self, finalize: &str, request: &Request) -> Result<Outcome, Broken> {
        assert!(!self.wanted().unwrap().rehearses, "no certificate is requested in a rehearsal");
        assert!(self.state.progress.slot, "orders under way are bounded");
        let (account, url) = self.order();
        self.check_order_is_recorded(&url);
        assert_eq!(self.state.learned().order.as_ref().map(|order| order.finalize.as_str()), Some(finalize));
        let key = self.stored(&request.key).expect("the private key is stored before the request leaves");
        let names = self.wanted().unwrap().identifiers();
        let order = self.ca.finalize(&account, &url, &key, names, self.at_ca());
        if order.is_ok() {
            self.effect()?;
        }
        Ok(Outcome::Finalized(self.order_answer(Operation::Finalize, order)))
    }

    fn check_order_is_recorded(&self, url: &str) {
        let recorded = self.recorded.order.as_ref().map(|order| order.url.as_str());
        assert_eq!(recorded, Some(url), "the order is on record before the CA acts upon it");
    }

    fn download(&mut self, request: &Request) -> Outcome {
        let (account, url) = self.order();
        let pem = self.ca.download(&account, &url);
        let key = self.stored(&request.key).expect("the private key of the order");
        let now = self.at_ca();
        Outcome::Downloaded(pem.map_err(|refusal| refusal.error(Operation::Certificate)).map(|pem| {
            let chain = Chain::parse_pem(pem.as_bytes());
            let chain = chain.and_then(|chain| chain.check(&key, &request.subject, now).map(|()| chain));
            Download { chain, not_offered: None }
        }))
    }

    fn store_certificate(
        &mut self,
        wanted: &ValidatedCertificate,
        chain: Chain,
        key: &KeyOfOrder,
    ) -> Result<Outcome, Broken> {
        match &self.secret {
            Some(secret) => {
                assert_eq!(secret.certificate_name.as_deref(), Some(NAME), "the Secret is somebody else's");
            }
            None => assert_eq!(self.claimed_by, None, "the name of the Secret is somebody else's"),
        }
        assert!(!wanted.rehearses, "no certificate of a rehearsal is stored");
        let key = self.stored(key).expect("the private key of the certificate");
        assert_eq!(chain.check(&key, &wanted.subject, self.at_ca()), Ok(()));
        let secret = TlsSecret {
            note: 0,
            written_as: wanted.written_as(),
            certificate_name: Some(NAME.to_owned()),
            issuer: Some((wanted.issuer_name.clone(), wanted.issuer_kind.as_str().to_owned())),
            type_: Some(wanted.secret_type().to_owned()).filter(|type_| type_ != TYPE_TLS),
            key: wanted.csr.is_none().then_some(Ok(key)),
            chain: Some(Ok(chain)),
        };
        self.change(|state, seen, now| state.begin_storing(seen, now));
        self.write(|world| world.secret = Some(secret))?;
        Ok(Outcome::Stored)
    }

    /// Removes what the issuance left.
    fn remove(&mut self, leftovers: &Leftovers) -> Result<Outcome, Broken> {
        if leftovers.key_secret == KeySecret::BackUp {
            self.write(|world| {
                world.next_key = None;
                world.backup.clone_from(&world.secret);
            })?;
        }
        self.withdraw()?;
        if leftovers.key_secret == KeySecret::Delete {
            self.write(|world| (world.next_key, world.backup) = (None, None))?;
        }
        Ok(Outcome::Removed)
    }

    pub(super) fn account(&self) -> String {
        match Some(self.issuer_in_use()) {
            Some(IssuerView::Ready { account, .. }) => account.clone(),
            issuer => panic!("the CA is called with the account of {issuer:?}"),
        }
    }

    /// Account and URL of the order.
    pub(super) fn order(&self) -> (String, String) {
        let order = self.state.status.order.as_ref().expect("an order");
        assert_eq!(order.account, self.account(), "an order is never asked for with another account");
        (order.account.clone(), order.url.clone())
    }

    /// The private key that a step names, if it is there.
    pub(super) fn stored(&self, key: &KeyOfOrder) -> Option<PrivateKey> {
        match key {
            KeyOfOrder::Generated => self.next_key.clone(),
            KeyOfOrder::Current => self.secret.as_ref()?.key.clone()?.ok(),
            KeyOfOrder::Elsewhere(request) => {
                self.csr_key.clone().filter(|key| key.public_key_der() == request.public_key_der)
            }
        }
    }
}
