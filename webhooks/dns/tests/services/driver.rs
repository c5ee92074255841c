//! Programs that change TXT records as they are told, line by line: this one, lego, and clients in Python. They are processes of their own, because
//! proxies and trusted roots come from the environment.

use std::collections::HashMap;
use std::env;
use std::process::Stdio;

use anyhow::{Context, Result};
use certwright_cluster::{Cluster, venv};
use certwright_solver::dns01::webhook::Action;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::webhook::{Given, Webhook};

const ASKED: &str = "CERTWRIGHT_DNS_DRIVER";
/// Begins an answer; the test harness prints other lines.
const ANSWER: &str = "=> ";

/// The variables of a driver's environment.
pub type Environment = HashMap<String, String>;

/// A running driver.
pub struct Driver {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    is_of_others: bool,
}

#[derive(Serialize, Deserialize)]
struct Order {
    given: Given,
    action: Action,
    name: String,
    zone: String,
    value: String,
}

/// This program as a driver, if it is started as one.
#[tokio::test]
async fn driver() -> Result<()> {
    if env::var_os(ASKED).is_none() {
        return Ok(());
    }
    let mut webhook: Option<(String, Webhook)> = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        let order: Order = serde_json::from_str(&line)?;
        let config = serde_json::to_string(&order.given)?;
        // One process with one configuration keeps its locks.
        if webhook.as_ref().is_none_or(|(known, _)| *known != config) {
            webhook = match Webhook::connect(&order.given).await {
                Ok(connected) => Some((config, connected)),
                Err(error) => {
                    println!("{ANSWER}error: {error:#}");
                    continue;
                }
            };
        }
        let Some((_, webhook)) = &webhook else { continue };
        match webhook.change(order.action, &order.name, &order.zone, &order.value).await {
            Ok(()) => println!("{ANSWER}ok"),
            Err(error) => println!("{ANSWER}error: {error:#}"),
        }
    }
    Ok(())
}

impl Driver {
    /// This program.
    pub fn own(environment: &Environment) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["driver::driver", "--exact", "--nocapture"]).env(ASKED, "1");
        Self::start(command, environment, false)
    }

    /// lego, with one of its providers.
    pub fn lego(
        cluster: &Cluster,
        provider: &str,
        domain: &str,
        nameserver: &str,
        environment: &Environment,
    ) -> Result<Self> {
        let mut command = Command::new(cluster.description.tools.program("lego-dns")?);
        command.args([provider, domain, nameserver]);
        Self::start(command, environment, true)
    }

    /// A client in Python for a record of a zone.
    pub fn python(
        client: &str,
        zone: &str,
        name: &str,
        options: &Value,
        environment: &Environment,
    ) -> Result<Self> {
        let mut command = Command::new(venv::DNS_CLIENTS.python()?);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/clients.py"));
        command.args([client, zone, name]).env("CLIENT_OPTIONS", options.to_string());
        // Python's clients have trusted roots of their own.
        command.envs(environment.get("SSL_CERT_FILE").map(|roots| ("REQUESTS_CA_BUNDLE", roots)));
        Self::start(command, environment, true)
    }

    fn start(mut command: Command, environment: &Environment, is_of_others: bool) -> Result<Self> {
        let mut child = command
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a driver. Run `make tools`")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self { _child: child, input, output, is_of_others })
    }

    /// What this program says to a request: nothing, or why it failed.
    pub async fn change(
        &mut self,
        given: &Given,
        action: Action,
        name: &str,
        zone: &str,
        value: &str,
    ) -> Result<Option<String>> {
        let (given, name, zone, value) = (given.clone(), name.to_owned(), zone.to_owned(), value.to_owned());
        let order = Order { given, action, name, zone, value };
        self.ask(&serde_json::to_string(&order)?).await
    }

    /// What the client of others says to a request.
    pub async fn others_change(&mut self, action: Action, key_authorization: &str) -> Result<Option<String>> {
        let action = if action == Action::Present { "present" } else { "cleanup" };
        self.ask(&format!("{action} {key_authorization}")).await
    }

    async fn ask(&mut self, line: &str) -> Result<Option<String>> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        self.input.flush().await?;
        loop {
            let line = self.output.next_line().await?.context("the driver has ended")?;
            let answer = if self.is_of_others {
                Some(line.as_str())
            } else {
                line.split_once(ANSWER).map(|(_, rest)| rest)
            };
            if let Some(answer) = answer {
                return Ok(answer.strip_prefix("error: ").map(str::to_owned));
            }
        }
    }
}
