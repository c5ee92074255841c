//! What the CA answers instead.

use std::time::Duration;

use certwright_acme::{AcmeError, Operation, Problem};

/// A refusal, or no answer.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: &'static str,
    pub status: Option<u16>,
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub fn no_answer() -> Self {
        Self { code: "timeout", status: None, retry_after: None }
    }

    /// The error as the client returns it for `operation`.
    pub fn error(self, operation: Operation) -> AcmeError {
        let Self { code, status, retry_after } = self;
        let host = "ca.test".to_owned();
        match status {
            None if code == "answerOutOfBounds" => {
                AcmeError::OutOfBounds { operation, host, what: "it is too long".to_owned() }
            }
            None => AcmeError::Timeout { operation, host },
            Some(status) if code == "unexpectedStatus" => {
                AcmeError::Http { operation, host, status, kind: String::new(), retry_after }
            }
            Some(status) => {
                let typ = format!("urn:ietf:params:acme:error:{code}");
                let problem = Box::new(Problem { typ, detail: code.to_owned(), ..Problem::default() });
                AcmeError::Problem { operation, status, problem, retry_after }
            }
        }
    }
}
