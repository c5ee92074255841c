//! What `certwright top` shows for given objects and keys.

use crossterm::event::{KeyCode, KeyEvent};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::effect::{Effect, Opened, Request};
use super::feed::{Change, Item, Seen};
use super::rows::{CertificateRow, IssuerRow, Key, Standing};
use super::screen;
use super::state::{Mode, State};
use crate::command::kind::Kind;
use certwright_api::{Certificate, ClusterIssuer, Issuer};

const NOW: &str = "2026-01-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// `issuing` is the reason of the condition Issuing, if it is true.
fn certificate(name: &str, issuer: Value, issuing: Option<&str>, more: Value) -> Item {
    let condition = |type_: &str, status: bool, reason: &str| {
        json!({ "type": type_, "status": if status { "True" } else { "False" }, "reason": reason, "message": "the message",
                "observedGeneration": 1, "lastTransitionTime": NOW })
    };
    let failed = more.get("failedIssuanceAttempts").is_some();
    let reason = issuing.unwrap_or(if failed { "CAA" } else { "Issued" });
    let mut status = json!({
        "conditions": [condition("Ready", more.get("notAfter").is_some(), reason), condition("Issuing", issuing.is_some(), reason)],
    });
    status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let certificate: Certificate = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "shop", "generation": 1 },
        "spec": { "secretName": "s", "dnsNames": ["a.example.com"], "issuerRef": issuer },
        "status": status,
    }))
    .unwrap();
    Item::Certificate(Box::new(CertificateRow::of(&certificate, now())))
}

fn ready(name: &str, not_after: &str, renewal: &str) -> Item {
    certificate(
        name,
        json!({ "name": "acme" }),
        None,
        json!({ "notAfter": not_after, "renewalTime": renewal }),
    )
}

fn failing(name: &str) -> Item {
    let more = json!({ "failedIssuanceAttempts": 1, "lastFailureTime": NOW, "nextAttemptTime": "2026-01-01T01:00:00Z" });
    certificate(name, json!({ "name": "le", "kind": "ClusterIssuer" }), None, more)
}

fn waiting(name: &str, reason: &str) -> Item {
    certificate(name, json!({ "name": "acme" }), Some(reason), json!({}))
}

fn all() -> Vec<Item> {
    vec![
        ready("later", "2026-03-01T00:00:00Z", "2026-01-20T00:00:00Z"),
        ready("soon", "2026-02-01T00:00:00Z", "2026-01-02T12:00:00Z"),
        waiting("busy", "Ordering"),
        waiting("queued", "Queued"),
        waiting("paused", "RateLimited"),
        failing("broken"),
    ]
}

fn state() -> State {
    let mut state = State::new(Some("shop".to_owned()));
    state.apply(vec![Change { kind: Kind::Certificate, what: Seen::All(all()) }]);
    let issuer: Issuer = serde_json::from_value(json!({
        "metadata": { "name": "acme", "namespace": "shop", "generation": 1 },
        "spec": { "acme": { "server": "https://ca.example/dir", "solvers": [] } },
        "status": {
            "conditions": [{ "type": "Ready", "status": "True", "reason": "AccountRegistered", "message": "",
                             "observedGeneration": 1, "lastTransitionTime": NOW }],
            "acme": { "uri": "ca.example/account/1", "server": "https://ca.example/dir", "keyThumbprint": "t",
                      "keyAlgorithm": "ECDSA P-256" },
        },
    }))
    .unwrap();
    let of_cluster: ClusterIssuer = serde_json::from_value(json!({
        "metadata": { "name": "le", "generation": 1 },
        "spec": { "acme": { "server": "https://le.example/dir", "solvers": [] } },
    }))
    .unwrap();
    let item = Item::Issuer(Box::new(IssuerRow::of(&issuer)));
    state.apply(vec![Change { kind: Kind::Issuer, what: Seen::All(vec![item]) }]);
    let item = Item::Issuer(Box::new(IssuerRow::of(&of_cluster)));
    state.apply(vec![Change { kind: Kind::ClusterIssuer, what: Seen::All(vec![item]) }]);
    state
}

fn press(state: &mut State, key: KeyCode) -> Effect {
    state.press(KeyEvent::from(key))
}

fn typed(state: &mut State, text: &str) {
    text.chars().for_each(|character| drop(press(state, KeyCode::Char(character))));
}

fn names(state: &State) -> Vec<&str> {
    state.window(100).0.iter().map(|row| row.key.name.as_str()).collect()
}

fn opened(name: &str) -> Opened {
    Opened { kind: Kind::Certificate, namespace: Some("shop".to_owned()), name: name.to_owned() }
}

fn drawn(state: &mut State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, state, now())).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_greatest_trouble_comes_first_and_then_what_happens_next() {
    assert_eq!(names(&state()), ["broken", "paused", "queued", "busy", "soon", "later"]);
}

#[test]
fn an_issuer_shows_what_it_has_to_do() {
    let state = state();
    let [(_, acme), (_, le)] = state.issuers()[..] else { panic!("there are two") };
    assert_eq!(
        (acme.certificates, acme.in_progress, acme.queued, acme.paused, acme.failing),
        (5, 1, 1, 1, 0)
    );
    assert_eq!((le.certificates, le.failing), (1, 1));
}

#[test]
fn renewals_are_counted_by_the_day() {
    let state = state();
    let days = state.timeline(now());
    assert_eq!((days[1], days[19], days.iter().sum::<u64>()), (1, 1, 2));
    let next: Vec<_> = state.next_renewals(1).into_iter().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(next, ["soon"]);
}

#[test]
fn rows_are_filtered_by_state_and_text_until_escape() {
    let mut state = state();
    press(&mut state, KeyCode::Char('f'));
    assert_eq!((state.only, names(&state)), (Some(Standing::Failing), vec!["broken"]));
    press(&mut state, KeyCode::Char('f'));
    assert_eq!(names(&state), ["paused", "queued"]);
    press(&mut state, KeyCode::Char('/'));
    typed(&mut state, "rateq");
    press(&mut state, KeyCode::Backspace);
    assert_eq!(names(&state), ["paused"], "q is text here");
    press(&mut state, KeyCode::Enter);
    assert_eq!((&state.mode, names(&state)), (&Mode::Rows, vec!["paused"]));
    press(&mut state, KeyCode::Esc);
    assert_eq!(names(&state).len(), 6);
}

#[test]
fn what_is_selected_stays_selected_when_rows_move() {
    let mut state = state();
    press(&mut state, KeyCode::End);
    assert_eq!(state.selected(), Some(opened("later")));
    state.apply(vec![Change { kind: Kind::Certificate, what: Seen::One(failing("later")) }]);
    assert_eq!((names(&state)[1], state.selected()), ("later", Some(opened("later"))));
    let key = Key { namespace: Some("shop".to_owned()), name: "later".to_owned() };
    state.apply(vec![Change { kind: Kind::Certificate, what: Seen::Gone(key) }]);
    assert_eq!(state.selected(), Some(opened("broken")), "the first one");
    press(&mut state, KeyCode::Tab);
    press(&mut state, KeyCode::Down);
    assert_eq!(state.selected().map(|of| (of.kind, of.name)), Some((Kind::ClusterIssuer, "le".to_owned())));
}

#[test]
fn a_request_is_made_once_it_is_confirmed() {
    let mut state = state();
    assert_eq!(press(&mut state, KeyCode::Char('t')), Effect::None);
    assert_eq!(press(&mut state, KeyCode::Char('n')), Effect::None);
    assert_eq!(state.notice, "Nothing was requested.");
    press(&mut state, KeyCode::Char('t'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), Effect::Ask(Request::Retry, opened("broken")));
    assert_eq!(state.mode, Mode::Rows);
    press(&mut state, KeyCode::End);
    press(&mut state, KeyCode::Char('t'));
    assert_eq!(state.notice, "It has not failed; press r to renew it anyway.");
    press(&mut state, KeyCode::Char('r'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), Effect::Ask(Request::Renew, opened("later")));
    press(&mut state, KeyCode::Tab);
    press(&mut state, KeyCode::Char('r'));
    assert_eq!((&state.mode, state.notice.is_empty()), (&Mode::Rows, false), "issuers are not renewed");
}

#[test]
fn an_object_is_opened_scrolled_and_read_again_when_something_changes() {
    let mut state = state();
    assert_eq!(press(&mut state, KeyCode::Enter), Effect::Open(opened("broken")));
    let change = || vec![Change { kind: Kind::Certificate, what: Seen::All(all()) }];
    assert_eq!(state.apply(change()), Effect::None, "it is being read");
    state.opened(&opened("other"), "not this".to_owned());
    state.opened(&opened("broken"), "one\ntwo\nthree".to_owned());
    assert_eq!(state.apply(change()), Effect::Open(opened("broken")));
    for _ in 0..5 {
        press(&mut state, KeyCode::Down);
    }
    let text = Some("one\ntwo\nthree".to_owned());
    assert_eq!(state.mode, Mode::Opened { of: opened("broken"), text, scroll: 2 });
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.mode, Mode::Rows);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Effect::Quit);
}

#[test]
fn what_cannot_be_watched_is_said_until_it_works_again() {
    let mut state = state();
    state.apply(vec![Change { kind: Kind::Issuer, what: Seen::Fault("forbidden".to_owned()) }]);
    assert_eq!(state.fault().as_deref(), Some("Issuers may be out of date: forbidden"));
    assert_eq!(names(&state).len(), 6, "what is known stays");
    state.apply(vec![Change { kind: Kind::Issuer, what: Seen::All(Vec::new()) }]);
    assert_eq!(state.fault(), None);
}

#[test]
fn everything_is_on_one_screen() {
    let text = drawn(&mut state(), 120, 30);
    for words in [
        "certwright, namespace shop: 6 Certificates, 1 failing, 2 waiting, 1 under way, 2 ready",
        "Renewals: most on day 1 (1)",
        "in 1d12h  soon",
        "Issuers (2)",
        "ca.example/account/1",
        "none at le.example",
        "Certificates (6)",
        "retries in 1h",
        "renews in 19d",
        "CAA: the message",
        "waits: Queued",
        "q quit",
    ] {
        assert!(text.contains(words), "it lacks {words:?}:\n{text}");
    }
    let mut empty = State::new(None);
    assert!(drawn(&mut empty, 120, 30).contains("all namespaces: waiting for the API server"));
}

#[test]
fn the_documentation_shows_this_screen() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/top.md")).unwrap();
    let drawn = drawn(&mut state(), 100, 24);
    let lines = drawn.lines().map(|line| line.trim_matches('"').trim_end());
    let screen = lines.collect::<Vec<_>>().join("\n");
    assert!(page.contains(&screen), "docs/top.md lacks this:\n{screen}");
}

#[test]
fn a_small_terminal_is_no_problem() {
    let mut state = state();
    for (width, height) in [(80, 24), (40, 10), (10, 3), (1, 1)] {
        drawn(&mut state, width, height);
        press(&mut state, KeyCode::Char('?'));
        drawn(&mut state, width, height);
        press(&mut state, KeyCode::Char('t'));
        press(&mut state, KeyCode::Char('t'));
        drawn(&mut state, width, height);
        press(&mut state, KeyCode::Char('n'));
        press(&mut state, KeyCode::Enter);
        drawn(&mut state, width, height);
        press(&mut state, KeyCode::Esc);
    }
    assert!(drawn(&mut state, 80, 24).contains("broken"));
}

#[test]
fn only_what_fits_is_drawn_of_many_certificates() {
    let mut state = State::new(None);
    let many = (0..10_000)
        .map(|number| ready(&format!("c{number:05}"), "2026-03-01T00:00:00Z", "2026-01-20T00:00:00Z"));
    state.apply(vec![Change { kind: Kind::Certificate, what: Seen::All(many.collect()) }]);
    press(&mut state, KeyCode::End);
    let (rows, position) = state.window(20);
    assert_eq!((rows.len(), position, rows[19].key.name.as_str()), (20, 19, "c09999"));
    assert!(drawn(&mut state, 120, 30).contains("shop/c09999"));
}
