//! Adds or removes one value, whatever else is at the name.
//!
//! Many services know only whole record sets, so a change reads, changes and writes one. Here changes of one name wait for each
//! other. Against other writers, each change is read back after it was written, and repeated if it is not there (or still there).

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use certwright_runtime::clock;
use certwright_solver::dns01::webhook::Action;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout_at};

use crate::challenge::Challenge;
use crate::config::{Account, Config};
use crate::error::ServiceError;
use crate::providers::Holds;
use crate::service::Service;

/// How long a change may take. The API server gives up after 30 seconds.
const LIMIT: Duration = Duration::from_secs(25);
/// How often a change is written, if others write at the same time.
const ATTEMPTS: u32 = 6;
/// How long the second attempt waits, in case the service shows a change late; further ones wait longer.
const PAUSE: Duration = Duration::from_millis(100);

/// Changes of TXT values.
#[derive(Default)]
pub struct Values {
    locks: Mutex<HashMap<Place, Weak<AsyncMutex<()>>>>,
}

/// What only one change at a time may be made to: the zone, and the name in it unless a change writes the whole zone. Others'
/// accounts do not count: whoever has a slow server, or a rate limit, would make everybody wait who changes the same name.
type Place = (Account, String, Option<String>);

impl Values {
    /// Adds or removes the value of a challenge.
    ///
    /// # Errors
    /// What the service said, or that it did not become visible there, or that it took too long.
    pub async fn carry_out(
        &self,
        challenge: &Challenge,
        config: &Config,
        account: Account,
        service: &Service,
    ) -> Result<(), ServiceError> {
        let change = Change::of(challenge, config)?;
        let deadline = clock::instant() + LIMIT;
        let title = config.provider.title;
        let place = (
            account,
            change.zone.to_owned(),
            (!config.provider.writes_zones).then(|| change.name.to_owned()),
        );
        let lock = self.lock(place);
        let done = timeout_at(deadline, async {
            let _turn = lock.lock().await;
            change.carry_out(service, deadline).await
        });
        let doing = match challenge.action {
            Action::Present => "adding the TXT record",
            Action::CleanUp => "removing the TXT record",
        };
        match done.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(ServiceError { message: format!("{doing} failed: {}", error.message), ..error })
            }
            Err(_) => Err(ServiceError::new(format!(
                "{doing} failed: {title} did not complete it within {} seconds; it may be slow, or limit the rate of requests",
                LIMIT.as_secs()
            ))),
        }
    }

    /// The lock of a place. Those that nobody holds are dropped.
    fn lock(&self, place: Place) -> Arc<AsyncMutex<()>> {
        let mut locks = self.locks.lock();
        if let Some(lock) = locks.get(&place).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(place, Arc::downgrade(&lock));
        lock
    }
}

/// What to change.
struct Change<'a> {
    action: Action,
    name: &'a str,
    zone: &'a str,
    ttl: u32,
    value: &'a str,
}

impl<'a> Change<'a> {
    fn of(challenge: &'a Challenge, config: &'a Config) -> Result<Self, ServiceError> {
        let (name, zone) = (&challenge.name, config.zone.as_ref().unwrap_or(&challenge.zone));
        if name != zone && !name.strip_suffix(zone.as_str()).is_some_and(|rest| rest.ends_with('.')) {
            return Err(ServiceError::new(format!("config.zone is {zone}, but {name} is not in it")));
        }
        Ok(Self { action: challenge.action, name, zone, ttl: config.ttl, value: &challenge.value })
    }

    async fn carry_out(&self, service: &Service, deadline: Instant) -> Result<(), ServiceError> {
        if service.holds() == Holds::One {
            return self.write(service, &[self.value.to_owned()]).await;
        }
        let mut before = service.values(self.name, self.zone).await?;
        let (mut pause, mut refusal) = (PAUSE, None);
        for attempt in 1..=ATTEMPTS {
            if self.is_done(&before) {
                return Ok(());
            }
            if attempt > 1 {
                // Ends in time for a message of its own.
                let _ =
                    timeout_at(deadline.min(clock::instant() + pause), std::future::pending::<()>()).await;
                pause *= 2;
            }
            let written = self.write(service, &before).await;
            let after = match (&written, service.values(self.name, self.zone).await) {
                (_, Ok(after)) => after,
                (Ok(()), Err(error)) => return Err(error),
                (Err(_), Err(_)) => return written,
            };
            if let Err(error) = &written
                && !self.is_done(&after)
                && !error.conflict
                && same(&before, &after)
            {
                return written;
            }
            (before, refusal) = (after, written.err());
        }
        if self.is_done(&before) {
            return Ok(());
        }
        Err(refusal.unwrap_or_else(|| ServiceError::new(match self.action {
            Action::Present => {
                "the service accepted the value, but does not list it; check whether another program writes the same name"
            }
            Action::CleanUp => {
                "the service accepted the removal, but still lists the value; check whether another program writes the same name"
            }
        })))
    }

    fn is_done(&self, shown: &[String]) -> bool {
        shown.iter().any(|shown| self.is(shown)) == (self.action == Action::Present)
    }

    /// Whether the service shows the value so: as it is, or in quotes, which some services add.
    fn is(&self, shown: &str) -> bool {
        let inner = shown.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        shown == self.value || inner == Some(self.value)
    }

    /// Adds the value, or removes it in the form in which the service shows it.
    async fn write(&self, service: &Service, shown: &[String]) -> Result<(), ServiceError> {
        match self.action {
            Action::Present => service.add(self.name, self.zone, self.ttl, self.value).await,
            Action::CleanUp => {
                for shown in shown.iter().filter(|shown| self.is(shown)) {
                    service.remove(self.name, self.zone, self.ttl, shown).await?;
                }
                Ok(())
            }
        }
    }
}

/// Whether nobody else wrote.
fn same(before: &[String], after: &[String]) -> bool {
    let sorted = |values: &[String]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values
    };
    sorted(before) == sorted(after)
}

#[cfg(test)]
mod tests;
