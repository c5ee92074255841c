//! A command about several objects, of which some fail.

use super::output::{plain, tell};
use super::{Error, Exit};

/// The errors of a command that goes on with other objects after one.
#[derive(Default)]
pub struct Failures(Option<Error>);

impl Failures {
    /// Remembers an error, and prints the one before.
    ///
    /// # Errors
    /// [`Error::Output`]
    pub fn add(&mut self, error: Error) -> Result<(), Error> {
        match self.0.replace(error) {
            Some(before) => tell(&format!("certwright: {}\n", plain(&before.to_string()))),
            None => Ok(()),
        }
    }

    /// Ends the command with the last error, or with `exit` if there is none.
    ///
    /// # Errors
    /// The last error.
    pub fn end(self, exit: Exit) -> Result<Exit, Error> {
        self.0.map_or(Ok(exit), Err)
    }
}
