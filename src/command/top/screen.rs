//! Draws `certwright top`.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use super::effect::Request;
use super::state::{DAYS, Load, Mode, State, Table as Which};
use crate::command::kind::Kind;
use crate::command::list::table::next;
use crate::command::outlook::NextAction;
use crate::command::output::{away, harmless};
use crate::command::rows::{CertificateFacts, IssuerFacts, Key, Row as Shown, Standing};

/// The most issuers that are shown at once.
const ISSUERS: usize = 6;
/// The height of the timeline, with its frame.
const TIMELINE: u16 = 5;
/// On a lower screen, there is no timeline.
const LOW: u16 = 20;
/// On a narrower screen, only the most important columns are shown, and on one that is not [`WIDE`], not all.
const NARROW: u16 = 60;
const WIDE: u16 = 100;

/// The width of the help.
const HELP_WIDTH: u16 = 78;
const HELP: &[(&str, &str)] = &[
    ("↑ ↓ j k", "select; PgUp, PgDn, Home, End go further"),
    ("Tab", "switch between Certificates and issuers"),
    ("Enter", "open: what it waits for or what failed, what is next, what to do"),
    ("/", "show only rows with a text in names, reasons or messages"),
    ("f", "show only what fails, waits, is in progress, and so on"),
    ("Esc", "show everything again; close what is open"),
    ("r", "renew a Certificate"),
    ("t", "retry an issuer, or a Certificate that fails"),
    ("q", "quit"),
];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, now: Timestamp) {
    let area = frame.area();
    let issuers = state.issuers();
    let issuer_rows = u16::try_from(issuers.len().clamp(1, ISSUERS)).unwrap_or_default();
    let timeline = if area.height < LOW { 0 } else { TIMELINE };
    let [top, when, who, what, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(timeline),
        Constraint::Length(issuer_rows + 3),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(headline(state, area.width)), top);
    if let Mode::Opened { of, text, scroll } = &state.mode {
        let rest = Rect { y: when.y, height: area.height.saturating_sub(2), ..area };
        frame.render_widget(opened(of, text.as_deref(), *scroll), rest);
    } else {
        if timeline > 0 {
            draw_timeline(frame, state, when, now);
        }
        draw_issuers(frame, state, &issuers, who, now);
        draw_certificates(frame, state, what, now);
    }
    match &state.mode {
        Mode::Help => draw_help(frame, area),
        Mode::Confirm(request, of) => draw_question(frame, area, *request, of),
        _ => {}
    }
    frame.render_widget(Paragraph::new(footer(state)), bottom);
}

fn colored(standing: Standing) -> Style {
    Style::new().fg(match standing {
        Standing::Failing | Standing::Unreadable | Standing::Unserved => Color::Red,
        Standing::Waiting | Standing::Unseen => Color::Yellow,
        Standing::Working => Color::Cyan,
        Standing::Ready => Color::Green,
    })
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Failing => "failing",
        Standing::Unreadable => "unreadable",
        Standing::Unserved => "not served",
        Standing::Waiting => "waiting",
        Standing::Working => "in progress",
        Standing::Unseen => "unprocessed",
        Standing::Ready => "ready",
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn headline(state: &State, width: u16) -> Line<'static> {
    let place =
        state.namespace.clone().map_or("all namespaces".to_owned(), |name| format!("namespace {name}"));
    let mut spans = Vec::new();
    if width >= NARROW {
        spans.push(Span::styled(format!("certwright, {place}: "), Modifier::BOLD));
    }
    if !state.is_complete {
        spans.push(match state.fault() {
            None => Span::styled("waiting for the API server", Color::Yellow),
            Some(_) => Span::styled("nothing could be read yet", Color::Red),
        });
        return Line::from(spans);
    }
    let (all, _) = state.counts();
    spans.push(Span::raw(format!("{all} Certificate{}", if all == 1 { "" } else { "s" })));
    for standing in Standing::ALL {
        let count = state.count(standing);
        if count > 0 {
            spans.push(Span::raw(", "));
            spans.push(Span::styled(format!("{count} {}", word(standing)), colored(standing)));
        }
    }
    Line::from(spans)
}

fn footer(state: &State) -> Line<'static> {
    if state.mode == Mode::Filter {
        return Line::from(format!("/{}▏  Enter: keep, Esc: show everything", state.filter));
    }
    if !state.notice.is_empty() {
        return Line::styled(harmless(&state.notice), Modifier::BOLD);
    }
    if let Some(fault) = state.fault() {
        return Line::styled(harmless(&fault), Color::Red);
    }
    let keys = match &state.mode {
        Mode::Opened { of, .. } if of.kind() == Kind::Certificate => {
            "Esc back   ↑↓ scroll   r renew   t retry"
        }
        Mode::Opened { .. } => "Esc back   ↑↓ scroll   t retry",
        Mode::Confirm(..) => "y yes   any other key: no",
        Mode::Help => "any key: back",
        _ => "q quit   ? help   Enter open   / filter   f state   Tab issuers   r renew   t retry",
    };
    Line::styled(keys, dim())
}

fn draw_timeline(frame: &mut Frame<'_>, state: &State, area: Rect, now: Timestamp) {
    let days = state.timeline(now);
    let width = u16::try_from(DAYS).unwrap_or_default() + 2;
    let [bars, list] = Layout::horizontal([Constraint::Length(width), Constraint::Min(10)]).areas(area);
    let most = days.iter().max().copied().unwrap_or_default();
    let title = match days.iter().position(|count| *count == most) {
        Some(day) if most > 0 => format!("Renewals: most on day {day} ({most})"),
        _ => "Renewals: none in 30 days".to_owned(),
    };
    let block =
        Block::new().borders(Borders::ALL).title(title).title_bottom(format!("today … day {}", DAYS - 1));
    frame.render_widget(Sparkline::default().block(block).data(days).style(Color::Cyan), bars);
    let lines = state.next_renewals(usize::from(list.height.saturating_sub(2)));
    let lines = lines.into_iter().map(|(key, time)| {
        Line::from(vec![Span::raw(format!("{:>8}  ", until(time, now))), Span::raw(named(state, key))])
    });
    let block = Block::new().borders(Borders::ALL).title("Next renewals");
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), list);
}

/// When something due at this time happens.
fn until(time: Timestamp, now: Timestamp) -> String {
    if time <= now { "now".to_owned() } else { away(time, now) }
}

/// The name of an object, with its namespace if there can be several.
fn named(state: &State, key: &Key) -> String {
    match (&state.namespace, key.namespace()) {
        (None, Some(namespace)) => format!("{namespace}/{}", key.name()),
        _ => key.name().to_owned(),
    }
}

fn block(title: String, focused: bool) -> Block<'static> {
    let style = if focused { Style::new().fg(Color::Cyan) } else { Style::new() };
    Block::new().borders(Borders::ALL).border_style(style).title(title)
}

fn selected_style(focused: bool) -> Style {
    if focused { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() }
}

/// The columns of a table that fit: of each, whether it needs a screen that is not narrow, or a wide one.
fn fitting<T, const N: usize>(all: [(u16, T); N], width: u16) -> Vec<T> {
    all.into_iter().filter(|(least, _)| *least <= width).map(|(_, column)| column).collect()
}

fn draw_issuers(
    frame: &mut Frame<'_>,
    state: &State,
    issuers: &[(&Shown, &IssuerFacts, Load)],
    area: Rect,
    now: Timestamp,
) {
    let focused = state.table == Which::Issuers;
    let (position, height) = (state.issuer_position(), usize::from(area.height.saturating_sub(3)));
    let first = position.saturating_sub(height / 2).min(issuers.len().saturating_sub(height));
    let row = |(row, facts, load): &(&Shown, &IssuerFacts, Load)| {
        let words = match &row.outlook.trouble {
            Some(trouble) => trouble.reason.clone(),
            None => word(row.standing).to_owned(),
        };
        let name = match row.key.kind() {
            Kind::ClusterIssuer => format!("{} (cluster)", named(state, &row.key)),
            _ => named(state, &row.key),
        };
        let account = facts
            .account
            .as_ref()
            .map_or(format!("none at {}", facts.ca), |url| url.trim_start_matches("https://").to_owned());
        let number = |count: usize| if count == 0 { "-".to_owned() } else { count.to_string() };
        let orders = match facts.most_orders {
            Some(most) => format!("{}/{most}", load.orders),
            None => number(load.orders),
        };
        Row::new(fitting(
            [
                (0, Cell::new(name)),
                (0, Cell::new(words).style(colored(row.standing))),
                (NARROW, Cell::new(number(load.certificates))),
                (0, Cell::new(orders)),
                (NARROW, Cell::new(number(load.queued))),
                (NARROW, Cell::new(number(load.paused))),
                (NARROW, Cell::new(number(load.failing))),
                (WIDE, Cell::new(account)),
                (WIDE, Cell::new(next(&row.outlook, now))),
            ],
            area.width,
        ))
    };
    let columns = [
        (0, ("ISSUER", Constraint::Fill(3))),
        (0, ("STATE", Constraint::Length(if area.width < NARROW { 12 } else { 18 }))),
        (NARROW, ("CERTS", Constraint::Length(5))),
        (0, ("ORDERS", Constraint::Length(7))),
        (NARROW, ("QUEUED", Constraint::Length(6))),
        (NARROW, ("PAUSED", Constraint::Length(6))),
        (NARROW, ("FAILING", Constraint::Length(7))),
        (WIDE, ("ACCOUNT", Constraint::Fill(3))),
        (WIDE, ("NEXT", Constraint::Fill(3))),
    ];
    let rows: Vec<Row<'_>> = issuers.iter().skip(first).take(height).map(row).collect();
    let (head, widths): (Vec<&str>, Vec<Constraint>) = fitting(columns, area.width).into_iter().unzip();
    let table = Table::new(rows, widths)
        .header(Row::new(head).style(Modifier::BOLD))
        .block(block(format!("Issuers ({})", issuers.len()), focused))
        .row_highlight_style(selected_style(focused));
    let mut selection = TableState::new().with_selected(position - first);
    frame.render_stateful_widget(table, area, &mut selection);
}

fn draw_certificates(frame: &mut Frame<'_>, state: &State, area: Rect, now: Timestamp) {
    let focused = state.table == Which::Certificates;
    let (rows, position) = state.window(usize::from(area.height.saturating_sub(3)));
    let row = |(row, facts): &(&Shown, &CertificateFacts)| {
        let (what_next, why) = next_and_why(row, now);
        Row::new(fitting(
            [
                (0, Cell::new(named(state, &row.key))),
                (0, Cell::new(word(row.standing)).style(colored(row.standing))),
                (WIDE, Cell::new(facts.issuer.name.clone())),
                (NARROW, Cell::new(facts.expires.map_or("-".to_owned(), |end| away(end, now)))),
                (0, Cell::new(what_next)),
                (WIDE, Cell::new(why)),
            ],
            area.width,
        ))
    };
    let columns = [
        (0, ("NAME", Constraint::Fill(3))),
        (0, ("STATE", Constraint::Length(11))),
        (WIDE, ("ISSUER", Constraint::Fill(2))),
        (NARROW, ("EXPIRES", Constraint::Length(11))),
        (0, ("NEXT", Constraint::Length(if area.width < NARROW { 14 } else { 26 }))),
        (WIDE, ("WHY", Constraint::Fill(5))),
    ];
    let (head, widths): (Vec<&str>, Vec<Constraint>) = fitting(columns, area.width).into_iter().unzip();
    let rows: Vec<Row<'_>> = rows.iter().map(row).collect();
    let (all, shown) = state.counts();
    let only = state.only.map_or(String::new(), |only| format!(", {}", word(only)));
    let with = if state.filter.is_empty() { String::new() } else { format!(", with {:?}", state.filter) };
    let title = match all == shown && only.is_empty() && with.is_empty() {
        true => format!("Certificates ({all})"),
        false => format!("Certificates ({shown} of {all}{only}{with})"),
    };
    let table = Table::new(rows, widths)
        .header(Row::new(head).style(Modifier::BOLD))
        .block(block(title, focused))
        .row_highlight_style(selected_style(focused));
    let mut selection = TableState::new().with_selected(position);
    frame.render_stateful_widget(table, area, &mut selection);
}

/// What happens next to a Certificate, and why: the reason is in one of them, the message is in the other one.
fn next_and_why(row: &Shown, now: Timestamp) -> (String, String) {
    let what_next = next(&row.outlook, now);
    match (row.outlook.problem(), &row.outlook.next) {
        (None, _) => (what_next, String::new()),
        (Some(trouble), _) if row.standing == Standing::Working => {
            (trouble.reason.clone(), trouble.message.clone())
        }
        (Some(trouble), NextAction::When(_)) => (what_next, trouble.message.clone()),
        (Some(trouble), NextAction::At(..)) => {
            (what_next, format!("{}: {}", trouble.reason, trouble.message))
        }
    }
}

fn opened(of: &Key, text: Option<&str>, scroll: u16) -> Paragraph<'static> {
    let lines: Vec<Line<'static>> = match text {
        None => vec![Line::from("Reading …")],
        Some(text) => harmless(text)
            .lines()
            .enumerate()
            .map(|(number, line)| match number {
                0 => Line::styled(line.to_owned(), Modifier::BOLD),
                _ => Line::from(line.to_owned()),
            })
            .collect(),
    };
    let block = block(of.called(), true);
    Paragraph::new(lines).wrap(Wrap { trim: false }).scroll((scroll, 0)).block(block)
}

/// A rectangle in the middle.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(key, what)| {
            Line::from(vec![Span::styled(format!(" {key:<9}"), Modifier::BOLD), Span::raw(*what)])
        })
        .collect();
    let height = u16::try_from(lines.len()).unwrap_or_default() + 2;
    // Lines that do not fit are continued on others.
    let height = if area.width < HELP_WIDTH { area.height } else { height };
    let place = middle(area, HELP_WIDTH, height);
    let help = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(Clear, place);
    frame.render_widget(help.block(block("Keys".to_owned(), true)), place);
}

fn draw_question(frame: &mut Frame<'_>, area: Rect, request: Request, of: &Key) {
    let question = format!(" {} {}? (y/N)", request.verb(), of.called());
    let length = u16::try_from(question.chars().count()).unwrap_or(u16::MAX);
    let width = length.saturating_add(3).clamp(30, area.width.max(30));
    // Lines are broken between words, so that there may be one more than fits.
    let height = if length.saturating_add(2) < width { 3 } else { length / (width - 2) + 4 };
    let place = middle(area, width, height);
    let question = Paragraph::new(question).wrap(Wrap { trim: false });
    frame.render_widget(Clear, place);
    frame.render_widget(question.block(block(String::new(), true)), place);
}
