//! Ways to prove control of a name.

pub mod http01;
