//! Which addresses an outbound connection may go to (R-G-06).
//!
//! The ranges are those of the IANA special-purpose registries (RFC 6890). An address that carries another one in
//! it (IPv4-mapped, NAT64, 6to4) is judged by what it carries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether private networks may be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressPolicy {
    /// Addresses of the public internet only, in their plain form.
    PublicOnly,
    /// Also loopback, RFC 1918, CGNAT and unique local addresses. Link-local (and so the metadata services of
    /// cloud providers), multicast, broadcast, unspecified and reserved ones stay refused.
    AllowPrivate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Public,
    Private,
    Never,
}

impl AddressPolicy {
    /// Whether a connection to this address may be opened.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        let kind = match address {
            IpAddr::V4(address) => kind_v4(address),
            IpAddr::V6(address) => kind_v6(address),
        };
        match self {
            Self::PublicOnly => kind == Kind::Public,
            Self::AllowPrivate => kind != Kind::Never,
        }
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    let [a, b, c, d] = address.octets();
    match (a, b, c) {
        // 100.100.100.200 is the metadata service of one cloud, inside the CGNAT range.
        (100, 100, 100) if d == 200 => Kind::Never,
        // The host's own agent in two other clouds, one of them at a public address.
        (168, 63, 129) if d == 16 => Kind::Never,
        (192, 0, 0) if d == 192 => Kind::Never,
        // "This network", link-local, multicast, reserved and broadcast.
        (0 | 224.., _, _) | (169, 254, _) => Kind::Never,
        // Loopback, RFC 1918, CGNAT; and what is nobody's public server: protocol assignments, documentation,
        // 6to4 relays, benchmarking.
        (10 | 127, _, _)
        | (172, 16..=31, _)
        | (192, 168, _)
        | (100, 64..=127, _)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18..=19, _)
        | (198, 51, 100)
        | (203, 0, 113) => Kind::Private,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Private,
        // IPv4-compatible, IPv4-mapped, IPv4-translated; NAT64 (RFC 6052); 6to4 (RFC 3056). The NAT64 prefix for
        // local use (RFC 8215) does not tell where it carries the address, and falls through to `Never`.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // The metadata service of one cloud, inside the unique local range.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] => Kind::Never,
        [first, ..] if first & 0xfe00 == 0xfc00 => Kind::Private,
        // Protocol assignments with Teredo (2001::/23), documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => Kind::Private,
        [0x3fff, second, ..] if second < 0x1000 => Kind::Private,
        // Global unicast is 2000::/3; all else is link-local, site-local, multicast or unassigned.
        [first, ..] if first & 0xe000 == 0x2000 => Kind::Public,
        _ => Kind::Never,
    }
}

/// An IPv4 address inside an IPv6 one. A public one has no reason to come in disguise, so `PublicOnly` refuses it.
fn embedded(high: u16, low: u16) -> Kind {
    match kind_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))) {
        Kind::Never => Kind::Never,
        Kind::Public | Kind::Private => Kind::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(address: &str) -> (bool, bool) {
        let address: IpAddr = address.parse().expect(address);
        (AddressPolicy::PublicOnly.allows(address), AddressPolicy::AllowPrivate.allows(address))
    }

    #[test]
    fn r_g_06_public_addresses_are_allowed_by_both_policies() {
        for address in ["1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1"]
        {
            assert_eq!(verdict(address), (true, true), "{address}");
        }
        for address in ["2606:4700::1", "2a01:e0a::1", "2001:4860:4860::8888"] {
            assert_eq!(verdict(address), (true, true), "{address}");
        }
    }

    #[test]
    fn r_g_06_private_addresses_need_the_opt_in() {
        let zoo = [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::8.8.8.8",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "::127.0.0.1",
        ];
        for address in zoo {
            assert_eq!(verdict(address), (false, true), "{address}");
        }
    }

    #[test]
    fn r_g_06_link_local_multicast_and_metadata_are_always_refused() {
        let zoo = [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:168.63.129.16",
            "::",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "fd00:ec2::254",
            "4000::1",
            "64:ff9b:1::a00:1",
            "100::1",
        ];
        for address in zoo {
            assert_eq!(verdict(address), (false, false), "{address}");
        }
    }
}
