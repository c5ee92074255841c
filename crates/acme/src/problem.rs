use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Identifier;
use crate::code::Code;
use crate::limits::MAX_SUBPROBLEMS;
use crate::wire::{lenient, text};
use certwright_text::clean;

/// A CA's problem document (RFC 7807, RFC 8555 section 6.7): the answer to a rejected request, or the `error` of an order or a
/// challenge.
///
/// `Display` quotes the detail, the type and the subproblems. It omits `instance`, which differs each time, and sorts the
/// subproblems by name, because CAs list them in any order. All texts are [`clean`] and bounded in length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of problem, such as `urn:ietf:params:acme:error:rateLimited`; empty if the CA gave none.
    #[serde(rename = "type", default, deserialize_with = "short_text")]
    pub typ: String,
    /// The explanation for people; empty if the CA gave none.
    #[serde(default, deserialize_with = "long_text")]
    pub detail: String,
    /// A general description of the problem. Some servers send it instead of a detail.
    #[serde(default, deserialize_with = "long_text", skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The HTTP status in the document itself.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Identifies this occurrence; for `userActionRequired`, the page to visit.
    #[serde(default, deserialize_with = "instance", skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// One entry for each name (RFC 8555 section 6.7.1). Entries after the hundredth are dropped.
    #[serde(default, deserialize_with = "subproblems", skip_serializing_if = "Vec::is_empty")]
    pub subproblems: Vec<Subproblem>,
    /// The terms of service that a user must accept (RFC 8555 section 7.3.3). They are in the answer's `Link` header, not in
    /// the document.
    #[serde(skip)]
    pub terms_of_service: Option<String>,
}

/// A problem with one of several names (RFC 8555 section 6.7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subproblem {
    /// The name.
    #[serde(default, deserialize_with = "identifier", skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    /// The kind of problem; empty if the CA gave none.
    #[serde(rename = "type", default, deserialize_with = "short_text")]
    pub typ: String,
    /// The explanation for people; empty if the CA gave none.
    #[serde(default, deserialize_with = "long_text")]
    pub detail: String,
}

impl Problem {
    /// The short code: `rateLimited` for `urn:ietf:params:acme:error:rateLimited`.
    ///
    /// Commercial CAs use their own codes, such as `OUT_OF_CREDIT`, in the type, the detail or a subproblem. Such a word is the
    /// code, wherever it occurs. A `compound` whose subproblems all have the same code has that code. Empty if the CA gave no
    /// type.
    #[must_use]
    pub fn code(&self) -> &str {
        self.commercial_code().unwrap_or_else(|| match short(&self.typ) {
            "compound" => self.common_code().unwrap_or("compound"),
            code => code,
        })
    }

    fn commercial_code(&self) -> Option<&'static str> {
        let own = [&self.typ, &self.detail].into_iter();
        let theirs = self.subproblems.iter().flat_map(|sub| [&sub.typ, &sub.detail]);
        own.chain(theirs).find_map(|text| Code::find_word(text)).map(|code| code.code)
    }

    /// Whether it is of a type that only ACME servers use.
    pub(super) fn is_of_acme(&self) -> bool {
        self.typ.starts_with(ACME) || self.commercial_code().is_some()
    }

    /// The type alone, if it is an ACME type.
    pub(super) fn only_type(self) -> Option<Self> {
        let word = self.typ.strip_prefix(ACME)?;
        let is_word = word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_word.then(|| Self { typ: self.typ, ..Self::default() })
    }

    /// Parses an answer's body. `None` if it is not a JSON object, or contains neither type, detail nor title.
    pub(super) fn from_body(body: &[u8]) -> Option<Self> {
        let problem: Self = serde_json::from_slice(body).ok()?;
        let says_something =
            [&problem.typ, &problem.detail, &problem.title].iter().any(|text| !text.is_empty());
        says_something.then_some(problem)
    }

    fn common_code(&self) -> Option<&str> {
        let code = short(&self.subproblems.first()?.typ);
        self.subproblems.iter().all(|sub| short(&sub.typ) == code).then_some(code)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = if self.detail.is_empty() { &self.title } else { &self.detail };
        said(f, detail, &self.typ)?;
        let mut subproblems: Vec<&Subproblem> = self.subproblems.iter().collect();
        subproblems.sort();
        let mut left = MAX_SHOWN;
        for (index, sub) in subproblems.iter().enumerate() {
            let text = format!("; {sub}");
            if text.len() > left {
                return write!(f, "; and {} more", subproblems.len() - index);
            }
            left -= text.len();
            f.write_str(&text)?;
        }
        Ok(())
    }
}

impl fmt::Display for Subproblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identifier) = &self.identifier {
            write!(f, "{identifier}: ")?;
        }
        said(f, &self.detail, &self.typ)
    }
}

/// A type, or another single word.
fn short_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer).map(|text| clean(&text, MAX_SHORT))
}

/// One or more sentences.
fn long_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer).map(|text| clean(&text, MAX_LONG))
}

fn instance<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(lenient::<D, Option<String>>(deserializer)?.map(|url| clean(&url, MAX_LONG)))
}

fn identifier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Identifier>, D::Error> {
    let identifier: Option<Identifier> = lenient(deserializer)?;
    Ok(identifier.map(|Identifier { typ, value, .. }| Identifier {
        typ: clean(&typ, MAX_SHORT),
        value: clean(&value, MAX_NAME),
        ancestor_domain: None,
    }))
}

fn subproblems<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Subproblem>, D::Error> {
    let mut subproblems: Vec<Subproblem> = lenient(deserializer)?;
    subproblems.truncate(MAX_SUBPROBLEMS);
    Ok(subproblems)
}

fn said(f: &mut fmt::Formatter<'_>, detail: &str, typ: &str) -> fmt::Result {
    match (detail, typ) {
        ("", "") => f.write_str("no reason given"),
        (only, "") | ("", only) => f.write_str(only),
        (detail, typ) => write!(f, "{detail} ({typ})"),
    }
}

/// The namespace of the types in RFC 8555 section 6.7.
const ACME: &str = "urn:ietf:params:acme:error:";

/// Maximum lengths of texts, in characters. CA messages that people quote have about 300 at most.
const MAX_SHORT: usize = 200;
const MAX_LONG: usize = 1000;
/// A DNS name has at most 253 characters.
const MAX_NAME: usize = 260;
/// The maximum number of bytes of subproblems to show.
const MAX_SHOWN: usize = 3000;

/// The last part of a problem type, which may be a URN, a URL or a single word.
fn short(typ: &str) -> &str {
    typ.rsplit([':', '/', '#']).find(|part| !part.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::code::{CODES, Source};

    #[test]
    fn the_code_of_an_rfc_8555_problem_is_the_end_of_its_type() {
        assert_eq!(read(json!({ "type": "urn:ietf:params:acme:error:rateLimited" })).code(), "rateLimited");
        assert_eq!(read(json!({ "type": "https://ca.example/errors/quota/" })).code(), "quota");
        assert_eq!(read(json!({ "detail": "no type" })).code(), "");
    }

    #[test]
    fn the_words_of_commercial_cas_are_codes_wherever_they_stand() {
        for code in CODES.iter().filter(|known| known.source == Source::Certigna).map(|known| known.code) {
            for typ in [code.to_owned(), format!("urn:ca:error:{code}"), format!("https://ca.example/{code}")]
            {
                assert_eq!(read(json!({ "type": typ })).code(), code);
            }
            let typ = "urn:ietf:params:acme:error:unauthorized";
            for detail in
                [code.to_owned(), format!("Error [{code}]: see the portal"), format!("sorry: {code}.")]
            {
                assert_eq!(read(json!({ "type": typ, "detail": detail })).code(), code);
                let subproblem = json!({ "type": typ, "detail": detail });
                assert_eq!(read(json!({ "type": typ, "subproblems": [subproblem] })).code(), code);
            }
        }
    }

    #[test]
    fn a_word_that_only_contains_a_code_is_not_a_code() {
        for detail in ["INVALID_DOMAIN_NAMES", "NOT_RATE_LIMITED", "bad_signature"] {
            assert_eq!(
                read(json!({ "type": "malformed", "detail": detail })).code(),
                "malformed",
                "{detail}"
            );
        }
    }

    #[test]
    fn a_compound_has_the_code_on_which_its_parts_agree() {
        let compound = |types: [&str; 2]| {
            let parts = types.map(|typ| json!({ "type": format!("urn:ietf:params:acme:error:{typ}") }));
            read(json!({ "type": "urn:ietf:params:acme:error:compound", "subproblems": parts }))
                .code()
                .to_owned()
        };
        assert_eq!(compound(["caa", "caa"]), "caa");
        assert_eq!(compound(["caa", "dns"]), "compound");
    }

    #[test]
    fn an_invalid_field_does_not_hide_the_rest_of_the_document() {
        let problem = read(
            json!({ "type": null, "detail": 42, "status": "403", "instance": 7, "subproblems": "none" }),
        );
        assert_eq!((problem.detail.as_str(), problem.status, problem.subproblems.len()), ("42", None, 0));
        assert_eq!(Problem::from_body(b"[]"), None);
        assert_eq!(Problem::from_body(br#"{"type":"","detail":null}"#), None);
    }

    #[test]
    fn the_text_does_not_depend_on_the_order_of_the_names() {
        let text = |names: [&str; 2]| {
            let subproblems = names.map(
                |name| json!({ "type": "t", "detail": "d", "identifier": { "type": "dns", "value": name } }),
            );
            read(json!({ "type": "x", "subproblems": subproblems })).to_string()
        };
        assert_eq!(text(["a", "b"]), "x; a: d (t); b: d (t)");
        assert_eq!(text(["b", "a"]), text(["a", "b"]));
    }

    #[test]
    fn a_title_replaces_a_missing_detail() {
        assert_eq!(
            read(json!({ "type": "about:blank", "title": "Forbidden" })).to_string(),
            "Forbidden (about:blank)"
        );
    }

    #[test]
    fn a_problem_is_shown_on_one_line_and_within_bounds() {
        let text = "\u{1b}[2Jline one\nline \u{202e}two\u{2028}".repeat(1000);
        let identifier = json!({ "type": "dns", "value": format!("{text}.example") });
        let part = json!({ "type": text, "detail": text, "identifier": identifier });
        let problem = read(json!({
            "type": text, "detail": text, "title": text, "instance": text, "subproblems": vec![part; 1000],
        }));
        let shown = problem.to_string();
        assert!(shown.starts_with("[2Jline one line two [2Jline one line two "), "{shown}");
        assert!(shown.ends_with("; and 98 more"), "{shown}");
        assert!(
            shown.len() < 5000 && !shown.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{shown}"
        );
        assert!(serde_json::to_string(&problem).unwrap().len() < 200_000);
        assert!(problem.instance.unwrap().len() < 1010);
    }

    #[test]
    fn a_problem_from_another_server_is_reduced_to_an_acme_type() {
        let typ = "urn:ietf:params:acme:error:rateLimited";
        let problem =
            read(json!({ "type": typ, "detail": "secret", "title": "secret", "subproblems": [{}] }));
        assert_eq!(problem.only_type(), Some(Problem { typ: typ.to_owned(), ..Problem::default() }));
        for typ in ["", "about:blank", "urn:ietf:params:acme:error:the secret", "https://inner/secret"] {
            assert_eq!(read(json!({ "type": typ, "detail": "secret" })).only_type(), None, "{typ}");
        }
    }

    fn read(document: serde_json::Value) -> Problem {
        Problem::from_body(document.to_string().as_bytes()).unwrap()
    }
}
