//! How an object is held in memory.

use std::sync::Arc;

/// A form in which objects are held.
pub trait Form<K> {
    /// Holds an object.
    fn hold(object: Arc<K>) -> Self;
    /// The object.
    fn open(&self) -> Option<Arc<K>>;
}

/// The object as it is: quick, for kinds of which there are few.
impl<K> Form<K> for Arc<K> {
    fn hold(object: Self) -> Self {
        object
    }

    fn open(&self) -> Option<Self> {
        Some(self.clone())
    }
}
