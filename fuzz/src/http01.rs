//! Requests for challenges, and what a self-check is answered.

use certwright_solver::http01::fuzzing;
use http_body::Body;

use crate::input;
use crate::property::message;

/// What somebody sends to the responder, as it comes over the wire.
pub fn request(data: &[u8]) {
    let Some(request) = input::request(data) else { return };
    let answer = fuzzing::respond(&request);
    match answer.status().as_u16() {
        200 => assert!(request.uri().path().ends_with("/tok-A_1")),
        404 => assert!(answer.body().size_hint().exact().is_some_and(|size| (1..=200).contains(&size))),
        other => panic!("it answers {other}"),
    }
}

/// What a server answers to the self-check, as it comes over the wire.
pub fn self_check(data: &[u8]) {
    if let Err(failure) = fuzzing::judge(data) {
        message(&failure.to_string());
    }
}
