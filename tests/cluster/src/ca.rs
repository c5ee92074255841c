//! The certificate authority that signs all TLS certificates of a run, except those that ACME servers issue.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// A test certificate authority: its certificate in PEM, and its key.
pub struct TestCa {
    /// The authority's own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its private key (PKCS #8), both PEM.
pub struct SignedCertificate {
    pub certificate: String,
    pub key: String,
}

impl TestCa {
    /// Creates a new authority and writes it as `ca.crt` and `ca.key` into `dir`.
    pub fn create(dir: &Path) -> Result<Self> {
        let key = KeyPair::generate()?;
        fs::write(dir.join("ca.key"), key.serialize_pem())?;
        let certified = CertifiedIssuer::self_signed(ca_params("Certwright test CA"), key)?;
        fs::write(dir.join("ca.crt"), certified.pem())?;
        Self::load(dir)
    }

    /// Reads the authority that [`TestCa::create`] wrote into `dir`.
    pub fn load(dir: &Path) -> Result<Self> {
        let read = |file: &str| {
            let path = dir.join(file);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let key = KeyPair::from_pem(&read("ca.key")?)?;
        Ok(Self { pem: read("ca.crt")?, issuer: Issuer::new(ca_params("Certwright test CA"), key) })
    }

    /// Signs a certificate for the names (DNS names or IP addresses), for servers and clients.
    pub fn sign(&self, common_name: &str, names: &[&str]) -> Result<SignedCertificate> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(SignedCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl SignedCertificate {
    /// Writes `<name>.crt` and `<name>.key` into `dir`.
    pub fn write(&self, dir: &Path, name: &str) -> Result<()> {
        fs::write(dir.join(format!("{name}.crt")), &self.certificate)?;
        fs::write(dir.join(format!("{name}.key")), &self.key)?;
        Ok(())
    }
}

/// Parameters of a certificate authority.
pub(crate) fn ca_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

#[cfg(test)]
mod tests {
    use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

    use super::*;

    #[test]
    fn an_authority_read_back_signs_what_the_written_one_vouches_for() {
        let dir = tempfile::tempdir().unwrap();
        TestCa::create(dir.path()).unwrap();
        let ca = TestCa::load(dir.path()).unwrap();
        let signed = ca.sign("server", &["192.0.2.10", "localhost"]).unwrap();

        let (_, ca_pem) = parse_x509_pem(ca.pem.as_bytes()).unwrap();
        let (_, leaf_pem) = parse_x509_pem(signed.certificate.as_bytes()).unwrap();
        let (_, authority) = parse_x509_certificate(&ca_pem.contents).unwrap();
        let (_, leaf) = parse_x509_certificate(&leaf_pem.contents).unwrap();
        assert_eq!(leaf.issuer(), authority.subject());
        leaf.verify_signature(Some(authority.public_key())).unwrap();
    }
}
