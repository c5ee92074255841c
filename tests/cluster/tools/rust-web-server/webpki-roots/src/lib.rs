//! No root certificates: what the tests route is plain HTTP, and nothing outside is reached.

/// None.
pub const TLS_SERVER_ROOTS: &[pki_types::TrustAnchor<'static>] = &[];
