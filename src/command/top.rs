//! `certwright top`: a live screen. What it shows follows from the objects and the keys alone (`state`); this file connects it to
//! the cluster and to the terminal.

mod effect;
mod keys;
mod screen;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::interval;

use self::effect::{Effect, Request};
use self::state::State;
use super::output::{fit, plain};
use super::request::again;
use super::rows::Key;
use super::rows::watches::{Change, watch};
use super::status::screen as status_screen;
use super::{Cluster, ClusterArgs, Error, Exit, causes};
use certwright_runtime::clock;

/// Times are relative to now, so the screen is drawn anew at least this often.
const TICK: Duration = Duration::from_secs(1);
/// How many changes are taken into account before the screen is drawn.
const AT_ONCE: usize = 1000;
/// How many answers to requests may wait.
const ANSWERS: usize = 16;

/// What to show.
#[derive(Args, Clone, Debug)]
pub struct Top {
    /// Show the Certificates and issuers of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Show only Certificates with these labels, such as `app=web,tier!=test`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// What comes back from the cluster.
enum Answer {
    /// The screen of an object, as text.
    Opened(Key, String),
    /// The end of a request, or why it failed.
    Done(String),
}

impl Top {
    /// Shows the screen until the user leaves it.
    ///
    /// # Errors
    /// [`Error`], if there is no terminal or no cluster.
    pub async fn execute(self) -> Result<Exit, Error> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Error::Usage(
                "certwright top needs a terminal; use `certwright list` for scripts".to_owned(),
            ));
        }
        let cluster = Arc::new(self.cluster.connect().await?);
        let namespace = Some(cluster.namespace.clone()).filter(|_| !self.all_namespaces);
        let changes = watch(&cluster, namespace.as_deref(), self.selector.as_deref());
        let mut terminal = ratatui::try_init().map_err(Error::Output)?;
        let shown = show(&mut terminal, State::new(namespace), &cluster, changes).await;
        ratatui::try_restore().map_err(Error::Output)?;
        shown.map(|()| Exit::Fine).map_err(Error::Output)
    }
}

async fn show(
    terminal: &mut ratatui::DefaultTerminal,
    mut state: State,
    cluster: &Arc<Cluster>,
    mut changes: Receiver<Change>,
) -> io::Result<()> {
    let (mut keys, mut ticks) = (EventStream::new(), interval(TICK));
    let (sender, mut answers) = channel(ANSWERS);
    loop {
        terminal.draw(|frame| screen::draw(frame, &mut state, clock::now()))?;
        // The text of an object stands in a frame.
        fit(terminal.size()?.width.saturating_sub(2));
        let effect = tokio::select! {
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => state.press(key),
                Some(Ok(_)) => Effect::None,
                Some(Err(error)) => return Err(error),
                None => Effect::Quit,
            },
            Some(change) = changes.recv() => {
                let mut batch = vec![change];
                while batch.len() < AT_ONCE && let Ok(change) = changes.try_recv() {
                    batch.push(change);
                }
                state.apply(batch)
            },
            Some(answer) = answers.recv() => match answer {
                Answer::Opened(key, text) => state.opened(&key, text),
                Answer::Done(words) => {
                    state.notice = words;
                    Effect::None
                }
            },
            _ = ticks.tick() => state.tick(),
        };
        match effect {
            Effect::None => {}
            Effect::Quit => return Ok(()),
            Effect::Open(key) => {
                let (cluster, sender) = (cluster.clone(), sender.clone());
                tokio::spawn(async move {
                    let text = text_of(&cluster, &key).await;
                    // Nobody reads it if the user has left.
                    let _ = sender.send(Answer::Opened(key, text)).await;
                });
            }
            Effect::Ask(request, key) => {
                let (cluster, sender) = (cluster.clone(), sender.clone());
                tokio::spawn(async move {
                    let words = asked(&cluster, request, &key).await;
                    let _ = sender.send(Answer::Done(words)).await;
                });
            }
        }
    }
}

/// The screen that `certwright status` prints, without its colors.
async fn text_of(cluster: &Cluster, key: &Key) -> String {
    match status_screen(&in_namespace(cluster, key), &key.target()).await {
        Ok(screen) => anstream::adapter::strip_str(&screen.text).to_string(),
        Err(error) => plain(&causes(&error)),
    }
}

/// Makes a request; returns what to tell the user.
async fn asked(cluster: &Cluster, request: Request, key: &Key) -> String {
    match again(&in_namespace(cluster, key), &key.target()).await {
        Ok(()) => format!("{}: {} requested", key.called(), request.noun()),
        Err(error) => plain(&causes(&error)),
    }
}

fn in_namespace(cluster: &Cluster, key: &Key) -> Cluster {
    let namespace = key.namespace().unwrap_or(&cluster.namespace).to_owned();
    Cluster { namespace, ..cluster.clone() }
}
