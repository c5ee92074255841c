//! The resolvers in use, one for each list of name servers.

use crate::runtime::clock;
use crate::runtime::recent::Recent;
use crate::solver::dns01::{NameServer, Resolver, ResolverSetupError};

/// Resolvers that are kept: tenants name their own servers.
const MOST: usize = 256;

/// The resolvers in use.
pub struct Resolvers(Recent<Vec<NameServer>, Resolver>);

impl Default for Resolvers {
    fn default() -> Self {
        Self(Recent::new(MOST, clock::now))
    }
}

impl Resolvers {
    /// The resolver that asks `servers`; those of the system if there are none.
    ///
    /// # Errors
    /// If none can be made.
    pub fn of(&self, servers: &[NameServer]) -> Result<Resolver, ResolverSetupError> {
        self.0.get_or_try_insert(&servers.to_vec(), || Resolver::new(servers))
    }
}
