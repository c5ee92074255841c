//! How the operator applies what it writes.

use kube::api::{PatchParams, ValidationDirective};

/// A server-side apply by this field manager.
///
/// An apply fails in any case if it has a field that the API server does not know. To warn of such fields as well, the API
/// server would read each apply a second time.
pub fn applied_by(manager: &str) -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Ignore), ..PatchParams::apply(manager) }
}
