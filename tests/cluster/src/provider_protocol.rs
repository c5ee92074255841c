//! The protocols of DNS providers: what a request asks for, and the format of the answers.

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The protocol of a provider.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    /// lego's `httpreq`: POST to `/present` and `/cleanup`, default or RAW mode.
    HttpRequest,
    /// cert-manager's webhooks: a `ChallengePayload` to a solver of an API group.
    Webhook { group: String, solver: String },
    /// acme-dns: POST to `/update`.
    AcmeDns(AcmeDnsAccount),
}

/// An account at an acme-dns server.
#[derive(Clone, Debug)]
pub struct AcmeDnsAccount {
    pub username: String,
    pub password: String,
    pub subdomain: String,
    /// The name whose TXT records it changes: the target of CNAMEs.
    pub full_domain: String,
}

/// A change of DNS records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Present {
        name: String,
        value: String,
    },
    CleanUp {
        name: String,
        value: String,
    },
    /// Like acme-dns: the older one of two values is removed.
    Roll {
        name: String,
        value: String,
    },
}

/// A status and a JSON text.
pub(crate) type Reply = (u16, Value);

impl Protocol {
    /// The requested change, or an error.
    pub(crate) fn change(&self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Change, Reply> {
        let bad = |message: String| (400, json!({ "error": message }));
        match self {
            Self::HttpRequest => {
                let (name, value) = http_request_record(body).map_err(|error| bad(format!("{error:#}")))?;
                match path {
                    path if path.ends_with("/present") => Ok(Change::Present { name, value }),
                    path if path.ends_with("/cleanup") => Ok(Change::CleanUp { name, value }),
                    _ => Err((404, json!({"error": format!("nothing is at {path}")}))),
                }
            }
            Self::Webhook { group, solver } => {
                let wanted = format!("/apis/{group}/v1alpha1/{solver}");
                if path.split('?').next() != Some(&wanted) {
                    return Err((404, status(404, &format!("nothing is at {path}"))));
                }
                webhook_change(body).map_err(|error| (400, status(400, &format!("{error:#}"))))
            }
            Self::AcmeDns(account) => account.change(path, headers, body),
        }
    }

    /// The answer to a request that succeeded.
    pub(crate) fn success(&self, request: &Value) -> Reply {
        match self {
            Self::HttpRequest => (200, json!({})),
            Self::Webhook { .. } => (201, challenge_response(request, json!({"success": true}))),
            Self::AcmeDns(_) => (200, json!({"txt": request["txt"]})),
        }
    }

    /// The answer to a request that failed.
    pub(crate) fn failure(&self, request: &Value, message: &str) -> Reply {
        match self {
            Self::HttpRequest | Self::AcmeDns(_) => (500, json!({ "error": message })),
            Self::Webhook { .. } => {
                let response = json!({"success": false, "status": status(500, message)});
                (201, challenge_response(request, response))
            }
        }
    }

    /// The answer to a GET. The API server reads what a group contains before it forwards anything.
    pub(crate) fn discover(&self, path: &str) -> Option<Value> {
        let Self::Webhook { group, solver } = self else { return None };
        (path.split('?').next()? == format!("/apis/{group}/v1alpha1")).then(|| {
            json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/v1alpha1"),
                "resources": [{
                    "name": solver, "singularName": "", "namespaced": false, "kind": "ChallengePayload",
                    "group": "webhook.acme.cert-manager.io", "version": "v1alpha1", "verbs": ["create"],
                }],
            })
        })
    }
}

impl AcmeDnsAccount {
    /// What an acme-dns client stores for a domain.
    pub fn storage(&self, domain: &str) -> Value {
        json!({domain: {
            "username": self.username,
            "password": self.password,
            "fulldomain": self.full_domain,
            "subdomain": self.subdomain,
            "allowfrom": [],
        }})
    }

    fn change(&self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Change, Reply> {
        let error = |status, message: &str| Err((status, json!({ "error": message })));
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if path != "/update" {
            return error(404, "not_found");
        }
        let known =
            header("x-api-user") == Some(&self.username) && header("x-api-key") == Some(&self.password);
        if !known || body["subdomain"] != json!(self.subdomain) {
            return error(401, "forbidden");
        }
        // A digest in base64 has 43 characters, and acme-dns accepts nothing else.
        match body["txt"].as_str() {
            Some(value) if value.len() == 43 => {
                Ok(Change::Roll { name: self.full_domain.clone(), value: value.into() })
            }
            _ => error(400, "bad_txt"),
        }
    }
}

fn http_request_record(body: &Value) -> Result<(String, String)> {
    let text = |field: &str| body[field].as_str().with_context(|| format!("{field} is missing"));
    if body.get("domain").is_none() {
        return Ok((text("fqdn")?.into(), text("value")?.into()));
    }
    let value = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text("keyAuth")?));
    Ok((format!("_acme-challenge.{}", text("domain")?), value))
}

fn webhook_change(body: &Value) -> Result<Change> {
    let request = &body["request"];
    let text = |field: &str| request[field].as_str().with_context(|| format!("request.{field} is missing"));
    let (name, value) = (text("resolvedFQDN")?.to_owned(), text("key")?.to_owned());
    match text("action")? {
        "Present" => Ok(Change::Present { name, value }),
        "CleanUp" => Ok(Change::CleanUp { name, value }),
        other => anyhow::bail!("there is no action {other}"),
    }
}

fn challenge_response(request: &Value, mut response: Value) -> Value {
    response["uid"] = request["request"]["uid"].clone();
    json!({
        "kind": "ChallengePayload", "apiVersion": "webhook.acme.cert-manager.io/v1alpha1",
        "request": request["request"], "response": response,
    })
}

fn status(code: u16, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": "InternalError", "code": code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_mode_has_the_digest_made_here() {
        let body = json!({"domain": "a.test", "token": "t", "keyAuth": "t.thumbprint"});
        let change = Protocol::HttpRequest.change("/present", &HeaderMap::new(), &body).unwrap();
        let Change::Present { name, value } = change else { panic!("{change:?}") };
        assert_eq!((name.as_str(), value.len()), ("_acme-challenge.a.test", 43));
    }

    #[test]
    fn an_acme_dns_account_changes_only_its_own_name_and_with_its_key() {
        let account = AcmeDnsAccount {
            username: "user".into(),
            password: "key".into(),
            subdomain: "sub".into(),
            full_domain: "sub.auth.test".into(),
        };
        let body = |subdomain: &str| json!({"subdomain": subdomain, "txt": "x".repeat(43)});
        let headers = |key: &'static str| {
            let pairs = [("x-api-user", "user"), ("x-api-key", key)];
            pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect()
        };
        let change = |key, subdomain| account.change("/update", &headers(key), &body(subdomain));
        let rolled = Change::Roll { name: "sub.auth.test".into(), value: "x".repeat(43) };
        assert_eq!(change("key", "sub"), Ok(rolled));
        assert_eq!(change("key", "other").unwrap_err().0, 401);
        assert_eq!(change("wrong", "sub").unwrap_err().0, 401);
    }
}
