use std::time::Duration;

/// A CA's answer, with the relevant headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeResponse<T> {
    /// The object in the body.
    pub value: T,
    /// The URL of the object (`Location`): always present after newOrder, otherwise only if the CA repeats it.
    pub location: Option<String>,
    /// How long to wait before asking again, from 1 s to 24 h (RFC 8555 section 7.4 and 7.5.1).
    pub retry_after: Option<Duration>,
}
