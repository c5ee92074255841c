use http::StatusCode;

/// The beginning of a body as text that is fit for a message: without markup, and without words that hold
/// digits, which are times, request ids and addresses and differ from one answer to the next.
pub(crate) fn excerpt(body: &[u8], status: StatusCode) -> String {
    const MAX_CHARS: usize = 200;
    let body = String::from_utf8_lossy(body);
    let mut text = String::new();
    for (index, part) in body.split('<').enumerate() {
        let (tag, content) = if index == 0 { ("", part) } else { part.split_once('>').unwrap_or((part, "")) };
        if !["style", "script", "!--"].iter().any(|invisible| tag.to_ascii_lowercase().starts_with(invisible))
        {
            text.push(' ');
            text.push_str(content);
        }
    }
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let changing = word.contains(|c: char| c.is_ascii_digit()) && word != status.as_str();
        match (changing, words.last()) {
            (true, Some(&"…")) => {}
            (true, _) => words.push("…"),
            (false, _) => words.push(word),
        }
    }
    let text = words.join(" ");
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_html_page_is_quoted_as_text_without_what_changes() {
        let page = b"<html><head><title>503 Service Unavailable</title><style>p{color:red}</style></head>\n\
            <body><!-- node 7 --><h1>Sorry</h1><p>Request id: 8f3a-11 at 10:33:21</p></body></html>";
        let text = excerpt(page, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "503 Service Unavailable Sorry Request id: … at …");
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        let text = excerpt("é\u{7}\u{1b}[".repeat(5000).as_bytes(), StatusCode::BAD_GATEWAY);
        assert!(text.chars().count() <= 201 && !text.contains(|c: char| c.is_control()), "{text}");
        assert_eq!(excerpt(&[0xff, 0xfe, 0x00], StatusCode::BAD_GATEWAY), "\u{fffd}\u{fffd}");
        assert_eq!(excerpt(b"", StatusCode::BAD_GATEWAY), "");
    }
}
