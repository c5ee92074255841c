//! The alerts of the Helm chart: when they fire, and where their links lead.

use std::collections::BTreeSet;
use std::fs;

use crate::common::helm::{objects, rendered, root, run};
use crate::common::markdown::Page;
use anyhow::{Context, Result};
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
    let mut led_to = BTreeSet::from(["alerts".to_owned()]);
    for alert in alerts()? {
        let url = alert["annotations"]["runbook_url"].as_str().context("an alert without a runbook")?;
        let anchor = url.strip_prefix("docs/alerts.md#").with_context(|| format!("{url} is another page"))?;
        led_to.insert(anchor.to_owned());
    }
    assert_eq!(led_to, headings, "where alerts lead, and the headings of docs/alerts.md");
    Ok(())
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
