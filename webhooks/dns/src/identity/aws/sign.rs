//! Signature Version 4 of a request:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret;

use super::AwsCredentials;

/// What is signed.
pub(crate) struct Request<'a> {
    pub method: &'a str,
    pub host: &'a str,
    /// In its canonical form.
    pub path: &'a str,
    /// In its canonical form.
    pub query: &'a str,
    pub content_type: &'a str,
    pub body: &'a str,
}

/// What the signature is valid for.
pub(crate) struct Scope<'a> {
    pub region: &'a str,
    pub service: &'a str,
}

/// The headers that the request needs in addition to its content type.
pub(crate) fn headers(
    request: &Request<'_>,
    scope: &Scope<'_>,
    credentials: &AwsCredentials,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let now = now.to_zoned(TimeZone::UTC);
    let (time, date) = (now.strftime("%Y%m%dT%H%M%SZ").to_string(), now.strftime("%Y%m%d").to_string());
    let Request { method, host, path, query, content_type, body } = request;
    let mut signed = vec![("content-type", *content_type), ("host", host), ("x-amz-date", &time)];
    let token = credentials.session_token.as_ref().map(ExposeSecret::expose_secret);
    signed.extend(token.map(|token| ("x-amz-security-token", token)));
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{}", sha256(body));
    let Scope { region, service } = scope;
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(&canonical));
    let secret = format!("AWS4{}", credentials.secret_access_key.expose_secret()).into_bytes();
    let key =
        [date.as_str(), region, service, "aws4_request"].iter().fold(secret, |key, part| mac(&key, part));
    let signature = HEXLOWER.encode(&mac(&key, &to_sign));
    let id = &credentials.access_key_id;
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
    let mut headers = vec![("authorization", authorization), ("x-amz-date", time)];
    headers.extend(token.map(|token| ("x-amz-security-token", token.to_owned())));
    headers
}

fn sha256(text: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's General Reference, "Create a signed AWS API request".
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let request = Request {
            method: "GET",
            host: "iam.amazonaws.com",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            body: "",
        };
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let scope = Scope { region: "us-east-1", service: "iam" };
        let headers = headers(&request, &scope, &credentials, "2015-08-30T12:36:00Z".parse().unwrap());
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date, \
                        Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        assert_eq!(headers[0], ("authorization", expected.to_owned()));
        assert_eq!(headers[1], ("x-amz-date", "20150830T123600Z".to_owned()));
        assert_eq!(headers.len(), 2);
    }
}
