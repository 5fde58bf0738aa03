//! How a grant was read from a response that is not standard.

use core::fmt;
use std::boxed::Box;

use thiserror::Error;

/// A deviation of a response from RFC 6749, section 5.1, that was tolerated: see
/// [`Grant::leniencies`](super::Grant::leniencies). Worth reporting to whoever runs the server.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Leniency {
    /// It began with a byte order mark (RFC 8259, section 8.1).
    ByteOrderMark,
    /// It was not UTF-8.
    Charset,
    /// It was form-encoded instead of JSON.
    Form,
    /// The object was wrapped: in a notice, a prefix, a call, a list, or quotation marks.
    Framed,
    /// Another of its members could not be read.
    Unreadable,
    /// There was white space around a token.
    Padded,
    /// The access token was prefixed with the scheme, `Bearer`.
    Prefixed,
    /// A token was a number, or the only element of a list.
    Shaped,
    /// The refresh token, next to the access token, had another name, such as `refreshToken`.
    Renamed,
    /// A refresh token was found in an unexpected place, and was not used:
    /// [`Grant::found_elsewhere`](super::Grant::found_elsewhere) says where.
    Elsewhere,
    /// Its status was not a success.
    Status,
    /// It was cut short: what was complete was kept.
    CutShort,
}

impl Leniency {
    const ALL: [Self; 12] = [
        Self::ByteOrderMark,
        Self::Charset,
        Self::Form,
        Self::Framed,
        Self::Unreadable,
        Self::Padded,
        Self::Prefixed,
        Self::Shaped,
        Self::Renamed,
        Self::Elsewhere,
        Self::Status,
        Self::CutShort,
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// Why a grant has no access token although its response had one, or should have: see
/// [`Grant::unusable_because`](super::Grant::unusable_because).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// There is none.
    #[error("the response contains no access token")]
    Missing,
    /// It contains characters that no HTTP header may carry (RFC 6750, section 2.1).
    #[error("the access token contains characters that no header can carry")]
    NotSendable,
    /// It is bound to a key by `DPoP` (RFC 9449).
    #[error(
        "the access token is of type DPoP, and is not sent as a bearer token: ask the authorization \
         server for bearer tokens for this client"
    )]
    Dpop,
    /// It is of another type, and not a bearer token (RFC 6749, section 7.1).
    #[error(
        "the access token has a `token_type` that is not a bearer type: ask the authorization \
         server for bearer tokens, or name the type with `accept_token_type`"
    )]
    TokenType,
    /// The response was cut short.
    #[error("the response was cut short")]
    CutShort,
}

/// How a grant was read. This is not part of the grant: it is not stored, and not compared.
#[derive(Clone, Default)]
pub(super) struct Reading {
    /// One bit for each of [`Leniency::ALL`]: a grant is passed around by value.
    tolerated: u16,
    pub(super) unusable: Option<Unusable>,
    /// Where a refresh token was found, in words that contain nothing of the response but known
    /// names.
    pub(super) elsewhere: Option<Box<str>>,
}

impl Reading {
    #[cfg(feature = "wire")]
    pub(super) fn note(&mut self, leniency: Leniency) {
        self.tolerated |= leniency.bit();
    }

    pub(super) fn leniencies(&self) -> impl Iterator<Item = Leniency> {
        let tolerated = self.tolerated;
        Leniency::ALL.into_iter().filter(move |leniency| tolerated & leniency.bit() != 0)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.leniencies()).entries(self.unusable).finish()
    }
}

impl PartialEq for Reading {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Reading {}
