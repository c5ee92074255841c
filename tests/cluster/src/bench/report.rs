//! The figures of a benchmark: printed, stored, and compared with the goals.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::{BATCHES, RECORD_BATCHES};

/// For each figure of some runs of a scenario its median, and its value in each run.
pub fn median_of(runs: &[Value]) -> Value {
    let names = runs.first().and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let figures = names.map(|name| {
        let values: Vec<f64> = runs.iter().filter_map(|run| run[name].as_f64()).collect();
        (name.clone(), json!({"median": median(values.clone()), "runs": values}))
    });
    Value::Object(figures.collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((lower + upper) / 2.0)
}

/// The figures of all scenarios, and the file they go to.
pub struct Report {
    file: PathBuf,
    scenarios: Map<String, Value>,
}

impl Report {
    /// Nothing measured yet.
    pub fn create() -> Result<Self> {
        let program = env::current_exe()?;
        let target = program.ancestors().nth(2).context("this program is not in a target directory")?;
        Ok(Self { file: target.join("bench.json"), scenarios: Map::new() })
    }

    /// Adds a scenario, and writes the file: if a later scenario fails, the earlier results are kept.
    pub fn add(&mut self, scenario: &str, figures: Value) -> Result<()> {
        self.scenarios.insert(scenario.into(), figures);
        let text = serde_json::to_string_pretty(&self.scenarios)?;
        fs::write(&self.file, text + "\n").with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn figure(&self, scenario: &str, figure: &str) -> f64 {
        self.scenarios
            .get(scenario)
            .and_then(|figures| figures[figure]["median"].as_f64())
            .unwrap_or(f64::NAN)
    }

    /// Prints the medians of all figures, and which goals they meet.
    pub fn print(&self, runs: u16) {
        println!("\nMedians of {runs} runs:");
        for kind in ["http01", "dns01-rfc2136", "dns-persist", "dns01-webhook"] {
            let scenarios: Vec<&String> =
                self.scenarios.keys().filter(|name| name.starts_with(kind)).collect();
            let Some(first) = scenarios.first() else { continue };
            let heads: String = scenarios.iter().map(|name| format!("{name:>18}")).collect();
            println!("\n{:<38}{heads}", "");
            for figure in self.scenarios[*first].as_object().into_iter().flat_map(Map::keys) {
                let values: String =
                    scenarios.iter().map(|name| format!("{:>18.2}", self.figure(name, figure))).collect();
                println!("{figure:<38}{values}");
            }
        }
        println!("\nThe processor time of one certificate is counted in steps of 10 ms.\n");
        // What was not measured has no value.
        for (goal, value, met) in self.goals().into_iter().filter(|(_, value, _)| !value.is_nan()) {
            println!("{:<7} {goal}: {value:.2}", if met { "met" } else { "missed" });
        }
        println!("\nFigures are in {}", self.file.display());
    }

    /// The goals: name, figure, and whether it is met.
    fn goals(&self) -> Vec<(String, f64, bool)> {
        let at_most =
            |goal: String, value: f64, most: f64| (format!("{goal} <= {most}"), value, value <= most);
        let figure = |scenario: &str, name: &str, most| {
            at_most(format!("{scenario} {name}"), self.figure(scenario, name), most)
        };
        // All writes, including those that Kubernetes adds to the operator's.
        let writes = |scenario: &str, most| {
            let kinds = ["writes_per_certificate", "writes_by_kubernetes_per_certificate"];
            let all = kinds.iter().map(|kind| self.figure(scenario, kind)).sum();
            at_most(format!("{scenario} writes per certificate, all"), all, most)
        };
        let seconds = |kind: &str, n: usize, most| {
            let whole = n as f64 / self.figure(&format!("{kind}-{n}"), "per_second");
            at_most(format!("{kind}-{n} seconds for all"), whole, most)
        };
        let mut goals = vec![seconds("http01", 1, 1.0), seconds("http01", 50, 5.0)];
        for scenario in &BATCHES.map(|n| format!("http01-{n}")) {
            goals.push(writes(scenario, 12.0));
            goals.push(figure(scenario, "acme_requests_per_certificate", 10.0));
            goals.push(figure(scenario, "operator_cpu_ms_per_certificate", 10.0));
            goals.push(figure(scenario, "rss_mb_idle", 30.0));
        }
        goals.extend([seconds("dns01-rfc2136", 1, 1.5), seconds("dns01-rfc2136", 50, 10.0)]);
        for scenario in &RECORD_BATCHES.map(|n| format!("dns01-rfc2136-{n}")) {
            goals.push(writes(scenario, 8.0));
        }
        goals.push(seconds("dns-persist", 50, 1.0));
        goals.push(seconds("dns01-webhook", 50, 10.0));
        goals.push(figure("dns01-webhook-50", "webhook_rss_mb", 30.0));
        // Under 60 MB: memory is given in tenths of a megabyte.
        goals.push(figure("http01-500", "rss_mb_peak", 59.9));
        goals.push(figure("idle-500", "writes", 0.0));
        goals.push(figure("self-check-failing", "writes_per_minute", 1.0));
        goals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_of_three_runs_has_the_middle_one_as_its_median() {
        let runs = [json!({"max_s": 3.0}), json!({"max_s": 1.0}), json!({"max_s": 2})];
        assert_eq!(median_of(&runs), json!({"max_s": {"median": 2.0, "runs": [3.0, 1.0, 2.0]}}));
    }

    #[test]
    fn two_runs_have_the_mean_as_their_median() {
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
