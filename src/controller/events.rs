//! Events: few, each when something has changed.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use parking_lot::Mutex;
use tracing::{debug, info, warn};

use super::error::may_pass;
use crate::runtime::metrics::{ApiVerb, Metrics};
use certwright_core::conditions::news;
use certwright_core::events as core;
use certwright_runtime::clock;
use certwright_text::clean;

/// The maximum length of a note in the API, in bytes.
const MAX_NOTE: usize = 1000;

/// How long the API server keeps an event by default: until then, the same event is not published again.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Publishes events.
pub struct EventPublisher {
    client: Client,
    reporter: Reporter,
    metrics: Metrics,
    recent: RecentEvents,
}

/// How often those that the API server has forgotten are forgotten here, too: not with each event, since there may be many.
const SWEEP: SignedDuration = SignedDuration::from_mins(1);

/// Which events were published about which object, and when. This is lost with the process: after a restart, events are
/// published again.
#[derive(Default)]
struct RecentEvents(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    published: HashMap<Words, Timestamp>,
    swept: Timestamp,
}

/// Logs what a status that was written says for the first time, in the words of its conditions.
pub fn log_news(before: &[Condition], after: &[Condition]) {
    for Condition { type_, status, reason, message, .. } in news(before, after) {
        info!(condition = type_, status, reason, "{message}");
    }
}

/// An object's uid, a reason and a note.
type Words = (String, String, String);

impl RecentEvents {
    /// Whether this event is new, or so old that the API server no longer has it.
    fn is_news(&self, uid: &str, reason: &str, note: &str, now: Timestamp) -> bool {
        let mut recent = self.0.lock();
        let is_recent = |at: &Timestamp| now.duration_since(*at) < KEPT;
        if now.duration_since(recent.swept) >= SWEEP {
            recent.published.retain(|_, at| is_recent(at));
            recent.swept = now;
        }
        let words = (uid.to_owned(), reason.to_owned(), note.to_owned());
        let news = !recent.published.get(&words).is_some_and(is_recent);
        if news {
            recent.published.insert(words, now);
        }
        news
    }

    /// The event was not published.
    fn take_back(&self, uid: &str, reason: &str, note: &str) {
        let words = (uid.to_owned(), reason.to_owned(), note.to_owned());
        self.0.lock().published.remove(&words);
    }
}

impl EventPublisher {
    /// A publisher that names this component and replica as the source of its events.
    pub fn new(client: Client, reporter: Reporter, metrics: Metrics) -> Self {
        Self { client, reporter, metrics, recent: RecentEvents::default() }
    }

    /// Publishes an event about `object`, unless the same one was published recently. Returns false if that failed and may succeed
    /// later; work must not wait for it.
    pub async fn publish(&self, object: &ObjectReference, event: &core::Event) -> bool {
        let core::Event { severity, action, reason, note } = event;
        let mut note = clean(note, MAX_NOTE);
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let uid = object.uid.as_deref().unwrap_or_default();
        if !self.recent.is_news(uid, reason, &note, clock::now()) {
            return true;
        }
        let event = Event {
            type_: match severity {
                core::Severity::Normal => EventType::Normal,
                core::Severity::Warning => EventType::Warning,
            },
            reason: reason.clone(),
            note: Some(note.clone()),
            action: (*action).to_owned(),
            secondary: None,
        };
        self.metrics.api_written("Event", ApiVerb::Create);
        // A long-lived recorder would merge a second event with the same reason into the first, and keep the first note.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        let Err(error) = recorder.publish(&event, object).await else { return true };
        self.recent.take_back(uid, reason, &note);
        let (later, error) = (may_pass(&error), &error as &dyn std::error::Error);
        match later {
            true => debug!(reason, error, "an event could not be published yet"),
            false => warn!(reason, error, "an event could not be published"),
        }
        !later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_news_again_when_the_event_is_gone() {
        let recent = RecentEvents::default();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(recent.is_news("uid", "CAA", "forbidden", now));
        assert!(!recent.is_news("uid", "CAA", "forbidden", now + SignedDuration::from_mins(59)));
        assert!(recent.is_news("uid", "CAA", "forbidden for another reason", now));
        assert!(recent.is_news("another", "CAA", "forbidden", now));
        assert!(recent.is_news("uid", "CAA", "forbidden", now + SignedDuration::from_mins(60)));
        assert!(recent.is_news("uid", "CAA", "forbidden", now + SignedDuration::from_mins(120)));
        assert_eq!(recent.0.lock().published.len(), 1, "what is old is forgotten");
    }
}
