//! What has to hold of anything that was read.

/// The longest message for people, in characters. A condition holds 32 KiB, and a Certificate has many names.
const LONGEST: usize = 8 << 10;

/// `text` goes into a condition, an event, a log line or a terminal: one line, not too long, without control characters.
pub fn message(text: &str) {
    let length = text.chars().count();
    assert!(
        length <= LONGEST,
        "a message of {length} characters: {}…",
        text.chars().take(200).collect::<String>()
    );
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
