//! `certwright list`: lists Certificates, when they expire, and what happens next.

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use super::output::{self, away, print_objects, shown, table, tell};
use super::shards::{Shard, divide, serving, shards};
use super::{ClusterArgs, Error, Exit, outlook, print};
use certwright_api::{CONDITION_ISSUING, Certificate};
use certwright_core::spec::names;
use certwright_runtime::clock;

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
    /// List only those that are being issued or renewed, or wait for that, with the phase. Those that expire first come first.
    #[arg(long)]
    pub renewing: bool,
    /// The operator's own namespace: if several installations share the cluster, their Leases there tell which one serves what.
    #[arg(long, value_name = "NAMESPACE", default_value = "certwright")]
    pub operator_namespace: String,
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
        if self.renewing {
            found = renewing(found);
        }
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
                let what = match (self.renewing, self.expiring.is_some()) {
                    (true, true) => " that expires soon is being issued",
                    (true, false) => " is being issued",
                    (false, true) => " expires soon",
                    (false, false) => "",
                };
                tell(&format!("No Certificate{what} in {place}.\n"))?;
                String::new()
            }
            None | Some(Format::Wide) => {
                let found = found.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
                // Without permission to list Leases, there is no column for shards.
                let shards = shards(&cluster.client, &self.operator_namespace).await.unwrap_or_default();
                let columns = Columns {
                    shards: if divide(&shards) { &shards } else { &[] },
                    namespace: self.all_namespaces,
                    phase: self.renewing,
                    wide: self.output == Some(Format::Wide),
                    served: found.iter().any(|one| outlook::served(one).is_some()),
                };
                rendered(&found, columns, now)
            }
        };
        print(&text)?;
        Ok(if self.expiring.is_some() && !found.is_empty() { Exit::NotWell } else { Exit::Fine })
    }
}

/// When the certificate expires, if there is one.
fn end(certificate: &Certificate) -> Option<Timestamp> {
    Some(certificate.status.as_ref()?.not_after.as_ref()?.0)
}

/// The Certificates that are being issued or wait for that: first those without a certificate, then those that expire next.
fn renewing(certificates: Vec<Certificate>) -> Vec<Certificate> {
    let mut found: Vec<_> = certificates.into_iter().filter(|one| issuing(one).is_some()).collect();
    found.sort_by_key(end);
    found
}

/// The condition `Issuing`, if it is true.
fn issuing(certificate: &Certificate) -> Option<&Condition> {
    let conditions = &certificate.status.as_ref()?.conditions;
    outlook::condition(conditions, CONDITION_ISSUING).filter(|issuing| issuing.status == "True")
}

/// The Certificates that expire within this time, the next one first.
fn expiring(certificates: Vec<Certificate>, within: SignedDuration, now: Timestamp) -> Vec<Certificate> {
    let limit = now.saturating_add(within).unwrap_or(Timestamp::MAX);
    let mut found: Vec<_> =
        certificates.into_iter().filter(|one| end(one).is_some_and(|end| end <= limit)).collect();
    found.sort_by_key(end);
    found
}

/// The columns that a table has besides those it always has.
#[derive(Clone, Copy, Debug, Default)]
struct Columns<'a> {
    /// The installations, if they divide the objects.
    shards: &'a [Shard],
    namespace: bool,
    /// The phase of the issuance and its beginning, instead of what happens next.
    phase: bool,
    wide: bool,
    /// What servers show, if that is checked for any of them.
    served: bool,
}

fn rendered(certificates: &[Certificate], columns: Columns<'_>, now: Timestamp) -> String {
    let Columns { shards, namespace, phase, wide, served } = columns;
    let mut head = vec!["NAME", "READY", "ISSUER", "EXPIRES"];
    head.extend(if phase { &["PHASE", "SINCE"][..] } else { &["NEXT"] });
    if namespace {
        head.insert(0, "NAMESPACE");
    }
    if served {
        head.push("SERVED");
    }
    if !shards.is_empty() {
        head.push("SHARD");
    }
    if wide {
        head.extend(["SECRET", "NAMES", "REASON"]);
    }
    let row = |certificate: &Certificate| {
        let outlook = outlook::of_certificate(certificate, now);
        let status = certificate.status.clone().unwrap_or_default();
        let (spec, reference) = (&certificate.spec, outlook::issuer_in_use(certificate));
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
        ];
        match (issuing(certificate).filter(|_| phase), &reason) {
            (Some(issuing), _) => {
                row.extend([issuing.reason.clone(), away(issuing.last_transition_time.0, now)]);
            }
            (None, Some(reason)) if matches!(outlook.next, outlook::NextAction::When(_)) => {
                row.push(format!("waits: {reason}"));
            }
            _ => row.push(brief(&outlook, now)),
        }
        if namespace {
            row.insert(0, certificate.namespace().unwrap_or_default());
        }
        if served {
            row.push(outlook::served(certificate).unwrap_or("-").to_owned());
        }
        if !shards.is_empty() {
            row.push(match *serving(shards, certificate.labels()) {
                [] => "none".to_owned(),
                [shard] => shard.to_owned(),
                ref several => several.len().to_string(),
            });
        }
        if wide {
            let names = names::requested(spec).join(",");
            row.extend([spec.secret_name.clone(), names, reason.unwrap_or_else(|| "-".to_owned())]);
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
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use certwright_api::CONDITION_SERVED;

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
            rendered(&all, Columns { namespace: true, ..Columns::default() }, now),
            "NAMESPACE   NAME   READY   ISSUER      EXPIRES   NEXT\n\
             shop        api    False   Issuer/ca   -         retries in 3m\n\
             shop        www    True    Issuer/ca   in 59d    renews in 29d\n"
        );
        let wide = rendered(&all, Columns { wide: true, ..Columns::default() }, now);
        assert!(
            wide.contains("2026-03-01T00:00:00Z") && wide.contains("www-tls   www.example.com   Failed"),
            "{wide}"
        );
        let mut served = ready.clone();
        served.status.as_mut().unwrap().conditions.push(Condition {
            type_: CONDITION_SERVED.to_owned(),
            status: "False".to_owned(),
            reason: "OldCertificateServed".to_owned(),
            message: "Old".to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(now),
        });
        let columns = Columns { served: true, ..Columns::default() };
        assert_eq!(
            rendered(&[served, ready.clone()], columns, now),
            "NAME   READY   ISSUER      EXPIRES   NEXT            SERVED\n\
             www    True    Issuer/ca   in 59d    renews in 29d   Old\n\
             www    True    Issuer/ca   in 59d    renews in 29d   -\n"
        );
        let shard = |lease: &str, selector: &str| Shard {
            lease: lease.to_owned(),
            selector: selector.parse().unwrap(),
        };
        let mut labelled = ready.clone();
        labelled.metadata.labels = Some([("shard".to_owned(), "a".to_owned())].into());
        for (shards, cells) in [
            (&[shard("main", "!shard"), shard("a", "shard=a")][..], ["main", "a"]),
            (&[shard("a", "shard=a"), shard("some", "shard")][..], ["none", "2"]),
        ] {
            let table =
                rendered(&[ready.clone(), labelled.clone()], Columns { shards, ..Columns::default() }, now);
            let last = |line: &str| line.split_whitespace().last().unwrap_or_default().to_owned();
            assert_eq!(table.lines().map(last).collect::<Vec<_>>(), ["SHARD", cells[0], cells[1]], "{table}");
        }
        let mut queued = ready.clone();
        queued.metadata.name = Some("mail".to_owned());
        let status = queued.status.as_mut().unwrap();
        status.conditions.push(Condition {
            type_: CONDITION_ISSUING.to_owned(),
            status: "True".to_owned(),
            reason: "Queued".to_owned(),
            message: "Waiting".to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(now - SignedDuration::from_mins(5)),
        });
        let mut validating = queued.clone();
        validating.metadata.name = Some("new".to_owned());
        let status = validating.status.as_mut().unwrap();
        status.not_after = None;
        status.conditions[1].reason = "Validating".to_owned();
        let found = renewing(vec![waits.clone(), ready.clone(), queued, validating]);
        assert_eq!(
            rendered(&found, Columns { phase: true, ..Columns::default() }, now),
            "NAME   READY   ISSUER      EXPIRES   PHASE        SINCE\n\
             new    True    Issuer/ca   -         Validating   5m ago\n\
             mail   True    Issuer/ca   in 59d    Queued       5m ago\n"
        );
        let soon = expiring(vec![waits, ready], SignedDuration::from_hours(24 * 60), now);
        assert_eq!(soon.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["www"]);
    }
}
