//! Names of objects: what can be one, and which exist, for the completion of a command line. A shell waits for these, so an API
//! server that does not answer soon, or refuses, is the same as one without objects.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use clap_complete::CompletionCandidate;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::kind::Kind;
use super::{Cluster, ClusterArgs};
use certwright_api::{Certificate, ClusterIssuer, Issuer};

/// How long to wait for the API server.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many names the API server returns at a time.
const PAGE: u32 = 1000;

/// The command line so far.
struct Line {
    cluster: ClusterArgs,
    /// The command, its arguments, and values of flags of its own.
    words: Vec<String>,
}

/// Names of Certificates, without their kind.
pub fn complete_certificates(current: &OsStr) -> Vec<CompletionCandidate> {
    let found = Line::of_process().ask(async |cluster| names_of(&cluster, Kind::Certificate).await);
    candidates(current, found)
}

/// Names of namespaces.
pub fn complete_namespaces(current: &OsStr) -> Vec<CompletionCandidate> {
    let found = Line::of_process().ask(async |cluster| list(Api::<Namespace>::all(cluster.client)).await);
    candidates(current, found)
}

/// Names of contexts.
pub fn complete_contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let kubeconfig = Line::of_process().cluster.kubeconfig();
    let contexts = kubeconfig.map(|config| config.contexts).unwrap_or_default();
    candidates(current, contexts.into_iter().map(|context| context.name).collect())
}

/// `secret`, or names of Secrets with a certificate.
pub fn complete_secrets(current: &OsStr) -> Vec<CompletionCandidate> {
    let line = Line::of_process();
    match line.objects(current).first() {
        None => candidates(current, vec!["secret".to_owned()]),
        Some(_) => {
            let found = line.ask(async |cluster| {
                let api = Api::<Secret>::namespaced(cluster.client.clone(), &cluster.namespace);
                let tls = ListParams::default().fields("type=kubernetes.io/tls");
                list_some(api, tls).await
            });
            candidates(current, found)
        }
    }
}

/// Kinds, and names of objects of a kind.
pub fn complete_targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let line = Line::of_process();
    let typed = current.to_string_lossy();
    let found = match (line.objects(current).first().map(String::as_str), typed.split_once('/')) {
        (_, Some((of, _))) => match Kind::parse(of) {
            Some(kind) => {
                let names = line.ask(async move |cluster| names_of(&cluster, kind).await);
                names.into_iter().map(|name| format!("{of}/{name}")).collect()
            }
            None => Vec::new(),
        },
        (None, None) => Kind::ALL.iter().map(|kind| kind.singular().to_owned()).collect(),
        (Some(first), None) if first.contains('/') => {
            Kind::ALL.iter().map(|kind| format!("{}/", kind.singular())).collect()
        }
        (Some(first), None) => match Kind::parse(first) {
            Some(kind) => line.ask(async move |cluster| names_of(&cluster, kind).await),
            None => Vec::new(),
        },
    };
    candidates(current, found)
}

fn candidates(current: &OsStr, found: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let fitting = found.into_iter().filter(|name| name.starts_with(&*typed));
    fitting.map(CompletionCandidate::new).collect()
}

async fn names_of(cluster: &Cluster, kind: Kind) -> Option<Vec<String>> {
    let (client, namespace) = (cluster.client.clone(), &cluster.namespace);
    match kind {
        Kind::Certificate => list(Api::<Certificate>::namespaced(client, namespace)).await,
        Kind::Issuer => list(Api::<Issuer>::namespaced(client, namespace)).await,
        Kind::ClusterIssuer => list(Api::<ClusterIssuer>::all(client)).await,
    }
}

async fn list<K>(api: Api<K>) -> Option<Vec<String>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    list_some(api, ListParams::default()).await
}

async fn list_some<K>(api: Api<K>, which: ListParams) -> Option<Vec<String>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let (mut names, mut which) = (Vec::new(), which.limit(PAGE));
    loop {
        let page = api.list_metadata(&which).await.ok()?;
        names.extend(page.items.iter().map(ResourceExt::name_any));
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => which = which.continue_token(&next),
            None => return Some(names),
        }
    }
}

/// Whether this can be the name of an object or a namespace: it becomes part of a path of the API server.
pub fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    (1..=253).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('.')
}

impl Line {
    /// A shell passes the command line after `--`, and kubectl without the program's name.
    fn of_process() -> Self {
        let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if arguments.first().is_some_and(|first| first == "--") {
            arguments.drain(..arguments.len().min(2));
        }
        Self::of(arguments.iter().map(|word| word.to_string_lossy().into_owned()))
    }

    fn of(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut parser = ClusterArgs::augment_args(Command::new("certwright").no_binary_name(true));
        parser.build();
        let takes_value = |word: &str| {
            let flag = parser.get_arguments().find(|flag| match word.strip_prefix("--") {
                Some(long) => flag.get_long() == Some(long),
                None => flag.get_short().is_some_and(|short| word == format!("-{short}")),
            });
            flag.map(|flag| flag.get_action().takes_values())
        };
        let (mut flags, mut words) = (Vec::new(), Vec::new());
        let mut arguments = arguments.into_iter();
        while let Some(word) = arguments.next() {
            let name = word.split('=').next().unwrap_or_default();
            match takes_value(name) {
                Some(true) if name == word => {
                    flags.extend([Some(word), arguments.next()].into_iter().flatten())
                }
                Some(_) => flags.push(word),
                None if word.starts_with('-') => {}
                None => words.push(word),
            }
        }
        let matches = parser.try_get_matches_from(flags).ok();
        let cluster = matches.and_then(|matches| ClusterArgs::from_arg_matches(&matches).ok());
        Self { cluster: cluster.unwrap_or_default(), words }
    }

    /// What follows the command, without the word that is being completed.
    fn objects(&self, current: &OsStr) -> &[String] {
        let objects = self.words.get(1..).unwrap_or_default();
        match objects.split_last() {
            Some((last, before)) if last.as_str() == current => before,
            _ => objects,
        }
    }

    /// Asks the cluster that the command line names.
    fn ask(&self, what: impl AsyncFnOnce(Cluster) -> Option<Vec<String>>) -> Vec<String> {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return Vec::new();
        };
        let answer = async { what(self.cluster.connect().await.ok()?).await };
        let answer = runtime.block_on(async { timeout(PATIENCE, answer).await });
        // A name server may be asked still, and nobody waits for that.
        runtime.shutdown_background();
        answer.ok().flatten().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::of(text.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_cluster_of_a_command_line_is_found_between_other_flags() {
        let line = line("renew --wait -n shop www --context=test --timeout 5m a");
        assert_eq!(line.cluster.namespace.as_deref(), Some("shop"));
        assert_eq!(line.cluster.context.as_deref(), Some("test"));
        assert_eq!(line.words, ["renew", "www", "5m", "a"]);
    }

    #[test]
    fn what_precedes_the_word_to_complete_says_of_which_kind_it_is() {
        let objects = |text, current: &str| line(text).objects(OsStr::new(current)).to_vec();
        assert_eq!(objects("status certificate w", "w"), ["certificate"]);
        assert_eq!(objects("status ", ""), [""; 0]);
        assert_eq!(objects("status cert", "cert"), [""; 0]);
        assert_eq!(objects("status -n", "-n"), [""; 0], "a flag without its value");
    }

    #[test]
    fn only_names_that_begin_like_the_word_are_offered() {
        let found = ["www", "web", "api"].map(str::to_owned).to_vec();
        let offered: Vec<_> = candidates(OsStr::new("w"), found);
        let offered: Vec<_> = offered.iter().map(CompletionCandidate::get_value).collect();
        assert_eq!(offered, ["www", "web"]);
    }
}
