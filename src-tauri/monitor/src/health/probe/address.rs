//! Connections to where a look may go: anywhere but to addresses that are nobody's own.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use tokio::net::TcpStream;

use super::Amiss;

/// Addresses of one name that are tried.
const TRIED_MAX: usize = 4;

/// Connects to the first address of a name that answers. The address that was judged is the one that is
/// connected to.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, Amiss> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let named = (host.to_owned(), port);
    let found = super::place::blocking(move || Ok(named.to_socket_addrs()?.collect())).await;
    let all: Vec<SocketAddr> =
        found.map_err(|error| Amiss(format!("the name '{host}' leads nowhere: {error}")))?;
    let fit: Vec<SocketAddr> =
        all.iter().copied().filter(|it| may_ask(it.ip())).take(TRIED_MAX).collect();
    if fit.is_empty() {
        return Err(Amiss(match all.first() {
            Some(first) => format!(
                "{} is not asked: it is an address of the network itself, not of a host",
                first.ip()
            ),
            None => format!("the name '{host}' leads nowhere"),
        }));
    }
    let mut last = String::new();
    for address in fit {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("no connection to {address}: {error}"),
        }
    }
    Err(Amiss(last))
}

/// Whether an address may be asked. This machine and its neighbours may: that is what the captain
/// watches. Those of one link (where machines in clouds tell secrets about themselves), of many hosts and
/// of none may not.
fn may_ask(ip: IpAddr) -> bool {
    /// Where machines in one cloud tell secrets about themselves over IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0)
        }
        IpAddr::V6(v6) => {
            !(v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6.is_unspecified()
                || v6 == METADATA)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_machine_and_others_may_be_asked_and_addresses_of_the_network_may_not() {
        let check = |ip: &str, expected| assert_eq!(may_ask(ip.parse().unwrap()), expected, "{ip}");
        for ip in ["127.0.0.1", "192.168.1.7", "10.0.0.1", "93.184.216.34", "::1", "2001:db8::1"] {
            check(ip, true);
        }
        for ip in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            check(ip, false);
        }
    }

    proptest! {
        #[test]
        fn an_address_written_as_ipv6_is_judged_as_the_same(bits: u32) {
            let v4 = std::net::Ipv4Addr::from_bits(bits);
            prop_assert_eq!(may_ask(IpAddr::V4(v4)), may_ask(IpAddr::V6(v4.to_ipv6_mapped())));
        }
    }
}
