//! The answers to scrapes. With thousands of Certificates they have megabytes, and slow readers hold them in memory.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

/// The maximum number of texts in memory.
const MOST: usize = 3;

/// The texts that are being sent. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Scrapes(Arc<Mutex<Vec<Weak<String>>>>);

impl Scrapes {
    /// A new text; if the maximum number is being sent, the newest of them.
    pub(super) fn next(
        &self,
        encode: impl FnOnce() -> Result<String, fmt::Error>,
    ) -> Result<Bytes, fmt::Error> {
        let mut held = self.0.lock();
        held.retain(|text| text.strong_count() > 0);
        if held.len() >= MOST
            && let Some(newest) = held.last().and_then(Weak::upgrade)
        {
            return Ok(Bytes::from_owner(Text(newest)));
        }
        let text = Arc::new(encode()?);
        held.push(Arc::downgrade(&text));
        Ok(Bytes::from_owner(Text(text)))
    }
}

struct Text(Arc<String>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_readers_share_what_they_hold_and_everybody_else_gets_what_is_new() {
        let scrapes = Scrapes::default();
        let scrape = |text: &str| scrapes.next(|| Ok(text.to_owned())).unwrap();
        drop(scrape("0"));
        let held: Vec<Bytes> = ["1", "2", "3"].map(scrape).into();
        let more = scrape("4");
        assert_eq!(more, "3", "as many are held as may be");
        drop(held);
        assert_eq!(scrape("5"), "5");
        drop(more);
        assert_eq!(scrape("6"), "6");
    }
}
