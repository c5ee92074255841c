use std::collections::BTreeSet;

use super::*;

#[test]
fn the_table_is_consistent() {
    let mut names = BTreeSet::new();
    for provider in all() {
        let name = provider.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{name}");
        assert!(provider.docs.starts_with("https://"), "{name}");
        assert!(provider.rights.ends_with('.'), "{name}");
        assert!((30..=3600).contains(&provider.ttl), "{name}");
        let mut fields = BTreeSet::new();
        for field in provider.fields {
            assert!(fields.insert(field.name), "{name}.{} is there twice", field.name);
            assert!(!field.about.is_empty() && !field.about.ends_with('.'), "{name}.{}", field.name);
            if let Presence::Default(default) = field.presence {
                assert!(field.admits(default), "{name}.{}", field.name);
            }
        }
        assert!(provider.fields.iter().any(|field| field.place == Place::Credentials), "{name}");
    }
    assert_eq!(names.len(), 73);
    for (_, known) in OTHER_NAMES {
        assert!(find(known).is_some(), "{known}");
    }
}

#[test]
fn a_wrong_name_leads_to_the_right_one() {
    for (name, expected) in [
        ("clodflare", "cloudflare"),
        ("Cloudflare", "cloudflare"),
        ("pdns", "powerdns"),
        ("route-53", "route53"),
        ("gcloud", "google"),
        ("digital-ocean", "digitalocean"),
        ("hetznr", "hetzner"),
    ] {
        assert_eq!(similar(name).first(), Some(&expected), "{name}");
    }
    assert_eq!(similar("xyzzy"), [""; 0]);
}
