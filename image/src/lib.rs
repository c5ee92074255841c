//! Images as OCI archives, made without a container engine: from nothing but the files that are given, and the same bytes
//! each time.

mod archive;
mod layer;
pub mod operator;
mod program;

pub use archive::Image;
pub use layer::File;
pub use program::Program;
