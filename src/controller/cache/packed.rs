//! Kinds with many objects are held as compressed JSON, which takes less memory than the objects themselves.

use std::marker::PhantomData;
use std::sync::Arc;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::form::Form;

/// What the compressed objects have in common. It is never stored, so it may change at any time.
const DICTIONARY: &[u8] = include_bytes!("dictionary.json");

/// An object as compressed JSON.
pub struct Packed<K>(Content<K>);

enum Content<K> {
    Compressed(Box<[u8]>, PhantomData<K>),
    /// It cannot be read from the JSON that it is written as.
    Whole(Arc<K>),
}

impl<K: DeserializeOwned + Serialize> Form<K> for Packed<K> {
    fn hold(object: Arc<K>) -> Self {
        let json = serde_json::to_vec(&*object).ok();
        let json = json.filter(|json| serde_json::from_slice::<K>(json).is_ok());
        Self(match json {
            Some(json) => {
                let compressed = compress_prepend_size_with_dict(&json, DICTIONARY);
                Content::Compressed(compressed.into_boxed_slice(), PhantomData)
            }
            None => Content::Whole(object),
        })
    }

    fn open(&self) -> Option<Arc<K>> {
        match &self.0 {
            Content::Whole(object) => Some(object.clone()),
            // This does not fail: it has been read once, before it was held.
            Content::Compressed(bytes, _) => {
                let json = decompress_size_prepended_with_dict(bytes, DICTIONARY).ok()?;
                Some(Arc::new(serde_json::from_slice(&json).ok()?))
            }
        }
    }
}

#[cfg(test)]
mod tests;
