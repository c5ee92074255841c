//! What is reported about an unexpected answer.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use certwright_text::clean;

/// The beginning of a body, only for the operator's log: the server may be one that only the operator can reach.
pub fn excerpt(body: &[u8]) -> String {
    const MAX_CHARS: usize = 200;
    // A character has at most four bytes, and invisible characters are removed.
    let beginning = &body[..body.len().min(16 * MAX_CHARS)];
    clean(&String::from_utf8_lossy(beginning), MAX_CHARS)
}

/// The media type of an answer, such as `text/html`, without its parameters, and only if it is valid (RFC 9110 section 8.3.1).
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    const MAX_CHARS: usize = 60;
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next()?.trim().to_ascii_lowercase();
    let (typ, subtype) = media_type.split_once('/')?;
    let token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    (token(typ) && token(subtype) && media_type.len() <= MAX_CHARS).then_some(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"<h1>Oh</h1>\r\n  no\x1b[2J"), "<h1>Oh</h1> no [2J");
        let text = excerpt("\u{e9}\u{7}\u{1b}[".repeat(5000).as_bytes());
        assert!(text.chars().count() <= 201 && !text.contains(|c: char| c.is_control()), "{text}");
        assert_eq!(excerpt(&[0xff, 0xfe, 0x00]), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_media_type_is_told_without_its_parameters_and_nothing_else_is() {
        for (value, told) in [
            ("text/html; charset=utf-8", Some("text/html")),
            ("Application/Problem+JSON", Some("application/problem+json")),
            ("text/html password=hunter2", None),
            ("secret", None),
            ("/", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(media_type(&headers).as_deref(), told, "{value}");
        }
        let long =
            HeaderMap::from_iter([(CONTENT_TYPE, format!("text/{}", "x".repeat(60)).parse().unwrap())]);
        assert_eq!((media_type(&long), media_type(&HeaderMap::new())), (None, None));
    }
}
