//! Which addresses are on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is this machine's own. One that a translator would have to unwrap is not: it leaves this machine.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether an address is a public one: not this machine, not a private network, not a cloud's metadata service.
pub fn is_public(address: IpAddr) -> bool {
    match unwrap(address) {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || first == 0
        || first >= 224
        // Carrier-grade NAT, RFC 6598.
        || (first == 100 && (64..128).contains(&second))
        // Protocol assignments, RFC 6890, relays of 6to4, RFC 7526, and benchmarks, RFC 2544.
        || (first == 192 && second == 0 && third == 0)
        || (first == 192 && second == 88 && third == 99)
        || (first == 198 && (18..20).contains(&second)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, .., mark, _, _] = address.segments();
    // Global unicast, without protocol assignments (RFC 2928; Teredo among them, which wraps other addresses), documentation
    // (RFC 3849, RFC 9637), and 6to4 and ISATAP (RFC 5214), which wrap other addresses.
    (0x2000..0x4000).contains(&first)
        && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200))
        && !(first == 0x3fff && second < 0x1000)
        && first != 0x2002
        && mark != 0x5efe
}

/// The IPv4 address inside of a mapped (`::ffff:0:0/96`) or NAT64 (`64:ff9b::/96`, RFC 6052) one.
fn unwrap(address: IpAddr) -> IpAddr {
    let IpAddr::V6(inner) = address else {
        return address;
    };
    if let Some(mapped) = inner.to_ipv4_mapped() {
        return IpAddr::V4(mapped);
    }
    match inner.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn inner_networks_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2001:db8::1",
            "192.88.99.1",
            "::7f00:1",
            "::ffff:0:127.0.0.1",
            "64:ff9b:1::a9fe:a9fe",
            "2001::1",
            "2001:20::1",
            "2002:7f00:1::",
            "2606:4700::5efe:10.0.0.1",
            "3fff::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "93.184.215.14",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn only_what_stays_on_this_machine_is_loopback() {
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "::",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(!is_loopback(text.parse().unwrap()), "{text}");
        }
    }
}
