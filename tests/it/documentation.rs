//! The user documentation names all reasons, flags and metrics, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use certwright::cli::Cli;
use certwright::command::handbook;
use certwright::runtime::metrics::{
    ApiVerb, CertificateFacts, Metrics, Part, PerCertificate, ReconcileOutcome, RevocationOutcome, Served,
    Waiting,
};
use certwright_acme::CODES;
use certwright_api::{
    RevocationReason, annotated_reason, certificate_reason, issuer_reason, signing_request_reason,
};
use certwright_core::annotated::{ANNOTATIONS, Effect};
use clap::CommandFactory;

#[test]
fn every_reason_of_an_issuer_has_an_entry() -> Result<()> {
    assert_entries("Issuers and ClusterIssuers", issuer_reason::ALL)
}

#[test]
fn every_reason_of_a_certificate_has_an_entry() -> Result<()> {
    assert_entries("Certificates", certificate_reason::ALL)
}

#[test]
fn every_reason_of_an_ingress_or_gateway_has_an_entry() -> Result<()> {
    assert_entries("Ingresses and Gateways", annotated_reason::ALL)
}

#[test]
fn every_reason_of_a_signing_request_has_an_entry() -> Result<()> {
    assert_entries("CertificateSigningRequests", signing_request_reason::ALL)
}

#[test]
fn every_annotation_is_in_the_table_with_what_it_does() -> Result<()> {
    let known = ANNOTATIONS.iter().map(|annotation| {
        let effect = match annotation.effect {
            Effect::Issuer => "the issuer".to_owned(),
            Effect::Listeners => "none".to_owned(),
            Effect::Sets(field, _) => code(&format!("spec.{field}")),
            Effect::Overrides(annotation) => code(annotation),
            Effect::NotUsed(why) => format!("not used: {why}"),
        };
        format!("{} | {effect}", code(annotation.name))
    });
    let documented = rows("annotations.md", &["`certwright.dev/", "`acme.certwright.dev/"])?;
    let two_cells = |row: &String| row.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
    let documented = documented.iter().map(two_cells).collect();
    assert_same(&known.collect(), &documented, "docs/annotations.md");
    Ok(())
}

#[test]
fn every_code_of_a_ca_has_a_row_that_says_what_happens_next() -> Result<()> {
    let text = read("troubleshooting-ca.md")?;
    let rows = rows_of_codes(&text)?;
    let documented = rows.concat().into_iter().map(code).collect();
    let reasons = CODES.iter().map(|known| code(known.name)).collect();
    assert_same(&reasons, &documented, "docs/troubleshooting-ca.md");
    Ok(())
}

#[test]
fn the_codes_of_a_row_mean_the_same() -> Result<()> {
    let text = read("troubleshooting-ca.md")?;
    for row in rows_of_codes(&text)? {
        let class = |reason: &&str| CODES.iter().find(|known| known.name == *reason).map(|known| known.class);
        let classes: Vec<_> = row.iter().map(class).collect();
        assert!(classes.iter().all(|class| *class == classes[0]), "{row:?} are {classes:?}");
    }
    Ok(())
}

/// The reasons of each row in the table of codes.
fn rows_of_codes(text: &str) -> Result<Vec<Vec<&str>>> {
    let (table, _) = text.split_once("\n## What to do about a code\n").context("no heading")?;
    let rows = table.lines();
    let cells = rows.filter_map(|row| row.strip_prefix("| `")?.split_once(" | "));
    Ok(cells
        .map(|(reasons, _)| reasons.split(", ").map(|reason| reason.trim_matches('`')).collect())
        .collect())
}

#[test]
fn every_flag_is_in_the_table_with_its_variable_and_default() -> Result<()> {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").context("there is no certwright run")?;
    let flags: BTreeSet<String> = run
        .get_arguments()
        .filter_map(|argument| {
            let long = argument.get_long().filter(|long| !["help", "version"].contains(long))?;
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            let defaults = argument.get_default_values();
            let default: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
            let default = if default.is_empty() { "none".to_owned() } else { code(&default.join(",")) };
            Some([code(&format!("--{long}")), code(&variable.unwrap_or_default()), default].join(" | "))
        })
        .collect();
    let documented = rows("operations.md", &["`--"])?;
    assert!(flags.len() > 10, "there are flags: {flags:#?}");
    assert_same(&flags, &documented, "docs/operations.md, the flags of certwright run");
    Ok(())
}

#[test]
fn every_subcommand_is_described() -> Result<()> {
    let text = read("operations.md")?;
    for subcommand in Cli::command().get_subcommands() {
        let written = code(&format!("certwright {}", subcommand.get_name()));
        assert!(text.contains(&written), "docs/operations.md lacks {written}");
    }
    Ok(())
}

#[test]
fn every_metric_is_in_the_table_with_its_type_and_labels() -> Result<()> {
    let exposed = exposed(&used()?.encode()?)?;
    let documented = rows("monitoring.md", &["`certwright_", "`process_"])?;
    assert_same(&exposed, &documented, "docs/monitoring.md, the metrics");
    Ok(())
}

/// A metric with labels is exposed only after its first use, so [`used`] must use all of them: this finds those that it has
/// forgotten.
#[test]
fn no_metric_is_registered_and_forgotten_here() -> Result<()> {
    let exposed = used()?.encode()?;
    let source = include_str!("../../src/runtime/metrics.rs");
    let registered: Vec<&str> = source
        .split("registry.register")
        .skip(1)
        .filter(|call| !call.starts_with("_collector"))
        .filter_map(|call| call.split('"').nth(1))
        .collect();
    assert!(registered.len() > 5, "metrics are registered: {registered:?}");
    for name in registered {
        assert!(exposed.contains(&format!("# HELP certwright_{name}")), "{name} is not used in this test");
    }
    Ok(())
}

/// The entries of the pages `docs/troubleshooting-*.md` about these objects must be those of `reasons`.
fn assert_entries(of: &str, reasons: &[&str]) -> Result<()> {
    let entries = handbook::entries();
    let entries: Vec<&str> =
        entries.iter().filter(|entry| entry.of == of).map(|entry| entry.reason).collect();
    let documented: BTreeSet<String> = entries.iter().map(|&entry| code(entry)).collect();
    assert_eq!(entries.len(), documented.len(), "each reason has one entry: {entries:?}");
    let reasons = reasons.iter().map(|reason| code(reason)).collect();
    assert_same(&reasons, &documented, &format!("docs/troubleshooting-*.md, {of}"));
    Ok(())
}

fn assert_same(there_is: &BTreeSet<String>, documented: &BTreeSet<String>, place: &str) {
    let lacks: Vec<_> = there_is.difference(documented).collect();
    let surplus: Vec<_> = documented.difference(there_is).collect();
    assert!(
        lacks.is_empty() && surplus.is_empty(),
        "{place}: lacks {lacks:#?}, and has what there is not: {surplus:#?}"
    );
}

/// The first three cells of the table rows that begin with one of `beginnings`.
fn rows(file: &str, beginnings: &[&str]) -> Result<BTreeSet<String>> {
    let text = read(file)?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter(|row| beginnings.iter().any(|beginning| row.starts_with(beginning)));
    Ok(rows.map(|row| row.split(" | ").take(3).collect::<Vec<_>>().join(" | ")).collect())
}

/// Metrics, all of which have been used.
fn used() -> Result<Metrics> {
    let metrics = Metrics::new(PerCertificate::On);
    metrics.reconciled("Certificate", ReconcileOutcome::Unchanged, Duration::from_millis(2));
    metrics.acme_requested("newOrder", Some(201), Duration::from_millis(200));
    metrics.acme_server("acme.example.com").count(Some(201));
    metrics.issued(certificate_reason::RENEWAL_DUE, Duration::from_secs(3), true);
    metrics.api_written("Secret", ApiVerb::Patch);
    metrics.secret_restored();
    metrics.record_left_behind();
    metrics.egress_refused("acme");
    metrics.account_left_behind();
    metrics.account_key_rolled_over(true);
    metrics.authorization(true);
    metrics.cache_lookups("Certificate").inc();
    metrics.unreadable("Certificate", Part::Object, 1);
    metrics.revoked_by_ca();
    metrics.revocation_list_checked(true);
    metrics.revocation(RevocationOutcome::GivenUp, RevocationReason::Superseded.as_str());
    let now = Some("2026-01-01T00:00:00Z".parse()?);
    metrics.certificate(
        "web",
        "www",
        CertificateFacts {
            ready: true,
            not_after: now,
            renewal: now,
            revoked: true,
            served: Some(Served::Old),
            waiting: now.map(|since| Waiting::of(certificate_reason::ORDERING, since)),
            ..CertificateFacts::default()
        },
    );
    metrics.issuer("Issuer", "web", "ca", true);
    Ok(metrics)
}

/// `name | type | labels` of each metric in an OpenMetrics text, in the format of the table.
fn exposed(text: &str) -> Result<BTreeSet<String>> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| {
            let shown = match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            };
            let sample = text.lines().find(|line| !line.starts_with('#') && line.starts_with(name));
            let labels = labels(sample.with_context(|| format!("{name} has no value"))?);
            let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
            Ok([code(&shown), kind.to_owned(), labels].join(" | "))
        })
        .collect()
}

/// The label names of a sample, without the bounds of histogram buckets.
fn labels(sample: &str) -> Vec<String> {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let pairs = inside.map(|(inside, _)| inside.split(',')).into_iter().flatten();
    let names = pairs.filter_map(|pair| Some(pair.split_once('=')?.0));
    names.filter(|name| *name != "le").map(code).collect()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn read(file: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}
