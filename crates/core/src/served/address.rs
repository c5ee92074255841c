//! Who can connect to an address.

use std::net::{IpAddr, Ipv6Addr};

/// Whether everybody on the internet may be able to connect to this address.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            !(four.is_private() || four.is_loopback() || four.is_link_local() || is_shared)
        }
        // Global unicast addresses (RFC 4291 section 2.4), without those that a gateway may translate.
        IpAddr::V6(six) => six.segments()[0] & 0xe000 == 0x2000 && !is_translated(six),
    }
}

/// 6to4 and Teredo.
fn is_translated(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x2002, ..] | [0x2001, 0, ..])
}
