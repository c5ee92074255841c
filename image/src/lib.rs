//! Images as OCI archives, made without a container engine: from nothing but the files that are given, and the same bytes
//! each time.

mod archive;
pub mod contents;
mod layer;
mod program;
pub mod reader;

pub use archive::{Image, Variant};
pub use layer::File;
pub use program::Program;
