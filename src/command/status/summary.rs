//! What the screen of an object says, for programs.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde::Serialize;
use serde_json::Value;

use super::event_time;
use crate::command::handbook::{self, Chapter};
use crate::command::outlook::{NextAction, Outlook, Trouble};
use crate::command::targets::Target;

/// An object. `docs/command-line.md` documents the fields: do not rename them.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    /// `None`: the operator has not processed it yet.
    pub(super) ready: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_served: Option<Problem>,
    next: Next,
    events: Vec<OneEvent>,
    /// The status of the object, as it is.
    status: Value,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    reason: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what_to_do: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Next {
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Serialize)]
struct OneEvent {
    time: Option<Timestamp>,
    #[serde(rename = "type")]
    type_: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

impl Summary {
    pub(super) fn new(
        (target, namespace, chapter): (&Target, Option<&str>, Chapter),
        outlook: &Outlook,
        events: &[Event],
        status: Value,
    ) -> Self {
        let problem = |trouble: &Trouble| {
            let entry = handbook::entry(chapter, &trouble.reason);
            let what_to_do =
                entry.map(|entry| anstream::adapter::strip_str(&handbook::plain(&entry.text, 0)).to_string());
            Problem {
                reason: trouble.reason.clone(),
                message: trouble.message.clone(),
                since: trouble.since,
                what_to_do,
            }
        };
        let trouble =
            |failed: bool| outlook.trouble.as_ref().filter(|trouble| trouble.failed == failed).map(problem);
        let (action, time) = match &outlook.next {
            NextAction::At(what, time) => ((*what).to_owned(), Some(*time)),
            NextAction::When(words) => (words.clone(), None),
        };
        let event = |event: &Event| OneEvent {
            time: event_time(event),
            type_: event.type_.clone(),
            reason: event.reason.clone(),
            message: event.message.clone(),
        };
        Self {
            kind: target.kind.as_str(),
            namespace: namespace.map(str::to_owned),
            name: target.name.clone(),
            ready: outlook.ready,
            since: outlook.since,
            problem: trouble(true),
            waits_for: trouble(false),
            not_served: outlook.unserved.as_ref().map(problem),
            next: Next { action, time },
            events: events.iter().map(event).collect(),
            status,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::command::kind::Kind;
    use crate::command::outlook;
    use certwright_api::Certificate;

    #[test]
    fn programs_are_told_what_the_screen_says() {
        let status = json!({
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "CAA", "message": "no", "observedGeneration": 1,
                  "lastTransitionTime": "2026-01-01T00:00:00Z" },
                { "type": "Issuing", "status": "False", "reason": "CAA", "message": "no", "observedGeneration": 1,
                  "lastTransitionTime": "2026-01-01T00:00:00Z" },
            ],
            "failedIssuanceAttempts": 2, "lastFailureTime": "2026-01-01T00:04:00Z", "nextAttemptTime": "2026-01-01T01:07:00Z",
        });
        let mut summary = summary_of(&status);
        let to_do = summary["problem"]["whatToDo"].take();
        assert!(to_do.as_str().is_some_and(|words| words.starts_with("Add a CAA record")), "{to_do}");
        let expected = json!({
            "kind": "Certificate", "namespace": "shop", "name": "www", "ready": false, "since": "2026-01-01T00:00:00Z",
            "problem": { "reason": "CAA", "message": "no", "since": "2026-01-01T00:04:00Z", "whatToDo": null },
            "next": { "action": "retries", "time": "2026-01-01T01:07:00Z" }, "events": [], "status": status,
        });
        assert_eq!(summary, expected);
    }

    /// Of a Certificate with this status, five minutes into the year.
    fn summary_of(status: &Value) -> Value {
        let certificate: Certificate = serde_json::from_value(json!({
            "metadata": { "name": "www", "namespace": "shop", "generation": 1 },
            "spec": { "secretName": "s", "dnsNames": ["a.example.com"], "issuerRef": { "name": "ca" } },
            "status": status,
        }))
        .unwrap();
        let outlook = outlook::of_certificate(&certificate, "2026-01-01T00:05:00Z".parse().unwrap());
        let target = Target { kind: Kind::Certificate, name: "www".to_owned() };
        let of = (&target, Some("shop"), Chapter::Certificates);
        serde_json::to_value(Summary::new(of, &outlook, &[], status.clone())).unwrap()
    }

    #[test]
    fn a_certificate_that_is_ready_and_not_served_is_told_to_programs_as_well() {
        let condition = |type_: &str, status: &str, reason: &str, time: &str| {
            json!({ "type": type_, "status": status, "reason": reason, "message": "it is", "observedGeneration": 1,
                    "lastTransitionTime": time })
        };
        let summary = |served: &str| {
            let status = json!({
                "conditions": [
                    condition("Ready", "True", "Ready", "2026-01-01T00:00:00Z"),
                    condition("Served", served, "OldCertificateServed", "2026-01-01T00:02:00Z"),
                ],
                "renewalTime": "2026-03-01T00:00:00Z",
            });
            summary_of(&status)
        };
        let mut wrong = summary("False");
        let to_do = wrong["notServed"]["whatToDo"].take();
        assert!(to_do.as_str().is_some_and(|words| words.contains("Reload")), "{to_do}");
        let served = json!({ "reason": "OldCertificateServed", "message": "it is", "since": "2026-01-01T00:02:00Z",
                             "whatToDo": null });
        assert_eq!((&wrong["ready"], &wrong["notServed"]), (&json!(true), &served));
        assert_eq!(wrong["next"]["action"], "renews");
        for fields in [&wrong, &summary("True"), &summary("Unknown")] {
            assert_eq!((&fields["problem"], &fields["waitsFor"]), (&Value::Null, &Value::Null));
        }
        assert_eq!(summary("Unknown")["notServed"], Value::Null);
    }
}
