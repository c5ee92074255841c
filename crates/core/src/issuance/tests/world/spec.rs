//! What users change in the spec.

use certwright_api::RotationPolicy;

use super::World;

impl World {
    pub fn rotation_is(&mut self, policy: RotationPolicy) {
        self.edit(|spec| spec.private_key.as_mut().unwrap().rotation_policy = Some(policy));
    }

    pub fn key_size_is(&mut self, size: i32) {
        self.edit(|spec| spec.private_key.as_mut().unwrap().size = Some(size));
    }
}
