//! Draws panels (SVG).

use std::fmt::Write;

use super::panel::{Kind, Panel, Series};

/// Width and height of a place in the grid, in pixels of the picture.
const PLACE: [f64; 2] = [44.0, 24.0];
const GAP: f64 = 8.0;
/// The heights of a title and of a line of text.
const TITLE: f64 = 24.0;
const LINE: f64 = 15.0;
/// The width of a character.
const CHARACTER: f64 = 6.4;
/// A line is interrupted if there is no sample for this many seconds.
const GAP_IN_TIME: f64 = 3.0;
/// The most series that a legend names, and a table shows.
const NAMED: usize = 6;
const ROWS: usize = 10;
const COLOURS: [&str; 8] =
    ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#c0d8ff"];

/// The picture has a background of its own, so it is legible on a light page and on a dark one.
const STYLE: &str = "\
    .board { fill: #111217; } .panel { fill: #181b1f; stroke: #2c3235; } .grid { stroke: #2c3235; } \
    text { font: 11px system-ui, 'DejaVu Sans', sans-serif; fill: #ccccdc; } \
    .title { font-weight: 600; font-size: 12px; } .number { font-size: 34px; fill: #73bf69; text-anchor: middle; } \
    polyline { fill: none; stroke-width: 1.5; }";

/// The picture of a dashboard.
pub fn picture(panels: &[Panel]) -> String {
    let right = panels.iter().map(|panel| panel.place[0] + panel.place[2]).fold(0.0, f64::max) * PLACE[0];
    let bottom = panels.iter().map(|panel| panel.place[1] + panel.place[3]).fold(0.0, f64::max) * PLACE[1];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {right} {bottom}\" role=\"img\">\n\
         <title>The dashboard</title>\n<style>{STYLE}</style>\n\
         <rect class=\"board\" width=\"{right}\" height=\"{bottom}\"/>\n"
    );
    for panel in panels {
        let [x, y, width, height] = panel.place;
        let [width, height] = [width * PLACE[0] - GAP, height * PLACE[1] - GAP];
        let _ = write!(
            svg,
            "<g transform=\"translate({}, {})\">\n<rect class=\"panel\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>\n\
             <text class=\"title\" x=\"8\" y=\"16\">{}</text>\n",
            x * PLACE[0] + GAP / 2.0,
            y * PLACE[1] + GAP / 2.0,
            escaped(&panel.title)
        );
        match panel.kind {
            Kind::Number => number(&mut svg, panel, [width, height]),
            Kind::Table => table(&mut svg, panel),
            Kind::Lines => lines(&mut svg, panel, [width, height]),
        }
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

fn number(svg: &mut String, panel: &Panel, [width, height]: [f64; 2]) {
    let value = panel.series.iter().find_map(Series::last);
    let value = value.map_or_else(|| "No data".to_owned(), |value| shown(value, &panel.unit));
    let _ = writeln!(
        svg,
        "<text class=\"number\" x=\"{:.0}\" y=\"{:.0}\">{}</text>",
        width / 2.0,
        (height + TITLE) / 2.0 + 8.0,
        escaped(&value)
    );
}

/// Milliseconds since 1970, as dates.
fn table(svg: &mut String, panel: &Panel) {
    for (row, series) in panel.series.iter().take(ROWS).enumerate() {
        let y = TITLE + LINE * (row as f64 + 1.0);
        let last = series.last().unwrap_or_default();
        let date =
            jiff::Timestamp::from_millisecond(last as i64).map(|time| time.to_string()).unwrap_or_default();
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{y}\">{}</text><text x=\"400\" y=\"{y}\">{date}</text>",
            escaped(&series.name)
        );
    }
}

fn lines(svg: &mut String, panel: &Panel, [width, height]: [f64; 2]) {
    let mut series: Vec<&Series> = panel.series.iter().filter(|series| !series.samples.is_empty()).collect();
    let top_of = |series: &Series| series.samples.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    series.sort_by(|one, other| top_of(other).total_cmp(&top_of(one)));
    let all = || series.iter().flat_map(|series| &series.samples);
    let top = match all().map(|(_, value)| *value).fold(0.0, f64::max) {
        0.0 => 1.0,
        top => top,
    };
    let end = all().map(|(time, _)| *time).fold(1.0, f64::max);
    let named = series.len().min(NAMED);
    let legend = named.div_ceil(2) as f64 * LINE;
    let [left, upper] = [52.0, TITLE + 4.0];
    let [right, lower] = [width - 8.0, height - legend - 8.0];
    for part in [0.0, 0.5, 1.0] {
        let y = lower - part * (lower - upper);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 4.0,
            y + 4.0,
            shown(part * top, &panel.unit)
        );
    }
    for (index, series) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let point = |(time, value): &(f64, f64)| {
            let x = left + time / end * (right - left);
            format!("{x:.1},{:.1}", lower - value / top * (lower - upper))
        };
        for part in series.samples.chunk_by(|(one, _), (next, _)| next - one < GAP_IN_TIME) {
            let points: Vec<String> = part.iter().map(point).collect();
            let _ = writeln!(svg, "<polyline stroke=\"{colour}\" points=\"{}\"/>", points.join(" "));
        }
        if index < named {
            let x = 8.0 + (index % 2) as f64 * width / 2.0;
            let y = lower + LINE * ((index / 2) as f64 + 1.0) + 2.0;
            let more = if index + 1 == NAMED && series_left(index, panel) > 0 { " …" } else { "" };
            let name: String = series.name.chars().take((width / 2.0 / CHARACTER) as usize - 4).collect();
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{:.1}\" width=\"10\" height=\"3\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"{y:.1}\">{}{more}</text>",
                y - 5.0,
                x + 15.0,
                escaped(&name)
            );
        }
    }
}

/// How many series come after this one.
fn series_left(index: usize, panel: &Panel) -> usize {
    panel.series.iter().filter(|series| !series.samples.is_empty()).count().saturating_sub(index + 1)
}

/// A value with its unit, as Grafana shows it.
fn shown(value: f64, unit: &str) -> String {
    match unit {
        "s" if value >= 86_400.0 => format!("{:.1} days", value / 86_400.0),
        "s" if value >= 3_600.0 => format!("{:.1} hours", value / 3_600.0),
        "s" if value >= 1.0 => format!("{value:.1} s"),
        "s" if value == 0.0 => "0 s".to_owned(),
        "s" => format!("{:.0} ms", value * 1000.0),
        "bytes" => format!("{:.0} MiB", value / f64::from(1 << 20)),
        "percentunit" => format!("{:.0} %", value * 100.0),
        "reqps" | "ops" => format!("{value:.1}/s"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(kind: Kind, unit: &str, samples: &[(f64, f64)]) -> Panel {
        let series = vec![Series { name: "<a>".to_owned(), samples: samples.to_vec() }];
        Panel { title: "A & B".to_owned(), unit: unit.to_owned(), kind, place: [0.0, 0.0, 12.0, 8.0], series }
    }

    #[test]
    fn a_line_goes_from_the_lower_left_upwards_and_ends_where_samples_are_missing() {
        let svg = picture(&[panel(Kind::Lines, "ops", &[(0.0, 0.0), (2.0, 4.0), (10.0, 4.0)])]);
        assert!(
            svg.contains("points=\"52.0,161.0 144.0,28.0\"") && svg.contains("points=\"512.0,28.0\""),
            "{svg}"
        );
        assert!(
            svg.contains(">4.0/s</text>") && svg.contains("&lt;a&gt;") && svg.contains("A &amp; B"),
            "{svg}"
        );
    }

    #[test]
    fn a_panel_without_data_says_so() {
        assert!(picture(&[panel(Kind::Number, "", &[])]).contains("No data"));
        let svg = picture(&[panel(Kind::Number, "s", &[(1.0, 7_776_000.0)])]);
        assert!(svg.contains(">90.0 days</text>"), "{svg}");
    }
}
