//! How the page shows each object: a JSON object on the board.
//!
//! Times are seconds since 1970, from which the page computes how far away they are.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::Receiver;

use super::board::Board;
use crate::command::kind::Kind;
use crate::command::outlook::{NextAction, Outlook};
use crate::command::rows::watches::{Change, Health};
use crate::command::rows::{Facts, Key, Row, Standing};

/// A row, as the page reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    key: String,
    namespace: Option<&'a str>,
    name: &'a str,
    state: &'static str,
    /// Whether it is ready, also while it is renewed or a renewal fails.
    ready: bool,
    /// Since when the trouble, or else the state, has lasted.
    since: Option<i64>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    next: &'a str,
    next_at: Option<i64>,
    #[serde(flatten)]
    of: Of<'a>,
}

/// What only one kind has.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Of<'a> {
    Certificate {
        /// The key of the issuer in use.
        issuer: String,
        fallback: bool,
        names: &'a [String],
        more_names: usize,
        secret: &'a str,
        not_after: Option<i64>,
        renewal: Option<i64>,
    },
    Issuer {
        /// `Issuer` or `ClusterIssuer`.
        called: &'static str,
        server: &'a str,
        ca: &'a str,
        account: Option<&'a str>,
    },
}

/// Keeps the board as it is in the cluster, until there are no more changes.
pub async fn follow(mut changes: Receiver<Change>, board: &Board) {
    while let Some(change) = changes.recv().await {
        take(change, board);
    }
}

fn take(change: Change, board: &Board) {
    match change {
        Change::All(kind, rows) => {
            let kept: BTreeSet<String> = rows.iter().map(|row| row.key.to_string()).collect();
            rows.iter().for_each(|row| put(row, board));
            board.retain(&format!("{}/", kind.singular()), |key| kept.contains(key));
        }
        Change::One(row) => put(&row, board),
        Change::Gone(key) => board.remove(&key.to_string()),
        Change::Watch(kind, health) => tell(kind, &health, board),
    }
}

fn put(row: &Row, board: &Board) {
    if let Ok(json) = serde_json::to_string(&shown(row)) {
        board.put(row.key.to_string(), json);
    }
}

/// Puts on the board how a watch is.
fn tell(kind: Kind, Health { is_listed, fault, is_forbidden }: &Health, board: &Board) {
    let kinds = kind.plural();
    let key = format!("watch/{kinds}");
    let row = json!({
        "kind": "watch", "key": key, "name": kinds, "listed": is_listed, "fault": fault, "forbidden": is_forbidden,
    });
    board.put(key, row.to_string());
}

fn shown(row: &Row) -> Shown<'_> {
    let Row { key, standing, outlook, facts } = row;
    let trouble = outlook.problem();
    let (next, next_at) = match &outlook.next {
        NextAction::At(what, time) => (*what, Some(time.as_second())),
        NextAction::When(words) => (words.as_str(), None),
    };
    let seconds = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    Shown {
        key: key.to_string(),
        namespace: key.namespace(),
        name: key.name(),
        state: match standing {
            Standing::Failing => "failing",
            Standing::Unreadable => "unreadable",
            Standing::Unserved => "unserved",
            Standing::Waiting => "waiting",
            Standing::Working => "working",
            Standing::Unseen => "unseen",
            Standing::Ready => "ready",
        },
        ready: outlook.ready == Some(true),
        since: seconds(since(outlook)),
        reason: trouble.map(|trouble| trouble.reason.as_str()),
        message: trouble.map(|trouble| trouble.message.as_str()),
        next,
        next_at,
        of: match facts {
            Facts::Certificate(facts) => Of::Certificate {
                issuer: Key::Issuer(facts.issuer.clone()).to_string(),
                fallback: facts.has_fallback,
                names: &facts.names,
                more_names: facts.more_names,
                secret: &facts.secret,
                not_after: seconds(facts.expires),
                renewal: seconds(facts.renewal),
            },
            Facts::Issuer(facts) => Of::Issuer {
                called: key.kind().as_str(),
                server: &facts.server,
                ca: &facts.ca,
                account: facts.account.as_deref(),
            },
        },
    }
}

/// Since when it has been like this. What is not ready has failed before its last attempt.
fn since(outlook: &Outlook) -> Option<Timestamp> {
    let trouble = outlook.problem().filter(|trouble| !trouble.failed || outlook.ready == Some(true));
    trouble.and_then(|trouble| trouble.since).or(outlook.since)
}

#[cfg(test)]
mod tests;
