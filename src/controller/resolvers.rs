//! The resolvers in use, one for each list of name servers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::egress::Egress;
use crate::solver::dns01::{NameServer, Resolver, ResolverSetupError, Whose};

/// The resolvers in use.
pub struct Resolvers {
    egress: Egress,
    resolvers: Mutex<HashMap<(Whose, Vec<NameServer>), Resolver>>,
}

impl Resolvers {
    /// No resolvers yet. They ask servers where `egress` permits it.
    pub fn new(egress: Egress) -> Self {
        Self { egress, resolvers: Mutex::default() }
    }

    /// The resolver that asks `servers`; those of the system if there are none.
    ///
    /// # Errors
    /// If none can be made.
    pub fn of(&self, servers: &[NameServer], whose: Whose) -> Result<Resolver, ResolverSetupError> {
        let mut resolvers = self.resolvers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (whose, servers.to_vec());
        if let Some(resolver) = resolvers.get(&key) {
            return Ok(resolver.clone());
        }
        let resolver = Resolver::new(servers, whose, &self.egress)?;
        resolvers.insert(key, resolver.clone());
        Ok(resolver)
    }
}
