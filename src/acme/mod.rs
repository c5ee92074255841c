//! The ACME client layer (RFC 8555): transport, accounts, orders, problems.
