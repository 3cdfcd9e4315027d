//! Whose request is it? The address that fair use and connection limits count by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Hops of `X-Forwarded-For` that are looked at, from the last one on: more proxies in a row are nobody's network.
const HOPS_MAX: usize = 16;

/// Bits of an IPv6 address that name a customer; the rest is theirs to choose.
const IPV6_PREFIX_BITS: u8 = 64;

/// The other end of the connection, as a request's extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Networks with a part to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Proxies whose `X-Forwarded-For` is believed. None by default: anybody can write that header.
    pub trusted_proxies: Vec<IpNet>,
    /// Addresses that have no limits by address: this machine by default, whose programs are the operator's own.
    pub exempt: Vec<IpNet>,
}

impl Default for Network {
    fn default() -> Self {
        let loopback =
            [IpNet::from(IpAddr::from([127, 0, 0, 0])), IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST))];
        let [ipv4, ipv6] = loopback;
        // The whole block 127.0.0.0/8 is this machine.
        let ipv4 = IpNet::new(ipv4.addr(), 8).unwrap_or(ipv4);
        Self { trusted_proxies: Vec::new(), exempt: vec![ipv4, ipv6] }
    }
}

impl Network {
    /// A network as operators write it: `10.0.0.0/8`, or one address.
    ///
    /// # Errors
    ///
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<IpNet, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| format!("{text:?} is no network; write 10.0.0.0/8, 2001:db8::/32 or one address"))
    }

    /// Whether `X-Forwarded-For` of this address is believed.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        contains(&self.trusted_proxies, address)
    }

    /// Whether limits by address leave it alone.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        contains(&self.exempt, address)
    }

    /// The client's address: the connection's other end, or, behind listed proxies, the last address in
    /// `X-Forwarded-For` that is none of them. What cannot be read ends the search: the last proxy is to blame for it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.is_proxy(client) {
            return client;
        }
        // As bytes: a line that is no text still hides those before it, which a client may have written.
        let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).take(HOPS_MAX);
        for hop in hops {
            let hop = std::str::from_utf8(hop).ok();
            let Some(address) = hop.and_then(|hop| address_in(hop.trim())) else { return client };
            client = address;
            if !self.is_proxy(client) {
                return client;
            }
        }
        client
    }
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// `192.0.2.1`, `2001:db8::1`, and both with a port, as some proxies write them.
fn address_in(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// What limits by address count by: the address, or the network of an IPv6 customer.
pub(crate) fn bucket(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => match IpNet::new(address.into(), IPV6_PREFIX_BITS) {
            Ok(network) => network.network(),
            Err(_) => address.into(),
        },
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let network = Network {
            trusted_proxies: proxies.iter().map(|text| text.parse().expect("a network")).collect(),
            ..Network::default()
        };
        let mut headers = HeaderMap::new();
        for line in forwarded {
            // A proxy passes on what is no ASCII.
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).expect("a header"));
        }
        network.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn only_listed_proxies_are_believed() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        let proxies = ["192.0.2.0/24", "10.0.0.0/8"];
        assert_eq!(client(&proxies, "192.0.2.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&proxies, "203.0.113.1", &["198.51.100.7"]), "203.0.113.1");
        assert_eq!(client(&proxies, "192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn what_a_client_wrote_itself_is_not_believed() {
        let proxies = ["192.0.2.0/24", "10.0.0.0/8"];
        assert_eq!(client(&proxies, "192.0.2.1", &["1.1.1.1, 198.51.100.7, 10.0.0.9"]), "198.51.100.7");
        assert_eq!(client(&proxies, "192.0.2.1", &["1.1.1.1", "198.51.100.7,10.0.0.9"]), "198.51.100.7");
        assert_eq!(client(&proxies, "192.0.2.1", &["1.1.1.1, nonsense"]), "192.0.2.1");
        assert_eq!(client(&proxies, "192.0.2.1", &["1.1.1.1, , 10.0.0.9"]), "10.0.0.9");
        assert_eq!(client(&proxies, "192.0.2.1", &["1.1.1.1", "é, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&proxies, "192.0.2.1", &["1.1.1.1", "é"]), "192.0.2.1");
        assert_eq!(client(&proxies, "192.0.2.1", &[&"10.0.0.9,".repeat(5_000)]), "192.0.2.1");
    }

    #[test]
    fn addresses_come_in_several_forms() {
        let proxies = ["192.0.2.0/24"];
        for (hop, address) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(client(&proxies, "::ffff:192.0.2.1", &[hop]), address, "{hop}");
        }
    }

    #[test]
    fn an_ipv6_customer_is_one_bucket() {
        let of = |text: &str| bucket(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn this_machine_is_exempt_until_told_otherwise() {
        let network = Network::default();
        for (address, exempt) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("192.0.2.1", false)]
        {
            assert_eq!(network.is_exempt(address.parse().expect("an address")), exempt, "{address}");
        }
    }
}
