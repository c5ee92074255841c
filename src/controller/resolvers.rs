//! The resolvers in use, one for each list of name servers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::solver::dns01::{NameServer, Resolver, ResolverSetupError};

/// The resolvers in use.
#[derive(Default)]
pub struct Resolvers(Mutex<HashMap<Vec<NameServer>, Resolver>>);

impl Resolvers {
    /// The resolver that asks `servers`; those of the system if there are none.
    ///
    /// # Errors
    /// If none can be made.
    pub fn of(&self, servers: &[NameServer]) -> Result<Resolver, ResolverSetupError> {
        let mut resolvers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resolver) = resolvers.get(servers) {
            return Ok(resolver.clone());
        }
        let resolver = Resolver::new(servers)?;
        resolvers.insert(servers.to_vec(), resolver.clone());
        Ok(resolver)
    }
}
