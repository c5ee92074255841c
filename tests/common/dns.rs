//! What tests of dns-01 start with: a name server that accepts updates, a resolver that everybody uses, a CA, and an operator.

use anyhow::{Context, Result};
use certwright_cluster::{
    Address, Bind, BindBuilder, NameServer, Operator, OperatorBuilder, Pebble, PebbleBuilder, Proxy,
    Resolver, ResolverBuilder, TestNamespace, TsigKey, Zone,
};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::faults::{path, steady};
use super::{SOON, base64, condition};

/// Name of the TSIG key of a [`Ground`], and of the Secret with it.
pub const KEY: &str = "tsig";

/// Name servers, a CA and an operator.
pub struct Ground {
    /// Has the zones, and accepts updates signed with the key [`KEY`].
    pub bind: Bind,
    /// Resolves names in the zones of `bind`, and caches nothing.
    pub resolver: Resolver,
    pub pebble: Pebble,
    pub operator: Operator,
    /// URL of the CA's directory, for Issuers.
    pub directory: String,
}

impl Ground {
    /// A builder of a [`Ground`].
    pub fn builder() -> GroundBuilder {
        GroundBuilder {
            bind: Bind::builder(),
            resolver: Resolver::builder(),
            zones: Vec::new(),
            pebble: steady(),
            ca_sees_zones: true,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// With these zones.
    pub async fn of_zones(ns: &TestNamespace, zones: &[&str]) -> Result<Self> {
        let bind = zones.iter().fold(Bind::builder(), |bind, zone| bind.zone(*zone));
        Self::start(ns, bind, zones, |operator| operator).await
    }

    /// With these settings of the name server and the operator; the CA can resolve names in `zones`.
    pub async fn start<'a>(
        ns: &'a TestNamespace,
        bind: BindBuilder,
        zones: &[&str],
        operator: impl FnOnce(OperatorBuilder<'a>) -> OperatorBuilder<'a>,
    ) -> Result<Self> {
        let key = key();
        let bind = bind.tsig_key(&key).start(&ns.cluster).await?;
        ns.apply(&key.object(KEY)).await?;
        let resolver = zones.iter().fold(Resolver::builder(), |resolver, zone| resolver.zone_at(zone, &bind));
        let resolver = resolver.start(&ns.cluster).await?;
        let pebble = Pebble::builder().dns_server(&resolver.address()).start(&ns.cluster).await?;
        let builder = Operator::builder(ns).argument("--dns01-recursive-nameservers", &resolver.address());
        let operator = operator(builder).start().await?;
        let directory = pebble.directory_url.clone();
        Ok(Self { bind, resolver, pebble, operator, directory })
    }

    /// From now on, Issuers reach the CA through a proxy.
    pub async fn through_proxy(&mut self, ns: &TestNamespace) -> Result<Proxy> {
        let proxy = Proxy::start(&ns.cluster, &self.pebble.address).await?;
        self.directory = format!("{}{}", proxy.url, path::DIRECTORY);
        Ok(proxy)
    }

    /// Applies the Issuer `ca` with only this solver, and waits until it is ready.
    pub async fn solve_by(&self, ns: &TestNamespace, dns01: Value) -> Result<()> {
        self.solvers(ns, json!([{ "dns01": dns01 }])).await
    }

    /// Applies the Issuer `ca` with these solvers, and waits until it is ready.
    pub async fn solvers(&self, ns: &TestNamespace, solvers: Value) -> Result<()> {
        self.issuer(ns, "ca", solvers).await
    }

    /// Applies an Issuer with these solvers, and waits until it is ready.
    pub async fn issuer(&self, ns: &TestNamespace, name: &str, solvers: Value) -> Result<()> {
        ns.apply(&issuer(name, &self.directory, &self.pebble.ca_pem, &solvers).to_string()).await?;
        ns.wait_condition(&format!("issuer/{name}"), "Ready", "True", SOON).await?;
        Ok(())
    }

    /// A solver that updates `bind`.
    pub fn rfc2136(&self) -> Value {
        json!({ "rfc2136": rfc2136(&self.bind.address()) })
    }

    /// The TXT values at the challenge name of `name`, sorted.
    pub async fn values(&self, name: &str) -> Result<Vec<String>> {
        values(&self.bind, &format!("_acme-challenge.{name}")).await
    }

    /// Waits until there are this many TXT values at the challenge name of `name`, and returns them.
    pub async fn wait_values(&self, name: &str, count: usize) -> Result<Vec<String>> {
        wait_values(&self.bind, &format!("_acme-challenge.{name}"), count).await
    }
}

/// How a [`Ground`] is set up.
pub struct GroundBuilder {
    bind: BindBuilder,
    resolver: ResolverBuilder,
    zones: Vec<String>,
    pebble: PebbleBuilder,
    ca_sees_zones: bool,
    arguments: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl GroundBuilder {
    /// `bind` has this zone.
    pub fn zone(self, name: &str) -> Self {
        self.zone_with(name, |zone| zone)
    }

    /// `bind` has this zone, built by the test.
    pub fn zone_with(mut self, name: &str, change: impl FnOnce(Zone) -> Zone) -> Self {
        self.bind = self.bind.zone(change(Zone::new(name)));
        self.zones.push(name.to_owned());
        self
    }

    /// Another server has this zone.
    pub fn zone_at(mut self, name: &str, server: &NameServer) -> Self {
        self.resolver = self.resolver.zone_at(name, server);
        self
    }

    /// The resolver expects this zone to be signed.
    pub fn signed(mut self, zone: &str) -> Self {
        self.resolver = self.resolver.signed(zone);
        self
    }

    /// `bind` knows this key in addition to [`KEY`].
    pub fn tsig_key(mut self, key: &TsigKey) -> Self {
        self.bind = self.bind.tsig_key(key);
        self
    }

    /// `bind` has this option, see [`BindBuilder::option`].
    pub fn option(mut self, option: &str) -> Self {
        self.bind = self.bind.option(option);
        self
    }

    /// The CA is set up like this.
    pub fn pebble(mut self, pebble: PebbleBuilder) -> Self {
        self.pebble = pebble;
        self
    }

    /// The CA queries a server that does not know the zones.
    pub fn unseen_by_the_ca(mut self) -> Self {
        self.ca_sees_zones = false;
        self
    }

    /// Sets an argument of the operator.
    pub fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets an environment variable of the operator.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts all of it.
    pub async fn start(self, ns: &TestNamespace) -> Result<Ground> {
        let key = key();
        let bind = self.bind.tsig_key(&key).start(&ns.cluster).await?;
        ns.apply(&key.object(KEY)).await?;
        let resolver = self.zones.iter().fold(self.resolver, |resolver, zone| resolver.zone_at(zone, &bind));
        let resolver = resolver.start(&ns.cluster).await?;
        let pebble = match self.ca_sees_zones {
            true => self.pebble.dns_server(&resolver.address()),
            false => self.pebble,
        };
        let pebble = pebble.start(&ns.cluster).await?;
        let builder = Operator::builder(ns).argument("--dns01-recursive-nameservers", &resolver.address());
        let builder =
            self.arguments.iter().fold(builder, |builder, (name, value)| builder.argument(name, value));
        let builder =
            self.environment.iter().fold(builder, |builder, (name, value)| builder.environment(name, value));
        let operator = builder.start().await?;
        let directory = pebble.directory_url.clone();
        Ok(Ground { bind, resolver, pebble, operator, directory })
    }
}

/// A [`Ground`] whose zone `a.test` has a second server, which lags until it is told to catch up. So only the first server has
/// the record for a name in this zone, and the operator waits.
pub async fn with_lagging_server(ns: &TestNamespace, ground: GroundBuilder) -> Result<(Ground, Bind)> {
    let address = Address::free(&ns.cluster)?;
    let ground = ground.zone_with("a.test", |zone| zone.name_server(address.ip())).start(ns).await?;
    let secondary = Bind::builder().address(address).secondary_of(&ground.bind, "a.test");
    Ok((ground, secondary.start(&ns.cluster).await?))
}

/// The TXT values at a name, sorted.
pub async fn values(server: &NameServer, name: &str) -> Result<Vec<String>> {
    let mut values = server.query(name, "TXT").await?;
    values.sort();
    Ok(values)
}

/// Waits until there are this many TXT values at a name, and returns them, sorted.
pub async fn wait_values(server: &NameServer, name: &str, count: usize) -> Result<Vec<String>> {
    let mut last = Vec::new();
    let looking = async {
        // A name server does not announce changes.
        let mut again = interval(std::time::Duration::from_millis(20));
        loop {
            again.tick().await;
            last = values(server, name).await?;
            if last.len() == count {
                return anyhow::Ok(());
            }
        }
    };
    let looked = timeout(SOON, looking).await;
    looked.with_context(|| format!("there are not {count} values at {name}, but {last:?}"))??;
    Ok(last)
}

/// Waits until a Certificate waits for this reason, and both its condition and a challenge contain these words. Checks that the
/// CA was not told to validate the challenge. Returns the Certificate.
pub async fn waiting(ns: &TestNamespace, name: &str, reason: &str, words: &str) -> Result<Value> {
    let says = |object: &Value| {
        let condition = condition(object, "Issuing").filter(|(status, ..)| status == "True");
        let told = condition.is_some_and(|(_, found, message)| found == reason && message.contains(words));
        let challenges = object["status"]["challenges"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_challenge = challenges.iter().any(|challenge| {
            challenge["state"] == "pending"
                && challenge["type"] != "http-01"
                && challenge["reason"].as_str().is_some_and(|reason| reason.contains(words))
        });
        told && of_challenge
    };
    let waited = ns.wait(&format!("certificate/{name}"), SOON, says).await;
    waited.with_context(|| format!("{name} does not wait with {reason} and the words {words:?}"))
}

/// A solver with further fields.
pub fn with(mut solver: Value, more: Value) -> Value {
    if let (Some(solver), Value::Object(more)) = (solver.as_object_mut(), more) {
        solver.extend(more);
    }
    solver
}

/// A solver with an HTTP server, with further settings.
pub fn http_request(url: &str, more: Value) -> Value {
    json!({ "httpRequest": with(json!({ "url": url }), more) })
}

/// The key that updates are signed with.
pub fn key() -> TsigKey {
    TsigKey::new(KEY, "hmac-sha256")
}

/// Settings of a solver that updates the name server at `address`.
pub fn rfc2136(address: &str) -> Value {
    json!({
        "nameserver": address, "tsigKeyName": KEY, "tsigAlgorithm": "HMACSHA256",
        "tsigSecretSecretRef": { "name": KEY, "key": "secret" },
    })
}

/// An Issuer with these solvers.
pub fn issuer(name: &str, directory: &str, ca_pem: &str, solvers: &Value) -> Value {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer", "metadata": { "name": name },
        "spec": { "acme": { "server": directory, "caBundle": base64(ca_pem), "solvers": solvers } },
    })
}
