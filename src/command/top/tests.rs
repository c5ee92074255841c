//! What `certwright top` shows for given objects and keys.

use crossterm::event::{KeyCode, KeyEvent};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::effect::{Effect, Request};
use super::screen;
use super::state::{Mode, State};
use crate::command::kind::Kind;
use crate::command::rows::watches::{Change, Health};
use crate::command::rows::{Key, Row, Shown, Standing};
use certwright_api::{Certificate, ClusterIssuer, Issuer};
use certwright_core::reading::Reading;

const NOW: &str = "2026-01-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// `issuing` is the reason of the condition Issuing, if it is true.
fn certificate(name: &str, issuer: Value, issuing: Option<&str>, more: Value) -> Row {
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
    row::<Certificate>(json!({
        "metadata": { "name": name, "namespace": "shop", "generation": 1 },
        "spec": { "secretName": "s", "dnsNames": ["a.example.com"], "issuerRef": issuer },
        "status": status,
    }))
}

fn row<K: Shown>(object: Value) -> Row {
    Row::of(&serde_json::from_value::<Reading<K>>(object).unwrap(), now())
}

fn ready(name: &str, not_after: &str, renewal: &str) -> Row {
    certificate(
        name,
        json!({ "name": "acme" }),
        None,
        json!({ "notAfter": not_after, "renewalTime": renewal }),
    )
}

fn failing(name: &str) -> Row {
    let more = json!({ "failedIssuanceAttempts": 1, "lastFailureTime": NOW, "nextAttemptTime": "2026-01-01T01:00:00Z" });
    certificate(name, json!({ "name": "le", "kind": "ClusterIssuer" }), None, more)
}

fn waiting(name: &str, reason: &str) -> Row {
    certificate(name, json!({ "name": "acme" }), Some(reason), json!({}))
}

fn ordering(name: &str) -> Row {
    let order =
        json!({ "url": "https://ca.example/order/1", "state": "pending", "created": NOW, "account": "a" });
    certificate(name, json!({ "name": "acme" }), Some("Ordering"), json!({ "order": order }))
}

fn all() -> Vec<Row> {
    vec![
        ready("later", "2026-03-01T00:00:00Z", "2026-01-20T00:00:00Z"),
        ready("soon", "2026-02-01T00:00:00Z", "2026-01-02T12:00:00Z"),
        ordering("busy"),
        waiting("queued", "Queued"),
        waiting("paused", "RateLimited"),
        failing("broken"),
    ]
}

fn state() -> State {
    let mut state = State::new(Some("shop".to_owned()));
    state.apply(vec![Change::All(Kind::Certificate, all())]);
    let issuer = row::<Issuer>(json!({
        "metadata": { "name": "acme", "namespace": "shop", "generation": 1 },
        "spec": { "acme": { "server": "https://ca.example/dir", "solvers": [] } },
        "status": {
            "conditions": [{ "type": "Ready", "status": "True", "reason": "AccountRegistered", "message": "",
                             "observedGeneration": 1, "lastTransitionTime": NOW }],
            "acme": { "uri": "ca.example/account/1", "server": "https://ca.example/dir", "keyThumbprint": "t",
                      "keyAlgorithm": "ECDSA P-256", "maxConcurrentOrders": 50 },
        },
    }));
    let of_cluster = row::<ClusterIssuer>(json!({
        "metadata": { "name": "le", "generation": 1 },
        "spec": { "acme": { "server": "https://le.example/dir", "solvers": [] } },
    }));
    state.apply(vec![Change::All(Kind::Issuer, vec![issuer])]);
    state.apply(vec![Change::All(Kind::ClusterIssuer, vec![of_cluster])]);
    state
}

fn press(state: &mut State, key: KeyCode) -> Effect {
    state.press(KeyEvent::from(key))
}

fn typed(state: &mut State, text: &str) {
    text.chars().for_each(|character| drop(press(state, KeyCode::Char(character))));
}

fn names(state: &State) -> Vec<&str> {
    state.window(100).0.iter().map(|(row, _)| row.key.name()).collect()
}

fn key(name: &str) -> Key {
    Key::Certificate("shop".to_owned(), name.to_owned())
}

fn drawn(state: &mut State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, state, now())).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_greatest_trouble_comes_first_and_then_what_happens_next() {
    assert_eq!(names(&state()), ["broken", "paused", "busy", "queued", "soon", "later"]);
}

#[test]
fn an_issuer_shows_what_it_has_to_do() {
    let state = state();
    let [(_, _, acme), (_, _, le)] = state.issuers()[..] else { panic!("there are two") };
    assert_eq!((acme.certificates, acme.orders, acme.queued, acme.paused, acme.failing), (5, 1, 1, 1, 0));
    assert_eq!((le.certificates, le.failing), (1, 1));
}

#[test]
fn renewals_are_counted_by_the_day() {
    let state = state();
    let days = state.timeline(now());
    assert_eq!((days[1], days[19], days.iter().sum::<u64>()), (1, 1, 2));
    let next: Vec<_> = state.next_renewals(1).into_iter().map(|(key, _)| key.name()).collect();
    assert_eq!(next, ["soon"]);
}

#[test]
fn rows_are_filtered_by_state_and_text_until_escape() {
    let mut state = state();
    press(&mut state, KeyCode::Char('f'));
    assert_eq!((state.only, names(&state)), (Some(Standing::Failing), vec!["broken"]));
    press(&mut state, KeyCode::Char('f'));
    assert_eq!((state.only, names(&state).len()), (Some(Standing::Unreadable), 0));
    press(&mut state, KeyCode::Char('f'));
    assert_eq!((state.only, names(&state).len()), (Some(Standing::Unserved), 0));
    press(&mut state, KeyCode::Char('f'));
    press(&mut state, KeyCode::Char('f'));
    assert_eq!(names(&state), ["busy", "queued"]);
    press(&mut state, KeyCode::Char('f'));
    press(&mut state, KeyCode::Char('f'));
    press(&mut state, KeyCode::Char('f'));
    assert_eq!(state.only, None);
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
    assert_eq!(state.selected(), Some(key("later")));
    state.apply(vec![Change::One(Box::new(failing("later")))]);
    assert_eq!((names(&state)[1], state.selected()), ("later", Some(key("later"))));
    state.apply(vec![Change::Gone(key("later"))]);
    assert_eq!(state.selected(), Some(key("broken")), "the first one");
    press(&mut state, KeyCode::Tab);
    press(&mut state, KeyCode::Down);
    assert_eq!(state.selected().map(|of| of.to_string()).as_deref(), Some("clusterissuer/le"));
}

#[test]
fn a_request_is_made_once_it_is_confirmed() {
    let mut state = state();
    assert_eq!(press(&mut state, KeyCode::Char('t')), Effect::None);
    assert_eq!(press(&mut state, KeyCode::Char('n')), Effect::None);
    assert_eq!(state.notice, "Nothing was requested.");
    press(&mut state, KeyCode::Char('t'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), Effect::Ask(Request::Retry, key("broken")));
    assert_eq!(state.mode, Mode::Rows);
    press(&mut state, KeyCode::End);
    press(&mut state, KeyCode::Char('t'));
    assert_eq!(state.notice, "It has not failed; press r to renew it anyway.");
    press(&mut state, KeyCode::Char('r'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), Effect::Ask(Request::Renew, key("later")));
    press(&mut state, KeyCode::Tab);
    press(&mut state, KeyCode::Char('r'));
    assert_eq!((&state.mode, state.notice.is_empty()), (&Mode::Rows, false), "issuers are not renewed");
}

#[test]
fn an_object_is_opened_scrolled_and_read_again_when_something_changes() {
    let mut state = state();
    assert_eq!(press(&mut state, KeyCode::Enter), Effect::Open(key("broken")));
    let change = |name| vec![Change::One(Box::new(failing(name)))];
    assert_eq!(state.apply(change("broken")), Effect::None, "it is being read");
    assert_eq!(state.opened(&key("other"), "not this".to_owned()), Effect::None);
    assert_eq!(
        state.opened(&key("broken"), "old".to_owned()),
        Effect::Open(key("broken")),
        "it has changed since"
    );
    assert_eq!(state.opened(&key("broken"), "one\ntwo\nthree".to_owned()), Effect::None);
    assert_eq!(state.apply(change("later")), Effect::None, "this is about another one");
    assert_eq!(state.apply(change("broken")), Effect::Open(key("broken")));
    for _ in 0..5 {
        press(&mut state, KeyCode::Down);
    }
    let text = Some("one\ntwo\nthree".to_owned());
    assert_eq!(state.mode, Mode::Opened { of: key("broken"), text, scroll: 2 });
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.mode, Mode::Rows);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Effect::Quit);
}

#[test]
fn what_cannot_be_watched_is_said_until_it_works_again() {
    let mut state = state();
    let health = |is_listed, fault: Option<&str>| {
        let fault = fault.map(str::to_owned);
        vec![Change::Watch(Kind::Issuer, Health { is_listed, fault, is_forbidden: false })]
    };
    state.apply(health(true, Some("no route")));
    assert_eq!(state.fault().as_deref(), Some("Issuers may be out of date: no route"));
    assert_eq!(names(&state).len(), 6, "what is known stays");
    state.apply(health(true, None));
    assert_eq!(state.fault(), None);
    state.apply(health(false, Some("forbidden")));
    assert_eq!(state.fault().as_deref(), Some("Issuers cannot be read: forbidden"));
}

#[test]
fn without_an_answer_the_screen_says_why_it_is_empty() {
    let mut state = State::new(None);
    assert!(drawn(&mut state, 120, 30).contains("all namespaces: waiting for the API server"));
    let health = Health { is_listed: false, fault: Some("no route".to_owned()), is_forbidden: false };
    state.apply(vec![Change::Watch(Kind::Certificate, health)]);
    let text = drawn(&mut state, 120, 30);
    assert!(text.contains("nothing could be read yet"), "{text}");
    assert!(text.contains("Certificates cannot be read: no route"), "{text}");
}

#[test]
fn everything_is_on_one_screen() {
    let text = drawn(&mut state(), 120, 30);
    for words in [
        "certwright, namespace shop: 6 Certificates, 1 failing, 1 waiting, 2 in progress, 2 ready",
        "Renewals: most on day 1 (1)",
        "in 1d12h  soon",
        "Issuers (2)",
        "ca.example/account/1",
        "none at le.example",
        "Certificates (6)",
        "retries in 1h",
        "renews in 19d",
        "CAA: the message",
        "waits: RateLimited",
        "1/50",
        "q quit",
    ] {
        assert!(text.contains(words), "it lacks {words:?}:\n{text}");
    }
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
    for (width, words) in [
        (80, ["broken", "failing", "retries in 1h"]),
        (40, ["broken", "failing", "retries in 1h"]),
        (40, ["6 Certificates, 1 failing", "acme", "1/50"]),
    ] {
        let text = drawn(&mut state, width, 24);
        words.iter().for_each(|words| assert!(text.contains(words), "it lacks {words:?}:\n{text}"));
    }
    press(&mut state, KeyCode::Char('t'));
    assert!(drawn(&mut state, 30, 24).contains("(y/N)"));
    press(&mut state, KeyCode::Char('n'));
    press(&mut state, KeyCode::Char('?'));
    assert!(drawn(&mut state, 40, 24).contains("quit"), "all keys fit");
}

#[test]
fn only_what_fits_is_drawn_of_many_certificates() {
    let mut state = State::new(None);
    let many = (0..10_000)
        .map(|number| ready(&format!("c{number:05}"), "2026-03-01T00:00:00Z", "2026-01-20T00:00:00Z"));
    state.apply(vec![Change::All(Kind::Certificate, many.collect())]);
    press(&mut state, KeyCode::End);
    let (rows, position) = state.window(20);
    assert_eq!((rows.len(), position, rows[19].0.key.name()), (20, 19, "c09999"));
    assert!(drawn(&mut state, 120, 30).contains("shop/c09999"));
}
