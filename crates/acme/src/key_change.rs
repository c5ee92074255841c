use crate::jws::AccountKey;
use crate::limiter::Place;
use crate::{Account, AcmeError, Operation};
use certwright_pki::PrivateKey;

impl Account {
    /// Asks the CA to replace the account's key with `next` (RFC 8555 section 7.3.5). It waits for requests in flight, and no
    /// new one starts before the [`KeyChange`] is dropped.
    ///
    /// Regardless of the CA's answer, the key is then in doubt, and the account signs nothing: an answer may be lost, and some
    /// CAs report success but keep the old key. Find out with [`Account::look_up`] which key the CA knows, and call
    /// [`Account::settle`] with it.
    ///
    /// # Errors
    /// [`AcmeError`], if the CA was not asked.
    pub async fn change_key(&self, next: &PrivateKey) -> Result<KeyChange, AcmeError> {
        let url = self.directory().await?.key_change.clone().ok_or_else(|| self.no_key_change())?;
        let clock = self.server.clock();
        let alone = self.limiter().enter_alone(clock).await?;
        let current = self.key.certain()?;
        let inner = AccountKey::new(next.clone()).succeed(&current, self.url(), &url)?;
        self.key.doubt();
        let answer = self.server.post(Operation::KeyChange, &current, &self.name, &url, &inner).await;
        let answer = answer.map(drop).inspect_err(|error| self.limiter().heed(error, clock()));
        Ok(KeyChange { answer, _alone: alone })
    }

    /// Whether a key rollover was requested whose result is not yet known.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.key.certain().is_err()
    }

    /// Records that the CA knows this key. All clones of the account sign with it from now on.
    pub fn settle(&self, key: &PrivateKey) {
        self.key.settle(AccountKey::new(key.clone()));
    }

    fn no_key_change(&self) -> AcmeError {
        AcmeError::NotOffered {
            operation: Operation::KeyChange,
            host: self.server.host(),
            entry: "keyChange",
        }
    }
}

/// A requested key rollover. Nothing is sent for the account before it is dropped.
#[derive(Debug)]
pub struct KeyChange {
    /// What the CA answered.
    pub answer: Result<(), AcmeError>,
    _alone: Place,
}
