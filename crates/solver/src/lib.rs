//! Ways to prove control of a name.

pub mod dns01;
pub mod http01;
pub mod tls_alpn01;
