//! Registrars, and hosters who are mostly known as such.

use dns_update::DnsUpdater;
use dns_update::providers::joker::JokerAuth;
use dns_update::providers::ovh::OvhEndpoint;

use super::field::{Kind, credential, setting};
use super::{Given, Provider, REQUEST_LIMIT, provider};

const OVH_ENDPOINTS: &[&str] =
    &["ovh-eu", "ovh-us", "ovh-ca", "kimsufi-eu", "kimsufi-ca", "soyoustart-eu", "soyoustart-ca"];

pub(super) const PROVIDERS: &[Provider] = &[
    provider(
        "autodns",
        "AutoDNS (InterNetX)",
        "https://help.internetx.com/display/APIXMLEN/JSON+API",
        &[
            setting("username", "User of the API"),
            credential("password", "Password of the user"),
            setting("context", "Context of the user").kind(Kind::Integer).or("4"),
        ],
        "A user who may change the zone.",
        |given| {
            DnsUpdater::new_autodns(
                given.need("username"),
                given.need("password"),
                given.number("context"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(600),
    provider(
        "dnsimple",
        "DNSimple",
        "https://support.dnsimple.com/articles/api-access-token/",
        &[credential("token", "Account access token"), setting("accountID", "Number of the account")],
        "An account token; if it is restricted, with full access to the zone.",
        |given| DnsUpdater::new_dnsimple(given.need("token"), given.need("accountID"), REQUEST_LIMIT),
    )
    .tested(),
    provider(
        "domeneshop",
        "Domeneshop",
        "https://api.domeneshop.no/docs/",
        &[setting("apiToken", "API token"), credential("apiSecret", "Secret of the token")],
        "The token of an account has all rights.",
        |given| DnsUpdater::new_domeneshop(given.need("apiToken"), given.need("apiSecret"), REQUEST_LIMIT),
    ),
    provider(
        "dreamhost",
        "DreamHost",
        "https://help.dreamhost.com/hc/en-us/articles/217555707-DNS-API-commands",
        &[credential("apiKey", "API key")],
        "`dns-list_records`, `dns-add_record` and `dns-remove_record`.",
        |given| DnsUpdater::new_dreamhost(given.need("apiKey"), REQUEST_LIMIT),
    ),
    provider(
        "gandi",
        "Gandi LiveDNS",
        "https://docs.gandi.net/en/managing_an_organization/organizations/personal_access_token.html",
        &[credential("token", "Personal access token. The former API key is not supported")],
        "`See and renew domain names` and `Manage domain name technical configurations` for the domain.",
        |given| DnsUpdater::new_gandiv5(given.need("token"), REQUEST_LIMIT),
    )
    .tested()
    .ttl(300),
    provider(
        "godaddy",
        "GoDaddy",
        "https://developer.godaddy.com/doc/endpoint/domains",
        &[credential("apiKey", "API key"), credential("apiSecret", "Secret of the API key")],
        "A production key. GoDaddy opens its API to larger accounts only.",
        |given| DnsUpdater::new_godaddy(given.need("apiKey"), given.need("apiSecret"), REQUEST_LIMIT),
    )
    .ttl(600),
    provider(
        "hostingde",
        "hosting.de",
        "https://www.hosting.de/api/",
        &[credential("apiKey", "API key")],
        "`DNS_ZONES_LIST` and `DNS_ZONES_EDIT`.",
        |given| DnsUpdater::new_hostingde(given.need("apiKey"), REQUEST_LIMIT),
    ),
    provider(
        "hostinger",
        "Hostinger",
        "https://developers.hostinger.com/",
        &[credential("apiToken", "API token")],
        "A token has the rights of its user.",
        |given| DnsUpdater::new_hostinger(given.need("apiToken"), REQUEST_LIMIT),
    ),
    provider(
        "infomaniak",
        "Infomaniak",
        "https://developer.infomaniak.com/",
        &[credential("accessToken", "API token")],
        "The scope `domain`.",
        |given| DnsUpdater::new_infomaniak(given.need("accessToken"), REQUEST_LIMIT),
    )
    .ttl(300),
    provider(
        "inwx",
        "INWX",
        "https://www.inwx.com/en/help/apidoc",
        &[
            setting("username", "User of the API"),
            credential("password", "Password of the user"),
            setting("sandbox", "Use the test system").kind(Kind::Boolean).or("false"),
        ],
        "A sub-account with the role `DNS management`, without two-factor authentication.",
        |given| {
            DnsUpdater::new_inwx(
                given.need("username"),
                given.need("password"),
                given.is("sandbox"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(300),
    provider(
        "ionos",
        "IONOS",
        "https://developer.hosting.ionos.com/docs/getstarted",
        &[credential("apiKey", "API key, as in `prefix.secret`")],
        "An API key has all rights of the contract.",
        |given| DnsUpdater::new_ionos(given.need("apiKey"), REQUEST_LIMIT),
    )
    .ttl(300),
    provider(
        "joker",
        "Joker.com",
        "https://joker.com/faq/content/26/14/en/dmapi-documentation.html",
        &[
            credential("apiKey", "API key of DMAPI. Give this, or `username` and `password`").optional(),
            setting("username", "User of DMAPI").optional(),
            credential("password", "Password of the user").optional(),
        ],
        "A key with access to DNS.",
        |given| DnsUpdater::new_joker(joker(given), REQUEST_LIMIT),
    )
    .writes_zones(),
    provider(
        "mythicbeasts",
        "Mythic Beasts",
        "https://www.mythic-beasts.com/support/api/auth",
        &[setting("keyID", "ID of the API key"), credential("secret", "Secret of the API key")],
        "An API key for DNS, which may be restricted to TXT records of the zone.",
        |given| DnsUpdater::new_mythicbeasts(given.need("keyID"), given.need("secret"), REQUEST_LIMIT),
    ),
    provider(
        "namecheap",
        "Namecheap",
        "https://www.namecheap.com/support/api/intro/",
        &[
            setting("apiUser", "User of the API"),
            credential("apiKey", "API key"),
            setting("clientIP", "Address that the requests come from, which the account's settings must allow"),
            setting("username", "User who owns the domain, if it is not `apiUser`").optional(),
        ],
        "A key has all rights. The address must be on the account's list.",
        |given| {
            DnsUpdater::new_namecheap(
                given.need("apiUser"),
                given.need("apiKey"),
                given.need("clientIP"),
                given.get("username"),
                REQUEST_LIMIT,
            )
        },
    )
    .writes_zones()
    .note("Each change writes the whole zone, so a change that another program makes at the same moment may be lost."),
    provider(
        "namedotcom",
        "Name.com",
        "https://docs.name.com/",
        &[setting("username", "User of the account"), credential("apiToken", "API token")],
        "A production token has all rights.",
        |given| DnsUpdater::new_namedotcom(given.need("username"), given.need("apiToken"), REQUEST_LIMIT),
    )
    .ttl(300),
    provider(
        "namesilo",
        "NameSilo",
        "https://www.namesilo.com/api-reference",
        &[credential("apiKey", "API key")],
        "A key that is not read-only.",
        |given| DnsUpdater::new_namesilo(given.need("apiKey"), REQUEST_LIMIT),
    )
    .ttl(3600),
    provider(
        "netcup",
        "netcup",
        "https://helpcenter.netcup.com/en/wiki/general/our-api",
        &[
            setting("customerNumber", "Number of the customer"),
            credential("apiKey", "API key"),
            credential("apiPassword", "API password"),
        ],
        "A key has all rights.",
        |given| {
            DnsUpdater::new_netcup(
                given.need("customerNumber"),
                given.need("apiKey"),
                given.need("apiPassword"),
                REQUEST_LIMIT,
            )
        },
    ),
    provider(
        "ovh",
        "OVHcloud",
        "https://help.ovhcloud.com/csm/en-api-getting-started-ovhcloud-api",
        &[
            setting("endpoint", "Endpoint of the API").kind(Kind::OneOf(OVH_ENDPOINTS)).or("ovh-eu"),
            credential("applicationKey", "Application key"),
            credential("applicationSecret", "Application secret"),
            credential("consumerKey", "Consumer key"),
        ],
        "`GET /domain/zone/<zone>/*`, `POST /domain/zone/<zone>/*` and `DELETE /domain/zone/<zone>/record/*`.",
        |given| {
            let endpoint = match given.need("endpoint") {
                "ovh-us" => OvhEndpoint::OvhUs,
                "ovh-ca" => OvhEndpoint::OvhCa,
                "kimsufi-eu" => OvhEndpoint::KimsufiEu,
                "kimsufi-ca" => OvhEndpoint::KimsufiCa,
                "soyoustart-eu" => OvhEndpoint::SoyoustartEu,
                "soyoustart-ca" => OvhEndpoint::SoyoustartCa,
                _ => OvhEndpoint::OvhEu,
            };
            DnsUpdater::new_ovh(
                given.need("applicationKey"),
                given.need("applicationSecret"),
                given.need("consumerKey"),
                endpoint,
                REQUEST_LIMIT,
            )
        },
    )
    .note(
        "If the zone cannot be read, the message does not say why: check the credentials first.",
    )
    .tested(),
    provider(
        "porkbun",
        "Porkbun",
        "https://porkbun.com/api/json/v3/documentation",
        &[credential("apiKey", "API key"), credential("secretAPIKey", "Secret of the API key")],
        "A key has all rights. Enable `API Access` for the domain.",
        |given| DnsUpdater::new_porkbun(given.need("apiKey"), given.need("secretAPIKey"), REQUEST_LIMIT),
    )
    .tested()
    .ttl(600),
    provider(
        "simply",
        "Simply.com",
        "https://www.simply.com/en/docs/api/",
        &[setting("accountName", "Name of the account"), credential("apiKey", "API key")],
        "The API key of an account has all rights.",
        |given| DnsUpdater::new_simplycom(given.need("accountName"), given.need("apiKey"), REQUEST_LIMIT),
    ),
    provider(
        "spaceship",
        "Spaceship",
        "https://docs.spaceship.dev/",
        &[credential("apiKey", "API key"), credential("apiSecret", "Secret of the API key")],
        "`dnsrecords:read` and `dnsrecords:write`.",
        |given| DnsUpdater::new_spaceship(given.need("apiKey"), given.need("apiSecret"), REQUEST_LIMIT),
    ),
    provider(
        "transip",
        "TransIP",
        "https://api.transip.nl/rest/docs.html",
        &[
            setting("login", "Name of the account"),
            credential("privateKey", "Private key, an RSA key in PEM (PKCS #8)").kind(Kind::Document),
            setting("globalKey", "The key may be used from any address").kind(Kind::Boolean).or("true"),
        ],
        "A key pair has all rights. Keys that are not global need the cluster's addresses on the allowlist.",
        |given| {
            DnsUpdater::new_transip(
                given.need("login"),
                given.need("privateKey"),
                given.is("globalKey"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(60),
    provider(
        "websupport",
        "Websupport",
        "https://rest.websupport.sk/v2/docs",
        &[credential("apiKey", "API key"), credential("secret", "Secret of the API key")],
        "A key has all rights.",
        |given| DnsUpdater::new_websupport(given.need("apiKey"), given.need("secret"), REQUEST_LIMIT),
    ),
    provider(
        "zoneee",
        "Zone.ee",
        "https://api.zone.eu/v2",
        &[setting("username", "ZoneID user"), credential("apiKey", "API key")],
        "A key of a user who manages the domain.",
        |given| DnsUpdater::new_zoneeu(given.need("username"), given.need("apiKey"), REQUEST_LIMIT),
    ),
];

fn joker(given: &Given) -> JokerAuth {
    match given.get("apiKey") {
        Some(key) => JokerAuth::api_key(key),
        None => JokerAuth::username_password(given.need("username"), given.need("password")),
    }
}
