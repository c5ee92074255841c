use serde_json::json;

use super::*;
use crate::dns01::tests::record;

#[test]
fn a_request_is_written_as_cert_managers_webhooks_read_it() {
    let config = Some(json!({"zone": "a.test", "nested": {"any": [1]}}));
    let payload = request("uid-1", Action::Present, &record("*.a.test"), "default", true, config);
    assert_eq!(
        serde_json::to_value(&payload).unwrap(),
        json!({
            "kind": "ChallengePayload",
            "apiVersion": "webhook.acme.cert-manager.io/v1alpha1",
            "request": {
                "uid": "uid-1",
                "action": "Present",
                "type": "dns-01",
                "dnsName": "a.test",
                "key": record("a.test").value,
                "resourceNamespace": "default",
                "resolvedFQDN": "_acme-challenge.a.test.",
                "resolvedZone": "a.test.",
                "allowAmbientCredentials": true,
                "config": {"zone": "a.test", "nested": {"any": [1]}},
            },
        })
    );
    let payload = request("uid-2", Action::CleanUp, &record("a.test"), "default", false, None);
    let value = serde_json::to_value(&payload).unwrap();
    assert_eq!((&value["request"]["action"], value["request"].get("config")), (&json!("CleanUp"), None));
    assert_eq!(serde_json::from_value::<ChallengePayload>(value).unwrap(), payload);
}

fn read_json(answer: &Value) -> Result<(), Error> {
    read(answer.to_string().as_bytes(), "uid-1")
}

#[test]
fn a_success_is_accepted_with_any_other_fields() {
    assert_eq!(read_json(&json!({"response": {"uid": "uid-1", "success": true}})), Ok(()));
    let mut answer =
        serde_json::to_value(request("uid-1", Action::Present, &record("a.test"), "d", true, None)).unwrap();
    answer["request"]["action"] = json!("Odd");
    answer["response"] = json!({"uid": "uid-1", "success": true, "status": {"metadata": {}}, "more": 1});
    assert_eq!(read_json(&answer), Ok(()));
    assert_eq!(read_json(&json!({"response": {"success": true}})), Ok(()));
}

#[test]
fn a_refusal_is_quoted_word_for_word() {
    let refused = |status: Value| {
        let answer = json!({"response": {"uid": "uid-1", "success": false, "status": status}});
        let error = read_json(&answer).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        error.to_string()
    };
    let status =
        json!({"status": "Failure", "message": "zone 7 is locked", "reason": "Forbidden", "code": 403});
    assert_eq!(refused(status), "says: zone 7 is locked");
    assert_eq!(refused(json!({"reason": "Forbidden"})), "failed, and says only Forbidden");
    assert_eq!(refused(json!({"code": 403, "reason": ""})), "failed, and says only 403");
    assert_eq!(refused(json!({})), "failed without saying why; check its log");
    assert_eq!(refused(Value::Null), "failed without saying why; check its log");
}

#[test]
fn each_invalid_answer_has_its_own_message() {
    for (body, text) in [
        (
            "<html><title>502 Bad Gateway</title></html>",
            "did not answer with JSON; check that groupName leads to the webhook",
        ),
        ("", "did not answer with JSON; check that groupName leads to the webhook"),
        (
            "[]",
            "did not answer with a ChallengePayload; it must support webhook.acme.cert-manager.io/v1alpha1",
        ),
        (
            r#"{"response": {"success": "yes"}}"#,
            "did not answer with a ChallengePayload; it must support webhook.acme.cert-manager.io/v1alpha1",
        ),
        ("{}", "answered without a response; it must set .response of the ChallengePayload"),
        (
            r#"{"response": {"uid": "uid-2", "success": true}}"#,
            "answered a different request: .response.uid must be that of the request",
        ),
        (
            r#"{"kind": "Status", "message": "error trying to reach service: connection refused", "code": 503}"#,
            "could not be reached; the API server says: error trying to reach service: connection refused",
        ),
    ] {
        let error = read(body.as_bytes(), "uid-1").unwrap_err();
        assert_eq!(error.to_string(), text, "{body}");
    }
}

#[test]
fn names_of_a_webhook_are_single_parts_of_the_path() {
    assert_eq!(path("acme.example.com", "my-dns"), "/apis/acme.example.com/v1alpha1/my-dns");
    assert_eq!(
        path("a/../../api/v1/namespaces/x/secrets?", ".."),
        "/apis/a%2F..%2F..%2Fapi%2Fv1%2Fnamespaces%2Fx%2Fsecrets%3F/v1alpha1/%2E%2E"
    );
}
