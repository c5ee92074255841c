//! Fuzz targets: each hands bytes to one of Certwright's readers as somebody outside would, and asserts what has to hold
//! whatever they are. That there is no panic is one of these things; that a message for people is one line of bounded length, and
//! that what was read can be written and read again, are others.
//!
//! `make fuzz` hands them to libFuzzer (`src/main.rs`). The test in this file replays `corpora/`, a directory for each target.

mod input;
mod property;
mod webhook;

mod acme;
mod cluster;
mod dns;
mod flags;
mod http01;
mod migrate;
mod pki;

/// Something that reads what comes from outside.
pub struct Target {
    /// Its name, and that of the directory of its corpus.
    pub name: &'static str,
    /// Reads these bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("acme-account", acme::account),
    target("acme-authorization", acme::authorization),
    target("acme-chain", acme::chain),
    target("acme-directory", acme::directory),
    target("acme-headers", acme::headers),
    target("acme-order", acme::order),
    target("acme-problem", acme::problem),
    target("acme-renewal-info", acme::renewal_info),
    target("certificate", cluster::certificate),
    target("certificate-step", cluster::certificate_step),
    target("issuer", cluster::issuer),
    target("metadata", cluster::metadata),
    target("ingress", cluster::ingress),
    target("gateway", cluster::gateway),
    target("signing-request", cluster::signing_request),
    target("route-status", cluster::route_status),
    target("renewal-windows", cluster::renewal_windows),
    target("migrate", migrate::convert),
    target("migrate-adopt", migrate::adopt),
    target("migrate-give-back", migrate::give_back),
    target("pki-chain", pki::chain),
    target("pki-crl", pki::crl),
    target("pki-leaf", pki::leaf_der),
    target("pki-private-key", pki::private_key),
    target("pki-keystores", pki::keystores),
    target("pki-signing-request", pki::signing_request),
    target("mac-key", pki::mac_key),
    target("caa", dns::caa),
    target("certwright-dns-challenge", webhook::challenge),
    target("certwright-dns-config", webhook::config),
    target("dns-answer", dns::answer),
    target("dns-tsig", dns::tsig),
    target("dns-tsig-key", dns::tsig_key),
    target("dns-name-server", dns::name_server),
    target("provider-acme-dns", dns::acme_dns_accounts),
    target("provider-http", dns::http_answer),
    target("provider-webhook", dns::webhook_answer),
    target("http01-request", http01::request),
    target("http01-self-check", http01::self_check),
    target("tls-alpn01-certificate", pki::shown),
    target("flags", flags::run),
    target("flags-networks", flags::networks),
    target("tls-bundle", pki::bundle),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The largest file of a corpus, and of all of them together, in bytes.
    const LARGEST: (u64, u64) = (16 << 10, 768 << 10);

    #[test]
    fn every_input_of_the_corpora_is_read_without_harm() {
        let mut harmed = Vec::new();
        for target in TARGETS {
            for file in files(&corpora().join(target.name)) {
                let input = fs::read(&file).unwrap();
                if catch_unwind(|| (target.run)(&input)).is_err() {
                    harmed.push(file);
                }
            }
        }
        assert!(harmed.is_empty(), "these inputs do harm; the panics are above: {harmed:#?}");
    }

    #[test]
    fn every_target_has_a_corpus_and_every_corpus_a_target() {
        let corpora: BTreeSet<String> = files(&corpora()).iter().map(|path| name(path)).collect();
        let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!(corpora, targets);
        for target in TARGETS {
            assert!(
                !files(&super::tests::corpora().join(target.name)).is_empty(),
                "{} has no input",
                target.name
            );
        }
    }

    #[test]
    fn the_corpora_stay_small() {
        let all = TARGETS.iter().flat_map(|target| files(&corpora().join(target.name)));
        let sizes: Vec<u64> = all.map(|file| fs::metadata(file).unwrap().len()).collect();
        assert!(sizes.iter().all(|size| *size <= LARGEST.0));
        assert!(sizes.iter().sum::<u64>() <= LARGEST.1);
    }

    fn corpora() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora")
    }

    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn name(path: &Path) -> String {
        path.file_name().unwrap().to_string_lossy().into_owned()
    }
}
