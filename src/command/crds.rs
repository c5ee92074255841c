//! `certwright crds`: prints the CustomResourceDefinitions.

use super::{Error, Exit, print};

/// Prints the CustomResourceDefinitions.
///
/// # Errors
/// [`Error`], if they cannot be written.
pub fn execute() -> Result<Exit, Error> {
    print(&certwright_api::crds_yaml().map_err(Error::Yaml)?)?;
    Ok(Exit::Fine)
}
