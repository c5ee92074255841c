//! Private keys, certificate signing requests, certificate chains.
