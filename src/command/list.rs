//! `certwright list`: lists Certificates, when they expire, and what happens next.

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use super::output::{self, away, print_objects, shown, table, tell};
use super::{ClusterArgs, Error, Exit, outlook, print};
use crate::runtime::clock;
use certwright_api::Certificate;

/// Which Certificates to list, and how.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// List the Certificates of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// List only Certificates with these labels, such as `app=web,tier!=test`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// List only those whose certificate expires within this time, such as `14d` or `36h`. The exit code is 3 if there are any.
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub expiring: Option<SignedDuration>,
    /// Output format.
    #[arg(short, long, value_enum)]
    pub output: Option<Format>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table with more columns.
    Wide,
    /// The objects as JSON, like kubectl.
    Json,
    /// The objects as YAML, like kubectl.
    Yaml,
}

impl List {
    /// Lists the Certificates.
    ///
    /// # Errors
    /// [`Error`], if they cannot be read.
    pub async fn execute(self) -> Result<Exit, Error> {
        let cluster = self.cluster.connect().await?;
        let namespace = Some(cluster.namespace.as_str()).filter(|_| !self.all_namespaces);
        let mut parameters = ListParams::default();
        if let Some(selector) = &self.selector {
            parameters = parameters.labels(selector);
        }
        let mut found = cluster.certificates(namespace, &parameters).await?;
        let now = clock::now();
        if let Some(within) = self.expiring {
            found = expiring(found, within, now);
        }
        let text = match self.output {
            Some(Format::Json) => {
                print_objects(&output::json(&objects(&found))?)?;
                String::new()
            }
            Some(Format::Yaml) => {
                print_objects(&serde_yaml::to_string(&objects(&found)).map_err(Error::Yaml)?)?;
                String::new()
            }
            None | Some(Format::Wide) if found.is_empty() => {
                let place = namespace.map_or("any namespace".to_owned(), |name| format!("namespace {name}"));
                let expires = if self.expiring.is_some() { " expires soon" } else { "" };
                tell(&format!("No Certificate{expires} in {place}.\n"))?;
                String::new()
            }
            None | Some(Format::Wide) => {
                let found = found.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
                rendered(&found, self.all_namespaces, self.output == Some(Format::Wide), now)
            }
        };
        print(&text)?;
        Ok(if self.expiring.is_some() && !found.is_empty() { Exit::NotWell } else { Exit::Fine })
    }
}

/// The Certificates that expire within this time, the next one first.
fn expiring(certificates: Vec<Certificate>, within: SignedDuration, now: Timestamp) -> Vec<Certificate> {
    let end = |certificate: &Certificate| Some(certificate.status.as_ref()?.not_after.as_ref()?.0);
    let limit = now.saturating_add(within).unwrap_or(Timestamp::MAX);
    let mut found: Vec<_> =
        certificates.into_iter().filter(|one| end(one).is_some_and(|end| end <= limit)).collect();
    found.sort_by_key(end);
    found
}

fn rendered(certificates: &[Certificate], all_namespaces: bool, wide: bool, now: Timestamp) -> String {
    let mut head = vec!["NAME", "READY", "ISSUER", "EXPIRES", "NEXT"];
    if all_namespaces {
        head.insert(0, "NAMESPACE");
    }
    if wide {
        head.extend(["SECRET", "NAMES", "REASON"]);
    }
    let row = |certificate: &Certificate| {
        let outlook = outlook::of_certificate(certificate, now);
        let status = certificate.status.clone().unwrap_or_default();
        let (spec, reference) = (&certificate.spec, &certificate.spec.issuer_ref);
        let expires = status.not_after.as_ref().map_or("-".to_owned(), |end| match wide {
            true => end.0.to_string(),
            false => away(end.0, now),
        });
        let reason = outlook.trouble.as_ref().map(|trouble| trouble.reason.clone());
        let mut row = vec![
            certificate.name_any(),
            match outlook.ready {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            }
            .to_owned(),
            format!("{}/{}", reference.kind.as_str(), reference.name),
            expires,
            match &reason {
                Some(reason) if matches!(outlook.next, outlook::NextAction::When(_)) => {
                    format!("waits: {reason}")
                }
                _ => brief(&outlook, now),
            },
        ];
        if all_namespaces {
            row.insert(0, certificate.namespace().unwrap_or_default());
        }
        if wide {
            let names = spec.dns_names.iter().chain(&spec.ip_addresses).chain(&spec.common_name);
            let mut shown: Vec<&str> = Vec::new();
            names.for_each(|name| {
                if !shown.contains(&name.as_str()) {
                    shown.push(name)
                }
            });
            row.extend([spec.secret_name.clone(), shown.join(","), reason.unwrap_or_else(|| "-".to_owned())]);
        }
        row
    };
    table(&head, &certificates.iter().map(row).collect::<Vec<_>>())
}

fn brief(outlook: &outlook::Outlook, now: Timestamp) -> String {
    match &outlook.next {
        outlook::NextAction::When(words) => {
            words.split([';', ',', ':']).next().unwrap_or_default().to_owned()
        }
        at => at.brief(now),
    }
}

/// A list of objects in the form of kubectl.
fn objects(certificates: &[Certificate]) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": certificates, "metadata": {} })
}

/// Parses a duration, in which a day has 24 hours.
pub fn length(text: &str) -> Result<SignedDuration, String> {
    let span: jiff::Span =
        text.parse().map_err(|_| "expected a time such as 14d, 36h or 1h30m".to_owned())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    if length.is_negative() { Err("a time cannot be negative".to_owned()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_given_in_days_hours_and_minutes() {
        assert_eq!(length("14d"), Ok(SignedDuration::from_hours(14 * 24)));
        assert_eq!(length("1h30m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(length("90s"), Ok(SignedDuration::from_secs(90)));
        assert!(length("soon").is_err() && length("-1h").is_err() && length("14").is_err());
    }

    #[test]
    fn a_row_shows_when_a_certificate_expires_and_what_happens_next() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ready: Certificate = serde_json::from_value(json!({
            "metadata": { "name": "www", "namespace": "shop", "generation": 1 },
            "spec": { "secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": { "name": "ca" } },
            "status": {
                "conditions": [{ "type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
                                 "lastTransitionTime": "2025-12-01T00:00:00Z" }],
                "notAfter": "2026-03-01T00:00:00Z", "renewalTime": "2026-01-30T00:00:00Z",
            },
        }))
        .unwrap();
        let mut waits = ready.clone();
        waits.metadata.name = Some("api".to_owned());
        waits.status = serde_json::from_value(json!({
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "Failed", "message": "no", "observedGeneration": 1,
                  "lastTransitionTime": "2025-12-01T00:00:00Z" },
                { "type": "Issuing", "status": "False", "reason": "Failed", "message": "no", "observedGeneration": 1,
                  "lastTransitionTime": "2025-12-01T00:00:00Z" },
            ],
            "failedIssuanceAttempts": 2, "nextAttemptTime": "2026-01-01T00:03:00Z",
        }))
        .unwrap();
        let all = [waits.clone(), ready.clone()];
        assert_eq!(
            rendered(&all, true, false, now),
            "NAMESPACE   NAME   READY   ISSUER      EXPIRES   NEXT\n\
             shop        api    False   Issuer/ca   -         retries in 3m\n\
             shop        www    True    Issuer/ca   in 59d    renews in 29d\n"
        );
        let wide = rendered(&all, false, true, now);
        assert!(
            wide.contains("2026-03-01T00:00:00Z") && wide.contains("www-tls   www.example.com   Failed"),
            "{wide}"
        );
        let soon = expiring(vec![waits, ready], SignedDuration::from_hours(24 * 60), now);
        assert_eq!(soon.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["www"]);
    }
}
