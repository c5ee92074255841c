//! How old the MAC key of an external account is, and what its CA says about that.

use http::Uri;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;

use super::output::moment;
use certwright_api::AcmeIssuer;

/// What a CA's guide says about the age of MAC keys.
struct Guide {
    /// The domain of the CA's servers.
    domain: &'static str,
    says: &'static str,
    /// How long a MAC key is accepted, if the guide says so.
    accepted: Option<SignedDuration>,
}

const DAY: i64 = 24;

const GUIDES: &[Guide] = &[
    Guide {
        domain: "globalsign.com",
        says: "GlobalSign accepts a MAC key for 30 days or 1000 uses",
        accepted: Some(SignedDuration::from_hours(30 * DAY)),
    },
    Guide {
        domain: "pki.goog",
        says: "Google accepts a MAC key for 7 days, and once",
        accepted: Some(SignedDuration::from_hours(7 * DAY)),
    },
    Guide {
        domain: "sectigo.com",
        says: "Sectigo sends a new MAC key when the subscription is renewed",
        accepted: None,
    },
    Guide {
        domain: "certigna.com",
        says: "a MAC key of Certigna can expire; the portal generates a new one",
        accepted: None,
    },
];

/// The age of a MAC key.
pub struct MacKeyAge {
    /// When it was written, and what the CA says about that.
    pub words: String,
    /// Whether the CA probably no longer accepts it.
    pub too_old: bool,
}

/// How old the MAC key in `secret`, which the issuer names, is.
pub fn age(spec: &AcmeIssuer, secret: &Secret, now: Timestamp) -> MacKeyAge {
    let written = written(secret);
    let url: Option<Uri> = spec.server.parse().ok();
    let host = url.as_ref().and_then(Uri::host);
    let of_ca = |guide: &&Guide| {
        host.and_then(|host| host.strip_suffix(guide.domain))
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let guide = GUIDES.iter().find(of_ca);
    let at = written.map(|written| format!("written {}", moment(written, now)));
    let says = guide.map_or("most CAs accept a MAC key once", |guide| guide.says);
    let too_old = written.zip(guide.and_then(|guide| guide.accepted));
    MacKeyAge {
        words: at.into_iter().chain([says.to_owned()]).collect::<Vec<_>>().join("; "),
        too_old: too_old.is_some_and(|(written, accepted)| now.duration_since(written) > accepted),
    }
}

/// When the data of a Secret was last written.
fn written(secret: &Secret) -> Option<Timestamp> {
    let managers = secret.metadata.managed_fields.iter().flatten();
    let of_data = managers
        .filter(|manager| manager.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:data").is_some()))
        .filter_map(|manager| Some(manager.time.as_ref()?.0))
        .max();
    of_data.or_else(|| Some(secret.metadata.creation_timestamp.as_ref()?.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_age_is_that_of_the_data_and_the_ca_says_what_it_means() {
        let now: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let secret = |written: &str| {
            serde_json::from_value::<Secret>(json!({ "metadata": {
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [
                    { "manager": "kubectl", "time": written, "fieldsV1": { "f:data": { "f:secret": {} } } },
                    { "manager": "labeller", "time": "2026-11-28T00:00:00Z", "fieldsV1": { "f:metadata": {} } },
                ],
            } }))
            .unwrap()
        };
        for (server, written, too_old, says) in [
            (
                "https://emea.acme.atlas.globalsign.com/directory",
                "2026-11-20T00:00:00Z",
                false,
                "30 days or 1000 uses",
            ),
            (
                "https://emea.acme.atlas.globalsign.com/directory",
                "2026-10-29T00:00:00Z",
                true,
                "30 days or 1000 uses",
            ),
            ("https://dv.acme-v02.api.pki.goog/directory", "2026-11-20T00:00:00Z", true, "7 days"),
            ("https://acme.sectigo.com/v2/DV", "2026-01-01T00:00:00Z", false, "subscription"),
            ("https://acme-ov.certigna.com/directory", "2026-01-01T00:00:00Z", false, "Certigna"),
            ("https://notglobalsign.com/directory", "2026-01-01T00:00:00Z", false, "most CAs"),
            ("not a URL", "2026-01-01T00:00:00Z", false, "most CAs"),
        ] {
            let spec = AcmeIssuer { server: server.to_owned(), ..AcmeIssuer::default() };
            let age = age(&spec, &secret(written), now);
            assert_eq!(age.too_old, too_old, "{server} {written}");
            assert!(age.words.contains(says), "{}", age.words);
            assert!(age.words.starts_with(&format!("written {}", &written[..10])), "{}", age.words);
        }
    }
}
