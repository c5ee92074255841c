//! Ports for servers that tests start.

use std::{
    io,
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the kernel's ephemeral range (32768 and up), so that no outgoing connection uses such a port.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The distance between the first ports of different processes, so that two of them do not find the same free port.
const STRIDE: u32 = 149;

/// A TCP port on `address` that nothing listens on, and that this process has not handed out recently: for a program that is
/// started later.
pub fn free(address: &str) -> io::Result<u16> {
    Ok(found(address)?.local_addr()?.port())
}

/// A listener on such a port. Finding a free port first and listening later would sometimes fail: while a program is being
/// started, it holds whatever this process had open at that moment.
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
