//! Short-lived credentials of AWS, Google Cloud and Azure, from those of this process or from those in a Secret.
//!
//! The credentials of this process are its operator's. Only a request that allows it gets some of them ([`Ambient`]).

pub(crate) mod aws;
mod azure;
mod cache;
mod environment;
mod google;

use jiff::Timestamp;
use secrecy::SecretString;

use crate::call::Caller;
use crate::error::ServiceError;

pub use self::aws::{AwsCredentials, AwsSource};
pub use self::azure::{AzureCloud, AzureSource};
use self::cache::Cache;
pub use self::environment::Environment;
pub use self::google::GoogleSource;

/// Requests credentials, and keeps them until shortly before they expire.
pub struct Identity {
    environment: Environment,
    clock: fn() -> Timestamp,
    /// For services on the internet.
    remote: Caller,
    /// For services of this machine.
    local: Caller,
    aws: Cache<AwsCredentials>,
    tokens: Cache<SecretString>,
}

impl Identity {
    /// The identity of this process.
    ///
    /// # Errors
    /// If the system has no trusted roots.
    pub fn from_env() -> Result<Self, ServiceError> {
        let clock = certwright_runtime::clock::now;
        Ok(Self::new(Environment::of_this_process(), clock, Caller::remote()?, Caller::local()?))
    }

    fn new(environment: Environment, clock: fn() -> Timestamp, remote: Caller, local: Caller) -> Self {
        Self { environment, clock, remote, local, aws: Cache::new(clock), tokens: Cache::new(clock) }
    }

    /// The client for the APIs of clouds.
    #[must_use]
    pub fn caller(&self) -> Caller {
        self.remote.clone()
    }

    /// An identity with this environment, whose calls all go to a fake.
    #[cfg(test)]
    pub fn of_a_test(environment: Environment, clock: fn() -> Timestamp, server: &str) -> Self {
        let caller = Caller::in_place_of_all(server);
        Self::new(environment, clock, caller.clone(), caller)
    }
}

/// Permission to use the credentials of this process.
#[derive(Clone, Copy, Debug)]
pub struct Ambient(());

impl Ambient {
    /// The permission, if a request allows it. The config must not name a Secret.
    ///
    /// # Errors
    /// A sentence, if the request does not allow it.
    pub fn permitted(may_use_ambient: bool) -> Result<Self, ServiceError> {
        match may_use_ambient {
            true => Ok(Self(())),
            false => Err(ServiceError::new(
                "the config has no credentials, and this issuer may not use those of certwright-dns: add the Secret under \
                 credentials, use a ClusterIssuer, or start the operator with --issuer-ambient-credentials",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_this_process_need_permission() {
        assert!(Ambient::permitted(true).is_ok());
        let refused = Ambient::permitted(false).unwrap_err();
        assert!(refused.message.contains("ClusterIssuer"), "{}", refused.message);
    }
}
