//! `certwright status`: shows one object on one screen.

mod certificate;
mod issuer;
mod summary;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use self::summary::Summary;
use super::chosen_issuer::IssuerApi;
use super::failures::Failures;
use super::handbook::{self, Chapter};
use super::kind::Kind;
use super::outlook::{self, Outlook, Trouble};
use super::output::{
    BAD, BOLD, DIM, Format, GOOD, SO_SO, away, fit_terminal, moment, shown, styled, table, wrapped,
};
use super::targets::{Target, Targets};
use super::{Cluster, ClusterArgs, Error, Exit, print};
use certwright_api::{AcmeIssuer, Certificate, ClusterIssuer, Issuer, IssuerKind};
use certwright_core::reading::Reading;
use certwright_runtime::clock;

/// The column where values start.
const INDENT: usize = 14;
/// The maximum number of events to show.
const EVENTS: usize = 5;

/// Which objects, and how to show them.
#[derive(Args, Clone, Debug)]
pub struct Status {
    /// Which objects.
    #[command(flatten)]
    pub targets: Targets,
    /// Output format. By default, a screen for each object.
    #[arg(short, long, value_enum)]
    pub output: Option<Format>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// An object on one screen, and the same for programs.
pub(super) struct Screen {
    /// For people.
    pub(super) text: String,
    summary: Summary,
}

impl Status {
    /// Shows the objects. The exit code is 3 if one of them is not ready.
    ///
    /// # Errors
    /// [`Error`], if one cannot be read. The others are shown.
    pub async fn execute(self) -> Result<Exit, Error> {
        let targets = self.targets.parse(&Kind::ALL)?;
        let cluster = self.cluster.connect().await?;
        if self.output.is_none() {
            fit_terminal();
        }
        let (mut screens, mut failures) = (Vec::new(), Failures::default());
        for target in &targets {
            match screen(&cluster, target).await {
                Ok(screen) => screens.push(screen),
                Err(error) => failures.add(error)?,
            }
        }
        let summaries: Vec<&Summary> = screens.iter().map(|screen| &screen.summary).collect();
        match self.output {
            None => {
                let texts: Vec<&str> = screens.iter().map(|screen| screen.text.as_str()).collect();
                print(&texts.join("\n\n"))?;
            }
            Some(_) if screens.is_empty() => {}
            Some(format) => match (&targets[..], &summaries[..]) {
                ([_], [summary]) => format.print(summary)?,
                _ => format.print(&summaries)?,
            },
        }
        let all_ready = screens.iter().all(|screen| screen.summary.ready == Some(true));
        failures.end(if all_ready { Exit::Fine } else { Exit::NotWell })
    }
}

/// What there is to show about an object.
///
/// # Errors
/// [`Error`], if it cannot be read.
pub(super) async fn screen(cluster: &Cluster, target: &Target) -> Result<Screen, Error> {
    match target.kind {
        Kind::Certificate => certificate_status(cluster, target).await,
        Kind::Issuer => issuer_status::<Issuer>(cluster, target).await,
        Kind::ClusterIssuer => issuer_status::<ClusterIssuer>(cluster, target).await,
    }
}

async fn certificate_status(cluster: &Cluster, target: &Target) -> Result<Screen, Error> {
    let api = Api::<Reading<Certificate>>::namespaced(cluster.client.clone(), &cluster.namespace);
    let found = cluster.one(&api, &target.name, &target.called(&cluster.namespace)).await?;
    let status = serde_json::to_value(&found.status).map_err(Error::Json)?;
    let found = shown(&found)?;
    let issuer = issuer_of(cluster, &found).await;
    let events = events(cluster, Some(&cluster.namespace), found.metadata.uid.as_deref()).await;
    let now = clock::now();
    let outlook = outlook::of_certificate(&found, now);
    let text = certificate::rendered(&found, &outlook, issuer.as_ref(), &events, now);
    let of = (target, Some(cluster.namespace.as_str()), Chapter::Certificates);
    Ok(Screen { text, summary: Summary::new(of, &outlook, &events, status) })
}

async fn issuer_status<K>(cluster: &Cluster, target: &Target) -> Result<Screen, Error>
where
    K: IssuerApi + Serialize,
{
    let namespace = (K::KIND == IssuerKind::Issuer).then_some(&*cluster.namespace);
    let called = target.called(&cluster.namespace);
    let api = K::api(cluster.client.clone(), &cluster.namespace);
    let found = cluster.one(&api, &target.name, &called).await?;
    let status = serde_json::to_value(found.status()).map_err(Error::Json)?;
    let found = shown(&found)?;
    let events = events(cluster, namespace, found.meta().uid.as_deref()).await;
    let now = clock::now();
    let outlook = outlook::of_issuer(&found, found.status());
    let mac_key = match namespace {
        Some(namespace) => mac_key(cluster, found.acme(), namespace).await,
        None => None,
    };
    let text =
        issuer::rendered(&called, found.acme(), found.status(), &outlook, mac_key.as_ref(), &events, now);
    Ok(Screen {
        text,
        summary: Summary::new((target, namespace, Chapter::Issuers), &outlook, &events, status),
    })
}

/// The state of the issuer of a Certificate; `None` if it cannot be read.
async fn issuer_of(cluster: &Cluster, certificate: &Certificate) -> Option<Outlook> {
    let reference = outlook::issuer_in_use(certificate);
    match reference.kind {
        IssuerKind::Issuer => outlook_of::<Issuer>(cluster, &reference.name).await,
        IssuerKind::ClusterIssuer => outlook_of::<ClusterIssuer>(cluster, &reference.name).await,
    }
}

async fn outlook_of<K: IssuerApi + Serialize>(cluster: &Cluster, name: &str) -> Option<Outlook> {
    let api = K::api(cluster.client.clone(), &cluster.namespace);
    let issuer = shown(&api.get(name).await.ok()?.usable().ok()?).ok()?;
    Some(outlook::of_issuer(&issuer, issuer.status()))
}

/// The Secret with the MAC key of an issuer; `None` if there is none, or the user may not read it.
async fn mac_key(cluster: &Cluster, spec: &AcmeIssuer, namespace: &str) -> Option<Secret> {
    let name = &spec.external_account_binding.as_ref()?.key_secret_ref.name;
    Api::<Secret>::namespaced(cluster.client.clone(), namespace).get_opt(name).await.ok().flatten()
}

/// The events about an object, the newest first; none if the user may not read events.
async fn events(cluster: &Cluster, namespace: Option<&str>, uid: Option<&str>) -> Vec<Event> {
    let parameters = ListParams::default().fields(&format!("involvedObject.uid={}", uid.unwrap_or_default()));
    // Events about objects without a namespace are in this one.
    let api = Api::<Event>::namespaced(cluster.client.clone(), namespace.unwrap_or("default"));
    let mut events = api.list(&parameters).await.map(|found| found.items).unwrap_or_default();
    events.sort_by_key(|event| std::cmp::Reverse(event_time(event)));
    events.truncate(EVENTS);
    events
}

fn event_time(event: &Event) -> Option<Timestamp> {
    let seen = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref()).map(|time| time.0);
    seen.or_else(|| event.event_time.as_ref().map(|time| time.0))
}

/// The first line.
fn headline(called: &str, outlook: &Outlook, now: Timestamp) -> String {
    let word = match outlook.ready {
        Some(true) if outlook.problem().is_some() => styled(SO_SO, "ready"),
        Some(true) => styled(GOOD, "ready"),
        Some(false) => styled(BAD, "not ready"),
        None => styled(SO_SO, "not processed yet"),
    };
    let since = outlook.since.filter(|_| outlook.ready.is_some());
    let since = since.map_or(String::new(), |since| format!(", since {}", moment(since, now)));
    format!("{} is {word}{since}\n\n", styled(BOLD, called))
}

/// What the object waits for or what failed, what happens next, and what to do.
fn trouble(outlook: &Outlook, chapter: Chapter, now: Timestamp) -> String {
    let mut text = String::new();
    let labelled = |trouble: &Trouble, label: &str, word: &str| {
        let since = trouble.since.map_or(String::new(), |since| format!(", {word} {}", moment(since, now)));
        let message = match trouble.message.as_str() {
            "" => String::new(),
            message => format!("{}{}\n", " ".repeat(INDENT), wrapped(message, INDENT)),
        };
        field(label, &format!("{}{since}", trouble.reason)) + &message
    };
    if let Some(trouble) = &outlook.trouble {
        let (label, word) =
            if trouble.failed { ("Problem", "failed") } else { ("Waits for", "in progress since") };
        text.push_str(&labelled(trouble, label, word));
    }
    if let Some(unserved) = &outlook.unserved {
        text.push_str(&labelled(unserved, "Not served", "since"));
    }
    text.push_str(&field("Next", &outlook.next.sentence(now)));
    for trouble in outlook.trouble.iter().chain(&outlook.unserved) {
        text.push_str(&what_to_do(chapter, &trouble.reason));
    }
    text
}

fn what_to_do(chapter: Chapter, reason: &str) -> String {
    let Some(entry) = handbook::entry(chapter, reason) else { return String::new() };
    // Show the first paragraph, and how to see the rest.
    let first = entry.text.split("\n\n").next().unwrap_or_default();
    let words = handbook::plain(first, INDENT);
    let more = if first.len() == entry.text.len() {
        String::new()
    } else {
        format!("{}More: certwright explain {reason}\n", " ".repeat(INDENT))
    };
    format!("{}{}\n{more}", label("What to do"), words.trim_start())
}

fn label(label: &str) -> String {
    format!("{}{}", styled(DIM, label), " ".repeat(INDENT.saturating_sub(label.len())))
}

/// A line with a label.
pub(super) fn field(name: &str, value: &str) -> String {
    format!("{}{}\n", label(name), wrapped(value, INDENT))
}

fn optional(name: &str, value: Option<String>) -> String {
    value.map_or(String::new(), |value| field(name, &value))
}

fn rendered_events(events: &[Event], now: Timestamp) -> String {
    if events.is_empty() {
        return String::new();
    }
    let row = |event: &Event| {
        vec![
            event_time(event).map_or("-".to_owned(), |time| away(time, now)),
            event.type_.clone().unwrap_or_default(),
            event.reason.clone().unwrap_or_default(),
            event.message.clone().unwrap_or_default(),
        ]
    };
    format!(
        "\n{}",
        table(&["EVENT", "TYPE", "REASON", "MESSAGE"], &events.iter().map(row).collect::<Vec<_>>())
    )
}
