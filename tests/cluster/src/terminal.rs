//! A terminal as a picture. Lines of a recording appear in it when they appeared in the terminal.

mod escapes;

use std::fmt::Write;

use self::escapes::{Part, parts};

pub use self::escapes::{paint, plain};

/// Width of a character and distance of lines, in pixels of the picture.
const CHARACTER: f32 = 7.3;
const LINE: f32 = 19.0;
const MARGIN: f32 = 20.0;
/// How long the picture shows the command before the first line of a recording.
const PAUSE: f32 = 0.5;

/// The terminal has a background of its own, so it is legible on a light page and on a dark one. Styles have the numbers of their
/// escape sequences.
const STYLE: &str = "\
    rect { fill: #0d1117; stroke: #3d444d; } \
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #d1d7e0; white-space: pre; } \
    .c1 { font-weight: bold; fill: #f0f6fc; } .c2 { fill: #9198a1; } .c31 { fill: #ff7b72; } .c32 { fill: #3fb950; } \
    .c33 { fill: #d29922; } .c36 { fill: #39c5cf; } .c7 { fill: #0d1117; } rect.c7 { fill: #d1d7e0; stroke: none; }";
const APPEAR: &str = "\
    g { animation: appear 0.01s both; } @keyframes appear { from { opacity: 0; } to { opacity: 1; } } \
    @media (prefers-reduced-motion: reduce) { g { animation: none; } }";

/// A line.
pub struct Line {
    /// When it appeared, since the start; `None` if it is there from the beginning.
    pub seconds: Option<f32>,
    /// Its text, with escape sequences for colours.
    pub text: String,
}

/// The picture (SVG) of a terminal in which this command is given, and then these lines appear. A program that fills the terminal is
/// shown without the command.
pub fn picture(command: &str, fills: bool, lines: &[Line]) -> String {
    let columns =
        lines.iter().map(|line| length(&line.text)).max().unwrap_or_default().max(command.len() + 2);
    let first = Line {
        seconds: lines.iter().any(|line| line.seconds.is_some()).then_some(-PAUSE),
        text: format!("$ {}", paint("1", command)),
    };
    let gap = Line { seconds: None, text: String::new() };
    let before: &[&Line] = if fills { &[] } else { &[&first, &gap] };
    let height = (before.len() + lines.len()) as f32 * LINE + 2.0 * MARGIN;
    let width = columns as f32 * CHARACTER + 2.0 * MARGIN;
    let appear = if first.seconds.is_some() { format!(" {APPEAR}") } else { String::new() };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n\
         <title>A terminal: {command}</title>\n<style>{STYLE}{appear}</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\"/>\n",
        width - 1.0,
        height - 1.0,
        command = escaped(command),
    );
    for (row, line) in before.iter().copied().chain(lines).enumerate() {
        if !line.text.is_empty() {
            draw(&mut svg, row, line);
        }
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, row: usize, line: &Line) {
    let top = MARGIN + row as f32 * LINE;
    let _ = match line.seconds {
        Some(seconds) => write!(svg, "<g style=\"animation-delay: {:.1}s\">", seconds + PAUSE),
        None => write!(svg, "<g>"),
    };
    let mut column = 0;
    for Part { style, text } in parts(&line.text) {
        let length = text.chars().count();
        if style.contains(&"7") {
            let (x, width) = (MARGIN + column as f32 * CHARACTER, length as f32 * CHARACTER);
            let _ = write!(
                svg,
                "<rect class=\"c7\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{LINE:.0}\"/>"
            );
        }
        column += length;
    }
    // Fonts differ in the width of their characters.
    let width = column as f32 * CHARACTER;
    let _ = write!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\">",
        top + 0.7 * LINE
    );
    for Part { style, text } in parts(&line.text) {
        let text = escaped(text);
        let classes: Vec<String> = style.iter().map(|number| format!("c{number}")).collect();
        let _ = match classes.is_empty() {
            true => write!(svg, "{text}"),
            false => write!(svg, "<tspan class=\"{}\">{text}</tspan>", classes.join(" ")),
        };
    }
    svg.push_str("</text></g>\n");
}

/// The number of characters of a line.
fn length(line: &str) -> usize {
    parts(line).map(|part| part.text.chars().count()).sum()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_recording_appears_at_its_time_with_its_colours() {
        let lines = [
            Line { seconds: Some(4.1), text: "  4.1 s  \x1b[1mSecret\x1b[0m  <a> & b".into() },
            Line { seconds: Some(4.4), text: "\x1b[32mReady=True\x1b[0m".into() },
        ];
        let svg = picture("make demo", false, &lines);
        let row = |delay: &str, content: &str| {
            svg.lines()
                .any(|line| line.contains(&format!("animation-delay: {delay}s")) && line.contains(content))
        };
        assert!(row("0.0", ">$ <tspan class=\"c1\">make demo</tspan><"), "{svg}");
        assert!(row("4.6", ">  4.1 s  <tspan class=\"c1\">Secret</tspan>  &lt;a&gt; &amp; b<"), "{svg}");
        assert!(row("4.9", "><tspan class=\"c32\">Ready=True</tspan><"), "{svg}");
        assert!(!svg.contains('\x1b'));
    }

    #[test]
    fn a_screen_is_there_from_the_beginning_and_shows_what_is_selected() {
        let lines = [Line { seconds: None, text: format!("ab{}", paint("7;31", "cd")) }];
        let svg = picture("certwright top", true, &lines);
        assert!(!svg.contains("animation") && !svg.contains(">$ "), "{svg}");
        let selected = "<rect class=\"c7\" x=\"34.6\" y=\"20.0\" width=\"14.6\" height=\"19\"/>";
        assert!(svg.contains(selected), "{svg}");
        assert!(
            svg.contains("textLength=\"29.2\"") && svg.contains("<tspan class=\"c7 c31\">cd</tspan>"),
            "{svg}"
        );
    }
}
