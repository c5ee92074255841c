use parking_lot::Mutex;

/// Unused nonces from a server (RFC 8555 section 6.5).
///
/// The newest is used first, because the server is most likely to still accept it.
#[derive(Debug, Default)]
pub(super) struct NoncePool(Mutex<Vec<String>>);

/// More than an account's requests in flight. When the pool is full, a new nonce replaces the oldest.
const CAPACITY: usize = 128;

impl NoncePool {
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().pop()
    }

    pub(super) fn put(&self, nonce: String) {
        let mut nonces = self.0.lock();
        if nonces.len() >= CAPACITY {
            nonces.remove(0);
        }
        nonces.push(nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_nonce_is_used_first_and_each_only_once() {
        let pool = NoncePool::default();
        pool.put("old".to_owned());
        pool.put("new".to_owned());
        assert_eq!(pool.take().as_deref(), Some("new"));
        assert_eq!(pool.take().as_deref(), Some("old"));
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn a_full_pool_forgets_the_oldest_nonce() {
        let pool = NoncePool::default();
        for n in 0..=CAPACITY {
            pool.put(n.to_string());
        }
        let mut left = Vec::new();
        while let Some(nonce) = pool.take() {
            left.push(nonce);
        }
        assert_eq!(left.len(), CAPACITY);
        assert_eq!(left.last().map(String::as_str), Some("1"));
    }
}
