//! Pebble, Let's Encrypt's ACME server for tests: a new one for each test.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use reqwest::Certificate;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{ADDRESS, Cluster, description::Description, ports, process::Process};

const START_LIMIT: Duration = Duration::from_secs(20);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// How a [`Pebble`] behaves.
#[derive(Clone, Debug, Default)]
pub struct PebbleBuilder {
    port: Option<u16>,
    dns_server: Option<String>,
    config: serde_json::Map<String, Value>,
    eab_keys: BTreeMap<String, String>,
    profiles: BTreeMap<String, Value>,
    environment: BTreeMap<String, String>,
    /// Which Pebble it is, if not the original.
    program: Option<&'static str>,
}

/// A running Pebble; it is stopped when this is dropped.
pub struct Pebble {
    /// URL of its ACME directory.
    pub directory_url: String,
    /// URL of its management interface, without a final slash.
    pub management_url: String,
    /// The certificate that its HTTPS ports can be verified against.
    pub ca_pem: String,
    /// `ip:port` of its ACME interface.
    pub address: String,
    description: Description,
    name: String,
    builder: PebbleBuilder,
    directory: PathBuf,
    process: Option<Process>,
    http: reqwest::Client,
}

impl PebbleBuilder {
    /// Requires external account binding, and knows this key: its id, and its MAC key in base64url.
    pub fn eab(mut self, key_id: &str, mac_key: &str) -> Self {
        self.eab_keys.insert(key_id.into(), mac_key.into());
        self
    }

    /// The percentage of valid nonces that it rejects. Pebble's default is 5; ours is 0, so that each request is sent once.
    pub fn nonce_reject_percent(self, percent: u8) -> Self {
        self.environment("PEBBLE_WFE_NONCEREJECT", percent)
    }

    /// The percentage of new orders with an authorization that is already valid. Pebble's default is 50; ours is 0, so that tests
    /// are reproducible.
    pub fn authorization_reuse_percent(self, percent: u8) -> Self {
        self.environment("PEBBLE_AUTHZREUSE", percent)
    }

    /// The maximum wait before it validates. By default, it does not wait.
    pub fn validation_delay(mut self, seconds: u8) -> Self {
        self.environment.remove("PEBBLE_VA_NOSLEEP");
        self.environment("PEBBLE_VA_SLEEPTIME", seconds)
    }

    /// Considers every challenge valid without checking.
    pub fn always_valid(self) -> Self {
        self.environment("PEBBLE_VA_ALWAYS_VALID", 1)
    }

    /// The number of intermediate certificates in a chain; Pebble's default is 1.
    pub fn chain_length(self, certificates: u8) -> Self {
        self.environment("PEBBLE_CHAIN_LENGTH", certificates)
    }

    /// Offers this many chains in addition to the default one.
    pub fn alternate_roots(self, roots: u8) -> Self {
        self.environment("PEBBLE_ALTERNATE_ROOTS", roots)
    }

    /// Offers a profile. If there are several and an order names none, Pebble picks one at random.
    pub fn profile(mut self, name: &str, description: &str, validity: Duration) -> Self {
        let profile = json!({"description": description, "validityPeriod": validity.as_secs()});
        self.profiles.insert(name.into(), profile);
        self
    }

    /// How long certificates are valid when no profiles are set.
    pub fn certificate_validity(self, validity: Duration) -> Self {
        self.profile("default", "The default profile", validity)
    }

    /// Rejects orders for this domain.
    pub fn blocked_domain(mut self, domain: &str) -> Self {
        let list = self.config.entry("domainBlocklist").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!(domain));
        }
        self
    }

    /// The number of seconds in `Retry-After` of a processing order and a pending authorization. Pebble randomly sends either
    /// seconds or a date.
    pub fn retry_after(mut self, order: u32, authorization: u32) -> Self {
        self.config.insert("retryAfter".into(), json!({"order": order, "authz": authorization}));
        self
    }

    /// Offers pre-authorization (RFC 8555 section 7.4.1) over dns-01. An authorization is valid for `lifetime`, and orders reuse it.
    pub fn new_authz(mut self, lifetime: Duration) -> Self {
        self.program = Some("pebble-new-authz");
        self.config("authorizationLifetime", json!(lifetime.as_secs())).authorization_reuse_percent(100)
    }

    /// Sets anything else in the `pebble` object of its configuration file.
    pub fn config(mut self, field: &str, value: Value) -> Self {
        self.config.insert(field.into(), value);
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Resolves names at this server, given as `ip:port`, instead of the cluster's [`Dns`](crate::Dns).
    pub fn dns_server(mut self, address: &str) -> Self {
        self.dns_server = Some(address.into());
        self
    }

    /// Sets an environment variable of Pebble.
    pub fn environment(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.into(), value.to_string());
        self
    }

    /// Starts it on free ports.
    pub async fn start(self, cluster: &Cluster) -> Result<Pebble> {
        let description = cluster.description.clone();
        let name = format!("pebble-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = description.state.join(&name);
        fs::create_dir_all(&directory)?;
        let ca = cluster.ca()?;
        ca.sign("pebble", &[ADDRESS, "127.0.0.1", "localhost", "pebble"])?.write(&directory, "tls")?;

        let port = self.port.map_or_else(|| ports::free(ADDRESS), Ok)?;
        let address = format!("{ADDRESS}:{port}");
        let management = format!("{ADDRESS}:{}", ports::free(ADDRESS)?);
        let config = self.config_file(&address, &management, &directory);
        fs::write(directory.join("pebble.json"), serde_json::to_vec_pretty(&config)?)?;
        let mut pebble = Pebble {
            directory_url: format!("https://{address}/dir"),
            management_url: format!("https://{management}"),
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([Certificate::from_pem(ca.pem.as_bytes())?])
                .build()?,
            ca_pem: ca.pem,
            address,
            description,
            name,
            builder: self,
            directory,
            process: None,
        };
        pebble.start().await?;
        Ok(pebble)
    }

    fn config_file(&self, address: &str, management: &str, directory: &std::path::Path) -> Value {
        let mut config = self.config.clone();
        config.insert("listenAddress".into(), json!(address));
        config.insert("managementListenAddress".into(), json!(management));
        config.insert("certificate".into(), json!(directory.join("tls.crt")));
        config.insert("privateKey".into(), json!(directory.join("tls.key")));
        config.insert("httpPort".into(), json!(80));
        config.insert("tlsPort".into(), json!(443));
        if !self.eab_keys.is_empty() {
            config.insert("externalAccountBindingRequired".into(), json!(true));
            config.insert("externalAccountMACKeys".into(), json!(self.eab_keys));
        }
        if !self.profiles.is_empty() {
            config.insert("profiles".into(), json!(self.profiles));
        }
        json!({"pebble": config})
    }
}

impl Pebble {
    /// A Pebble that validates immediately, rejects no nonce and reuses no authorization, so that tests are reproducible.
    pub fn builder() -> PebbleBuilder {
        PebbleBuilder::default()
            .environment("PEBBLE_VA_NOSLEEP", 1)
            .authorization_reuse_percent(0)
            .nonce_reject_percent(0)
    }

    /// Starts it again on the same ports, after [`Pebble::stop`]. It has forgotten all accounts and orders, and has a new root.
    pub async fn start(&mut self) -> Result<()> {
        let dns_server = self.builder.dns_server.clone().unwrap_or(self.description.dns.to_string());
        let program = self.builder.program.unwrap_or("pebble");
        let mut command = Command::new(self.description.tools.program(program)?);
        command
            .arg("-config")
            .arg(self.directory.join("pebble.json"))
            .args(["-dnsserver", &dns_server])
            .envs(&self.builder.environment);
        let mut process = Process::start(&self.name, command, &self.description.state.join("logs"))?;
        let ready = || async { self.http.get(&self.directory_url).send().await.is_ok() };
        process.wait_ready(START_LIMIT, ready).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it; connections are refused from then on.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// The root of its default chain, in PEM.
    pub async fn root_pem(&self) -> Result<String> {
        self.alternate_root_pem(0).await
    }

    /// The root of its default chain (0) or of an alternate one (1 and up), in PEM.
    pub async fn alternate_root_pem(&self, index: u8) -> Result<String> {
        self.management(&format!("roots/{index}")).await
    }

    /// The CA's information about the certificate with this serial number (hexadecimal): its status and revocation reason.
    pub async fn certificate_status(&self, serial: &str) -> Result<Value> {
        let text = self.management(&format!("cert-status-by-serial/{serial}")).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.as_ref().map(|process| process.log_tail(lines)).unwrap_or_default()
    }

    async fn management(&self, path: &str) -> Result<String> {
        let url = format!("{}/{path}", self.management_url);
        let response = self.http.get(&url).send().await?.error_for_status();
        Ok(response.with_context(|| format!("Pebble has nothing at {path}"))?.text().await?)
    }
}
