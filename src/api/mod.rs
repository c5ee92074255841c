//! The three kinds, `Issuer`, `ClusterIssuer` and `Certificate`, with their conditions and reasons; no logic.
