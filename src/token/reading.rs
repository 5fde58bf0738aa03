//! How a grant was read off the wire, where that was not plain.

use core::fmt;
use std::boxed::Box;

use thiserror::Error;

/// What had to be borne to read an answer that is no token response of RFC 6749, section 5.1, as it
/// stands: see [`Grant::leniencies`](super::Grant::leniencies). Worth a word to whoever runs the server.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Leniency {
    /// A byte order mark stood before it (RFC 8259, section 8.1).
    ByteOrderMark,
    /// It was not UTF-8.
    Charset,
    /// It was a form instead of JSON.
    Form,
    /// Something stood around the one object: a notice, a prefix, a call, a list, quotation marks.
    Framed,
    /// Another member of it could not be read.
    Unreadable,
    /// White space stood around a token.
    Padded,
    /// The name of the scheme, `Bearer`, stood before the access token.
    Prefixed,
    /// A token was a number, or the one element of a list.
    Shaped,
    /// The refresh token stood beside the access token by another name, such as `refreshToken`.
    Renamed,
    /// A refresh token stands where none is looked for, and was not taken:
    /// [`Grant::found_elsewhere`](super::Grant::found_elsewhere) says where.
    Elsewhere,
    /// Its status was not one of success.
    Status,
    /// It broke off: what came whole before that was kept.
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

/// Why a grant has no access token although its answer had one, or should have: see
/// [`Grant::unusable_because`](super::Grant::unusable_because).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// There was none.
    #[error("the answer holds no access token")]
    Missing,
    /// It holds what no HTTP header may carry (RFC 6750, section 2.1).
    #[error("the access token holds characters that no header may carry")]
    NotSendable,
    /// It is bound to a key by `DPoP` (RFC 9449).
    #[error(
        "the access token is of type DPoP, and is not sent as a bearer token: ask the authorization \
         server for bearer tokens for this client"
    )]
    Dpop,
    /// It is of another type that is no bearer token (RFC 6749, section 7.1).
    #[error(
        "the access token's `token_type` is none that is sent as a bearer token: ask the authorization \
         server for bearer tokens, or name the type with `accept_token_type`"
    )]
    TokenType,
    /// The answer broke off.
    #[error("the answer broke off")]
    CutShort,
}

/// How a grant was read. It is no part of what was granted: it is not stored, and not compared.
#[derive(Clone, Default)]
pub(super) struct Reading {
    /// One bit for each of [`Leniency::ALL`]: a grant is passed around by value.
    borne: u16,
    pub(super) unusable: Option<Unusable>,
    /// What was found elsewhere, in words that hold nothing of the answer's but known names.
    pub(super) elsewhere: Option<Box<str>>,
}

impl Reading {
    #[cfg(feature = "wire")]
    pub(super) fn note(&mut self, leniency: Leniency) {
        self.borne |= leniency.bit();
    }

    pub(super) fn leniencies(&self) -> impl Iterator<Item = Leniency> {
        let borne = self.borne;
        Leniency::ALL.into_iter().filter(move |leniency| borne & leniency.bit() != 0)
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
