//! Where a command shows what it has to show, and in which words, widths and colours.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use jiff::{SignedDuration, Timestamp};

use super::Error;

/// What is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What is not well, and may mend itself.
pub const SO_SO: Style = AnsiColor::Yellow.on_default();
/// What is not well.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Titles.
pub const BOLD: Style = Style::new().bold();
/// What stands at the side.
pub const DIM: Style = Style::new().dimmed();

/// Lines of text are no longer.
pub const WIDTH: usize = 100;

/// Prints `text` to standard output, its colours only to a terminal and without `NO_COLOR`.
///
/// # Errors
/// [`Error::Output`]; not if the reader has seen enough, as `head` does.
pub fn print(text: &str) -> Result<(), Error> {
    write(&mut anstream::stdout().lock(), text)
}

/// The same to standard error: what is on the way, and no result.
///
/// # Errors
/// [`Error::Output`]
pub fn tell(text: &str) -> Result<(), Error> {
    write(&mut anstream::stderr().lock(), text)
}

fn write(output: &mut impl Write, text: &str) -> Result<(), Error> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// `text` in a style.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Breaks `text` at its spaces into lines of at most [`WIDTH`], each after the first behind `indent` spaces; the first begins
/// there, too.
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// A table without lines, its columns as wide as they have to be. Cells have no colours.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or_default();
        widest.max(head.get(column).map_or(0, |cell| cell.len()))
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("   ").trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// A length of time as kubectl shows an age: its two largest units.
pub fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let largest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    // From ten days on nobody counts hours.
    let shown = if seconds >= 864_000 { 1 } else { 2 };
    let mut left = seconds;
    let mut text = String::new();
    for (unit, letter) in units.iter().skip(largest).take(shown) {
        if left >= *unit || text.is_empty() {
            text.push_str(&format!("{}{letter}", left / unit));
        }
        left %= unit;
    }
    text
}

/// How far `then` is from `now`: `in 3m` or `3m ago`.
pub fn away(then: Timestamp, now: Timestamp) -> String {
    let away = then.duration_since(now);
    match away.is_negative() {
        true => format!("{} ago", length(away)),
        false => format!("in {}", length(away)),
    }
}

/// A moment, and how far it is.
pub fn moment(then: Timestamp, now: Timestamp) -> String {
    format!("{then} ({})", away(then, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_its_two_largest_units() {
        let shown = |seconds| length(SignedDuration::from_secs(seconds));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(59), "59s");
        assert_eq!(shown(192), "3m12s");
        assert_eq!(shown(3600), "1h");
        assert_eq!(shown(2 * 86_400 + 3 * 3600 + 59), "2d3h");
        assert_eq!(shown(89 * 86_400 + 23 * 3600), "89d");
        assert_eq!(shown(-90), "1m30s");
    }

    #[test]
    fn lines_are_broken_between_words_and_begin_behind_the_indent() {
        let text = wrapped(&"word ".repeat(30), 10);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].len() + 10 <= WIDTH && lines[1].starts_with("          word"), "{text}");
        let url = "x".repeat(150);
        assert_eq!(wrapped(&url, 4), url, "what has no spaces is left whole");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long-one".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["NAME", "X"], &rows), "NAME       X\na          b\nlong-one   c\n");
    }
}
