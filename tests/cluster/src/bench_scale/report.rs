//! The figures, held against what is to be reached: printed and written down.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Section, Wanted};

/// The figures of all sections, and the file they go to.
pub struct Report {
    file: PathBuf,
    figures: Value,
    wanted: Wanted,
}

/// What is to be reached.
struct Goal {
    what: String,
    /// Where the figure is.
    figure: &'static str,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    /// Nothing measured yet.
    pub fn create(wanted: &Wanted) -> Result<Self> {
        let program = env::current_exe()?;
        let target = program.ancestors().nth(2).context("this program is not in a target directory")?;
        let figures = json!({"certificates_at_rest": wanted.n, "issued_at_once": wanted.issue, "release": !cfg!(debug_assertions)});
        Ok(Self { file: target.join("bench-scale.json"), figures, wanted: wanted.clone() })
    }

    /// Adds the figures of a section, and writes the file: what has been measured stays when a later section fails.
    pub fn add(&mut self, section: Section, figures: Value) -> Result<()> {
        self.set(section.name(), figures)
    }

    /// Adds what the run needed.
    pub fn set(&mut self, name: &str, figures: Value) -> Result<()> {
        self.figures[name] = figures;
        self.figures["goals"] = self.goals().iter().map(|goal| self.outcome(goal)).collect();
        let text = serde_json::to_string_pretty(&self.figures)?;
        fs::write(&self.file, text + "\n").with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// Prints goals and figures side by side.
    pub fn print(&self) {
        println!("\n{:<74}{:>10}{:>12}", "", "goal", "measured");
        for goal in self.goals() {
            let outcome = self.outcome(&goal);
            let (sign, bound) = match goal.bound {
                Bound::AtMost(most) => ("<=", most),
                Bound::AtLeast(least) => (">=", least),
            };
            let measured = outcome["measured"].as_f64().map_or("-".to_owned(), |value| format!("{value:.2}"));
            let met = match outcome["met"].as_bool() {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            println!("{:<74}{:>10}{measured:>12}  {met}", goal.what, format!("{sign} {bound}"));
        }
        println!("\nFigures are in {}", self.file.display());
    }

    fn outcome(&self, goal: &Goal) -> Value {
        let measured = greatest(self.figures.pointer(goal.figure));
        let met = measured.map(|value| match goal.bound {
            Bound::AtMost(most) => value <= most,
            Bound::AtLeast(least) => value >= least,
        });
        let bound = match goal.bound {
            Bound::AtMost(most) => json!({"at_most": most}),
            Bound::AtLeast(least) => json!({"at_least": least}),
        };
        json!({"goal": goal.what, "bound": bound, "measured": measured, "met": met})
    }

    fn goals(&self) -> Vec<Goal> {
        let &Wanted { n, issue, .. } = &self.wanted;
        let memory = if n <= 10_000 { 60.0 } else { 300.0 };
        let at_most = |what: String, figure, most| Goal { what, figure, bound: Bound::AtMost(most) };
        let at_least = |what: String, figure, least| Goal { what, figure, bound: Bound::AtLeast(least) };
        vec![
            at_most(format!("start, {n} at rest: seconds until ready"), "/start/ready_s", 15.0),
            at_most(format!("start, {n} at rest: seconds until quiet"), "/start/quiet_s", 60.0),
            at_most(format!("start, {n} at rest: Secrets of certificates read"), "/start/secret_reads", 0.0),
            at_most(format!("start, {n} at rest: writes"), "/start/writes", 0.0),
            at_most(format!("start, {n} at rest: peak memory in MB"), "/start/rss_mb_peak", memory),
            at_most(
                format!("start, {n} at rest: peak memory in MB, with its metrics read"),
                "/start/rss_mb_peak_with_metrics",
                memory,
            ),
            at_most(format!("a minute, {n} at rest: writes"), "/idle/writes", 0.0),
            at_most(format!("a minute, {n} at rest: CPU in % of a core"), "/idle/cpu_percent", 1.0),
            at_most(
                "issuer annotated: Certificates reconciled".into(),
                "/issuer/annotated/certificate_reconciles",
                0.0,
            ),
            at_most(
                "issuer annotated: Secrets of certificates read".into(),
                "/issuer/annotated/secret_reads",
                0.0,
            ),
            at_most("issuer annotated: writes".into(), "/issuer/annotated/writes", 0.0),
            at_most(
                "issuer changed: Certificates reconciled".into(),
                "/issuer/changed/certificate_reconciles",
                0.0,
            ),
            at_most(
                "issuer changed: Secrets of certificates read".into(),
                "/issuer/changed/secret_reads",
                0.0,
            ),
            at_most("issuer changed: writes".into(), "/issuer/changed/writes", 5.0),
            at_least(format!("{issue} at once: certificates per second"), "/issue/many/per_second", 50.0),
            at_least(
                format!("{issue} at once: certificates per second, slowest tenth"),
                "/issue/many/per_second_slowest_tenth",
                50.0,
            ),
            at_least(
                format!("{issue} at once: the same, of those after the last was applied"),
                "/issue/many/per_second_slowest_tenth_once_applied",
                50.0,
            ),
            at_most(
                format!("{issue} at once: CPU per certificate, as a multiple of that of few"),
                "/issue/cpu_ratio",
                1.3,
            ),
            at_most(
                format!("{issue} at once: writes per certificate, all"),
                "/issue/writes_per_certificate",
                9.0,
            ),
            at_most(format!("one more, {issue} queued: seconds, same account"), "/queue/same_account_s", 5.0),
            at_most(
                format!("one more, {issue} queued: seconds, other account"),
                "/queue/other_account_s",
                2.0,
            ),
            at_most(format!("{issue} revoked: failed issuances"), "/revocation/failed", 0.0),
            at_most(
                format!("{issue} revoked: first by the CA, but replaced in the last quarter"),
                "/revocation/revoked_first_but_replaced_late",
                0.0,
            ),
        ]
    }
}

/// A figure, or the greatest of some.
fn greatest(figure: Option<&Value>) -> Option<f64> {
    match figure? {
        Value::Array(values) => values.iter().filter_map(Value::as_f64).reduce(f64::max),
        value => value.as_f64(),
    }
}
