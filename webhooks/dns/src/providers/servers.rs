//! Name servers and appliances that people run themselves.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dns_update::providers::bluecatv2::BluecatV2Config;
use dns_update::providers::infoblox::InfobloxConfig;
use dns_update::{DnsUpdater, Error, TsigAlgorithm};

use super::field::{Kind, credential, setting};
use super::{Given, Provider, REQUEST_LIMIT, provider};

const TSIG_ALGORITHMS: &[&str] = &["hmac-sha512", "hmac-sha384", "hmac-sha256", "hmac-sha224", "hmac-sha1"];

pub(super) const PROVIDERS: &[Provider] = &[
    provider(
        "rfc2136",
        "RFC 2136",
        "https://www.rfc-editor.org/rfc/rfc2136",
        &[
            setting("nameserver", "Primary name server, which is asked over TCP").kind(Kind::NameServer),
            setting("tsigKeyName", "Name of the TSIG key"),
            setting("tsigAlgorithm", "Algorithm of the TSIG key")
                .kind(Kind::OneOf(TSIG_ALGORITHMS))
                .or("hmac-sha256"),
            credential("tsigSecret", "TSIG key in base64, as in the name server's configuration"),
        ],
        "The key may update TXT records of the zone. The name server answers unsigned queries for them.",
        rfc2136,
    )
    .ttl(60)
    .tested()
    .note("BIND gives all values at a name the TTL of the last update."),
    provider(
        "powerdns",
        "PowerDNS",
        "https://doc.powerdns.com/authoritative/http-api/",
        &[
            setting("url", "URL of the API, as in http://pdns.example:8081").kind(Kind::Url),
            setting("serverName", "Server id in the API").or("localhost"),
            credential("apiKey", "The value of `api-key` in the server's configuration"),
        ],
        "An API key of PowerDNS has all rights.",
        |given| {
            DnsUpdater::new_pdns(
                given.need("apiKey"),
                given.get("url"),
                given.get("serverName"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(60)
    .tested(),
    provider(
        "bluecat",
        "BlueCat Address Manager (API v2)",
        "https://docs.bluecatnetworks.com/",
        &[
            setting("url", "URL of the Address Manager").kind(Kind::Url),
            setting("username", "User of the API"),
            credential("password", "Password of the user"),
            setting("configName", "Configuration that contains the view"),
            setting("viewName", "View that contains the zone"),
            setting("skipDeploy", "Do not deploy changes to the name servers")
                .kind(Kind::Boolean)
                .or("false"),
        ],
        "An API user with change access to the zone's records, and the right to deploy them.",
        |given| {
            DnsUpdater::new_bluecatv2(BluecatV2Config {
                server_url: given.need("url").to_owned(),
                username: given.need("username").to_owned(),
                password: given.need("password").to_owned(),
                config_name: given.need("configName").to_owned(),
                view_name: given.need("viewName").to_owned(),
                skip_deploy: given.is("skipDeploy"),
                request_timeout: REQUEST_LIMIT,
            })
        },
    ),
    provider(
        "infoblox",
        "Infoblox NIOS",
        "https://www.infoblox.com/wp-content/uploads/infoblox-deployment-infoblox-rest-api.pdf",
        &[
            setting("host", "Host of the grid manager").kind(Kind::Host),
            setting("username", "User of the WAPI"),
            credential("password", "Password of the user"),
            setting("wapiVersion", "Version of the WAPI").or("2.11"),
            setting("dnsView", "DNS view that contains the zone").or("default"),
        ],
        "API access, and read and write permission for TXT records of the zone.",
        |given| {
            DnsUpdater::new_infoblox(InfobloxConfig {
                // `config::connect` has replaced the host with a URL.
                host: given.need("host").to_owned(),
                port: None,
                username: given.need("username").to_owned(),
                password: given.need("password").to_owned(),
                wapi_version: given.owned("wapiVersion"),
                dns_view: given.owned("dnsView"),
                request_timeout: REQUEST_LIMIT,
            })
        },
    ),
    provider(
        "plesk",
        "Plesk",
        "https://docs.plesk.com/en-US/obsidian/api-rpc/about-rest-api.79359/",
        &[
            setting("url", "URL of the server, as in https://plesk.example:8443").kind(Kind::Url),
            credential("apiKey", "API key (secret key)"),
        ],
        "A key of an administrator.",
        |given| DnsUpdater::new_plesk(given.need("url"), given.need("apiKey"), REQUEST_LIMIT),
    )
    .ttl(300),
    provider(
        "cpanel",
        "cPanel",
        "https://api.docs.cpanel.net/",
        &[
            setting("url", "URL of the server, as in https://cpanel.example:2083").kind(Kind::Url),
            setting("username", "User of cPanel"),
            credential("token", "API token of the user"),
        ],
        "A token of the user who owns the domain, with the feature `Zone Editor`.",
        |given| {
            DnsUpdater::new_cpanel(
                given.need("url"),
                given.need("username"),
                given.need("token"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(300)
    .writes_zones(),
];

fn rfc2136(given: &Given) -> dns_update::Result<DnsUpdater> {
    let key = STANDARD
        .decode(given.need("tsigSecret"))
        .map_err(|_| Error::Client("credentials.tsigSecret must be a key in base64".to_owned()))?;
    let algorithm: TsigAlgorithm = given
        .need("tsigAlgorithm")
        .parse()
        .map_err(|()| Error::Client("settings.tsigAlgorithm is not supported".to_owned()))?;
    let at = format!("tcp://{}", given.need("nameserver"));
    DnsUpdater::new_rfc2136_tsig(at, given.need("tsigKeyName"), key, algorithm)
}
