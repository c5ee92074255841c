//! `certwright top`: a live screen. What it shows follows from the objects and the keys alone (`state`); this file connects it to
//! the cluster and to the terminal.

mod effect;
mod feed;
mod keys;
mod rows;
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
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::interval;

use self::effect::{Effect, Opened, Request};
use self::feed::{Change, feed};
use self::state::State;
use super::output::plain;
use super::request::again;
use super::status::screen as status_screen;
use super::targets::Target;
use super::{Cluster, ClusterArgs, Error, Exit};
use certwright_runtime::clock;

/// Times are relative to now, so the screen is drawn anew at least this often.
const TICK: Duration = Duration::from_secs(1);
/// How many changes are taken into account before the screen is drawn.
const AT_ONCE: usize = 1000;

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
    Change(Change),
    /// The screen of an object, as text.
    Opened(Opened, String),
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
        let (sender, answers) = channel(AT_ONCE);
        feed(&cluster, namespace.as_deref(), self.selector.as_deref(), &sender, Answer::Change);
        let mut terminal = ratatui::try_init().map_err(Error::Output)?;
        let shown = show(&mut terminal, State::new(namespace), &cluster, answers, sender).await;
        ratatui::try_restore().map_err(Error::Output)?;
        shown.map(|()| Exit::Fine).map_err(Error::Output)
    }
}

async fn show(
    terminal: &mut ratatui::DefaultTerminal,
    mut state: State,
    cluster: &Arc<Cluster>,
    mut answers: Receiver<Answer>,
    sender: Sender<Answer>,
) -> io::Result<()> {
    let (mut keys, mut ticks) = (EventStream::new(), interval(TICK));
    loop {
        terminal.draw(|frame| screen::draw(frame, &mut state, clock::now()))?;
        let effect = tokio::select! {
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => state.press(key),
                Some(Ok(_)) => Effect::None,
                Some(Err(error)) => return Err(error),
                None => Effect::Quit,
            },
            Some(answer) = answers.recv() => {
                let mut batch = vec![answer];
                while batch.len() < AT_ONCE && let Ok(answer) = answers.try_recv() {
                    batch.push(answer);
                }
                take(&mut state, batch)
            },
            _ = ticks.tick() => state.tick(),
        };
        match effect {
            Effect::None => {}
            Effect::Quit => return Ok(()),
            Effect::Open(opened) => {
                let (cluster, sender) = (cluster.clone(), sender.clone());
                tokio::spawn(async move {
                    let text = text_of(&cluster, &opened).await;
                    // Nobody reads it if the user has left.
                    let _ = sender.send(Answer::Opened(opened, text)).await;
                });
            }
            Effect::Ask(request, opened) => {
                let (cluster, sender) = (cluster.clone(), sender.clone());
                tokio::spawn(async move {
                    let words = asked(&cluster, request, &opened).await;
                    let _ = sender.send(Answer::Done(words)).await;
                });
            }
        }
    }
}

/// Takes answers into account.
fn take(state: &mut State, answers: Vec<Answer>) -> Effect {
    let mut changes = Vec::new();
    for answer in answers {
        match answer {
            Answer::Change(change) => changes.push(change),
            Answer::Opened(opened, text) => state.opened(&opened, text),
            Answer::Done(words) => state.notice = words,
        }
    }
    if changes.is_empty() { Effect::None } else { state.apply(changes) }
}

/// The screen that `certwright status` prints, without its colors.
async fn text_of(cluster: &Cluster, opened: &Opened) -> String {
    let cluster = in_namespace(cluster, opened);
    let target = Target { kind: opened.kind, name: opened.name.clone() };
    match status_screen(&cluster, &target).await {
        Ok(screen) => anstream::adapter::strip_str(&screen.text).to_string(),
        Err(error) => plain(&error.to_string()),
    }
}

/// Makes a request; returns what to tell the user.
async fn asked(cluster: &Cluster, request: Request, opened: &Opened) -> String {
    let cluster = in_namespace(cluster, opened);
    let target = Target { kind: opened.kind, name: opened.name.clone() };
    match again(&cluster, &target).await {
        Ok(()) => format!("{}: {} requested", target.called(&cluster.namespace), request.noun()),
        Err(error) => plain(&error.to_string()),
    }
}

fn in_namespace(cluster: &Cluster, opened: &Opened) -> Cluster {
    let namespace = opened.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    Cluster { namespace, ..cluster.clone() }
}
