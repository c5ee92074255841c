//! How a command ended, as scripts see it.

use std::process::ExitCode;

/// How a command ended. The numbers are documented in `docs/command-line.md`, and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and all is well.
    Fine = 0,
    /// It could not be done.
    Failed = 1,
    /// It was asked for in a way that cannot be understood.
    Usage = 2,
    /// It was done, and what was found is not well: not ready, about to expire, refused.
    NotWell = 3,
    /// There is no such object.
    NotFound = 4,
    /// What was waited for did not come about in time, as `timeout` of the coreutils says it.
    TimedOut = 124,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
