//! A panel of the dashboard, with its data.

use std::time::Duration;

use anyhow::{Context, Result};
use certwright_cluster::Prometheus;
use jiff::Timestamp;
use serde_json::Value;

/// What Grafana puts in place of `$__rate_interval`; samples are taken each second.
const RATE_INTERVAL: &str = "10s";

/// A panel.
pub struct Panel {
    pub title: String,
    pub unit: String,
    pub kind: Kind,
    /// Left, top, width and height in the grid of the dashboard, which has 24 columns.
    pub place: [f64; 4],
    pub series: Vec<Series>,
}

/// How a panel shows its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Lines,
    /// One number.
    Number,
    /// The labels of each series.
    Table,
}

/// A series of samples: seconds since the first of all, and the value.
pub struct Series {
    pub name: String,
    pub samples: Vec<(f64, f64)>,
}

impl Series {
    /// The latest value.
    pub fn last(&self) -> Option<f64> {
        self.samples.last().map(|(_, value)| *value)
    }
}

impl Panel {
    /// Reads the data of a panel, as the dashboard describes it, for the time until now.
    pub async fn read(described: &Value, prometheus: &Prometheus, lasted: Duration) -> Result<Self> {
        let text = |pointer: &str| described.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = match text("/type") {
            "stat" => Kind::Number,
            "table" => Kind::Table,
            _ => Kind::Lines,
        };
        let number = |name: &str| described["gridPos"][name].as_f64().context("a panel without a place");
        let start = Timestamp::now().as_duration().as_secs_f64() - lasted.as_secs_f64();
        let mut series = Vec::new();
        for target in described["targets"].as_array().into_iter().flatten() {
            let query =
                target["expr"].as_str().context("no query")?.replace("$__rate_interval", RATE_INTERVAL);
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            for found in prometheus.query_range(&query, lasted).await? {
                series.push(Series { name: name(legend, &found["metric"]), samples: samples(&found, start) });
            }
        }
        Ok(Self {
            title: text("/title").to_owned(),
            unit: text("/fieldConfig/defaults/unit").to_owned(),
            kind,
            place: [number("x")?, number("y")?, number("w")?, number("h")?],
            series,
        })
    }
}

/// A name with the labels that the legend asks for; all labels, if it asks for none.
fn name(legend: &str, labels: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if legend.is_empty() {
        return ["namespace", "name"].map(|label| text(&labels[label])).join(" / ");
    }
    let mut name = String::new();
    let mut rest = legend;
    while let Some((before, (label, after))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        name += before;
        name += &text(&labels[label]);
        rest = after;
    }
    (name + rest).trim().to_owned()
}

/// The samples that are numbers, by the seconds since `start`.
fn samples(found: &Value, start: f64) -> Vec<(f64, f64)> {
    let sample = |sample: &Value| {
        let value: f64 = sample[1].as_str()?.parse().ok()?;
        Some((sample[0].as_f64()? - start, value))
    };
    let values = found["values"].as_array().into_iter().flatten();
    values.filter_map(sample).filter(|(_, value)| value.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_series_has_the_name_that_the_legend_gives_it() {
        let labels = json!({ "result": "failed", "reason": "CAA", "namespace": "shop", "name": "web" });
        assert_eq!(name("{{result}} {{reason}}", &labels), "failed CAA");
        assert_eq!(name("{{result}} {{absent}}", &labels), "failed");
        assert_eq!(name("median", &labels), "median");
        assert_eq!(name("", &labels), "shop / web");
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let found = json!({ "values": [[10, "1"], [11, "NaN"], [12, "+Inf"], [13, "2.5"]] });
        assert_eq!(samples(&found, 8.0), [(2.0, 1.0), (5.0, 2.5)]);
    }
}
