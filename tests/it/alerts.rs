//! The alerts and the dashboard of the Helm chart: when alerts fire, where their links lead, and that there is data for each query.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::common::helm::{chart, objects, rendered, root, run};
use crate::common::markdown::Page;
use crate::common::{SOON, certificate, issued, issuer};
use anyhow::{Context, Result};
use certwright::runtime::metrics::Metrics;
use certwright_acme::CODES;
use certwright_api::{certificate_reason, issuer_reason};
use certwright_cluster::{Operator, Pebble, Prometheus, TestNamespace};
use serde_json::{Value, json};

const TESTS: &str = "tests/fixtures/alerts/tests.yaml";

#[test]
fn the_alerts_fire_when_they_should_and_only_then() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    fs::write(file("rules.yaml"), serde_yaml::to_string(&json!({ "groups": groups()? }))?)?;
    fs::copy(root().join(TESTS), file("tests.yaml"))?;
    run("promtool", &["check", "rules", &file("rules.yaml")])?;
    run("promtool", &["test", "rules", &file("tests.yaml")])?;
    Ok(())
}

#[test]
fn every_alert_is_tested_both_to_fire_and_not_to_fire() -> Result<()> {
    let tests: Value = serde_yaml::from_str(&fs::read_to_string(root().join(TESTS))?)?;
    let cases = tests["tests"].as_array().into_iter().flatten();
    let cases: Vec<&Value> = cases.filter_map(|test| test["alert_rule_test"].as_array()).flatten().collect();
    let tested = |fires: bool| -> BTreeSet<&str> {
        let cases = cases.iter().filter(|case| case["exp_alerts"].is_array() == fires);
        cases.filter_map(|case| case["alertname"].as_str()).collect()
    };
    let alerts = alerts()?;
    let there_are: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["alert"].as_str()).collect();
    assert_eq!(tested(true), there_are, "alerts that are tested to fire, and those that there are");
    assert_eq!(tested(false), there_are, "alerts that are tested not to fire, and those that there are");
    Ok(())
}

#[test]
fn every_alert_leads_to_what_to_do_about_it() -> Result<()> {
    let page = Page::read("docs/alerts.md")?;
    let headings = page.anchors();
    let of_all = ["alerts", "which-alert-for-what", "what-to-do-first"];
    let mut led_to = BTreeSet::from(of_all.map(str::to_owned));
    for alert in alerts()? {
        let url = alert["annotations"]["runbook_url"].as_str().context("an alert without a runbook")?;
        let anchor = url.strip_prefix("docs/alerts.md#").with_context(|| format!("{url} is another page"))?;
        led_to.insert(anchor.to_owned());
    }
    assert_eq!(led_to, headings, "where alerts lead, and the headings of docs/alerts.md");
    Ok(())
}

/// An increase is seen only from a value on, so what a new process does not have cannot be counted from 0.
#[test]
fn the_counters_of_the_tests_are_those_of_a_new_process() -> Result<()> {
    let metrics = Metrics::default();
    for kind in ["Certificate", "Issuer"] {
        metrics.reconciling(kind);
    }
    for server in ["acme.example.com", "acme.example.net"] {
        drop(metrics.acme_server(server));
    }
    let exposed = metrics.encode()?;
    let there_are: BTreeMap<String, f64> = exposed
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(series, value)| Some((labels(series), value.parse().ok()?)))
        .collect();
    let tests: Value = serde_yaml::from_str(&fs::read_to_string(root().join(TESTS))?)?;
    let mut counters = 0;
    for test in tests["tests"].as_array().into_iter().flatten() {
        for input in test["input_series"].as_array().into_iter().flatten() {
            let series = input["series"].as_str().context("no series")?;
            let values = input["values"].as_str().map_or_else(|| input["values"].to_string(), str::to_owned);
            // What succeeds raises no alert.
            let succeeds =
                ["succeeded", "answered", "progressed"].iter().any(|result| series.contains(result));
            if !series.contains("_total") || succeeds {
                continue;
            }
            counters += 1;
            assert_eq!(there_are.get(&labels(series)), Some(&0.0), "{series} of a new process");
            assert!(values.starts_with('0'), "{series} begins with {values}");
        }
    }
    assert!(counters > 15, "only {counters} counters were looked at");
    Ok(())
}

#[test]
fn the_table_of_incidents_names_alerts_and_reasons_that_there_are() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/alerts.md"))?;
    let (_, table) = page.split_once("| --- |").context("no table")?;
    let rows: Vec<&str> = table.lines().skip(1).take_while(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 12, "{rows:?}");
    let alerts = alerts()?;
    let alerts: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["alert"].as_str()).collect();
    let codes = CODES.iter().map(|code| code.name);
    let reasons: BTreeSet<&str> =
        certificate_reason::ALL.iter().chain(issuer_reason::ALL).copied().chain(codes).collect();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, named, why] = cells[..] else { anyhow::bail!("{row}") };
        let named: Vec<&str> = linked(named).collect();
        assert!(!named.is_empty() && named.iter().all(|alert| alerts.contains(alert)), "{row}");
        let why: Vec<&str> = linked(why).map(|reason| reason.trim_matches('`')).collect();
        assert!(why.iter().all(|reason| reasons.contains(reason)), "{row}");
    }
    Ok(())
}

#[tokio::test]
async fn prometheus_has_data_for_each_panel_of_the_dashboard_and_no_alert_is_due() -> Result<()> {
    TestNamespace::with("alerts", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).start().await?;
        let target = operator.metrics_url.trim_start_matches("http://").to_owned();
        let prometheus = Prometheus::start(&ns.cluster, &target, &json!({ "groups": groups()? })).await?;
        prometheus.wait_data("certwright_leader == 1", SOON).await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.apply(&certificate("www", &["www.example.com"], "")).await?;
        issued(ns, "www").await?;
        // From here on, all counters increase.
        prometheus.wait_data("certwright_issuance_duration_seconds_count == 1", SOON).await?;
        ns.apply(&certificate("api", &["api.example.com"], "")).await?;
        issued(ns, "api").await?;
        let dashboard = fs::read_to_string(chart().join("files/dashboard.json"))?;
        let dashboard: Value = serde_json::from_str(&dashboard)?;
        let mut queries = 0;
        for panel in dashboard["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().context("no query")?.replace("$__rate_interval", "30s");
                let title = &panel["title"];
                prometheus.wait_data(&query, SOON).await.with_context(|| format!("the panel {title}"))?;
                queries += 1;
            }
        }
        assert!(queries > 15, "only {queries} queries");
        for rule in prometheus.rules().await? {
            assert_eq!(rule["health"], "ok", "{rule}");
            assert_eq!(rule["alerts"], json!([]), "{rule}");
        }
        Ok(())
    })
    .await
}

/// A series without the labels of the scraped target, with the others in order.
fn labels(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
    labels.retain(|label| !label.is_empty() && !label.starts_with("pod="));
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}

/// The texts of the links in a cell of a table.
fn linked(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('[').skip(1).filter_map(|rest| rest.split_once("](")).map(|(text, _)| text)
}

fn alerts() -> Result<Vec<Value>> {
    let groups = groups()?;
    let rules = groups.as_array().into_iter().flatten().filter_map(|group| group["rules"].as_array());
    Ok(rules.flatten().cloned().collect())
}

/// The groups of the chart's PrometheusRule.
fn groups() -> Result<Value> {
    let all = objects(&rendered(&["--set", "prometheusRule.enabled=true"])?)?;
    let rule = all.into_iter().find(|object| object["kind"] == "PrometheusRule");
    Ok(rule.context("the chart renders no PrometheusRule")?["spec"]["groups"].take())
}
