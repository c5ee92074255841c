//! The data of TXT records as zone files have it (RFC 1035 section 5.1): strings of at most 255 bytes, in quotes if they have spaces.

/// The data of one value.
pub(crate) fn quote(value: &str) -> String {
    let quoted = |chunk: &[u8]| {
        let escaped = chunk.iter().map(|&byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\{byte:03}"),
        });
        format!("\"{}\"", escaped.collect::<String>())
    };
    match value.is_empty() {
        true => "\"\"".to_owned(),
        false => value.as_bytes().chunks(255).map(quoted).collect::<Vec<_>>().join(" "),
    }
}

/// The value of data, whose strings are one text. Bytes that are not UTF-8 are replaced.
pub(crate) fn parse(data: &str) -> String {
    let (mut value, mut quoted) = (Vec::new(), false);
    let mut rest = data.bytes().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => quoted = !quoted,
            b' ' | b'\t' if !quoted => {}
            b'\\' => {
                let mut digits = String::new();
                while digits.len() < 3
                    && let Some(digit) = rest.next_if(u8::is_ascii_digit)
                {
                    digits.push(char::from(digit));
                }
                match digits.parse() {
                    Ok(byte) => value.push(byte),
                    Err(_) => value.extend(rest.next()),
                }
            }
            byte => value.push(byte),
        }
    }
    String::from_utf8_lossy(&value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_split() {
        assert_eq!(quote("a b"), r#""a b""#);
        assert_eq!(quote(r#"a"\"#), r#""a\"\\""#);
        assert_eq!(quote("é"), r#""\195\169""#);
        let long = quote(&"x".repeat(256));
        assert_eq!(long, format!("\"{}\" \"x\"", "x".repeat(255)));
    }

    #[test]
    fn data_is_read_in_all_its_forms() {
        for (data, value) in [
            (r#""a b""#, "a b"),
            ("plain", "plain"),
            (r#""one" "two""#, "onetwo"),
            (r#""a\"\\""#, r#"a"\"#),
            (r#""\195\169""#, "é"),
            (r"\097bc", "abc"),
            (r#""open"#, "open"),
            ("\\", ""),
            (r"\999x", "x"),
        ] {
            assert_eq!(parse(data), value, "{data}");
        }
        for value in ["", "a b", r#"a"\ "#, "é\u{7f}", &"y\\".repeat(300)] {
            assert_eq!(parse(&quote(value)), value);
        }
    }
}
