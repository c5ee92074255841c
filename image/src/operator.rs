//! The operator's image.

use std::collections::BTreeMap;

use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REVISION, ANNOTATION_SOURCE,
    ANNOTATION_TITLE, ANNOTATION_VERSION,
};
use pem::{EncodeConfig, LineEnding, Pem};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::{File, Image, Program};

/// Its name, as the chart and `deploy/base` have it.
pub const NAME: &str = "certwright";

/// Neither root nor anybody on the node.
const USER: &str = "65532:65532";
const PROGRAM: &str = "certwright";
/// Where programs of all kinds look for roots, and the operator's TLS library, too.
const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";
/// What a pod has in `hostAliases` is in /etc/hosts.
const NAME_SERVICES: &str = "hosts: files dns\n";
const ABOUT: &str = "usr/share/doc/certwright";

/// What is known of the build.
pub struct Build {
    /// Version of the operator; also the image's tag.
    pub version: String,
    /// Unix time of the sources, in seconds.
    pub created: u64,
    /// The commit, if it is known.
    pub revision: Option<String>,
    /// URL of the sources, if there is one.
    pub source: Option<String>,
    /// The bill of materials, in CycloneDX's JSON.
    pub bill_of_materials: Option<Vec<u8>>,
}

/// The image: the program, the roots of public CAs, the licence and the bill of materials; no shell.
pub fn image(program: Program, build: Build) -> Image {
    let labels = labels(&build);
    let mut files = vec![
        File::program(PROGRAM, program.content),
        File::data(ROOTS, roots()),
        File::data("etc/nsswitch.conf", NAME_SERVICES),
        File::data(&format!("{ABOUT}/LICENSE"), include_str!("../../LICENSE")),
    ];
    files.extend(build.bill_of_materials.map(|bill| File::data(&format!("{ABOUT}/sbom.cdx.json"), bill)));
    Image {
        name: NAME.into(),
        tag: build.version,
        architecture: program.architecture,
        entrypoint: vec![format!("/{PROGRAM}")],
        user: USER.into(),
        labels,
        created: build.created,
        files,
    }
}

fn labels(build: &Build) -> BTreeMap<String, String> {
    let created = i64::try_from(build.created).ok().and_then(|time| jiff::Timestamp::from_second(time).ok());
    let all = [
        (ANNOTATION_TITLE, Some("Certwright".to_owned())),
        (
            ANNOTATION_DESCRIPTION,
            Some("Keeps TLS Secrets filled with certificates from any ACME CA".to_owned()),
        ),
        (ANNOTATION_LICENSES, Some("Apache-2.0".to_owned())),
        (ANNOTATION_VERSION, Some(build.version.clone())),
        (ANNOTATION_CREATED, created.map(|time| time.to_string())),
        (ANNOTATION_REVISION, build.revision.clone()),
        (ANNOTATION_SOURCE, build.source.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The roots that Mozilla trusts for servers, in PEM.
pub fn roots() -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let all = TLS_SERVER_ROOT_CERTS.iter();
    all.map(|root| pem::encode_config(&Pem::new("CERTIFICATE", root.as_ref()), lines)).collect()
}
