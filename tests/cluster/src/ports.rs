//! Ports for servers that tests start.

use std::{
    io,
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the kernel's ephemeral range (32768 and up), so that no outgoing connection takes a port first.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// How far apart processes begin to look, so that two at once do not find the same port free.
const STRIDE: u32 = 149;

/// A TCP port on `address` that nothing listens on, and that this process has not handed out lately: for a program that is
/// yet to be started.
pub fn free(address: &str) -> io::Result<u16> {
    Ok(found(address)?.local_addr()?.port())
}

/// A listener on such a port. To look for a free port and listen on it later would fail now and then: a program that is being
/// started holds, until it runs, whatever this process had open at that moment.
pub fn listen(address: &str) -> io::Result<tokio::net::TcpListener> {
    let listener = found(address)?;
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

fn found(address: &str) -> io::Result<TcpListener> {
    let first = std::process::id().wrapping_mul(STRIDE) % u32::from(RANGE.end - RANGE.start);
    for _ in RANGE {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = (first + next) % u32::from(RANGE.end - RANGE.start);
        let port = RANGE.start + offset as u16;
        if let Ok(listener) = TcpListener::bind((address, port)) {
            return Ok(listener);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no free port on {address}")))
}
