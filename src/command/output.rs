//! Where a command shows what it has to show.

use std::io::{self, Write};

use super::Error;

/// Prints `text` to standard output, its colours only to a terminal and without `NO_COLOR`.
///
/// # Errors
/// [`Error::Output`]; not if the reader has seen enough, as `head` does.
pub fn print(text: &str) -> Result<(), Error> {
    let mut output = anstream::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
