//! Does each Certificate and each issuer belong to one shard?

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::Finding;
use super::issuers::called;
use crate::command::Cluster;
use crate::command::outlook::named;
use crate::command::shards::{Shard, divide, serving, shards};
use crate::controller::issuer_record::IssuerRecord;
use certwright_api::Certificate;

/// How many objects are named.
const MOST_NAMED: usize = 5;

/// The installations, if they divide the objects by labels; none if the Leases cannot be listed.
pub(super) async fn all(cluster: &Cluster, operator_namespace: &str) -> Vec<Shard> {
    let found = shards(&cluster.client, operator_namespace).await.unwrap_or_default();
    if divide(&found) { found } else { Vec::new() }
}

/// Does each object belong to one shard?
pub(super) fn findings(
    shards: &[Shard],
    certificates: &[Certificate],
    issuers: &[IssuerRecord],
) -> Vec<Finding> {
    let certificates = certificates.iter().map(|certificate| {
        let name = named("Certificate", certificate.namespace().as_deref(), &certificate.name_any());
        (name, serving(shards, certificate.labels()))
    });
    let issuers = issuers.iter().map(|issuer| (called(issuer), serving(shards, &issuer.labels)));
    let mut by_shards: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
    let (mut count, mut findings) = (0, Vec::new());
    for (object, serving) in certificates.chain(issuers) {
        count += 1;
        if serving.len() != 1 {
            by_shards.entry(serving).or_default().push(object);
        }
    }
    for (serving, objects) in by_shards {
        let objects = some(&objects);
        findings.push(match serving.as_slice() {
            [] => Finding::fail(
                format!("no shard serves {objects}"),
                "Give it a label that the --watch-label-selector of a shard matches: see docs/shards.md.",
            ),
            several => Finding::fail(
                format!("several shards serve {objects}: those with the Leases {}", several.join(" and ")),
                "They overwrite each other's status. Change their --watch-label-selector so that no object matches two.",
            ),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok(format!("each of {count} Certificates and issuers belongs to one shard")));
    }
    findings
}

fn some(objects: &[String]) -> String {
    let (named, more) = objects.split_at(objects.len().min(MOST_NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::Level;

    #[test]
    fn objects_of_no_shard_and_of_two_are_failures() {
        let shard = |lease: &str, selector: &str| Shard {
            lease: lease.to_owned(),
            selector: selector.parse().unwrap(),
        };
        let certificate = |name: &str, shard: Option<&str>| {
            let mut certificate = Certificate::default();
            (certificate.metadata.name, certificate.metadata.namespace) =
                (Some(name.to_owned()), Some("shop".to_owned()));
            certificate.metadata.labels = shard.map(|shard| [("s".to_owned(), shard.to_owned())].into());
            certificate
        };
        let one = [shard("main", "!s"), shard("a", "s=a")];
        let well = findings(&one, &[certificate("x", None), certificate("y", Some("a"))], &[]);
        assert_eq!(well, [Finding::ok("each of 2 Certificates and issuers belongs to one shard")]);
        let lost: Vec<_> = (0..7).map(|number| certificate(&format!("c{number}"), Some("b"))).collect();
        let found = findings(&one, &lost, &[]);
        assert_eq!((found.len(), found[0].level), (1, Level::Fail));
        assert!(found[0].words.starts_with("no shard serves Certificate shop/c0, "), "{}", found[0].words);
        assert!(found[0].words.ends_with("Certificate shop/c4 and 2 more"), "{}", found[0].words);
        let two = [shard("a", "s=a"), shard("all", "")];
        let found = findings(&two, &[certificate("x", Some("a"))], &[]);
        assert_eq!(
            found[0].words,
            "several shards serve Certificate shop/x: those with the Leases a and all"
        );
    }
}
