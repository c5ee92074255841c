use std::collections::BTreeMap;

use certwright_egress::Egress;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::error::ServiceError;
use crate::identity::{Environment, Identity};
use crate::providers::{self, Place, Presence};

mod shapes;

/// A private key of an RSA key in PEM (PKCS #8), made for this test.
fn rsa_key() -> String {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&key).unwrap();
    pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()))
}

/// A configuration with all fields of each provider: the name, the settings, and the fields that are in Secrets.
fn full() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let none = || json!({});
    let aws = || json!({ "accessKeyID": "AKIA", "region": "eu-west-1" });
    vec![
        (
            "akamai",
            json!({ "host": "akab-1.luna.akamaiapis.net", "accountSwitchKey": "1" }),
            &["clientToken", "clientSecret", "accessToken"],
        ),
        (
            "alidns",
            json!({ "accessKeyID": "a", "region": "cn-hangzhou", "line": "default" }),
            &["secretAccessKey", "securityToken"],
        ),
        ("arvancloud", none(), &["apiKey"]),
        ("autodns", json!({ "username": "u", "context": 4 }), &["password"]),
        (
            "azure",
            json!({ "subscriptionID": "s", "resourceGroupName": "g", "environment": "AzurePublicCloud", "zoneType": "AzurePublicZone", "tenantID": "t", "clientID": "c", "resourceID": "r" }),
            &["clientSecret"],
        ),
        ("baiducloud", json!({ "accessKeyID": "a" }), &["secretAccessKey"]),
        (
            "bluecat",
            json!({ "url": "https://192.0.2.1", "username": "u", "configName": "c", "viewName": "v", "skipDeploy": true }),
            &["password"],
        ),
        ("bunny", none(), &["apiKey"]),
        ("cloudflare", none(), &["apiToken"]),
        ("cloudns", json!({ "authID": "1", "subAuthID": "2" }), &["authPassword"]),
        ("constellix", none(), &["apiKey", "secretKey"]),
        ("cpanel", json!({ "url": "https://192.0.2.1:2083", "username": "u" }), &["token"]),
        ("ddnss", none(), &["key"]),
        ("desec", none(), &["token"]),
        ("digitalocean", none(), &["token"]),
        ("dnsimple", json!({ "accountID": 1234 }), &["token"]),
        ("dnsmadeeasy", none(), &["apiKey", "secretKey"]),
        ("domeneshop", json!({ "apiToken": "t" }), &["apiSecret"]),
        ("dreamhost", none(), &["apiKey"]),
        ("duckdns", none(), &["token"]),
        ("dynu", none(), &["apiKey"]),
        ("easydns", none(), &["token", "key"]),
        ("exoscale", json!({ "apiKey": "EXO" }), &["apiSecret"]),
        ("freemyip", none(), &["token"]),
        ("gandi", none(), &["token"]),
        ("gcore", none(), &["apiToken"]),
        ("glesys", json!({ "apiUser": "CL1" }), &["apiKey"]),
        ("godaddy", none(), &["apiKey", "apiSecret"]),
        (
            "google",
            json!({ "project": "p", "hostedZoneName": "z", "privateZone": false, "impersonate": "a@b" }),
            &["serviceAccount"],
        ),
        ("hetzner", none(), &["apiToken"]),
        ("hostingde", none(), &["apiKey"]),
        ("hostinger", none(), &["apiToken"]),
        ("huaweicloud", json!({ "accessKeyID": "a", "region": "eu-west-101" }), &["secretAccessKey"]),
        ("hurricane", none(), &["key"]),
        ("ibmcloud", json!({ "username": "u" }), &["apiKey"]),
        (
            "infoblox",
            json!({ "host": "192.0.2.1:8443", "username": "u", "wapiVersion": "2.11", "dnsView": "d" }),
            &["password"],
        ),
        ("infomaniak", none(), &["accessToken"]),
        ("inwx", json!({ "username": "u", "sandbox": true }), &["password"]),
        ("ionos", none(), &["apiKey"]),
        ("ipv64", none(), &["apiKey"]),
        ("joker", json!({ "username": "u" }), &["apiKey", "password"]),
        (
            "lightsail",
            {
                let mut all = aws();
                all["domain"] = json!("a.example");
                all
            },
            &["secretAccessKey", "sessionToken"],
        ),
        ("linode", none(), &["token"]),
        ("luadns", json!({ "username": "u" }), &["apiToken"]),
        ("mythicbeasts", json!({ "keyID": "k" }), &["secret"]),
        ("namecheap", json!({ "apiUser": "u", "clientIP": "192.0.2.1", "username": "o" }), &["apiKey"]),
        ("namedotcom", json!({ "username": "u" }), &["apiToken"]),
        ("namesilo", none(), &["apiKey"]),
        ("netcup", json!({ "customerNumber": 1 }), &["apiKey", "apiPassword"]),
        ("netlify", none(), &["token"]),
        ("nifcloud", json!({ "accessKeyID": "a" }), &["secretAccessKey"]),
        ("ns1", none(), &["apiKey"]),
        (
            "oraclecloud",
            json!({ "tenancyOCID": "t", "userOCID": "u", "fingerprint": "f", "region": "eu-frankfurt-1", "compartmentOCID": "c" }),
            &["privateKey"],
        ),
        ("ovh", json!({ "endpoint": "ovh-eu" }), &["applicationKey", "applicationSecret", "consumerKey"]),
        ("plesk", json!({ "url": "https://192.0.2.1:8443" }), &["apiKey"]),
        ("porkbun", none(), &["apiKey", "secretAPIKey"]),
        ("powerdns", json!({ "url": "http://192.0.2.1:8081", "serverName": "localhost" }), &["apiKey"]),
        (
            "rfc2136",
            json!({ "nameserver": "192.0.2.1", "tsigKeyName": "key", "tsigAlgorithm": "hmac-sha512" }),
            &["tsigSecret"],
        ),
        (
            "route53",
            {
                let mut all = aws();
                all["hostedZoneID"] = json!("Z1");
                all["privateZone"] = json!(true);
                all["role"] = json!("arn:aws:iam::123456789012:role/dns");
                all["endpoint"] = json!("https://192.0.2.1");
                all
            },
            &["secretAccessKey", "sessionToken"],
        ),
        ("safedns", none(), &["authToken"]),
        ("scaleway", none(), &["secretKey"]),
        ("selectel", json!({ "username": "u", "accountID": 1, "projectID": "p" }), &["password"]),
        ("simply", json!({ "accountName": "a" }), &["apiKey"]),
        ("spaceship", none(), &["apiKey", "apiSecret"]),
        ("tencentcloud", json!({ "region": "ap-guangzhou" }), &["secretID", "secretKey", "sessionToken"]),
        ("transip", json!({ "login": "l", "globalKey": false }), &["privateKey"]),
        ("ultradns", json!({ "username": "u", "endpoint": "https://192.0.2.1" }), &["password"]),
        ("vercel", json!({ "teamID": "t" }), &["apiToken"]),
        ("volcengine", json!({ "accessKeyID": "a", "region": "cn-north-1" }), &["secretAccessKey"]),
        ("vultr", none(), &["apiKey"]),
        ("websupport", none(), &["apiKey", "secret"]),
        ("yandexcloud", json!({ "folderID": "f" }), &["serviceAccountKey"]),
        ("zoneee", json!({ "username": "u" }), &["apiKey"]),
    ]
}

#[tokio::test]
async fn every_provider_takes_its_full_configuration() {
    let (rsa, identity) = (rsa_key(), identity());
    let mut names = Vec::new();
    for (name, settings, secret) in full() {
        names.push(name);
        let fields = settings.as_object().unwrap().keys().map(String::as_str).chain(secret.iter().copied());
        let mut fields: Vec<_> = fields.collect();
        let mut declared: Vec<_> =
            providers::find(name).unwrap().fields.iter().map(|field| field.name).collect();
        fields.sort_unstable();
        declared.sort_unstable();
        assert_eq!(fields, declared, "the fields of {name}");
        let config =
            parse(&config(name, &settings, secret)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let content = |reference: &SecretKeyRef| match reference.key.as_str() {
            "privateKey" => rsa.clone(),
            "tsigSecret" => "c2VjcmV0\n".to_owned(),
            _ => format!("secret-{}\n", reference.key),
        };
        assert_eq!(config.secrets().len(), secret.len(), "{name}");
        let secrets = config.secrets().into_iter().map(|at| (at.clone(), SecretString::from(content(&at))));
        let connected = config.connect(&secrets.collect(), &Egress::default(), &identity, false).await;
        // These ask for a token at once.
        if let Err(error) = connected
            && !["azure", "google", "route53"].contains(&name)
        {
            panic!("{name}: {error}");
        }
    }
    let all: Vec<_> = providers::all().iter().map(|provider| provider.name).collect();
    assert_eq!(names, all);
}

#[test]
fn every_missing_field_has_its_sentence() {
    for (name, settings, secret) in full() {
        let provider = providers::find(name).unwrap();
        let complete = config(name, &settings, secret);
        for field in provider.fields {
            let place = if field.place == Place::Credentials { "credentials" } else { "settings" };
            let mut without = complete.clone();
            without[place].as_object_mut().unwrap().remove(field.name).unwrap();
            let read = parse(&without);
            match field.presence {
                Presence::Optional | Presence::Default(_) => {
                    assert!(read.is_ok(), "{name}.{}: {read:?}", field.name)
                }
                // The credentials of the process may be meant.
                Presence::UnlessAmbient if ["azure", "google"].contains(&name) => {
                    assert!(read.is_ok(), "{name}.{}: {read:?}", field.name)
                }
                Presence::Required | Presence::UnlessAmbient => {
                    let sentence = read.unwrap_err().to_string();
                    let beginning =
                        format!("config.{place}.{} is missing, which provider {name} needs (", field.name);
                    assert!(sentence.starts_with(&beginning), "{sentence}");
                }
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_and_what_to_write_instead() {
    let token = || json!({ "apiToken": { "secretRef": { "name": "cf", "key": "token" } } });
    for (config, sentence) in [
        (json!("cloudflare"), "config must be an object"),
        (json!({}), "config.provider is missing: name the DNS service, as in {provider: cloudflare}"),
        (json!({ "provider": 1 }), "config.provider must be a provider's name"),
        (
            json!({ "provider": "cloudflair" }),
            "config.provider: there is no provider \"cloudflair\"; did you mean cloudflare or cloudns?",
        ),
        (
            json!({ "provider": "xyzzy" }),
            "config.provider: there is no provider \"xyzzy\"; the documentation of certwright-dns lists them",
        ),
        (
            json!({ "provider": "cloudflare" }),
            "config.credentials.apiToken is missing, which provider cloudflare needs (API token. The older global API key is not \
             supported): write it as {secretRef: {name: …, key: …}}",
        ),
        (
            json!({ "provider": "powerdns", "credentials": { "apiKey": { "secretRef": { "name": "a", "key": "b" } } } }),
            "config.settings.url is missing, which provider powerdns needs (URL of the API, as in http://pdns.example:8081): write \
             it as an http:// or https:// URL without user, query or fragment",
        ),
        (
            json!({ "provider": "cloudflare", "apiToken": "x" }),
            "config.apiToken is not a field that is known; known are provider, ttl, zone, credentials, settings",
        ),
        (
            json!({ "provider": "cloudflare", "credentials": { "token": {} } }),
            "config.credentials.token is not a field that is known; known are apiToken",
        ),
        (
            json!({ "provider": "cloudflare", "settings": { "apiToken": "x" } }),
            "config.settings.apiToken is a secret: put it into a Secret, and write config.credentials.apiToken as {secretRef: \
             {name: …, key: …}}",
        ),
        (
            json!({ "provider": "cloudflare", "credentials": token(), "settings": { "x": 1 } }),
            "config.settings.x is not a field that is known; known are none",
        ),
        (
            json!({ "provider": "cloudflare", "credentials": { "apiToken": "x" } }),
            "config.credentials.apiToken must be the name of a Secret in the challenge's namespace and a key in it: {secretRef: \
             {name: …, key: …}}",
        ),
        (
            json!({ "provider": "cloudflare", "credentials": { "apiToken": { "secretRef": { "name": "../x", "key": "k" } } } }),
            "config.credentials.apiToken must be the name of a Secret in the challenge's namespace and a key in it: {secretRef: \
             {name: …, key: …}}",
        ),
        (
            json!({ "provider": "cloudflare", "credentials": token(), "ttl": 0 }),
            "config.ttl must be a number of seconds from 1 to 86400",
        ),
        (
            json!({ "provider": "cloudflare", "credentials": token(), "ttl": 86_401 }),
            "config.ttl must be a number of seconds from 1 to 86400",
        ),
        (
            json!({ "provider": "cloudflare", "credentials": token(), "zone": "a..b" }),
            "config.zone must be a DNS name, as in example.com",
        ),
        (
            json!({ "provider": "hurricane", "credentials": { "key": { "secretRef": { "name": "a", "key": "b" } } } }),
            "config.zone is missing, which provider hurricane needs: the zone that the credentials are for",
        ),
        (
            json!({ "provider": "powerdns", "settings": { "url": "http://user:password@pdns" } }),
            "config.settings.url must be an http:// or https:// URL without user, query or fragment",
        ),
        (
            json!({ "provider": "ovh", "settings": { "endpoint": "ovh-mars" } }),
            "config.settings.endpoint must be one of ovh-eu, ovh-us, ovh-ca, kimsufi-eu, kimsufi-ca, soyoustart-eu, soyoustart-ca",
        ),
        (
            json!({ "provider": "route53", "settings": { "accessKeyID": "a" } }),
            "config.credentials.secretAccessKey is missing, which provider route53 needs (Secret of the access key): write it as \
             {secretRef: {name: …, key: …}}",
        ),
    ] {
        assert_eq!(parse(&config).unwrap_err().to_string(), sentence, "{config}");
    }
}

#[test]
fn what_may_be_left_out_has_a_default() {
    let read = |more: Value| {
        let mut config = config("powerdns", &json!({ "url": "http://a" }), &["apiKey"]);
        config.as_object_mut().unwrap().remove("zone");
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parse(&config).unwrap()
    };
    assert_eq!((read(json!({})).ttl, read(json!({})).zone), (60, None));
    let set = read(json!({ "ttl": 30, "zone": "Example.COM." }));
    assert_eq!((set.ttl, set.zone.as_deref()), (30, Some("example.com")));
}

#[test]
fn a_setting_may_be_in_a_secret_too() {
    let value = config("route53", &json!({}), &["accessKeyID", "secretAccessKey"]);
    let keys: Vec<_> = parse(&value).unwrap().secrets().into_iter().map(|at| at.key).collect();
    assert_eq!(keys, ["accessKeyID", "secretAccessKey"]);
}

#[test]
fn what_messages_show_may_not_be_in_a_secret() {
    for (name, field, expected) in [
        ("rfc2136", "nameserver", "tsigKeyName, tsigSecret"),
        ("powerdns", "url", "serverName, apiKey"),
        ("infoblox", "host", "username, password, wapiVersion, dnsView"),
        ("google", "project", "serviceAccount"),
        ("route53", "role", "accessKeyID, secretAccessKey, sessionToken"),
    ] {
        let error = parse(&config(name, &json!({}), &[field])).unwrap_err().to_string();
        let beginning =
            format!("config.credentials.{field} is not a field that is known; known are {expected}");
        assert_eq!(error, beginning);
    }
}

#[tokio::test]
async fn servers_that_the_egress_rules_forbid_are_refused() {
    for (name, settings, secret) in [
        ("powerdns", json!({ "url": "http://127.0.0.1:8081" }), &["apiKey"][..]),
        ("powerdns", json!({ "url": "http://[::1]:8081" }), &["apiKey"]),
        ("powerdns", json!({ "url": "http://2130706433/" }), &["apiKey"]),
        ("powerdns", json!({ "url": "http://169.254.169.254" }), &["apiKey"]),
        ("infoblox", json!({ "host": "169.254.169.254", "username": "u" }), &["password"]),
        ("rfc2136", json!({ "nameserver": "127.0.0.1:53", "tsigKeyName": "k" }), &["tsigSecret"]),
        ("rfc2136", json!({ "nameserver": "localhost", "tsigKeyName": "k" }), &["tsigSecret"]),
    ] {
        let error = connect(name, &settings, secret, "c2VjcmV0").await.unwrap_err().message;
        assert!(error.contains("the operator's egress rules forbid its address"), "{settings}: {error}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_named_without_its_content() {
    let token = async |content| connect("cloudflare", &json!({}), &["apiToken"], content).await;
    for content in ["", " \n", "two\nlines"] {
        assert_eq!(
            token(content).await.unwrap_err().message,
            "config.credentials.apiToken: the key apiToken of Secret credentials must be one line of at most 1024 printable \
             characters"
        );
    }
    let settings = json!({ "nameserver": "192.0.2.1", "tsigKeyName": "key" });
    let error = connect("rfc2136", &settings, &["tsigSecret"], "not base64!").await.unwrap_err().message;
    assert_eq!(
        error,
        "RFC 2136 cannot be used with this config: Client error: credentials.tsigSecret must be a key in base64"
    );
}

fn config(name: &str, settings: &Value, secret: &[&str]) -> Value {
    let reference =
        |field: &&str| ((*field).to_owned(), json!({ "secretRef": { "name": "credentials", "key": field } }));
    let credentials: serde_json::Map<_, _> = secret.iter().map(reference).collect();
    json!({ "provider": name, "zone": "example.com", "settings": settings, "credentials": credentials })
}

async fn connect(name: &str, settings: &Value, secret: &[&str], content: &str) -> Result<(), ServiceError> {
    let config = parse(&config(name, settings, secret)).unwrap();
    let secrets: BTreeMap<_, _> = config.secrets().into_iter().map(|at| (at, content.into())).collect();
    config.connect(&secrets, &Egress::default(), &identity(), false).await.map(|_| ())
}

/// One that reaches no cloud.
fn identity() -> Identity {
    Identity::of_a_test(Environment::default(), certwright_runtime::clock::now, "http://127.0.0.1:1")
}
