//! Services for dynamic addresses. Most keep one TXT value at a name.

use std::collections::HashMap;

use dns_update::DnsUpdater;

use super::field::credential;
use super::{Provider, REQUEST_LIMIT, provider};

pub(super) const PROVIDERS: &[Provider] = &[
    provider(
        "duckdns",
        "Duck DNS",
        "https://www.duckdns.org/spec.jsp",
        &[credential("token", "Token of the account")],
        "The token of a Duck DNS account has all rights.",
        |given| DnsUpdater::new_duckdns(given.need("token"), REQUEST_LIMIT),
    )
    .one_value(),
    provider(
        "ddnss",
        "DDNSS.de",
        "https://ddnss.de/info.php",
        &[credential("key", "Update key of the account")],
        "The update key of the account; the host must have TXT records enabled.",
        |given| DnsUpdater::new_ddnss(given.need("key"), REQUEST_LIMIT),
    )
    .one_value(),
    provider(
        "dynu",
        "Dynu",
        "https://www.dynu.com/Support/API",
        &[credential("apiKey", "API key")],
        "An API key has all rights.",
        |given| DnsUpdater::new_dynu(given.need("apiKey"), REQUEST_LIMIT),
    )
    .ttl(300),
    provider(
        "freemyip",
        "freemyip.com",
        "https://freemyip.com/help",
        &[credential("token", "Token of the domain")],
        "The token of a domain has all rights for it.",
        |given| DnsUpdater::new_freemyip(given.need("token"), REQUEST_LIMIT),
    )
    .one_value(),
    provider(
        "hurricane",
        "Hurricane Electric",
        "https://dns.he.net/docs.html",
        &[credential("key", "Dynamic DNS key of the TXT record")],
        "Create the TXT record in the web interface, enable dynamic DNS for it, and generate its key. A key is for one name.",
        |given| {
            let key = (given.zone().to_owned(), given.need("key").to_owned());
            DnsUpdater::new_hurricane(HashMap::from([key]), REQUEST_LIMIT)
        },
    )
    .one_value()
    .needs_zone(),
    provider(
        "ipv64",
        "IPv64",
        "https://ipv64.net/dyndns_updater_api",
        &[credential("apiKey", "API key of the account")],
        "The API key of the account.",
        |given| DnsUpdater::new_ipv64(given.need("apiKey"), REQUEST_LIMIT),
    ),
];
