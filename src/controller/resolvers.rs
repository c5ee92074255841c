//! The resolvers in use, one for each list of name servers.

use certwright_egress::Egress;
use certwright_egress::recent::Recent;
use certwright_runtime::clock;
use certwright_solver::dns01::{NameServer, Resolver, ResolverSetupError, Whose};

/// The maximum number of cached resolvers: tenants can name their own servers.
const MOST: usize = 256;

/// The resolvers in use.
pub struct Resolvers {
    egress: Egress,
    resolvers: Recent<(Whose, Vec<NameServer>), Resolver>,
}

impl Resolvers {
    /// No resolvers yet. They use only servers that `egress` allows.
    pub fn new(egress: Egress) -> Self {
        Self { egress, resolvers: Recent::new(MOST, clock::now) }
    }

    /// The resolver that asks `servers`; those of the system if there are none.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn of(&self, servers: &[NameServer], whose: Whose) -> Result<Resolver, ResolverSetupError> {
        let make = || Resolver::new(servers, whose, &self.egress);
        self.resolvers.get_or_try_insert(&(whose, servers.to_vec()), make)
    }
}
