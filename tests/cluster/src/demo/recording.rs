//! The demo as a picture: its lines appear in the picture when they appeared in the terminal.

use std::fmt::Write;

use super::escapes::{Part, parts};

/// Width of a character and distance of lines, in pixels of the picture.
const CHARACTER: f32 = 7.3;
const LINE: f32 = 19.0;
const MARGIN: f32 = 20.0;
/// How long the picture shows the command before the first line.
const PAUSE: f32 = 0.5;

/// The terminal has a background of its own, so it is legible on a light page and on a dark one.
const STYLE: &str = "\
    rect { fill: #0d1117; stroke: #3d444d; } \
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #d1d7e0; white-space: pre; } \
    .c1 { font-weight: bold; fill: #f0f6fc; } .c32 { fill: #3fb950; } .c33 { fill: #d29922; } \
    g { animation: appear 0.01s both; } @keyframes appear { from { opacity: 0; } to { opacity: 1; } } \
    @media (prefers-reduced-motion: reduce) { g { animation: none; } }";

/// A line of the demo.
pub struct Line {
    /// When it appeared, since the start.
    pub seconds: f32,
    /// Its text, with escape sequences for colours.
    pub text: String,
}

/// The picture (SVG) of a terminal in which this command is given, and then these lines appear.
pub fn picture(command: &str, lines: &[Line]) -> String {
    let shown = |line: &Line| parts(&line.text).map(|part| part.text.chars().count()).sum::<usize>();
    let columns = lines.iter().map(shown).max().unwrap_or_default().max(command.len() + 2);
    let width = columns as f32 * CHARACTER + 2.0 * MARGIN;
    let height = (lines.len() + 2) as f32 * LINE + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n\
         <title>A terminal: {command}</title>\n<style>{STYLE}</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\"/>\n",
        width - 1.0,
        height - 1.0
    );
    let first = Line { seconds: -PAUSE, text: format!("$ \x1b[1m{}\x1b[0m", escaped(command)) };
    let rows = [Some(&first), None].into_iter().chain(lines.iter().map(Some)).enumerate();
    for (row, line) in rows.filter_map(|(row, line)| Some((row, line?))) {
        let y = MARGIN + (row as f32 + 0.7) * LINE;
        let _ = write!(
            svg,
            "<g style=\"animation-delay: {:.1}s\"><text x=\"{MARGIN}\" y=\"{y:.1}\">",
            line.seconds + PAUSE
        );
        for Part { colour, text } in parts(&line.text) {
            let text = escaped(text);
            let _ = match colour {
                Some(colour) => write!(svg, "<tspan class=\"c{colour}\">{text}</tspan>"),
                None => write!(svg, "{text}"),
            };
        }
        svg.push_str("</text></g>\n");
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_appears_at_its_time_with_its_colours() {
        let lines = [
            Line { seconds: 4.1, text: "  4.1 s  \x1b[1mSecret\x1b[0m  <a> & b".into() },
            Line { seconds: 4.4, text: "\x1b[32mReady=True\x1b[0m".into() },
        ];
        let svg = picture("make demo", &lines);
        let row = |delay: &str, content: &str| {
            svg.lines()
                .any(|line| line.contains(&format!("animation-delay: {delay}s")) && line.contains(content))
        };
        assert!(row("0.0", ">$ <tspan class=\"c1\">make demo</tspan><"), "{svg}");
        assert!(row("4.6", ">  4.1 s  <tspan class=\"c1\">Secret</tspan>  &lt;a&gt; &amp; b<"), "{svg}");
        assert!(row("4.9", "><tspan class=\"c32\">Ready=True</tspan><"), "{svg}");
        assert!(!svg.contains('\x1b'));
    }
}
