//! `certwright inspect`: looks into a Secret with a certificate.

mod revocation;
mod text;
mod users;

use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use self::revocation::{Revocation, look_up};
use self::text::{Inspected, rendered};
use self::users::users;
use super::check::served;
use super::failures::Failures;
use super::names::is_name;
use super::outlook::named;
use super::output::fit_terminal;
use super::{Cluster, ClusterArgs, EgressArgs, Error, Exit, print};
use certwright_api::{ANNOTATION_CERTIFICATE, Certificate, SECRET_KEY_TLS_CRT};
use certwright_core::reading::Reading;
use certwright_core::secret::{annotation, data};
use certwright_egress::Egress;
use certwright_pki::Chain;
use certwright_runtime::clock;

/// Which Secrets.
#[derive(Args, Clone, Debug)]
pub struct Inspect {
    /// `secret` and names, such as `secret www-tls`, or several of the form `secret/www-tls`.
    #[arg(required = true, value_name = "secret/NAME")]
    pub secrets: Vec<String>,
    /// Do not fetch the CA's revocation list.
    #[arg(long)]
    pub offline: bool,
    /// Look also at what servers show under the names of the certificate, as `certwright check served` does.
    #[arg(long, conflicts_with = "offline")]
    pub served: bool,
    /// Where to connect to.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl Inspect {
    /// Shows the Secrets. The exit code is 3 if one of them has a problem.
    ///
    /// # Errors
    /// [`Error`], if one cannot be read. The others are shown.
    pub async fn execute(self) -> Result<Exit, Error> {
        let names = names(&self.secrets)?;
        fit_terminal();
        let cluster = self.cluster.connect().await?;
        let (mut exit, mut failures, mut texts) = (Exit::Fine, Failures::default(), Vec::new());
        for name in &names {
            match self.inspect(&cluster, name).await {
                Ok((text, is_well)) => {
                    texts.push(text);
                    if !is_well {
                        exit = Exit::NotWell;
                    }
                }
                Err(error) => failures.add(error)?,
            }
        }
        print(&texts.join("\n\n"))?;
        failures.end(exit)
    }

    async fn inspect(&self, cluster: &Cluster, name: &str) -> Result<(String, bool), Error> {
        let namespace = &cluster.namespace;
        let called = named("Secret", Some(namespace), name);
        let api = Api::<Secret>::namespaced(cluster.client.clone(), namespace);
        let secret = api.get(name).await.map_err(|error| Error::about("read", &called, &error))?;
        let now = clock::now();
        let chain = data(&secret, SECRET_KEY_TLS_CRT).map(Chain::parse_pem);
        let revocation = match &chain {
            Some(Ok(_)) if self.offline => Revocation::NotChecked("--offline".to_owned()),
            Some(Ok(chain)) => look_up(chain, &Egress::new(self.egress.rules(), |_| {}), now).await,
            _ => Revocation::NotChecked("there is no certificate".to_owned()),
        };
        let certificate = match annotation(&secret, ANNOTATION_CERTIFICATE).filter(|owner| is_name(owner)) {
            Some(owner) => {
                let api = Api::<Reading<Certificate>>::namespaced(cluster.client.clone(), namespace);
                api.get(owner).await.ok().and_then(|found| found.usable().ok())
            }
            None => None,
        };
        let users = users(cluster, name).await;
        let served = match &chain {
            Some(Ok(chain)) if self.served => {
                Some(served::of_secret(cluster, name, chain.leaf(), certificate.as_ref()).await)
            }
            _ => None,
        };
        let inspected = Inspected {
            called: &called,
            secret: &secret,
            chain: chain.as_ref(),
            revocation: &revocation,
            certificate: certificate.as_ref(),
            users: &users,
            served: served.as_deref(),
        };
        Ok(rendered(&inspected, now))
    }
}

/// The names of the Secrets, in the forms that kubectl accepts.
fn names(words: &[String]) -> Result<Vec<String>, Error> {
    let usage =
        || Error::Usage("name Secrets as `secret NAME`, or several of the form `secret/NAME`".to_owned());
    let is_secret = |kind: &str| ["secret", "secrets"].contains(&kind);
    let names: Option<Vec<String>> = match words.split_first() {
        Some((kind, names)) if is_secret(kind) => Some(names.to_vec()),
        _ => words
            .iter()
            .map(|word| word.split_once('/').filter(|(kind, _)| is_secret(kind)))
            .map(|word| word.map(|(_, name)| name.to_owned()))
            .collect(),
    };
    let is_name = |name: &String| !name.is_empty() && !name.contains('/');
    names.filter(|names| !names.is_empty() && names.iter().all(is_name)).ok_or_else(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_as_for_kubectl() {
        let parsed = |words: &[&str]| names(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(parsed(&["secret", "a", "b"]).unwrap(), ["a", "b"]);
        assert_eq!(parsed(&["secret/a", "secrets/b"]).unwrap(), ["a", "b"]);
        for wrong in
            [&["secret"][..], &["a"], &["certificate/a"], &["secret/a", "b"], &["secret", "secret/a"]]
        {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
