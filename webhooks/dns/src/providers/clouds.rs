//! Cloud platforms, and services that only serve DNS for many of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dns_update::DnsUpdater;
use dns_update::providers::lightsail::LightsailConfig;
use dns_update::providers::oraclecloud::OracleCloudConfig;
use dns_update::providers::volcengine::VolcengineConfig;
use dns_update::providers::yandexcloud::YandexCloudConfig;

use super::field::{Kind, credential, setting};
use super::{Connect, Provider, REQUEST_LIMIT, cloud, provider};

const AZURE_CLOUDS: &[&str] = &["AzurePublicCloud", "AzureChinaCloud", "AzureUSGovernmentCloud"];
const AZURE_ZONES: &[&str] = &["AzurePublicZone", "AzurePrivateZone"];

pub(super) const PROVIDERS: &[Provider] = &[
    cloud(
        "route53",
        "Amazon Route 53",
        "https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/access-control-managing-permissions.html",
        &[
            setting("accessKeyID", "ID of the access key").unless_ambient(),
            credential("secretAccessKey", "Secret of the access key").unless_ambient(),
            credential("sessionToken", "Session token of temporary keys").optional(),
            setting("role", "ARN of a role to assume with the access key, or with the credentials of the pod").shown().optional(),
            setting("region", "Region that requests are signed for").kind(Kind::Region).or("us-east-1"),
            setting("hostedZoneID", "ID of the hosted zone. If it is not given, the public one is looked up by name").shown().optional(),
            setting("privateZone", "Look up private zones, not public ones").kind(Kind::Boolean).or("false"),
            setting("endpoint", "URL of the API, for partitions such as China").kind(Kind::Url).optional(),
        ],
        "`route53:ChangeResourceRecordSets` and `route53:ListResourceRecordSets` for the hosted zone; \
         `route53:ListHostedZonesByName` if `hostedZoneID` is not given.",
        Connect::Aws,
    )
    .ttl(60)
    .tested(),
    cloud(
        "google",
        "Google Cloud DNS",
        "https://cloud.google.com/dns/docs/access-control",
        &[
            setting("project", "Project that contains the managed zone").shown(),
            setting("hostedZoneName", "Name of the managed zone. If it is not given, it is looked up").shown().optional(),
            setting("privateZone", "Look up private zones, not public ones").kind(Kind::Boolean).or("false"),
            setting("impersonate", "Service account to impersonate, by its e-mail address").shown().optional(),
            credential("serviceAccount", "Key of a service account, in JSON").kind(Kind::Document).unless_ambient(),
        ],
        "The role `roles/dns.admin`, or a custom role with `dns.changes.create`, `dns.resourceRecordSets.*`, and \
         `dns.managedZones.list` if `hostedZoneName` is not given.",
        Connect::Google,
    )
    .tested(),
    cloud(
        "azure",
        "Azure DNS",
        "https://learn.microsoft.com/azure/dns/dns-protect-zones-recordsets",
        &[
            setting("subscriptionID", "Subscription that contains the zone").shown(),
            setting("resourceGroupName", "Resource group that contains the zone").shown(),
            setting("environment", "The cloud").kind(Kind::OneOf(AZURE_CLOUDS)).or("AzurePublicCloud"),
            setting("zoneType", "Whether the zone is a private one").kind(Kind::OneOf(AZURE_ZONES)).or("AzurePublicZone"),
            setting("tenantID", "Tenant of the application, or another one than the pod's").shown().optional(),
            setting("clientID", "Client ID of the application, or of another identity than the pod's").shown().optional(),
            setting("resourceID", "Resource ID of a managed identity of the node").shown().optional(),
            credential("clientSecret", "Client secret of the application").unless_ambient(),
        ],
        "The role `DNS Zone Contributor` for the zone.",
        Connect::Azure,
    )
    .tested(),
    cloud(
        "akamai",
        "Akamai Edge DNS",
        "https://techdocs.akamai.com/edge-dns/reference/edge-dns-api",
        &[
            setting("host", "Host of the API, from the client's credentials")
                .kind(Kind::HostUnder(".akamaiapis.net")),
            credential("clientToken", "Client token"),
            credential("clientSecret", "Client secret"),
            credential("accessToken", "Access token"),
            setting("accountSwitchKey", "Account to act for").shown().optional(),
        ],
        "An API client with `READ-WRITE` access to `DNS—Zone Record Management`.",
        Connect::Akamai,
    )
    .tested(),
    provider(
        "alidns",
        "Alibaba Cloud DNS",
        "https://www.alibabacloud.com/help/en/dns/",
        &[
            setting("accessKeyID", "ID of the access key"),
            credential("secretAccessKey", "Secret of the access key"),
            credential("securityToken", "STS token of temporary keys").optional(),
            setting("region", "Region of the API").kind(Kind::Region).optional(),
            setting("line", "Line (view) of the records").optional(),
        ],
        "The policy `AliyunDNSFullAccess`, or one with `alidns:DescribeDomains`, `alidns:DescribeDomainRecords`, \
         `alidns:AddDomainRecord` and `alidns:DeleteDomainRecord`.",
        |given| {
            DnsUpdater::new_alidns(
                given.need("accessKeyID"),
                given.need("secretAccessKey"),
                given.get("region"),
                given.get("securityToken"),
                given.get("line"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(600),
    provider(
        "baiducloud",
        "Baidu Cloud DNS",
        "https://cloud.baidu.com/doc/DNS/index.html",
        &[
            setting("accessKeyID", "ID of the access key"),
            credential("secretAccessKey", "Secret of the access key"),
        ],
        "A key of a user who may manage the zone's records.",
        |given| {
            DnsUpdater::new_baiducloud(
                given.need("accessKeyID"),
                given.need("secretAccessKey"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(300),
    provider(
        "huaweicloud",
        "Huawei Cloud DNS",
        "https://support.huaweicloud.com/intl/en-us/dns/",
        &[
            setting("accessKeyID", "ID of the access key"),
            credential("secretAccessKey", "Secret of the access key"),
            setting("region", "Region of the API").kind(Kind::Region),
        ],
        "The role `DNS Administrator`.",
        |given| {
            DnsUpdater::new_huaweicloud(
                given.need("accessKeyID"),
                given.need("secretAccessKey"),
                given.need("region"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(300),
    provider(
        "ibmcloud",
        "IBM Cloud (classic infrastructure)",
        "https://sldn.softlayer.com/reference/services/SoftLayer_Dns_Domain/",
        &[setting("username", "User of the API"), credential("apiKey", "Classic infrastructure API key")],
        "A user with the permission `Manage DNS`.",
        |given| DnsUpdater::new_ibmcloud(given.need("username"), given.need("apiKey"), REQUEST_LIMIT),
    ),
    provider(
        "lightsail",
        "Amazon Lightsail",
        "https://docs.aws.amazon.com/lightsail/latest/userguide/security_iam.html",
        &[
            setting("accessKeyID", "ID of the access key"),
            credential("secretAccessKey", "Secret of the access key"),
            credential("sessionToken", "Session token of temporary keys").optional(),
            setting("region", "Region of the API").kind(Kind::Region).or("us-east-1"),
            setting("domain", "Domain that contains the records. If it is not given, it is looked up").optional(),
        ],
        "`lightsail:GetDomains`, `lightsail:GetDomain`, `lightsail:CreateDomainEntry` and `lightsail:DeleteDomainEntry`.",
        |given| {
            DnsUpdater::new_lightsail(LightsailConfig {
                access_key_id: given.need("accessKeyID").to_owned(),
                secret_access_key: given.need("secretAccessKey").to_owned(),
                session_token: given.owned("sessionToken"),
                region: given.owned("region"),
                domain: given.owned("domain"),
                request_timeout: REQUEST_LIMIT,
            })
        },
    ),
    provider(
        "oraclecloud",
        "Oracle Cloud Infrastructure DNS",
        "https://docs.oracle.com/en-us/iaas/Content/Identity/policyreference/dnspolicyreference.htm",
        &[
            setting("tenancyOCID", "OCID of the tenancy"),
            setting("userOCID", "OCID of the user"),
            setting("fingerprint", "Fingerprint of the user's API key"),
            credential("privateKey", "The user's API key, an RSA key in PEM (PKCS #8) without a passphrase")
                .kind(Kind::Document),
            setting("region", "Region of the API").kind(Kind::Region),
            setting("compartmentOCID", "OCID of the compartment that contains the zone"),
        ],
        "A policy that allows the user's group to `use dns-zones` and to `manage dns-records` in the compartment.",
        |given| {
            DnsUpdater::new_oraclecloud(OracleCloudConfig {
                tenancy_ocid: given.need("tenancyOCID").to_owned(),
                user_ocid: given.need("userOCID").to_owned(),
                fingerprint: given.need("fingerprint").to_owned(),
                private_key_pem: given.need("privateKey").to_owned(),
                private_key_password: None,
                region: given.need("region").to_owned(),
                compartment_ocid: given.need("compartmentOCID").to_owned(),
                request_timeout: REQUEST_LIMIT,
            })
        },
    ),
    provider(
        "tencentcloud",
        "Tencent Cloud DNSPod",
        "https://www.tencentcloud.com/document/product/1157",
        &[
            credential("secretID", "ID of the API key"),
            credential("secretKey", "Secret of the API key"),
            credential("sessionToken", "Token of temporary keys").optional(),
            setting("region", "Region that requests are signed for").kind(Kind::Region).optional(),
        ],
        "The policy `QcloudDNSPodFullAccess`.",
        |given| {
            DnsUpdater::new_tencentcloud(
                given.need("secretID"),
                given.need("secretKey"),
                given.get("region"),
                given.get("sessionToken"),
                REQUEST_LIMIT,
            )
        },
    )
    .ttl(600),
    provider(
        "volcengine",
        "Volcano Engine",
        "https://www.volcengine.com/docs/6758",
        &[
            setting("accessKeyID", "ID of the access key"),
            credential("secretAccessKey", "Secret of the access key"),
            setting("region", "Region that requests are signed for").kind(Kind::Region).optional(),
        ],
        "The policy `DNSFullAccess`.",
        |given| {
            DnsUpdater::new_volcengine(VolcengineConfig {
                access_key: given.need("accessKeyID").to_owned(),
                secret_key: given.need("secretAccessKey").to_owned(),
                region: given.owned("region"),
                host: None,
                scheme: None,
                request_timeout: REQUEST_LIMIT,
            })
        },
    )
    .ttl(600),
    provider(
        "yandexcloud",
        "Yandex Cloud DNS",
        "https://yandex.cloud/en/docs/dns/security/",
        &[
            setting("folderID", "ID of the folder that contains the zone"),
            credential("serviceAccountKey", "Authorized key of a service account, in JSON").kind(Kind::Document),
        ],
        "The role `dns.editor` for the folder.",
        |given| {
            DnsUpdater::new_yandexcloud(YandexCloudConfig {
                iam_token_b64: STANDARD.encode(given.need("serviceAccountKey")),
                folder_id: given.need("folderID").to_owned(),
                request_timeout: REQUEST_LIMIT,
            })
        },
    )
    .ttl(60),
];
