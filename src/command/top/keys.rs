//! What the keys of `certwright top` do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::effect::{Effect, Request};
use super::state::{Mode, State, Table};
use crate::command::kind::Kind;
use crate::command::rows::{Key, Standing};

impl State {
    /// A key is pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Effect {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Effect::Quit;
        }
        self.notice.clear();
        match std::mem::replace(&mut self.mode, Mode::Rows) {
            Mode::Rows => self.press_in_rows(key.code),
            Mode::Filter => {
                self.press_in_filter(key.code);
                Effect::None
            }
            Mode::Opened { of, text, scroll } => self.press_in_opened(key.code, of, text, scroll),
            Mode::Confirm(request, of) => match key.code {
                KeyCode::Char('y' | 'Y') => Effect::Ask(request, of),
                _ => {
                    self.notice = "Nothing was requested.".to_owned();
                    Effect::None
                }
            },
            Mode::Help => Effect::None,
        }
    }

    fn press_in_rows(&mut self, key: KeyCode) -> Effect {
        match key {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Esc => self.show_only(String::new(), None),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('f') => {
                let mut all = Standing::ALL.into_iter();
                let next = match self.only {
                    None => all.next(),
                    Some(only) => all.find(|standing| *standing > only),
                };
                self.show_only(self.filter.clone(), next);
            }
            KeyCode::Tab | KeyCode::BackTab => {
                self.table = match self.table {
                    Table::Certificates => Table::Issuers,
                    Table::Issuers => Table::Certificates,
                }
            }
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Enter => {
                if let Some(of) = self.selected() {
                    return self.open(of);
                }
            }
            KeyCode::Char('r') => self.confirm(Request::Renew),
            KeyCode::Char('t') => self.confirm(Request::Retry),
            _ => {}
        }
        Effect::None
    }

    fn press_in_filter(&mut self, key: KeyCode) {
        let mut filter = self.filter.clone();
        match key {
            KeyCode::Enter => return,
            KeyCode::Esc => filter.clear(),
            KeyCode::Backspace => {
                filter.pop();
            }
            KeyCode::Char(character) if !character.is_control() => filter.push(character),
            _ => {}
        }
        if key != KeyCode::Esc {
            self.mode = Mode::Filter;
        }
        self.show_only(filter, self.only);
    }

    fn press_in_opened(&mut self, key: KeyCode, of: Key, text: Option<String>, scroll: u16) -> Effect {
        let lines = text.as_ref().map_or(0, |text| text.lines().count());
        let most = u16::try_from(lines).unwrap_or(u16::MAX).saturating_sub(1);
        let scroll = match key {
            KeyCode::Esc | KeyCode::Char('q') | KeyCode::Enter | KeyCode::Left => return Effect::None,
            KeyCode::Char('r') => {
                self.confirm_for(Request::Renew, of);
                return Effect::None;
            }
            KeyCode::Char('t') => {
                self.confirm_for(Request::Retry, of);
                return Effect::None;
            }
            KeyCode::Down | KeyCode::Char('j') => scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => scroll.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => scroll.saturating_add(10),
            KeyCode::PageUp => scroll.saturating_sub(10),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => most,
            _ => scroll,
        };
        self.mode = Mode::Opened { of, text, scroll: scroll.min(most) };
        Effect::None
    }

    fn confirm(&mut self, request: Request) {
        match self.selected() {
            Some(of) => self.confirm_for(request, of),
            None => self.notice = "Nothing is selected.".to_owned(),
        }
    }

    /// Asks before a request that makes sense.
    fn confirm_for(&mut self, request: Request, of: Key) {
        match (request, of.kind()) {
            (Request::Renew, Kind::Issuer | Kind::ClusterIssuer) => {
                self.notice = "Only Certificates are renewed; press t to retry an issuer.".to_owned();
            }
            (Request::Retry, Kind::Certificate) if !self.has_failed(&of) => {
                self.notice = "It has not failed; press r to renew it anyway.".to_owned();
            }
            _ => self.mode = Mode::Confirm(request, of),
        }
    }
}
