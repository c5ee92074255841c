//! No root certificates: the tests route plain HTTP, and nothing connects to the outside.

/// None.
pub const TLS_SERVER_ROOTS: &[pki_types::TrustAnchor<'static>] = &[];
