//! What is in the images: the operator's, and that of the DNS provider webhook.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::ValueEnum;
use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REVISION, ANNOTATION_SOURCE,
    ANNOTATION_TITLE, ANNOTATION_VERSION,
};
use pem::{EncodeConfig, LineEnding, Pem};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::{File, Image, Program, Variant, layer};

/// A program with an image of its own.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Which {
    /// The operator.
    Certwright,
    /// The DNS provider webhook.
    CertwrightDns,
}

/// Neither root nor anybody on the node.
const USER: &str = "65532:65532";
/// Where programs of all kinds look for roots, and the TLS library of these, too.
const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";
/// What a pod has in `hostAliases` is in /etc/hosts.
const NAME_SERVICES: &str = "hosts: files dns\n";

const LICENSE: &str = include_str!("../../LICENSE");

/// What is known of the build.
pub struct Build {
    /// Version of the program; also the image's tag.
    pub version: String,
    /// Unix time of the sources, in seconds.
    pub created: u64,
    /// The commit, if it is known.
    pub revision: Option<String>,
    /// The programs, each for another kind of processor.
    pub programs: Vec<Built>,
}

/// A program, and what is known of it.
pub struct Built {
    /// The program.
    pub program: Program,
    /// Its bill of materials, in CycloneDX's JSON.
    pub bill_of_materials: Option<Vec<u8>>,
}

/// URL of the sources. The names of images and charts follow from it.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Where images and charts are published: `ghcr.io/owner` for a repository `https://github.com/owner/name`.
pub fn registry() -> String {
    let owner = REPOSITORY.trim_start_matches("https://github.com/").split('/').next().unwrap_or_default();
    format!("ghcr.io/{}", owner.to_lowercase())
}

impl Which {
    /// Its name, as its chart has it.
    fn name(self) -> &'static str {
        match self {
            Self::Certwright => "certwright",
            Self::CertwrightDns => "certwright-dns",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Certwright => "Certwright",
            Self::CertwrightDns => "Certwright DNS",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Certwright => "Keeps TLS Secrets filled with certificates from any ACME CA",
            Self::CertwrightDns => "DNS provider webhook for Certwright and cert-manager",
        }
    }
}

/// The image: the program, the roots of public CAs, the licence and the bill of materials; no shell.
pub fn image(which: Which, build: Build) -> Image {
    let labels = labels(which, &build);
    let name = which.name();
    let variants = build.programs.into_iter().map(|built| variant(name, built)).collect();
    Image {
        name: format!("{}/{name}", registry()),
        tag: build.version,
        entrypoint: vec![format!("/{name}")],
        user: USER.into(),
        labels,
        created: build.created,
        variants,
    }
}

/// The operator's program as a command line, with its licence, as a compressed archive.
pub fn archive(program: Vec<u8>, created: u64) -> Result<Vec<u8>> {
    let name = Which::Certwright.name();
    let files = [File::program(name, program), File::data("LICENSE", LICENSE)];
    layer::gzip(&layer::tar(&files, created)?)
}

fn variant(name: &str, built: Built) -> Variant {
    let about = format!("usr/share/doc/{name}");
    let mut files = vec![
        File::program(name, built.program.content),
        File::data(ROOTS, roots()),
        File::data("etc/nsswitch.conf", NAME_SERVICES),
        File::data(&format!("{about}/LICENSE"), LICENSE),
    ];
    files.extend(built.bill_of_materials.map(|bill| File::data(&format!("{about}/sbom.cdx.json"), bill)));
    Variant { architecture: built.program.architecture, files }
}

fn labels(which: Which, build: &Build) -> BTreeMap<String, String> {
    let created = i64::try_from(build.created).ok().and_then(|time| jiff::Timestamp::from_second(time).ok());
    let all = [
        (ANNOTATION_TITLE, Some(which.title().to_owned())),
        (ANNOTATION_DESCRIPTION, Some(which.description().to_owned())),
        (ANNOTATION_LICENSES, Some("Apache-2.0".to_owned())),
        (ANNOTATION_VERSION, Some(build.version.clone())),
        (ANNOTATION_CREATED, created.map(|time| time.to_string())),
        (ANNOTATION_REVISION, build.revision.clone()),
        (ANNOTATION_SOURCE, Some(REPOSITORY.to_owned())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The roots that Mozilla trusts for servers, in PEM.
pub fn roots() -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let all = TLS_SERVER_ROOT_CERTS.iter();
    all.map(|root| pem::encode_config(&Pem::new("CERTIFICATE", root.as_ref()), lines)).collect()
}
