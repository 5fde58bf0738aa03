//! Limits on requests: by family, by peer, and by client and peer. The memory of each is bounded.

use core::hash::Hash;
use core::num::NonZeroU32;
use core::time::Duration;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ConnectInfo;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use http::{Extensions, HeaderMap, HeaderName};
use lru::LruCache;

use super::form::EndpointError;

/// How many keys a limiter remembers, at about 100 bytes each. Beyond that it forgets those that were used
/// least recently.
const REMEMBERED: usize = 65_536;

/// How many tokens that are not the issuer's, or unknown clients, a peer may send at once.
const GARBAGE_AT_ONCE: NonZeroU32 = NonZeroU32::new(30).expect("not zero");

/// How many wrong secrets of a client a peer may send at once.
const SECRETS_AT_ONCE: NonZeroU32 = NonZeroU32::new(12).expect("not zero");

/// How often one more is allowed: garbage, and a wrong secret.
const GARBAGE_EACH: Duration = Duration::from_secs(1);
const SECRET_EACH: Duration = Duration::from_secs(5);

/// Where the address of the peer that a request is charged to is taken from.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum PeerAddress {
    /// The connection: `axum::extract::ConnectInfo<SocketAddr>`, which is there where the router is served with
    /// `into_make_service_with_connect_info::<SocketAddr>()`. Without it the peers are not known: then nobody is held
    /// off for wrong secrets. Behind a reverse proxy the connection is the proxy's, and all callers would be one
    /// peer: name its header.
    #[default]
    Connection,
    /// A header that a reverse proxy sets, and that no client can: the last address of its last value, such
    /// as in `x-forwarded-for`. Where it is missing or no address, the connection's.
    Header(HeaderName),
}

/// A peer: an IPv4 address, or the 64 bits of an IPv6 address that one host or household has. `None` if
/// it is not known.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

impl PeerAddress {
    /// Returns the peer of a request.
    pub(super) fn of(&self, headers: &HeaderMap, extensions: &Extensions) -> Peer {
        let named = match self {
            Self::Connection => None,
            Self::Header(name) => {
                let last = headers.get_all(name).iter().next_back();
                let text = last.and_then(|value| value.to_str().ok()).unwrap_or_default();
                address(text.rsplit(',').next().unwrap_or_default().trim())
            }
        };
        Peer(named.or_else(|| connection(extensions)).map(network))
    }
}

/// Returns the address of the connection.
pub(super) fn connection(extensions: &Extensions) -> Option<IpAddr> {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_canonical())
}

/// Parses an address with or without a port, an IPv6 address also in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let ip = text.parse().ok();
    let ip = ip.or_else(|| text.parse().map(|address: SocketAddr| address.ip()).ok());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok();
    ip.or_else(bracketed).map(|it| it.to_canonical())
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// What limiters have counted, by key. Clones share it.
pub(super) struct Counted<K>(Arc<Mutex<LruCache<K, Nanos>>>);

impl<K: Hash + Eq> Counted<K> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(LruCache::unbounded())))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<K> Clone for Counted<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Whether a request is counted, or only whether it would be allowed is asked.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub(super) enum Charge {
    Counted,
    Asked,
}

impl<K: Hash + Eq + Clone> StateStore for Counted<K> {
    type Key = (K, Charge);

    fn measure_and_replace<T, F, E>(&self, (key, charge): &Self::Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (allowed, next) = decide(counted.get(key).copied())?;
        if *charge == Charge::Counted {
            counted.put(key.clone(), next);
            while counted.len() > REMEMBERED {
                counted.pop_lru();
            }
        }
        Ok(allowed)
    }
}

/// A limit on requests of one key.
pub(super) struct Limit<K: Hash + Eq + Clone>(
    RateLimiter<
        (K, Charge),
        Counted<K>,
        DefaultClock,
        NoOpMiddleware<<DefaultClock as governor::clock::Clock>::Instant>,
    >,
);

impl<K: Hash + Eq + Clone> Limit<K> {
    pub(super) fn new(quota: Quota, counted: Counted<K>) -> Self {
        Self(RateLimiter::new(quota, counted, DefaultClock::default()))
    }

    /// Returns an error if the key is beyond its limit.
    pub(super) fn check(&self, key: K, charge: Charge) -> Result<(), EndpointError> {
        self.0.check_key(&(key, charge)).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            EndpointError::TooMany { seconds: wait.as_secs().saturating_add(1) }
        })
    }
}

/// The limits on those that are not known to be honest.
pub(super) struct Limits {
    garbage: Limit<Peer>,
    secrets: Limit<(u32, Peer)>,
}

impl Limits {
    pub(super) fn new() -> Self {
        let quota =
            |each, burst| Quota::with_period(each).expect("longer than nothing").allow_burst(burst);
        Self {
            garbage: Limit::new(quota(GARBAGE_EACH, GARBAGE_AT_ONCE), Counted::new()),
            secrets: Limit::new(quota(SECRET_EACH, SECRETS_AT_ONCE), Counted::new()),
        }
    }

    /// Charges a peer for a token that is not the issuer's, or a client that is not known.
    pub(super) fn garbage(&self, peer: Peer) -> Result<(), EndpointError> {
        self.garbage.check(peer, Charge::Counted)
    }

    /// Returns an error where a peer has sent too much garbage: before a guess is looked at. Peers that are not
    /// known are not one that could be held off.
    pub(super) fn guess(&self, peer: Peer) -> Result<(), EndpointError> {
        if peer.0.is_none() { Ok(()) } else { self.garbage.check(peer, Charge::Asked) }
    }

    /// Returns an error where a peer has sent too many wrong secrets of a client. Before a secret is compared
    /// it is asked; a wrong one is counted. Of peers that are not known none is held off: the client is among them.
    pub(super) fn secret(
        &self,
        client: u32,
        peer: Peer,
        charge: Charge,
    ) -> Result<(), EndpointError> {
        if peer.0.is_none() {
            return Ok(());
        }
        self.secrets.check((client, peer), charge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rule D10.
    #[test]
    fn what_a_limiter_remembers_is_bounded_whatever_keys_it_is_asked_for() {
        let counted = Counted::new();
        let quota = Quota::per_second(NonZeroU32::MIN);
        let limit = Limit::new(quota, counted.clone());
        for key in 0..(REMEMBERED as u64 + 1000) {
            assert!(limit.check(key, Charge::Counted).is_ok());
        }
        assert_eq!(counted.len(), REMEMBERED);
        assert!(limit.check(REMEMBERED as u64 + 999, Charge::Counted).is_err(), "the last one");
    }

    #[test]
    fn a_peer_is_the_connection_or_what_the_last_proxy_says() {
        let of = |peers: &PeerAddress, value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.append("x-forwarded-for", "6.6.6.6".parse().expect("a value"));
                headers.append("x-forwarded-for", value.parse().expect("a value"));
            }
            let mut extensions = Extensions::new();
            let connection: SocketAddr = "10.0.0.1:5000".parse().expect("an address");
            extensions.insert(ConnectInfo(connection));
            peers.of(&headers, &extensions).0.expect("known").to_string()
        };
        let header = PeerAddress::Header(HeaderName::from_static("x-forwarded-for"));
        assert_eq!(of(&PeerAddress::Connection, Some("1.2.3.4")), "10.0.0.1");
        for (value, peer) in [
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("6.6.6.6,1.2.3.4:80", "1.2.3.4"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::"),
            ("[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(of(&header, Some(value)), peer, "{value:?}");
        }
        assert_eq!(of(&header, None), "10.0.0.1");
        assert_eq!(header.of(&HeaderMap::new(), &Extensions::new()), Peer(None));
    }
}
