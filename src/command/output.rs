//! How commands print: formatting, widths and colors, and protection of the terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;
use certwright_text::{clean, is_invisible as is_hidden};

/// Everything is fine.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// A problem that may resolve without help.
pub const SO_SO: Style = AnsiColor::Yellow.on_default();
/// A problem.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Titles.
pub const BOLD: Style = Style::new().bold();
/// Labels.
pub const DIM: Style = Style::new().dimmed();

/// The end of a style.
const RESET: &str = "\u{1b}[0m";

/// The maximum length of a line of text.
static WIDTH: AtomicUsize = AtomicUsize::new(WIDEST);
/// Longer lines are hard to read.
const WIDEST: usize = 100;
/// In shorter ones, there is no place for text beside its label.
const NARROWEST: usize = 40;

/// Makes lines of text fit the terminal, if there is one.
pub fn fit_terminal() {
    if io::stdout().is_terminal()
        && let Ok((columns, _)) = crossterm::terminal::size()
    {
        fit(columns);
    }
}

/// Makes lines of text fit this many columns.
pub fn fit(columns: u16) {
    WIDTH.store(usize::from(columns).clamp(NARROWEST, WIDEST), Ordering::Relaxed);
}

/// Prints `text` to standard output. Colors are printed only to a terminal, and not if `NO_COLOR` is set.
///
/// # Errors
/// [`Error::Output`], but not if the reader closed the pipe, as `head` does.
pub fn print(text: &str) -> Result<(), Error> {
    unless_closed(print_or_end(text))
}

/// Like [`print`], for commands that print until nobody reads any more.
///
/// # Errors
/// [`Error::Output`], and [`Error::Closed`] if the reader closed the pipe.
pub fn print_or_end(text: &str) -> Result<(), Error> {
    write(&mut anstream::stdout().lock(), text)
}

/// Prints to standard error: progress, not results.
///
/// # Errors
/// [`Error::Output`]
pub fn tell(text: &str) -> Result<(), Error> {
    unless_closed(write(&mut anstream::stderr().lock(), text))
}

/// Prints objects as JSON or YAML. In JSON, all control characters are escaped. YAML is cleaned for a terminal, but written
/// unchanged to a file or a pipe.
///
/// # Errors
/// As [`print`].
pub fn print_objects(text: &str) -> Result<(), Error> {
    unless_closed(print_objects_or_end(text))
}

/// Like [`print_objects`], for commands that print until nobody reads any more.
///
/// # Errors
/// As [`print_or_end`].
pub fn print_objects_or_end(text: &str) -> Result<(), Error> {
    match io::stdout().is_terminal() {
        true => print_or_end(text),
        false => write_whole(&mut io::stdout().lock(), text),
    }
}

/// Output formats for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
}

impl Format {
    /// Prints an object in this format.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Yaml`], or as [`print_objects`].
    pub fn print(self, object: &impl Serialize) -> Result<(), Error> {
        print_objects(&match self {
            Self::Json => json(object)?,
            Self::Yaml => serde_yaml::to_string(object).map_err(Error::Yaml)?,
        })
    }
}

/// An object as JSON. Escapes invisible characters, and those that control a terminal.
///
/// # Errors
/// [`Error::Json`]
pub fn json(object: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(object).map_err(Error::Json)?;
    let mut escaped = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        // These occur only in strings, where each can be escaped like this.
        match character != '\n' && (breaks_out(character) || is_hidden(character)) {
            true => character
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}"))),
            false => escaped.push(character),
        }
    }
    escaped.push('\n');
    Ok(escaped)
}

/// An object that is safe to show: each of its strings is one line without terminal control characters.
///
/// # Errors
/// [`Error::Json`]
pub fn shown<K: Serialize + DeserializeOwned>(object: &K) -> Result<K, Error> {
    fn clean_all(value: &mut Value) {
        match value {
            Value::String(text) => *text = plain(text),
            Value::Array(items) => items.iter_mut().for_each(clean_all),
            Value::Object(fields) => fields.values_mut().for_each(clean_all),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut value = serde_json::to_value(object).map_err(Error::Json)?;
    clean_all(&mut value);
    serde_json::from_value(value).map_err(Error::Json)
}

/// Whether a character ends a line or controls a terminal: those of C0 and C1, DEL, and the separators of lines and
/// paragraphs.
fn breaks_out(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Text from outside, in one line.
pub fn plain(text: &str) -> String {
    clean(text, usize::MAX)
}

fn write(output: &mut impl Write, text: &str) -> Result<(), Error> {
    write_whole(output, &harmless(text))
}

/// What is safe to send to a terminal: text, line ends, and our own styles. Anything else comes from outside, and was not
/// cleaned.
pub fn harmless(text: &str) -> String {
    let styles = [GOOD, SO_SO, BAD, BOLD, DIM].map(|style| style.render().to_string());
    let ours: Vec<&str> = styles.iter().map(String::as_str).chain([RESET]).collect();
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(style) = ours.iter().find(|style| rest.starts_with(**style)) {
            left.push_str(style);
            rest = rest.get(style.len()..).unwrap_or_default();
            continue;
        }
        let may_stay = matches!(character, '\n' | '\t') || !(breaks_out(character) || is_hidden(character));
        left.extend(may_stay.then_some(character));
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    left
}

fn write_whole(output: &mut impl Write, text: &str) -> Result<(), Error> {
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Output(error),
    })
}

fn unless_closed(printed: Result<(), Error>) -> Result<(), Error> {
    printed.or_else(|error| if matches!(error, Error::Closed) { Ok(()) } else { Err(error) })
}

/// `text` in a style.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Wraps `text` at its spaces into lines that fit. Each line after the first is indented by `indent` spaces; the caller indents the
/// first.
pub fn wrapped(text: &str, indent: usize) -> String {
    let width = WIDTH.load(Ordering::Relaxed);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > width {
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

/// A table without borders. Each column is as wide as its widest cell. Cells have no colors, and are one line each.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let mut widths = vec![0; head.len()];
    widen(&mut widths, &head);
    rows.iter().for_each(|row| widen(&mut widths, row));
    [&head].into_iter().chain(rows).map(|row| line(row, &widths)).collect()
}

/// Makes columns as wide as these cells need.
pub fn widen(widths: &mut [usize], row: &[String]) {
    for (width, cell) in widths.iter_mut().zip(row) {
        *width = (*width).max(plain(cell).chars().count());
    }
}

/// A line of a table.
pub fn line(row: &[String], widths: &[usize]) -> String {
    let padded = row.iter().zip(widths).map(|(cell, width)| format!("{:width$}", plain(cell)));
    format!("{}\n", padded.collect::<Vec<_>>().join("   ").trim_end())
}

/// A duration in the form in which kubectl shows an age: its two largest units.
pub fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let largest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    // From ten days on, hours do not matter.
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

/// The distance of `then` from `now`: `in 3m` or `3m ago`.
pub fn away(then: Timestamp, now: Timestamp) -> String {
    let away = then.duration_since(now);
    match away.is_negative() {
        true => format!("{} ago", length(away)),
        false => format!("in {}", length(away)),
    }
}

/// A time, and its distance from now.
pub fn moment(then: Timestamp, now: Timestamp) -> String {
    format!("{then} ({})", away(then, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_two_largest_units() {
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
    fn a_terminal_receives_only_text_and_our_own_styles() {
        let text = format!("{}\n\tx\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}8m\r\u{202e}", styled(GOOD, "ready"));
        assert_eq!(harmless(&text), format!("{}\n\tx[2J]0;title8m", styled(GOOD, "ready")));
        for style in [GOOD, SO_SO, BAD, BOLD, DIM] {
            let own = styled(style, "own");
            assert_eq!(harmless(&own), own, "all styles are known");
            assert!(own.ends_with(RESET));
        }
    }

    #[test]
    fn json_escapes_control_characters_and_keeps_its_meaning() {
        let object = serde_json::json!({ "a": "\u{1b}[2J\u{9b}31m\u{7f}\n\u{202e}\u{200b}\u{e0041}ä" });
        let text = json(&object).unwrap();
        let left: Vec<char> = text.chars().filter(|c| breaks_out(*c) || is_hidden(*c)).collect();
        assert!(left.iter().all(|character| *character == '\n'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), object);
    }

    #[test]
    fn strings_of_an_object_cannot_imitate_lines_of_our_output() {
        let object = serde_json::json!({ "status": [{ "message": "no\n\u{1b}[32mREADY\u{1b}[0m" }], "n": 1 });
        let expected = serde_json::json!({ "status": [{ "message": "no [32mREADY [0m" }], "n": 1 });
        assert_eq!(shown(&object).unwrap(), expected);
    }

    #[test]
    fn lines_are_broken_between_words_and_indented() {
        let text = wrapped(&"word ".repeat(30), 10);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].len() + 10 <= WIDEST && lines[1].starts_with("          word"), "{text}");
        let url = "x".repeat(150);
        assert_eq!(wrapped(&url, 4), url, "text without spaces is not broken");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long-one".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["NAME", "X"], &rows), "NAME       X\na          b\nlong-one   c\n");
    }
}
