//! Escape sequences for colours.

/// A part of a line with one colour.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The number of the colour, if any.
    pub colour: Option<&'a str>,
    /// Its text.
    pub text: &'a str,
}

/// The text with a colour.
pub fn paint(colour: &str, text: &str) -> String {
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// The parts of a line of which some are painted.
pub fn parts(line: &str) -> impl Iterator<Item = Part<'_>> {
    line.split("\x1b[").enumerate().map(|(index, part)| match part.split_once('m').filter(|_| index > 0) {
        Some((colour, text)) => Part { colour: Some(colour).filter(|colour| *colour != "0"), text },
        None => Part { colour: None, text: part },
    })
}

/// The line without colours.
pub fn plain(line: &str) -> String {
    parts(line).map(|part| part.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_painted_parts_and_others() {
        let line = format!("some {} of mine", paint("32", "Terms"));
        let of = |colour, text| Part { colour, text };
        let found: Vec<_> = parts(&line).collect();
        assert_eq!(found, [of(None, "some "), of(Some("32"), "Terms"), of(None, " of mine")]);
        assert_eq!(plain(&line), "some Terms of mine");
    }
}
