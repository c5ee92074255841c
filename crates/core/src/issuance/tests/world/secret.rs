//! The TLS Secret.

use certwright_pki::{Chain, PrivateKey};

use super::World;
use crate::reissue::SecretView;

#[derive(Clone, Default)]
pub struct TlsSecret {
    /// What others have added to it.
    pub note: u32,
    /// The template, and the encoding of the key, that it was written with.
    pub written_as: String,
    pub certificate_name: Option<String>,
    /// Its type, if that is not `kubernetes.io/tls`.
    pub type_: Option<String>,
    pub issuer: Option<(String, String)>,
    pub key: Option<Result<PrivateKey, String>>,
    pub chain: Option<Result<Chain, String>>,
}

/// What the operator sees of it.
pub(super) fn view(secret: &TlsSecret) -> SecretView {
    SecretView {
        exists: true,
        version: None,
        certificate_name: secret.certificate_name.clone(),
        issuer: secret.issuer.clone(),
        requested_names: None,
        as_written: true,
        type_: secret.type_.clone(),
        key: secret.key.as_ref().map(|key| {
            let key = key.as_ref().map_err(Clone::clone)?;
            Ok((key.algorithm(), key.public_key_der().to_vec()))
        }),
        leaf: secret.chain.as_ref().map(|chain| Ok(chain.as_ref().map_err(Clone::clone)?.leaf().clone())),
    }
}

/// Changes with everything that is written into the Secret.
fn version(secret: &TlsSecret, view: &SecretView, kept_by: Option<&str>) -> String {
    let TlsSecret { note, written_as, .. } = secret;
    crate::naming::digest(&format!("{note} {written_as} {view:?} {kept_by:?}"))
}

impl World {
    pub(super) fn secret_view(&self) -> SecretView {
        let Some(secret) = &self.secret else { return SecretView::default() };
        let view = view(secret);
        let version = Some(version(secret, &view, self.kept_by.as_deref()));
        let as_written = self.wanted().is_ok_and(|wanted| wanted.written_as() == secret.written_as);
        SecretView { version, as_written, ..view }
    }

    /// Somebody adds to the Secret what does not matter.
    pub fn touch_secret(&mut self) {
        self.secret.as_mut().unwrap().note += 1;
    }
}
