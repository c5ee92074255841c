//! What has to hold of anything that was read.

/// The longest message for people, in characters. A condition holds 32 KiB, and a Certificate has many names.
const LONGEST: usize = 8 << 10;

/// `text` goes into a condition, an event, a log line or a terminal, and is not too long.
pub fn message(text: &str) {
    let length = text.chars().count();
    assert!(
        length <= LONGEST,
        "a message of {length} characters: {}…",
        text.chars().take(200).collect::<String>()
    );
}

/// `text` is a message, and none of its words are others': it has no control characters.
pub fn own_words(text: &str) {
    message(text);
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

/// An error's own text is a message.
pub fn refusal(error: &impl std::fmt::Display) {
    message(&error.to_string());
}

/// `text` goes to a terminal, in lines.
pub fn screen(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "a control character in {text:?}");
}
