//! `cluster bench-compare`: what has become worse from one run of the benchmark to the next.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// By how much a median may be worse.
const TOLERANCE: f64 = 1.2;

/// A figure that has become worse.
#[derive(Debug, PartialEq)]
struct Worse {
    name: String,
    before: f64,
    after: f64,
}

/// Prints the figures that have become worse as a table in Markdown, and returns whether there are any.
pub fn run(before: &Path, after: &Path) -> Result<bool> {
    let read = |path: &Path| -> Result<Value> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no result of a benchmark", path.display()))
    };
    let worse = compare(&read(before)?, &read(after)?);
    if worse.is_empty() {
        println!("No figure of the benchmark has become worse by more than a fifth.");
    } else {
        println!("| figure | before | after |\n| --- | ---: | ---: |");
        for Worse { name, before, after } in &worse {
            println!("| {name} | {before:.2} | {after:.2} |");
        }
    }
    Ok(!worse.is_empty())
}

/// Figures whose median is worse by more than a fifth, and that were better in every run before than in any run after.
fn compare(before: &Value, after: &Value) -> Vec<Worse> {
    let mut worse = Vec::new();
    for (scenario, figures) in after.as_object().into_iter().flatten() {
        for (figure, value) in figures.as_object().into_iter().flatten() {
            let earlier = &before[scenario][figure];
            let (Some(old), Some(new)) = (earlier["median"].as_f64(), value["median"].as_f64()) else {
                continue;
            };
            // Of certificates a second, more is better; of seconds, writes, requests and memory, less.
            let more_is_better = figure == "per_second";
            let (better, other) = if more_is_better { (new, old) } else { (old, new) };
            let apart = if more_is_better {
                bounds(earlier).0 > bounds(value).1
            } else {
                bounds(earlier).1 < bounds(value).0
            };
            if other > better * TOLERANCE && apart {
                worse.push(Worse { name: format!("{scenario} {figure}"), before: old, after: new });
            }
        }
    }
    worse
}

/// The least and the greatest value of all runs.
fn bounds(figure: &Value) -> (f64, f64) {
    let runs = figure["runs"].as_array().into_iter().flatten().filter_map(Value::as_f64);
    runs.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::report::median_of, *};

    #[test]
    fn a_figure_that_is_worse_in_every_run_is_named() {
        let worse =
            compare(&runs([4.0, 5.0, 6.0], [20.0, 21.0, 22.0]), &runs([7.0, 8.0, 9.0], [10.0, 11.0, 12.0]));
        let names = Vec::from_iter(worse.iter().map(|worse| worse.name.as_str()));
        assert_eq!(names, ["http01-50 cpu_ms", "http01-50 per_second"]);
        assert_eq!((worse[0].before, worse[0].after), (5.0, 8.0));
    }

    #[test]
    fn one_slow_run_a_small_change_and_a_better_figure_are_nothing() {
        let before = runs([4.0, 5.0, 6.0], [20.0, 21.0, 22.0]);
        assert_eq!(
            compare(&before, &runs([5.0, 8.0, 9.0], [20.0, 21.0, 22.0])),
            [],
            "a run like those before"
        );
        assert_eq!(
            compare(&before, &runs([6.1, 6.1, 6.1], [19.0, 19.0, 19.0])).len(),
            1,
            "a fifth is tolerated"
        );
        assert_eq!(compare(&before, &runs([1.0, 1.0, 1.0], [90.0, 90.0, 90.0])), [], "better");
        assert_eq!(compare(&json!({}), &before), [], "nothing to compare with");
    }

    fn runs(cpu: [f64; 3], rate: [f64; 3]) -> Value {
        let runs: Vec<Value> =
            cpu.iter().zip(rate).map(|(cpu, rate)| json!({"cpu_ms": cpu, "per_second": rate})).collect();
        json!({"http01-50": median_of(&runs)})
    }
}
