//! What the account machine asks for, done: calls to the CA, and writes of the Secret and the finalizer.

use super::*;

impl World {
    pub(super) fn act(&mut self, step: AccountStep, state: &mut State) -> Result<Outcome, Broken> {
        let now = self.now;
        let key = self.secret.as_ref().map(|secret| secret.key);
        let outcome = match step {
            AccountStep::Rest => Outcome::Rested,
            AccountStep::Wait { until, reason, message } => Outcome::Waited { until, reason, message },
            AccountStep::Hold { until } => Outcome::Held { until },
            AccountStep::MakeKey => {
                self.keys += 1;
                let secret = Secret { key: self.keys, created: Some(now), ..Secret::default() };
                self.write(|world| world.secret = Some(secret))?;
                Outcome::KeyStored { made: true }
            }
            AccountStep::LookUp => {
                let key = key.unwrap();
                Outcome::LookedUp(self.call(Operation::LookUpAccount, |world| {
                    Ok(world.account_of(key).map(|account| describe(account)))
                })?)
            }
            AccountStep::ReadMacKey => {
                self.read_mac_key = true;
                Outcome::MacKeyRead
            }
            AccountStep::Register => self.register(key.unwrap())?,
            AccountStep::Adopt(recorded) => {
                let url = recorded.url.clone();
                let answer = self.call(Operation::Account, |world| {
                    let found = world.accounts.iter().find(|account| account.url == url);
                    let found =
                        found.ok_or_else(|| refusal(Operation::Account, 400, "accountDoesNotExist"))?;
                    assert_eq!(Some(found.key), key, "the CA is asked with the key of the account");
                    Ok(describe(found))
                })?;
                Outcome::Adopted { recorded, answer }
            }
            AccountStep::RecordAccount { url, key_id } => {
                self.write(|world| {
                    let secret = world.secret.as_mut().unwrap();
                    secret.thumbprint_of = Some(secret.key);
                    secret.account =
                        Some(Recorded { url, server: world.spec.server.clone(), key_id, deactivated: None });
                })?;
                Outcome::Recorded
            }
            AccountStep::RecordEnd(url) => {
                self.write(|world| {
                    let server = world.spec.server.clone();
                    let secret = world.secret.as_mut().unwrap();
                    let history = secret.history.get_or_insert_default();
                    if history.iter().any(|account| account.uri == url) {
                        *history = with_deactivated(history, &url, now);
                    } else {
                        let key_id = secret.account.as_ref().and_then(|account| account.key_id.clone());
                        secret.thumbprint_of = Some(secret.key);
                        secret.account = Some(Recorded { url, server, key_id, deactivated: Some(now) });
                    }
                })?;
                Outcome::Recorded
            }
            AccountStep::NoteEnd(recorded) => Outcome::EndNoted(recorded),
            AccountStep::ReplaceKey => {
                let seen = self.seen();
                let replacement = state.replacement(&self.snapshot(&seen), None, now);
                self.keys += 1;
                let new = self.keys;
                self.write(|world| world.put_key(new, None, replacement, now))?;
                Outcome::KeyReplaced
            }
            AccountStep::ReturnTo(previous) => {
                let entry = previous.secret_key.clone().unwrap();
                let secret = self.secret.as_ref().unwrap();
                let (_, kept) = secret.kept.iter().find(|(name, _)| *name == entry).cloned().unwrap();
                let seen = self.seen();
                let replacement = state.replacement(&self.snapshot(&seen), Some(&previous), now);
                self.write(|world| world.put_key(kept, Some(&previous), replacement, now))?;
                Outcome::KeyRestored
            }
            AccountStep::Check { url } => {
                let named = url.clone();
                let answer = self.call(Operation::Account, |world| {
                    if let Some(error) = world.says_of_account.clone() {
                        return Err(error);
                    }
                    let found = world.accounts.iter().find(|account| account.url == named);
                    found
                        .map(|account| describe(account).status)
                        .ok_or_else(|| refusal(Operation::Account, 400, "accountDoesNotExist"))
                })?;
                Outcome::Checked { url, answer }
            }
            AccountStep::UpdateContact { .. } => {
                let contact: Vec<String> =
                    wanted_contact(&self.spec).into_iter().map(str::to_owned).collect();
                let sent = contact.clone();
                let answer = self.call(Operation::UpdateAccount, |world| {
                    world.account_of(key.unwrap()).unwrap().contact = sent;
                    Ok(())
                })?;
                Outcome::ContactUpdated { contact, answer }
            }
            AccountStep::Deactivate { url, .. } => self.deactivate_account(Some(url))?,
            AccountStep::SetFinalizer => {
                self.write(|world| world.has_finalizer = true)?;
                Outcome::FinalizerWritten
            }
            AccountStep::DropFinalizer => {
                self.write(|world| world.has_finalizer = false)?;
                Outcome::FinalizerWritten
            }
            AccountStep::Rollover(step) => self.roll_over(step)?,
        };
        self.note_secret(state);
        Ok(outcome)
    }

    fn register(&mut self, key: u32) -> Result<Outcome, Broken> {
        let binding = self.spec.external_account_binding.as_ref();
        let key_id = binding.and_then(|binding| binding.key_id.clone());
        if self.requires_binding && key_id.is_none() {
            return Ok(Outcome::ExternalAccountRequired);
        }
        let contact: Vec<String> = wanted_contact(&self.spec).into_iter().map(str::to_owned).collect();
        let (bound, sent) = (key_id.is_some(), contact.clone());
        let answer = self.call(Operation::NewAccount, |world| {
            assert_eq!(world.secret.as_ref().map(|secret| secret.key), Some(key), "the key is in its Secret");
            if let Some(account) = world.account_of(key) {
                return Ok((describe(account), false));
            }
            if world.refuses_bindings && key_id.is_some() {
                return Err(refusal(Operation::NewAccount, 403, "unauthorized"));
            }
            let url = format!("https://acme.test/account/{}", world.accounts.len() + 1);
            let account = Account { url, key, key_id, contact: sent, deactivated: false };
            let described = describe(&account);
            world.accounts.push(account);
            Ok((described, true))
        })?;
        Ok(Outcome::Registered { answer, contact, bound })
    }

    pub(super) fn deactivate_account(&mut self, url: Option<String>) -> Result<Outcome, Broken> {
        let key = self.secret.as_ref().map(|secret| secret.key);
        let named = url.clone();
        let answer = self.call(Operation::DeactivateAccount, |world| {
            let found = world.accounts.iter_mut().find(|account| match &named {
                Some(url) => account.url == *url,
                None => Some(account.key) == key,
            });
            Ok(found.map(|account| {
                account.deactivated = true;
                account.url.clone()
            }))
        })?;
        Ok(Outcome::Deactivated { url, answer: answer.map_err(Undone::Refused) })
    }

    fn roll_over(&mut self, step: rollover::RolloverStep) -> Result<Outcome, Broken> {
        let now = self.now;
        let secret = self.secret.clone().unwrap();
        Ok(match step {
            rollover::RolloverStep::StoreNextKey(_) if self.changes == KeyChanges::NotOffered => {
                Outcome::KeyChangeNotOffered
            }
            rollover::RolloverStep::StoreNextKey(_) => {
                self.keys += 1;
                let next = Some((self.keys, now));
                self.write(|world| world.secret.as_mut().unwrap().next = next)?;
                Outcome::NextKeyStored
            }
            rollover::RolloverStep::WaitForValidations { until } => Outcome::WaitedForValidations { until },
            rollover::RolloverStep::ChangeKey { .. } => {
                let (next, _) = secret.next.expect("the next key is in the Secret first");
                let changes = self.changes;
                let answer = self.call(Operation::KeyChange, |world| match changes {
                    KeyChanges::Made => {
                        assert!(world.account_of(next).is_none(), "a key has one account");
                        world.account_of(secret.key).unwrap().key = next;
                        Ok(())
                    }
                    KeyChanges::Pretended => Ok(()),
                    _ => Err(refusal(Operation::KeyChange, 403, "unauthorized")),
                })?;
                self.in_use = None;
                Outcome::KeyChangeAsked(answer)
            }
            rollover::RolloverStep::AskWhichKey(account) => {
                let (next, _) = secret.next.unwrap();
                let answer = self.call(Operation::LookUpAccount, |world| {
                    Ok(world.account_of(next).map(|account| account.url.clone()))
                })?;
                Outcome::NextKeyLookedUp(account, answer)
            }
            rollover::RolloverStep::AskForPresentKey(account) => {
                let answer =
                    self.call(Operation::LookUpAccount, |world| Ok(world.account_of(secret.key).is_some()))?;
                Outcome::PresentKeyLookedUp(account, answer)
            }
            rollover::RolloverStep::PromoteKey(account) => {
                self.write(|world| {
                    let secret = world.secret.as_mut().unwrap();
                    let (next, created) = secret.next.take().unwrap();
                    secret.key = next;
                    secret.thumbprint_of = Some(next);
                    secret.created = Some(created);
                    secret.last_rollover = Some(now);
                    secret.account = Some(account);
                })?;
                Outcome::KeyPromoted
            }
            rollover::RolloverStep::DiscardNextKey => {
                self.write(|world| world.secret.as_mut().unwrap().next = None)?;
                Outcome::NextKeyDiscarded
            }
            rollover::RolloverStep::Refuse { reason, message } => {
                Outcome::KeyChangeRefused { reason, message }
            }
        })
    }

    fn put_key(
        &mut self,
        key: u32,
        account: Option<&PreviousAccount>,
        replacement: Replacement,
        now: Timestamp,
    ) {
        let server = self.spec.server.clone();
        let secret = self.secret.as_mut().unwrap();
        secret.kept.extend(replacement.kept_under.map(|entry| (entry, secret.key)));
        secret.history = Some(replacement.history);
        secret.key = key;
        secret.next = None;
        secret.created = account.is_none().then_some(now);
        secret.last_rollover = None;
        secret.thumbprint_of = account.map(|_| key);
        secret.account = account.map(|account| Recorded {
            url: account.uri.clone(),
            server,
            key_id: account.bound_key_id.clone(),
            deactivated: None,
        });
    }
}

fn describe(account: &Account) -> CaAccount {
    CaAccount {
        url: account.url.clone(),
        status: if account.deactivated { AccountStatus::Deactivated } else { AccountStatus::Valid },
        contact: account.contact.clone(),
        terms_of_service: None,
    }
}
