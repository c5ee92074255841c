//! Whether CAA records are checked before an order is placed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Whether CAA records are checked before an order is placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::without_description)]
pub enum CaaCheck {
    /// An order that the CA must refuse is not placed.
    #[default]
    Enforce,
    /// They are not looked up.
    #[serde(rename = "None")]
    Unchecked,
}
