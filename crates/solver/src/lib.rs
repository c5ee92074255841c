//! Ways to prove control of a name, and a look at what is served there.

pub mod dns01;
pub mod http01;
pub mod served;
pub mod tls_alpn01;
