//! Where a token may go: scheme, host and port (RFC 6454, section 4).

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::string::String;
use std::string::ToString;

use http::Uri;
use http::uri::Scheme;
use thiserror::Error as ThisError;

/// A scheme, a host and a port.
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

/// Where a request goes, as far as origins are concerned. Borrowed: it is looked at once a request.
#[derive(Copy, Clone, Debug)]
pub struct Target<'a> {
    encrypted: Encrypted,
    host: &'a str,
    port: u16,
}

/// Which resource a request asks for, as far as it says where that is (RFC 9112, section 3.2).
#[derive(Copy, Clone, Debug)]
pub enum RequestTarget<'a> {
    /// It names an origin.
    Absolute(Target<'a>),
    /// It names a path alone: the client knows where it goes, and does not say.
    OriginForm,
    /// It is of another scheme than http and https, or of none.
    Other,
}

impl<'a> RequestTarget<'a> {
    /// Of the URI of a request.
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

/// A text that names no origin.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum OriginError {
    /// It is no URL.
    #[error("the origin is not a valid URL: give one such as https://api.example.com")]
    Malformed,
    /// It has an asterisk, and origins have no patterns.
    #[error("the origin has an asterisk: name each host, or call `any_origin`")]
    Wildcard,
    /// Its scheme is not http or https.
    #[error("the origin must begin with https://")]
    Scheme,
    /// A token would be sent to it in the clear.
    #[error("the origin {0} is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(Origin),
}

impl Origin {
    /// The origin of a URL; what follows its host and port is of no account.
    ///
    /// # Errors
    /// Where the text is no URL with a host, or its scheme is neither http nor https.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        let uri: Uri = url.parse().map_err(|_| OriginError::Malformed)?;
        let target = Target::from_uri(&uri).ok_or_else(|| match uri.host() {
            Some(_) => OriginError::Scheme,
            None => OriginError::Malformed,
        })?;
        // What no request can match would be an origin without a token and without a word.
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

    /// Whether a request to `target` goes to this origin.
    pub fn is(&self, target: Target<'_>) -> bool {
        self.encrypted == target.encrypted
            && self.port == target.port
            && is_same_host(&self.host, target.host)
    }

    /// Where a request to this origin goes.
    pub fn target(&self) -> Target<'_> {
        Target { encrypted: self.encrypted, host: &self.host, port: self.port }
    }
}

/// Whether a host is one for whoever reads URLs: a number at its end makes it an address of IPv4 (WHATWG URL,
/// section 3.5), which must be written in full.
fn is_a_host(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or(host);
    let number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    !number || host.parse::<Ipv4Addr>().is_ok()
}

/// Addresses of IPv6 have many forms.
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
    /// Of a scheme, a host and a port, each as a URL's reader gives it; `None` for another scheme
    /// than http and https.
    pub fn new(scheme: &str, host: &'a str, port: Option<u16>) -> Option<Self> {
        let (encrypted, usual) = match scheme {
            "https" => (Encrypted::Yes, 443),
            "http" => (Encrypted::No, 80),
            _ => return None,
        };
        Some(Self { encrypted, host, port: port.unwrap_or(usual) })
    }

    /// Of a URI with an authority; `None` for any other, and for other schemes.
    pub fn from_uri(uri: &'a Uri) -> Option<Self> {
        Self::new(uri.scheme().map(Scheme::as_str)?, uri.host()?, uri.port_u16())
    }

    /// Whether nobody beyond this machine can listen on the way there.
    pub fn is_private(self) -> bool {
        self.encrypted == Encrypted::Yes || self.is_loopback()
    }

    /// Whether it is plain http to this machine: a proxy on the way could read it.
    pub fn is_plain_and_local(self) -> bool {
        self.encrypted == Encrypted::No && self.is_loopback()
    }

    fn is_loopback(self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|address: core::net::IpAddr| address.is_loopback())
    }

    /// Whether both go to one origin.
    pub fn is_same_as(self, other: Target<'_>) -> bool {
        self.encrypted == other.encrypted
            && self.port == other.port
            && is_same_host(self.host, other.host)
    }

    /// The origin, to keep.
    pub fn to_origin(self) -> Origin {
        let host = self.host.to_string().to_ascii_lowercase();
        Origin { encrypted: self.encrypted, host, port: self.port }
    }
}
