//! Ways to prove control of a name.
