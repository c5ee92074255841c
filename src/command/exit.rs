//! The exit codes of commands.

use std::process::ExitCode;

/// How a command ended. `docs/command-line.md` documents the numbers: do not change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Fine = 0,
    /// The command failed.
    Failed = 1,
    /// The command line is invalid.
    Usage = 2,
    /// The command succeeded but found a problem: not ready, about to expire, rejected.
    NotWell = 3,
    /// The object does not exist.
    NotFound = 4,
    /// The wait timed out. This is the code that `timeout` of the coreutils uses.
    TimedOut = 124,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
