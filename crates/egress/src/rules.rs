use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Which addresses may be connected to.
///
/// `allow` takes precedence: its networks are always permitted. Then `deny` and [`Rules::ALWAYS_DENIED`] forbid their networks.
/// Everything else is permitted. An IPv6 address that represents an IPv4 address is permitted only if that address is
/// permitted, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Networks that are also forbidden.
    pub deny: Vec<Network>,
    /// Networks that are permitted nevertheless.
    pub allow: Vec<Network>,
}

/// A network in CIDR notation, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// The text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network; write it as 10.0.0.0/8, fd00::/8, or as a single address")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let text = text.trim();
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let net = parsed.map_err(|_| NetworkError(text.to_owned()))?;
        Ok(Self(canonical(net.trunc())))
    }
}

/// A network of IPv4-mapped addresses is treated as one of IPv4 addresses.
fn canonical(net: IpNet) -> IpNet {
    match (net, net.network().to_canonical()) {
        (IpNet::V6(six), IpAddr::V4(four)) if six.prefix_len() >= 96 => {
            Ipv4Net::new(four, six.prefix_len() - 96).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

const fn four(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn six(s: [u16; 8], prefix: u8) -> IpNet {
    let address = Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]);
    IpNet::V6(Ipv6Net::new_assert(address, prefix))
}

impl Rules {
    /// Networks that are forbidden by default: this host, this link, unassigned addresses, and cloud metadata services, which
    /// provide credentials to machines.
    pub const ALWAYS_DENIED: [IpNet; 17] = [
        // This host, to which 0.0.0.0 also leads (RFC 1122 section 3.2.1.3).
        four(0, 0, 0, 0, 8),
        four(127, 0, 0, 0, 8),
        // Link-local (RFC 3927): the metadata services of AWS, Azure, Google Cloud and others.
        four(169, 254, 0, 0, 16),
        // The metadata service of Alibaba Cloud, Oracle Cloud's second address, and Azure's platform.
        four(100, 100, 100, 200, 32),
        four(192, 0, 0, 192, 32),
        four(168, 63, 129, 16, 32),
        // Multicast (RFC 5771) and broadcast (RFC 919).
        four(224, 0, 0, 0, 4),
        four(255, 255, 255, 255, 32),
        // Unspecified, and this host.
        six([0, 0, 0, 0, 0, 0, 0, 0], 128),
        six([0, 0, 0, 0, 0, 0, 0, 1], 128),
        // Link-local, and the former site-local (RFC 3879).
        six([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        six([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
        // Multicast.
        six([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
        // The metadata services of AWS, Google Cloud, Oracle Cloud and Scaleway.
        six([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
        six([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
        six([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
        six([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
    ];

    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let holds = |networks: &[Network]| networks.iter().any(|Network(net)| net.contains(&address));
        if holds(&self.allow) {
            return true;
        }
        if holds(&self.deny) || Self::ALWAYS_DENIED.iter().any(|net| net.contains(&address)) {
            return false;
        }
        match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(six) => embedded(six).into_iter().all(|four| self.permits(IpAddr::V4(four))),
        }
    }
}

/// The IPv4 addresses that a gateway or tunnel on the way may translate an IPv6 address to. IPv4-mapped ones are already IPv4
/// addresses.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let (bits, octets) = (address.to_bits(), address.octets());
    let at = |octet: usize| [octets[octet], octets[octet + 1], octets[octet + 2], octets[octet + 3]];
    let last = Ipv4Addr::from(at(12));
    let is_in = |net: IpNet| net.contains(&IpAddr::V6(address));
    let mut found = Vec::new();
    // IPv4-compatible (RFC 4291 section 2.5.5.1), IPv4-translated (RFC 2765), and the well-known prefix of NAT64 (RFC 6052).
    let last_four_octets = [
        six([0, 0, 0, 0, 0, 0, 0, 0], 96),
        six([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
        six([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
    ];
    if last_four_octets.into_iter().any(is_in) {
        found.push(last);
    }
    // A local NAT64 prefix (RFC 8215), whose length is unknown (RFC 6052 section 2.2). Decoded with a wrong length, an address
    // usually begins with a zero.
    if is_in(six([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48)) {
        let readings = [
            [octets[6], octets[7], octets[9], octets[10]],
            [octets[7], octets[9], octets[10], octets[11]],
            [octets[9], octets[10], octets[11], octets[12]],
            at(12),
        ];
        found.extend(readings.into_iter().filter(|reading| reading[0] != 0).map(Ipv4Addr::from));
    }
    // 6to4 (RFC 3056).
    if is_in(six([0x2002, 0, 0, 0, 0, 0, 0, 0], 16)) {
        found.push(Ipv4Addr::from(at(2)));
    }
    // Teredo (RFC 4380): the server, and the client with all bits inverted.
    if is_in(six([0x2001, 0, 0, 0, 0, 0, 0, 0], 32)) {
        found.push(Ipv4Addr::from(at(4)));
        found.push(Ipv4Addr::from_bits(!last.to_bits()));
    }
    // ISATAP (RFC 5214 section 6.1), under any prefix.
    if matches!(bits >> 32 & 0xffff_ffff, 0x0000_5efe | 0x0200_5efe) {
        found.push(last);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_the_link_metadata_multicast_and_broadcast_are_forbidden_in_every_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "224.0.0.251",
            "239.255.255.250",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::fb",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            // IPv4-mapped, -compatible, -translated.
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::127.0.0.1",
            "::169.254.169.254",
            "::ffff:0:127.0.0.1",
            // NAT64: the well-known prefix, and a local one of each length.
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            // 6to4, Teredo, ISATAP.
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:4136:e378:8000:63bf:8000:fffe",
            "fd12:3456::5efe:169.254.169.254",
            "2001:db8::200:5efe:127.0.0.1",
        ] {
            assert!(!permits(&Rules::default(), address), "{address}");
        }
    }

    #[test]
    fn everything_else_is_permitted() {
        for address in [
            "1.1.1.1",
            "192.0.2.10",
            "10.96.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "128.0.0.1",
            "126.255.255.255",
            "169.253.255.255",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:db8::1",
            "fd00::1",
            "::ffff:192.0.2.1",
            "64:ff9b::192.0.2.1",
            "64:ff9b:1::192.0.2.1",
            "64:ff9b:1:c000:2:100::",
            "2002:c000:201::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        ] {
            assert!(permits(&Rules::default(), address), "{address}");
        }
    }

    #[test]
    fn what_is_denied_is_forbidden_in_every_form() {
        let rules = rules(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"], &[]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2001:db8::1", "192.0.2.7"] {
            assert!(!permits(&rules, address), "{address}");
        }
        for address in ["11.0.0.1", "192.0.2.8", "2001:db9::1"] {
            assert!(permits(&rules, address), "{address}");
        }
        assert!(!permits(&rules, "127.0.0.1"), "the defaults stay");
    }

    #[test]
    fn what_is_allowed_wins_over_what_is_denied_and_over_the_defaults() {
        let rules = rules(&["10.0.0.0/8"], &["10.9.0.0/16", "127.0.0.0/8", "fe80::/64"]);
        for address in
            ["10.9.0.1", "127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "fe80::1", "2002:a09:1::"]
        {
            assert!(permits(&rules, address), "{address}");
        }
        for address in ["10.8.0.1", "::1", "169.254.169.254", "fe80:0:0:1::1"] {
            assert!(!permits(&rules, address), "{address}");
        }
    }

    #[test]
    fn a_network_is_written_in_cidr_notation_or_as_an_address() {
        let same = |one: &str, other: &str| assert_eq!(one.parse::<Network>(), other.parse());
        same("10.1.2.3/8", "10.0.0.0/8");
        same("192.0.2.1", "192.0.2.1/32");
        same(" fd00:: ", "fd00::/128");
        same("::ffff:10.0.0.0/104", "10.0.0.0/8");
        for text in ["", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "example.com", "10.0.0.0-10.0.0.9"] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not a network; ")), "{error}");
        }
    }

    fn rules(deny: &[&str], allow: &[&str]) -> Rules {
        let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Rules { deny: parsed(deny), allow: parsed(allow) }
    }

    fn permits(rules: &Rules, address: &str) -> bool {
        rules.permits(address.parse().unwrap())
    }
}
