//! Words of others (a CA, a provider, an object) before they are shown: one line, of bounded length, without anything that a
//! terminal or a browser would act upon, or that would make a text read otherwise than it is.

/// A text as it can be shown: what moves a cursor or begins a line is a space, what cannot be seen is left out, and no more
/// than `longest` bytes are left.
pub fn clean(text: &str, longest: usize) -> String {
    const MORE: &str = "…";
    let mut cleaned = String::with_capacity(text.len().min(longest));
    for character in text.chars().filter(|character| !is_hidden(*character)) {
        let is_gap = breaks_out(character);
        if is_gap && (cleaned.is_empty() || cleaned.ends_with(' ')) {
            continue;
        }
        cleaned.push(if is_gap { ' ' } else { character });
        if cleaned.len() > longest {
            let mut end = longest.saturating_sub(MORE.len());
            while !cleaned.is_char_boundary(end) {
                end -= 1;
            }
            cleaned.truncate(end);
            cleaned.push_str(MORE);
            return cleaned;
        }
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

/// Whether a character leaves its line, or tells a terminal to do something: those of C0 and C1, DEL, and the separators of
/// lines and paragraphs.
pub fn breaks_out(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Whether a character cannot be seen, and changes how others are read: it turns their direction around, or stands between
/// them without width.
pub fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_upon_is_left() {
        let text = "\u{1b}[2J\u{9b}31mred\u{7}\u{8}\r\n\tReady: True\u{7f}\u{85}end\u{2028}";
        let cleaned = clean(text, 1000);
        assert_eq!(cleaned, "[2J 31mred Ready: True end");
        assert!(!cleaned.chars().any(breaks_out));
    }

    #[test]
    fn what_would_make_a_text_read_otherwise_is_left_out() {
        assert_eq!(clean("pay\u{202e}lap\u{202c}\u{200b}\u{feff}\u{ad}\u{2066}x\u{2069}", 1000), "paylapx");
    }

    #[test]
    fn other_scripts_stay_as_they_are() {
        for text in ["Zertifikat für Käse", "証明書", "сертификат", "a  b"] {
            assert_eq!(clean(text, 1000), text);
        }
    }

    #[test]
    fn a_text_is_no_longer_than_it_may_be() {
        assert_eq!(clean("abcdefgh", 8), "abcdefgh");
        assert_eq!(clean("abcdefghi", 8), "abcde…");
        assert_eq!(clean("ääääää", 8), "ää…", "no character is cut in two");
        assert!(clean(&"x\n".repeat(100_000), 64).len() <= 64);
    }
}
