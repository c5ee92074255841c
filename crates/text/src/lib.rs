//! Text from others: certificate authorities, providers, name servers, users.

/// `text` on one line, at most `most` characters long, without characters that are invisible or change how the rest is shown:
/// no control characters, and none that reorder text or have no width. White space becomes single spaces. An ellipsis at the
/// end marks an omission.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let mut cleaned = String::new();
    let (mut length, mut gap) = (0, false);
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        if length + usize::from(gap) >= most {
            cleaned.push('…');
            break;
        }
        if std::mem::take(&mut gap) {
            cleaned.push(' ');
            length += 1;
        }
        cleaned.push(c);
        length += 1;
    }
    cleaned
}

/// Whether a character has no glyph of its own: Unicode's property `Default_Ignorable_Code_Point`, which includes directional
/// controls (UAX #9) and tags, and the interlinear annotations, which it does not include.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The first `most` characters of what a user wrote, with control characters escaped. White space stays, because it may be what is
/// wrong.
#[must_use]
pub fn escaped(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(most) {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_user_wrote_is_escaped_and_not_rearranged() {
        assert_eq!(escaped(" a\n\u{7f}b  c", 20), " a\\n\\u{7f}b  c");
        assert_eq!(escaped("abcd", 3), "abc…");
        assert_eq!(escaped("abc", 3), "abc");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in ["", "CAA record for a.example forbids issuance", "Größe „ß“ – 証明書 عربي"]
        {
            assert_eq!(clean(text, 100), text);
        }
    }

    #[test]
    fn text_stays_on_its_line_and_does_not_speak_to_the_terminal() {
        assert_eq!(clean(" one\r\n\ttwo\u{2028}three\u{85}four ", 100), "one two three four");
        assert_eq!(clean("\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J", 100), "[31mred ]0;title 2J");
    }

    #[test]
    fn nothing_reorders_or_hides_in_the_text() {
        assert_eq!(clean("good\u{202e}dab\u{2066}x\u{2069}\u{200f}", 100), "gooddabx");
        assert_eq!(clean("pay\u{200b}pal\u{feff}\u{ad}\u{e0041}\u{fe0f}", 100), "paypal");
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdef ", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcdef…");
        assert_eq!(clean("abcdef g", 6), "abcdef…");
        assert_eq!(clean("äöü", 2), "äö…");
    }

    proptest! {
        #[test]
        fn the_result_is_always_printable_and_bounded(text in any::<String>(), most in 0_usize..50) {
            let cleaned = clean(&text, most);
            prop_assert!(cleaned.chars().count() <= most + 1);
            prop_assert!(!cleaned.chars().any(|c| c.is_control() || is_invisible(c) || (c.is_whitespace() && c != ' ')));
            prop_assert_eq!(cleaned.trim(), cleaned.as_str());
            prop_assert_eq!(clean(&cleaned, most + 1), cleaned);
        }
    }
}
