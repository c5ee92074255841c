//! Escape sequences for colours.

/// A part of a line with one style.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The numbers of the style, such as those of bold and of a colour.
    pub style: Vec<&'a str>,
    /// Its text.
    pub text: &'a str,
}

/// The text in a style: numbers, separated by semicolons.
pub fn paint(style: &str, text: &str) -> String {
    format!("\x1b[{style}m{text}\x1b[0m")
}

/// The parts of a line of which some are painted.
pub fn parts(line: &str) -> impl Iterator<Item = Part<'_>> {
    line.split("\x1b[").enumerate().map(|(index, part)| match part.split_once('m').filter(|_| index > 0) {
        Some((style, text)) => {
            Part { style: style.split(';').filter(|number| *number != "0").collect(), text }
        }
        None => Part { style: Vec::new(), text: part },
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
        let line = format!("some {} of {}", paint("32", "Terms"), paint("1;31", "mine"));
        let of = |style: &[&'static str], text| Part { style: style.to_vec(), text };
        let found: Vec<_> = parts(&line).collect();
        assert_eq!(
            found,
            [of(&[], "some "), of(&["32"], "Terms"), of(&[], " of "), of(&["1", "31"], "mine"), of(&[], "")]
        );
        assert_eq!(plain(&line), "some Terms of mine");
    }
}
