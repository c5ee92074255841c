//! What `certwright-dns` does with a request, from the configuration to the service.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use certwright_dns::challenge::Challenge;
use certwright_dns::config::{self, Account, Config};
use certwright_dns::identity::Identity;
use certwright_dns::service::Service;
use certwright_dns::values::Values;
use certwright_egress::{Egress, Rules};
use certwright_solver::dns01::webhook::Action;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A configuration, and the content of the Secrets' keys that it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Given {
    pub config: Value,
    pub secrets: BTreeMap<String, String>,
    /// Whether the credentials of the process may be used.
    pub may_use_ambient: bool,
}

impl Given {
    /// With the content of these keys, whose names are those of the fields.
    pub fn new(mut config: Value, secrets: &[(&str, &str)]) -> Self {
        for (field, _) in secrets {
            config["credentials"][field] =
                serde_json::json!({ "secretRef": { "name": "secret", "key": field } });
        }
        let secrets = secrets.iter().map(|(field, content)| ((*field).to_owned(), (*content).to_owned()));
        Self { config, secrets: secrets.collect(), may_use_ambient: false }
    }
}

/// The webhook with one configuration.
pub struct Webhook {
    values: Values,
    config: Config,
    account: Account,
    service: Service,
}

impl Webhook {
    pub async fn connect(given: &Given) -> Result<Self> {
        let config = config::parse(&given.config)?;
        let content = |key: &str| given.secrets.get(key).with_context(|| format!("no secret {key}"));
        let secrets =
            config.secrets().into_iter().map(|at| Ok((at.clone(), content(&at.key)?.as_str().into())));
        let secrets: Result<_> = secrets.collect();
        let (egress, identity) = (Egress::new(Rules::default(), |_| {}), Identity::from_env()?);
        let secrets = secrets?;
        let service = config.connect(&secrets, &egress, &identity, given.may_use_ambient).await?;
        let account = config.account(&secrets);
        Ok(Self { values: Values::default(), config, account, service })
    }

    pub async fn change(&self, action: Action, name: &str, zone: &str, value: &str) -> Result<()> {
        let challenge = Challenge {
            action,
            name: name.to_owned(),
            zone: zone.to_owned(),
            value: value.to_owned(),
            namespace: "default".to_owned(),
            may_use_ambient: false,
            config: Value::Null,
        };
        Ok(self.values.carry_out(&challenge, &self.config, self.account, &self.service).await?)
    }

    /// Adds twenty values at once while a foreign one is there, then removes them at once.
    pub async fn twenty_at_once(
        &self,
        name: &str,
        zone: &str,
        seen: impl AsyncFn() -> Result<Vec<String>>,
    ) -> Result<()> {
        let before = seen().await?;
        let values: Vec<_> =
            (0..20).map(|n| format!("twenty-at-once-{n:02}-0123456789abcdefghijklmn")).collect();
        for (action, expected) in [(Action::Present, before.len() + 20), (Action::CleanUp, before.len())] {
            let changes = values.iter().map(|value| self.change(action, name, zone, value));
            for done in join_all(changes).await {
                done?;
            }
            let after = seen().await?;
            ensure!(after.len() == expected, "{action:?}: {after:?}");
            ensure!(before.iter().all(|value| after.contains(value)), "{action:?} lost one: {after:?}");
        }
        Ok(())
    }
}
