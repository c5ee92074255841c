//! The key of an account, shared by its clones.

use std::sync::Arc;

use crate::AcmeError;
use crate::jws::AccountKey;
use parking_lot::RwLock;

/// The key that all clones of an account sign with.
#[derive(Clone)]
pub(super) struct SharedKey(Arc<RwLock<State>>);

struct State {
    key: Arc<AccountKey>,
    in_doubt: bool,
}

impl SharedKey {
    pub(super) fn new(key: Arc<AccountKey>) -> Self {
        Self(Arc::new(RwLock::new(State { key, in_doubt: false })))
    }

    pub(super) fn thumbprint(&self) -> String {
        self.0.read().key.thumbprint().to_owned()
    }

    /// The key, if it is the one that the CA knows.
    pub(super) fn certain(&self) -> Result<Arc<AccountKey>, AcmeError> {
        let state = self.0.read();
        if state.in_doubt { Err(AcmeError::KeyInDoubt) } else { Ok(state.key.clone()) }
    }

    pub(super) fn doubt(&self) {
        self.0.write().in_doubt = true;
    }

    pub(super) fn settle(&self, key: AccountKey) {
        *self.0.write() = State { key: Arc::new(key), in_doubt: false };
    }
}
