//! Every annotation and label in cert-manager's API is known, and the documentation says what becomes of it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use certwright_api::cert_manager_name;
use certwright_cluster::cert_manager::source;
use certwright_core::annotated::{ANNOTATIONS, ELSEWHERE};

const SOURCES: [&str; 3] = [
    "pkg/apis/certmanager/v1/types.go",
    "pkg/apis/acme/v1/types.go",
    "pkg/apis/experimental/v1alpha1/types.go",
];

/// Annotations that cert-manager does not have.
const OURS: [&str; 1] = ["certwright.dev/route-hostnames"];

#[test]
fn every_annotation_of_cert_managers_source_is_known() -> Result<()> {
    let mut theirs = BTreeSet::new();
    for path in SOURCES {
        for line in source(path)?.lines() {
            // As in `CommonNameAnnotationKey = "cert-manager.io/common-name"`.
            let Some((_, value)) = line.split_once(" = \"") else { continue };
            let value = value.trim_end_matches('"');
            if value.split_once('/').is_some_and(|(prefix, _)| prefix.ends_with("cert-manager.io")) {
                theirs.insert(value.to_owned());
            }
        }
    }
    ensure!(theirs.len() > 50, "only {} were found: {theirs:?}", theirs.len());
    let of_objects = ANNOTATIONS.iter().filter(|annotation| !OURS.contains(&annotation.name));
    let of_objects = of_objects.map(|annotation| cert_manager_name(annotation.name));
    let known: BTreeSet<String> =
        of_objects.chain(ELSEWHERE.iter().map(|elsewhere| elsewhere.name.to_owned())).collect();
    assert_eq!(theirs.difference(&known).collect::<Vec<_>>(), [""; 0], "not known here");
    assert_eq!(known.difference(&theirs).collect::<Vec<_>>(), [""; 0], "not known to cert-manager");
    Ok(())
}

#[test]
fn those_on_other_objects_are_in_the_table() -> Result<()> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/annotations.md"))?;
    let (_, section) = page.split_once("\n### On other objects\n").unwrap_or_default();
    let section = section.split("\n#").next().unwrap_or_default();
    let documented: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = ELSEWHERE
        .iter()
        .map(|elsewhere| format!("| `{}` | {} | {} |", elsewhere.name, elsewhere.on, elsewhere.here))
        .collect();
    assert_eq!(documented, expected, "docs/annotations.md, On other objects");
    Ok(())
}
