//! What happens next: pure functions of a snapshot and `now`. No client, no clock, no async runtime.
