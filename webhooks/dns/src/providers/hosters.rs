//! Content networks, hosters, and services for DNS alone.

use dns_update::DnsUpdater;

use super::field::{Kind, credential, setting};
use super::{Provider, REQUEST_LIMIT, provider};

pub(super) const PROVIDERS: &[Provider] = &[
    provider(
        "cloudflare",
        "Cloudflare",
        "https://developers.cloudflare.com/fundamentals/api/get-started/create-token/",
        &[credential("apiToken", "API token. The older global API key is not supported")],
        "`Zone` / `Zone` / `Read` and `Zone` / `DNS` / `Edit` for the zone.",
        |given| DnsUpdater::new_cloudflare(given.need("apiToken"), REQUEST_LIMIT),
    )
    .tested(),
    provider(
        "digitalocean",
        "DigitalOcean",
        "https://docs.digitalocean.com/reference/api/create-personal-access-token/",
        &[credential("token", "Personal access token")],
        "The scopes `domain:read`, `domain:create`, `domain:update` and `domain:delete`.",
        |given| DnsUpdater::new_digitalocean(given.need("token"), REQUEST_LIMIT),
    )
    .tested(),
    provider(
        "hetzner",
        "Hetzner",
        "https://docs.hetzner.cloud/reference/cloud#dns",
        &[credential(
            "apiToken",
            "API token of the Hetzner Console. Tokens of the former DNS Console do not work",
        )],
        "`Read & Write` for the project that contains the zone.",
        |given| DnsUpdater::new_hetzner(given.need("apiToken"), REQUEST_LIMIT),
    )
    .tested()
    .ttl(60),
    provider(
        "desec",
        "deSEC",
        "https://desec.readthedocs.io/en/latest/auth/tokens.html",
        &[credential("token", "API token")],
        "A token; a token policy may restrict it to TXT records of the domain.",
        |given| DnsUpdater::new_desec(given.need("token"), REQUEST_LIMIT),
    )
    .tested()
    .ttl(3600),
    provider(
        "linode",
        "Linode (Akamai Connected Cloud)",
        "https://techdocs.akamai.com/linode-api/reference/api",
        &[credential("token", "Personal access token")],
        "`Domains`: `Read/Write`.",
        |given| DnsUpdater::new_linode(given.need("token"), REQUEST_LIMIT),
    )
    .tested()
    .ttl(300),
    provider(
        "vultr",
        "Vultr",
        "https://www.vultr.com/api/#tag/dns",
        &[credential("apiKey", "API key")],
        "A key of a user with `Manage DNS`, whose access control list contains the cluster's addresses.",
        |given| DnsUpdater::new_vultr(given.need("apiKey"), REQUEST_LIMIT),
    )
    .tested(),
    provider(
        "scaleway",
        "Scaleway",
        "https://www.scaleway.com/en/developers/api/domains-and-dns/",
        &[credential("secretKey", "Secret key of an API key")],
        "The permission set `DomainsDNSFullAccess` for the project that contains the zone.",
        |given| DnsUpdater::new_scaleway(given.need("secretKey"), REQUEST_LIMIT),
    )
    .note("Of the values at a name, only those on the first page of the API's list are seen.")
    .tested()
    .ttl(60),
    provider(
        "arvancloud",
        "ArvanCloud",
        "https://www.arvancloud.ir/api/cdn/4.0",
        &[credential("apiKey", "API key of a machine user")],
        "The policy `DNS administrator`.",
        |given| DnsUpdater::new_arvancloud(given.need("apiKey"), REQUEST_LIMIT),
    )
    .ttl(600),
    provider(
        "bunny",
        "Bunny DNS",
        "https://docs.bunny.net/reference/bunnynet-api-overview",
        &[credential("apiKey", "API key of the account")],
        "The API key of the account has all rights.",
        |given| DnsUpdater::new_bunny(given.need("apiKey"), REQUEST_LIMIT),
    )
    .ttl(60),
    provider(
        "cloudns",
        "ClouDNS",
        "https://www.cloudns.net/wiki/article/42/",
        &[
            setting("authID", "API user's ID. Give this or `subAuthID`").optional(),
            setting("subAuthID", "API sub-user's ID").optional(),
            credential("authPassword", "Password of the API user or sub-user"),
        ],
        "An API user, or a sub-user to whom the zone is delegated.",
        |given| {
            DnsUpdater::new_cloudns(
                given.get("authID"),
                given.get("subAuthID"),
                given.need("authPassword"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(60),
    provider(
        "constellix",
        "Constellix",
        "https://api-docs.constellix.com/",
        &[credential("apiKey", "API key"), credential("secretKey", "Secret of the API key")],
        "A key of a user who may edit the domain.",
        |given| DnsUpdater::new_constellix(given.need("apiKey"), given.need("secretKey"), REQUEST_LIMIT),
    )
    .ttl(60),
    provider(
        "dnsmadeeasy",
        "DNS Made Easy",
        "https://dnsmadeeasy.com/integration/restapi/",
        &[credential("apiKey", "API key"), credential("secretKey", "Secret of the API key")],
        "The API key of an account has all rights.",
        |given| DnsUpdater::new_dnsmadeeasy(given.need("apiKey"), given.need("secretKey"), REQUEST_LIMIT),
    ),
    provider(
        "easydns",
        "easyDNS",
        "https://docs.sandbox.rest.easydns.net/",
        &[credential("token", "API token"), credential("key", "API key")],
        "A token and a key with access to the domain.",
        |given| DnsUpdater::new_easydns(given.need("token"), given.need("key"), REQUEST_LIMIT),
    ),
    provider(
        "exoscale",
        "Exoscale",
        "https://community.exoscale.com/product/networking/dns/",
        &[setting("apiKey", "IAM API key"), credential("apiSecret", "Secret of the key")],
        "An IAM role with the service class `dns`.",
        |given| DnsUpdater::new_exoscale(given.need("apiKey"), given.need("apiSecret"), REQUEST_LIMIT),
    ),
    provider(
        "gcore",
        "Gcore",
        "https://gcore.com/docs/account-settings/create-use-or-delete-a-permanent-api-token",
        &[credential("apiToken", "Permanent API token")],
        "A token with the role `Engineers`.",
        |given| DnsUpdater::new_gcore(given.need("apiToken"), REQUEST_LIMIT),
    ),
    provider(
        "glesys",
        "GleSYS",
        "https://github.com/glesys/API/wiki",
        &[setting("apiUser", "Project, as in CL12345"), credential("apiKey", "API key of the project")],
        "`Domain`: `listrecords`, `addrecord`, `updaterecord` and `deleterecord`.",
        |given| DnsUpdater::new_glesys(given.need("apiUser"), given.need("apiKey"), REQUEST_LIMIT),
    )
    .ttl(60),
    provider(
        "luadns",
        "LuaDNS",
        "https://luadns.com/api.html",
        &[setting("username", "E-mail address of the account"), credential("apiToken", "API token")],
        "A token for the zone.",
        |given| DnsUpdater::new_luadns(given.need("username"), given.need("apiToken"), REQUEST_LIMIT),
    )
    .ttl(300),
    provider(
        "netlify",
        "Netlify",
        "https://docs.netlify.com/api/get-started/",
        &[credential("token", "Personal access token")],
        "A personal access token has the rights of its user.",
        |given| DnsUpdater::new_netlify(given.need("token"), REQUEST_LIMIT),
    )
    .ttl(300),
    provider(
        "nifcloud",
        "NIFCLOUD DNS",
        "https://pfs.nifcloud.com/api/dns/",
        &[
            setting("accessKeyID", "ID of the access key"),
            credential("secretAccessKey", "Secret of the access key"),
        ],
        "A key of a user with access to DNS.",
        |given| {
            DnsUpdater::new_nifcloud(given.need("accessKeyID"), given.need("secretAccessKey"), REQUEST_LIMIT)
        },
    ),
    provider(
        "ns1",
        "NS1 (IBM NS1 Connect)",
        "https://www.ibm.com/docs/en/ns1-connect",
        &[credential("apiKey", "API key")],
        "`View zones` and `Manage zones` for the zone.",
        |given| DnsUpdater::new_ns1(given.need("apiKey"), REQUEST_LIMIT),
    ),
    provider(
        "safedns",
        "ANS SafeDNS",
        "https://developers.ukfast.io/documentation/safedns",
        &[credential("authToken", "API application's key")],
        "An application with read and write access to SafeDNS.",
        |given| DnsUpdater::new_safedns(given.need("authToken"), REQUEST_LIMIT),
    ),
    provider(
        "selectel",
        "Selectel (DNS API v2)",
        "https://docs.selectel.ru/en/api/cloud-dns-actual/",
        &[
            setting("username", "Name of the service user"),
            credential("password", "Password of the service user"),
            setting("accountID", "Number of the account"),
            setting("projectID", "ID of the project that contains the zone"),
        ],
        "A service user with the role `member` in the project.",
        |given| {
            DnsUpdater::new_selectel(
                given.need("username"),
                given.need("password"),
                given.need("accountID"),
                given.need("projectID"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(60),
    provider(
        "ultradns",
        "UltraDNS",
        "https://docs.ultradns.com/",
        &[
            setting("username", "User of the API"),
            credential("password", "Password of the user"),
            setting("endpoint", "URL of the API, if it is not https://api.ultradns.com")
                .kind(Kind::Url)
                .optional(),
        ],
        "A user with `READ` and `WRITE` for the zone.",
        |given| {
            DnsUpdater::new_ultradns(
                given.need("username"),
                given.need("password"),
                given.owned("endpoint"),
                REQUEST_LIMIT,
            )
        },
    ),
    provider(
        "vercel",
        "Vercel",
        "https://vercel.com/docs/rest-api",
        &[
            credential("apiToken", "API token"),
            setting("teamID", "ID of the team that owns the domain").optional(),
        ],
        "A token with the scope of the team that owns the domain.",
        |given| DnsUpdater::new_vercel(given.need("apiToken"), given.get("teamID"), REQUEST_LIMIT),
    )
    .ttl(60),
];
