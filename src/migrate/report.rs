//! The report about the objects, for people.

use std::fmt::Write;

use super::convert::{Outcome, Verdict};
use super::fields::What;
use certwright_text::clean;

/// A line for each object, a line for each field that was not taken over unchanged, and the totals at the end.
pub fn report(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let said = match &outcome.verdict {
            Verdict::TakenOver if outcome.notes.is_empty() => "taken over unchanged".to_owned(),
            Verdict::TakenOver => "taken over".to_owned(),
            Verdict::Incomplete(why) => format!("INCOMPLETE. {why}"),
            Verdict::Left(why) => format!("NOT TAKEN OVER. {why}"),
        };
        let _ = writeln!(text, "{}: {}", plain(&outcome.source.to_string()), plain(&said));
        for note in &outcome.notes {
            let what = match note.what {
                What::Changed => "changed",
                What::LeftOut => "left out",
            };
            let _ = writeln!(text, "  {what:8}  {}: {}", plain(&note.path), plain(&note.text));
        }
    }
    let count =
        |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|outcome| wanted(&outcome.verdict)).count();
    let _ = writeln!(
        text,
        "{} taken over, {} incomplete, {} not taken over",
        count(|verdict| *verdict == Verdict::TakenOver),
        count(|verdict| matches!(verdict, Verdict::Incomplete(_))),
        count(|verdict| matches!(verdict, Verdict::Left(_))),
    );
    text
}

/// Text from an object, in one line.
fn plain(text: &str) -> String {
    clean(text, usize::MAX)
}
