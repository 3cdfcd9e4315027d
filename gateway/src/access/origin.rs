//! Origins: where a page comes from that uses the gateway.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Longest origin or host that is looked at, in bytes: host names have at most 253.
const ORIGIN_BYTES_MAX: usize = 300;

/// A pattern of origins: `https://a.example`, `https://*.example.com`, `http://localhost:*`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Any,
    Some { scheme: String, host: HostPattern, port: PortPattern },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Exact(String),
    /// Subdomains of it; begins with a dot.
    Under(String),
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Under(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortPattern {
    Any,
    Exact(Option<u16>),
}

/// Why a text is no pattern of origins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin; write https://a.example, https://*.example.com, http://localhost:* or *")]
pub struct OriginError(String);

impl OriginPattern {
    /// Whether every origin matches, even that of a page that hides its own (`null`).
    pub(super) fn is_any(&self) -> bool {
        self.0 == Pattern::Any
    }

    /// Whether `origin` matches.
    pub(super) fn matches(&self, origin: &Origin) -> bool {
        match &self.0 {
            Pattern::Any => true,
            Pattern::Some { scheme, host, port } => {
                *scheme == origin.scheme
                    && host.matches(&origin.host)
                    && match port {
                        PortPattern::Any => true,
                        PortPattern::Exact(port) => *port == origin.port,
                    }
            }
        }
    }

    /// The same as a source of `frame-ancestors` in a content security policy (CSP 3, 2.3.1).
    pub(super) fn source(&self) -> String {
        let Pattern::Some { scheme, host, port } = &self.0 else { return "*".to_owned() };
        let host = match host {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::Under(domain) => format!("*{domain}"),
        };
        let port = match port {
            PortPattern::Any => ":*".to_owned(),
            PortPattern::Exact(port) => port.map(|port| format!(":{port}")).unwrap_or_default(),
        };
        format!("{scheme}://{host}{port}")
    }

    /// Whether `host` is one that it names, at whatever port.
    pub(super) fn names_host(&self, host: &str) -> bool {
        match &self.0 {
            Pattern::Any => true,
            Pattern::Some { host: pattern, .. } => pattern.matches(host),
        }
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let error = || OriginError(text.chars().take(ORIGIN_BYTES_MAX).collect());
        let trimmed = text.trim().trim_end_matches('/');
        if trimmed == "*" {
            return Ok(Self(Pattern::Any));
        }
        let (plain, any_port) = match trimmed.strip_suffix(":*") {
            Some(plain) => (plain, true),
            None => (trimmed, false),
        };
        let (scheme, rest) = plain.split_once("://").ok_or_else(error)?;
        let (under, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let origin = Origin::parse(&format!("{scheme}://{rest}")).ok_or_else(error)?;
        if origin.host.contains('*')
            || (any_port && rest.rsplit(']').next().is_some_and(|end| end.contains(':')))
        {
            return Err(error());
        }
        let host = match under {
            true if origin.host.parse::<IpAddr>().is_ok() || origin.host.starts_with('[') => {
                return Err(error());
            }
            true => HostPattern::Under(format!(".{}", origin.host)),
            false => HostPattern::Exact(origin.host),
        };
        let port = if any_port { PortPattern::Any } else { PortPattern::Exact(origin.port) };
        Ok(Self(Pattern::Some { scheme: origin.scheme, host, port }))
    }
}

/// The origin of a page, as `Origin` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    /// None: the scheme's own, or none at all.
    port: Option<u16>,
}

impl Origin {
    /// Reads `scheme://host[:port]`; not `null`, and nothing with a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > ORIGIN_BYTES_MAX {
            return None;
        }
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if scheme.is_empty() || !plain {
            return None;
        }
        let Host { name, port } = Host::parse(authority)?;
        let port = port.filter(|port| Some(*port) != default_port(&scheme));
        Some(Self { scheme, host: name, port })
    }

    /// Whether the page is from the gateway itself, which was asked under `host`. The scheme may differ: a proxy may end
    /// TLS before the gateway.
    pub(super) fn is_of(&self, host: &Host) -> bool {
        let port = host.port.filter(|port| Some(*port) != default_port(&self.scheme));
        self.host == host.name && self.port == port
    }

    /// Whether the page is from this machine.
    pub(super) fn is_own_machine(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https") && is_loopback(&self.host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A host with its port, as `Host` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// In small letters, without the dot at its end; an IPv6 address with its brackets.
    pub(super) name: String,
    port: Option<u16>,
}

impl Host {
    /// Reads `host[:port]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > ORIGIN_BYTES_MAX {
            return None;
        }
        let (name, port) = match text.find(']') {
            Some(end) => {
                let (name, rest) = text.split_at(end + 1);
                name.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok()?;
                (name, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*[]:".contains(&byte);
        (!name.is_empty() && !name.ends_with('.') && name.bytes().all(plain)).then_some(Self { name, port })
    }

    /// Whether nobody elsewhere can make this name point to this machine: names of the machine itself, and addresses.
    pub(super) fn is_own(&self) -> bool {
        is_loopback(&self.name) || address_in(&self.name).is_some()
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || address_in(host).is_some_and(|address| address.to_canonical().is_loopback())
}

fn address_in(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, origin: &str) -> bool {
        let pattern: OriginPattern = pattern.parse().expect("a pattern");
        pattern.matches(&Origin::parse(origin).expect("an origin"))
    }

    #[test]
    fn a_pattern_is_exact_but_for_its_stars() {
        for (pattern, origin) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example/", "https://A.example:443"),
            ("https://a.example:443", "https://a.example"),
            ("https://*.example.com", "https://a.example.com"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("https://*.example.com:*", "https://a.example.com:8443"),
            ("http://localhost:*", "http://localhost:5173"),
            ("http://localhost:*", "http://localhost"),
            ("http://[::1]:*", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("*", "https://anything.example:1"),
        ] {
            assert!(matches(pattern, origin), "{pattern} {origin}");
        }
        for (pattern, origin) in [
            ("https://a.example", "http://a.example"),
            ("https://a.example", "https://a.example:8443"),
            ("https://a.example", "https://a.example.evil.example"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "https://a.example.com:8443"),
            ("http://localhost:*", "http://localhost.evil.example:80"),
        ] {
            assert!(!matches(pattern, origin), "{pattern} {origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_said() {
        for text in [
            "",
            "a.example",
            "https://",
            "https://a.example/path",
            "https://user@a.example",
            "https://a.*.example",
            "https://*",
            "https://*.10.0.0.1",
            "https://a.example:port",
            "https://a.example:80:*",
            "://a.example",
            "null",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
        for text in
            ["null", "https://a b", "https://a/b", "http://[::1", "http://a:1:2", "http://a..", "file://"]
        {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_is_a_source_of_frames_as_it_is_written() {
        for text in [
            "*",
            "https://a.example",
            "https://*.example.com",
            "https://*.example.com:*",
            "http://localhost:*",
            "http://127.0.0.1:5173",
            "capacitor://localhost",
        ] {
            assert_eq!(text.parse::<OriginPattern>().map(|pattern| pattern.source()).as_deref(), Ok(text));
        }
        let default_port: OriginPattern = "https://A.example:443/".parse().expect("a pattern");
        assert_eq!(default_port.source(), "https://a.example");
    }

    #[test]
    fn a_page_of_the_gateway_has_its_host() {
        let is_of = |origin: &str, host: &str| {
            Origin::parse(origin).expect("an origin").is_of(&Host::parse(host).expect("a host"))
        };
        assert!(is_of("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(is_of("https://live.example", "live.example"));
        assert!(is_of("https://live.example", "LIVE.example:443"));
        assert!(is_of("http://[::1]:8080", "[::1]:8080"));
        assert!(!is_of("http://127.0.0.1:8081", "127.0.0.1:8080"));
        assert!(!is_of("https://live.example", "live.example:80"));
        assert!(!is_of("https://evil.example", "live.example"));
    }

    #[test]
    fn names_of_this_machine_are_told_from_others() {
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1:80",
            "[::1]:80",
            "192.0.2.1",
        ] {
            assert!(Host::parse(host).expect("a host").is_own(), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "notlocalhost"]
        {
            assert!(!Host::parse(host).expect("a host").is_own(), "{host}");
        }
        let own = |origin: &str| Origin::parse(origin).expect("an origin").is_own_machine();
        assert!(own("http://localhost:5173") && own("http://127.0.0.1:1") && own("https://[::1]"));
        assert!(!own("http://192.0.2.1") && !own("http://evil.example") && !own("evil://localhost"));
    }
}
