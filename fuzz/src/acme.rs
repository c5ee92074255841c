//! What a CA answers, as HTTP brings it.

use std::time::Duration;

use certwright_acme::{AcmeError, AcmeResponse, RenewalInfo, fuzzing};
use certwright_core::renewal::{NoSuggestion, RenewalInfoRequest};
use certwright_pki::Chain;
use http::{HeaderValue, Response};

use crate::cluster;
use crate::input;
use crate::pki::{CHAIN, NOW, check_chain};
use crate::property::{message, refusal};

/// The bounds of what a CA can have us wait.
const WAITS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

pub fn account(data: &[u8]) {
    let Some((url, state)) = read(data, fuzzing::account) else { return };
    check_url(&url);
    assert!(state.email_addresses().len() <= state.contact.len());
}

pub fn authorization(data: &[u8]) {
    if let Some(AcmeResponse { value, .. }) = answer(data, fuzzing::authorization) {
        let _ = value.name();
        value.error().iter().for_each(|problem| message(&problem.to_string()));
    }
    answer(data, fuzzing::challenge);
}

/// A chain, with links to others.
pub fn chain(data: &[u8]) {
    let Some(AcmeResponse { value, .. }) = answer(data, fuzzing::chain) else { return };
    value.alternates.iter().for_each(|url| check_url(url));
    match Chain::parse_pem(value.pem.as_bytes()) {
        Ok(chain) => check_chain(&chain),
        Err(error) => refusal(&error),
    }
}

pub fn directory(data: &[u8]) {
    read(data, fuzzing::directory);
}

/// Location, Link, Retry-After, Date and Replay-Nonce, around an order that is always the same.
pub fn headers(data: &[u8]) {
    let order = br#"{"status":"pending","finalize":"https://ca.example/f/1"}"#;
    let with_order = [data.trim_ascii_end(), b"\n\n", order].concat();
    answer(&with_order, fuzzing::order);
    if let Some(nonce) = read(data, fuzzing::nonce) {
        assert!(!nonce.is_empty() && HeaderValue::from_str(&nonce).is_ok());
    }
}

pub fn order(data: &[u8]) {
    if let Some(AcmeResponse { value, .. }) = answer(data, fuzzing::order) {
        value.error.iter().for_each(|problem| message(&problem.to_string()));
    }
}

/// A refusal, whatever it refuses.
pub fn problem(data: &[u8]) {
    let Some(response) = response(data) else { return };
    if let Err(error) = fuzzing::order(response) {
        check(&error);
        if let (Some(problem), Some(status)) = (error.problem(), error.status()) {
            cluster::refused(problem, status);
            let kept = serde_json::to_value(problem).expect("it can be kept");
            assert_eq!(kept["type"], problem.typ);
        }
    }
}

pub fn renewal_info(data: &[u8]) {
    let response = response(data);
    let leaf = CHAIN.leaf();
    let id = leaf.certificate_id.as_deref().expect("it has one");
    let question = RenewalInfoRequest {
        leaf,
        certificate_id: id,
        uid: "uid-1",
        account: "https://ca.example/account/1",
        before: None,
        failures: 0,
        now: *NOW,
        at_ca: *NOW,
    };
    let status = match response.map(fuzzing::renewal_info) {
        None => return,
        Some(Ok(AcmeResponse { value, retry_after, .. })) => suggested(&question, &value, retry_after),
        Some(Err(error)) => {
            check(&error);
            let (status, _) = question.failed(&NoSuggestion::Call(error));
            let Some(status) = status else { return };
            status
        }
    };
    status.last_error.iter().for_each(|words| message(words));
    status.explanation_url.iter().for_each(|url| message(url));
    if let (Some(window), Some(time)) = (&status.suggested_window, &status.selected_time) {
        assert!(window.start.0 <= time.0 && time.0 <= window.end.0);
    }
}

fn suggested(
    question: &RenewalInfoRequest<'_>,
    info: &RenewalInfo,
    retry_after: Option<Duration>,
) -> certwright_api::RenewalInfoStatus {
    let (status, _) = question.answered(info, retry_after);
    // The CA says the same once more: nothing is written.
    let again = RenewalInfoRequest { before: Some(&status), ..*question };
    assert_eq!(again.answered(info, retry_after).0, status);
    status
}

fn response(data: &[u8]) -> Option<Response<Vec<u8>>> {
    let input::Answer { status, headers, body } = input::Answer::of(data)?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Some(response)
}

fn read<T>(data: &[u8], reader: Reader<T>) -> Option<T> {
    reader(response(data)?).inspect_err(check).ok()
}

type Reader<T> = fn(Response<Vec<u8>>) -> Result<T, AcmeError>;

fn answer<T>(data: &[u8], reader: Reader<AcmeResponse<T>>) -> Option<AcmeResponse<T>> {
    let answer = read(data, reader)?;
    answer.location.iter().for_each(|url| check_url(url));
    answer.retry_after.iter().for_each(|wait| assert!(WAITS.contains(wait)));
    Some(answer)
}

fn check(error: &AcmeError) {
    refusal(error);
    message(error.code());
    error.retry_after().iter().for_each(|wait| assert!(WAITS.contains(wait)));
}

/// It goes into the status, and is asked for as it is.
fn check_url(url: &str) {
    message(url);
}
