//! Origins, which are what a token is for: scheme, host and port (RFC 6454, section 4).

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::string::String;
use std::string::ToString;

use http::Uri;
use http::uri::Scheme;
use thiserror::Error as ThisError;

/// An origin: a scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    encrypted: Encrypted,
    /// In lower case.
    host: String,
    port: u16,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Encrypted {
    No,
    Yes,
}

/// The origin of a request, borrowed from its URI.
#[derive(Copy, Clone, Debug)]
pub struct Target<'a> {
    encrypted: Encrypted,
    host: &'a str,
    port: u16,
}

/// The target of a request, as far as it names an origin (RFC 9112, section 3.2).
///
/// Exhaustive on purpose: an adapter handles each form.
#[derive(Copy, Clone, Debug)]
pub enum RequestTarget<'a> {
    /// The target names an origin.
    Absolute(Target<'a>),
    /// The target is a path alone; only the client knows the origin.
    OriginForm,
    /// The target has a scheme other than http and https, or none.
    Other,
}

impl<'a> RequestTarget<'a> {
    /// Returns the target of a request with this URI.
    pub fn from_uri(uri: &'a Uri) -> Self {
        match (uri.authority(), Target::from_uri(uri)) {
            (_, Some(target)) => Self::Absolute(target),
            (None, None) if uri.scheme().is_none() => Self::OriginForm,
            (Some(_) | None, None) => Self::Other,
        }
    }
}

impl<'a> From<Target<'a>> for RequestTarget<'a> {
    fn from(target: Target<'a>) -> Self {
        Self::Absolute(target)
    }
}

/// Why a text is not an origin that a token can be sent to.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum OriginError {
    /// The text is not a URL with a host.
    #[error("the origin is not a valid URL: give one such as https://api.example.com")]
    Malformed,
    /// The host has an asterisk; patterns are not supported.
    #[error("the origin has an asterisk: name each host, or call `any_origin`")]
    Wildcard,
    /// The scheme is neither http nor https.
    #[error("the origin must begin with https://")]
    Scheme,
    /// The token would be sent in the clear.
    #[error("the origin {0} is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(Origin),
}

impl Origin {
    /// Parses the origin of a URL, and ignores what follows host and port.
    ///
    /// # Errors
    /// If the text is not a URL with a host, or its scheme is neither http nor https.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        let uri: Uri = url.parse().map_err(|_| OriginError::Malformed)?;
        let target = Target::from_uri(&uri).ok_or_else(|| match uri.host() {
            Some(_) => OriginError::Scheme,
            None => OriginError::Malformed,
        })?;
        // No request could match it, and the token would silently never be attached.
        if target.host.contains('*') {
            return Err(OriginError::Wildcard);
        }
        let port = uri.authority().and_then(|authority| authority.as_str().rsplit_once(':'));
        let digits = port.map_or("", |(_, port)| port);
        let out_of_range =
            digits.parse::<u16>().is_err() && digits.bytes().all(|b| b.is_ascii_digit());
        if out_of_range && !digits.is_empty() || !is_a_host(target.host) {
            return Err(OriginError::Malformed);
        }
        Ok(target.to_origin())
    }

    /// Returns whether `target` is this origin.
    pub fn is(&self, target: Target<'_>) -> bool {
        self.encrypted == target.encrypted
            && self.port == target.port
            && is_same_host(&self.host, target.host)
    }

    /// Returns the target of a request to this origin.
    pub fn target(&self) -> Target<'_> {
        Target { encrypted: self.encrypted, host: &self.host, port: self.port }
    }
}

/// Returns whether a host is valid in a URL: if its last label is a number, it must be a full IPv4
/// address (WHATWG URL, section 3.5).
fn is_a_host(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or(host);
    let number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    !number || host.parse::<Ipv4Addr>().is_ok()
}

/// Compares hosts. IPv6 addresses are compared as numbers, since they have many textual forms.
fn is_same_host(one: &str, other: &str) -> bool {
    let address = |host: &str| host.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    one.eq_ignore_ascii_case(other)
        || one.starts_with('[') && address(one).is_some_and(|one| address(other) == Some(one))
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.encrypted {
            Encrypted::No => "http",
            Encrypted::Yes => "https",
        };
        write!(formatter, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl<'a> Target<'a> {
    /// Returns the target with these parts, as a URL parser returns them; `None` for a scheme other
    /// than http and https.
    pub fn new(scheme: &str, host: &'a str, port: Option<u16>) -> Option<Self> {
        let (encrypted, usual) = match scheme {
            "https" => (Encrypted::Yes, 443),
            "http" => (Encrypted::No, 80),
            _ => return None,
        };
        Some(Self { encrypted, host, port: port.unwrap_or(usual) })
    }

    /// Returns the target of a URI; `None` without an authority, or for a scheme other than http
    /// and https.
    pub fn from_uri(uri: &'a Uri) -> Option<Self> {
        Self::new(uri.scheme().map(Scheme::as_str)?, uri.host()?, uri.port_u16())
    }

    /// Returns whether nobody beyond this machine can read what is sent there.
    pub fn is_private(self) -> bool {
        self.encrypted == Encrypted::Yes || self.is_loopback()
    }

    /// Returns whether it is plain http to this machine, which a proxy on the way could read.
    pub fn is_plain_and_local(self) -> bool {
        self.encrypted == Encrypted::No && self.is_loopback()
    }

    fn is_loopback(self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|address: core::net::IpAddr| address.is_loopback())
    }

    /// Returns whether both are the same origin.
    pub fn is_same_as(self, other: Target<'_>) -> bool {
        self.encrypted == other.encrypted
            && self.port == other.port
            && is_same_host(self.host, other.host)
    }

    /// Returns the origin as an owned value.
    pub fn to_origin(self) -> Origin {
        let host = self.host.to_string().to_ascii_lowercase();
        Origin { encrypted: self.encrypted, host, port: self.port }
    }
}
