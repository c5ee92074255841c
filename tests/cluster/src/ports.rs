//! Ports for servers that tests start.

use std::{
    io,
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the kernel's ephemeral range (32768 and up), so that no outgoing connection takes a port first.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A TCP port on `address` that nothing listens on, and that this process has not handed out lately.
pub fn free(address: &str) -> io::Result<u16> {
    for _ in RANGE {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % (RANGE.end - RANGE.start);
        let port = RANGE.start + offset;
        if TcpListener::bind((address, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no free port on {address}")))
}
