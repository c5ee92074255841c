//! The report about the objects, for people.

use std::fmt::Write;

use super::convert::{Fitness, Outcome};
use super::fields::What;
use certwright_text::clean;

/// A line for each object, a line for each field that was not taken over unchanged, and the totals at the end.
pub fn report(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let said = match &outcome.fitness {
            Fitness::TakenOver if outcome.notes.is_empty() => "taken over unchanged".to_owned(),
            Fitness::TakenOver => "taken over".to_owned(),
            Fitness::Incomplete(why) => format!("INCOMPLETE. {why}"),
            Fitness::Left(why) => format!("NOT TAKEN OVER. {why}"),
        };
        let _ = writeln!(text, "{}: {}", plain(&outcome.source.to_string()), plain(&said));
        for note in &outcome.notes {
            let what = match note.what {
                What::Changed => "changed",
                What::LeftOut => "left out",
                What::Hint => "hint",
                What::Ignored => "ignored",
            };
            let _ = writeln!(text, "  {what:8}  {}: {}", plain(&note.path), plain(&note.text));
        }
    }
    let count =
        |wanted: fn(&Fitness) -> bool| outcomes.iter().filter(|outcome| wanted(&outcome.fitness)).count();
    let _ = writeln!(
        text,
        "{} taken over, {} incomplete, {} not taken over",
        count(|fitness| *fitness == Fitness::TakenOver),
        count(|fitness| matches!(fitness, Fitness::Incomplete(_))),
        count(|fitness| matches!(fitness, Fitness::Left(_))),
    );
    text
}

/// Text from an object, in one line.
fn plain(text: &str) -> String {
    clean(text, usize::MAX)
}
