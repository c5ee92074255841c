//! What tests of dns-01 begin with: a name server that takes updates, a resolver that everybody asks, a CA, an operator.

use anyhow::Result;
use certwright_cluster::{
    Bind, BindBuilder, Operator, OperatorBuilder, Pebble, Resolver, TestNamespace, TsigKey,
};
use serde_json::{Value, json};

use super::{SOON, base64};

/// Name of the TSIG key of a [`Ground`], and of the Secret with it.
pub const KEY: &str = "tsig";

/// Name servers, a CA and an operator.
pub struct Ground {
    /// Has the zones, and takes updates signed with the key [`KEY`].
    pub bind: Bind,
    /// Looks up what `bind` has, and remembers nothing.
    pub resolver: Resolver,
    pub pebble: Pebble,
    pub operator: Operator,
}

impl Ground {
    /// With these zones.
    pub async fn of_zones(ns: &TestNamespace, zones: &[&str]) -> Result<Self> {
        let bind = zones.iter().fold(Bind::builder(), |bind, zone| bind.zone(*zone));
        Self::start(ns, bind, zones, |operator| operator).await
    }

    /// With a name server and an operator of the test's making; `zones` are those that the CA can look up.
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
        Ok(Self { bind, resolver, pebble, operator })
    }

    /// Applies the Issuer `ca` with this one solver, and waits until it is ready.
    pub async fn solve_by(&self, ns: &TestNamespace, dns01: Value) -> Result<()> {
        self.solvers(ns, json!([{ "dns01": dns01 }])).await
    }

    /// Applies the Issuer `ca` with these solvers, and waits until it is ready.
    pub async fn solvers(&self, ns: &TestNamespace, solvers: Value) -> Result<()> {
        let issuer = issuer("ca", &self.pebble.directory_url, &self.pebble.ca_pem, &solvers);
        ns.apply(&issuer.to_string()).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(())
    }

    /// A solver that updates `bind`.
    pub fn rfc2136(&self) -> Value {
        json!({ "rfc2136": rfc2136(&self.bind.address()) })
    }

    /// The TXT values at the challenge name of `name`, sorted.
    pub async fn values(&self, name: &str) -> Result<Vec<String>> {
        let mut values = self.bind.query(&format!("_acme-challenge.{name}"), "TXT").await?;
        values.sort();
        Ok(values)
    }
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
