//! Events: few, each when something has changed.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::warn;

use super::context::Context;
use crate::runtime::metrics::ApiVerb;

/// Longest note that the API takes, in bytes.
const MAX_NOTE: usize = 1000;

/// Publishes an event about `object`. One that cannot be published is logged: it must not hold up the work.
pub async fn publish(
    context: &Context,
    object: &ObjectReference,
    type_: EventType,
    reason: &str,
    action: &str,
    note: &str,
) {
    let mut end = note.len().min(MAX_NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note[..end].to_owned()),
        action: action.to_owned(),
        secondary: None,
    };
    context.metrics.api_written("Event", ApiVerb::Create);
    // A recorder that lasts would count a second event of the same reason, and keep the words of the first.
    let recorder = Recorder::new(context.client.clone(), context.reporter.clone());
    if let Err(error) = recorder.publish(&event, object).await {
        warn!(reason, error = &error as &dyn std::error::Error, "an event could not be published");
    }
}
