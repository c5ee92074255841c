//! `certwright crds`: prints the CustomResourceDefinitions.

use super::{Error, Exit, print};
use crate::api;

/// Prints the CustomResourceDefinitions.
///
/// # Errors
/// [`Error`], if they cannot be written.
pub fn execute() -> Result<Exit, Error> {
    print(&api::crds_yaml().map_err(Error::Yaml)?)?;
    Ok(Exit::Fine)
}
