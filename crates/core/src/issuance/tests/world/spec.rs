//! What users change in the spec.

use certwright_api::RotationPolicy;
use certwright_pki::{PrivateKey, SignatureHash, SigningRequest, Subject, certificate_signing_request};

use super::World;

impl World {
    pub fn rotation_is(&mut self, policy: RotationPolicy) {
        self.edit(|spec| spec.private_key.as_mut().unwrap().rotation_policy = Some(policy));
    }

    /// The spec has a certificate signing request for a key that is kept elsewhere.
    pub fn csr_is_for(&mut self, key: &PrivateKey, names: &[&str]) {
        let dns_names = names.iter().map(|name| (*name).to_owned()).collect();
        let subject = Subject { dns_names, ..Subject::default() };
        let der = certificate_signing_request(key, &subject, SignatureHash::MatchKey).unwrap();
        let pem = SigningRequest::from_der(&der).unwrap().pem();
        self.csr_key = Some(key.clone());
        self.edit(|spec| spec.csr = Some(pem));
    }

    pub fn key_size_is(&mut self, size: i32) {
        self.edit(|spec| spec.private_key.as_mut().unwrap().size = Some(size));
    }
}
