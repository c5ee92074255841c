//! The CA.

use jiff::Timestamp;

use super::World;
use certwright_acme::{AcmeResponse, Authorization, Challenge, txt_value};

/// An authorization at the CA.
#[derive(Clone, Debug)]
pub struct AtCa {
    pub url: String,
    pub name: String,
    pub state: &'static str,
    pub expires: Timestamp,
    pub account: String,
}

impl World {
    pub(super) fn request(&mut self, name: &str) -> Option<AcmeResponse<Authorization>> {
        if !self.offers {
            return None;
        }
        let url = format!("authz/{}", self.ca.len());
        let name = self.other_name.clone().unwrap_or_else(|| name.to_owned());
        let state = if self.already_valid { "valid" } else { "pending" };
        let (expires, account) = (self.now + self.lifetime, self.account.clone());
        self.ca.push(AtCa { url: url.clone(), name, state, expires, account });
        Some(self.read(&url))
    }

    pub(super) fn read(&self, url: &str) -> AcmeResponse<Authorization> {
        let one = self.ca.iter().find(|one| one.url == url).unwrap();
        assert_eq!(one.account, self.account, "an authorization of another account is not read");
        let error = (one.state == "invalid").then(
            || serde_json::json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": "no such record" }),
        );
        let authorization = serde_json::json!({
            "status": one.state,
            "expires": one.expires.to_string(),
            "identifier": { "type": "dns", "value": one.name },
            "challenges": [{
                "type": "dns-01", "url": format!("{url}/challenge"), "token": format!("token-{url}"),
                "status": if one.state == "pending" { "pending" } else { one.state }, "error": error,
            }],
        });
        let value = serde_json::from_value(authorization).unwrap();
        AcmeResponse { value, location: Some(url.to_owned()), retry_after: None }
    }

    /// The CA validates at once.
    pub(super) fn answer(&mut self, url: &str) -> AcmeResponse<Challenge> {
        let authorization = url.strip_suffix("/challenge").unwrap().to_owned();
        let value = txt_value(&format!("token-{authorization}.{}", self.thumbprint));
        let proved = self.dns.iter().any(|(_, known)| *known == value) && !self.rejects;
        let expires = self.now + self.lifetime;
        let one = self.ca.iter_mut().find(|one| one.url == authorization).unwrap();
        if one.state == "pending" {
            (one.state, one.expires) = (if proved { "valid" } else { "invalid" }, expires);
        }
        let read = self.read(&authorization);
        let value = read.value.challenges.into_iter().next().unwrap();
        AcmeResponse { value, location: None, retry_after: None }
    }
}
