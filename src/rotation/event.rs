//! Events, which are past facts, and effects, which say what the server is to do.

/// Something that has happened to a family.
///
/// Exhaustive on purpose: a store or a model that replays events handles each of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The client that owns the family presented the refresh token with this number.
    Presented {
        /// The number of the refresh token.
        number: u64,
    },
    /// The tokens issued under this number reached the client: a resource server has seen the
    /// access token. Use of the refresh token itself is [`Presented`](Event::Presented), and needs
    /// no confirmation.
    Confirmed {
        /// The number of the refresh token.
        number: u64,
    },
    /// The family was revoked by its client (RFC 7009), its user, or the operator.
    Revoked,
}

/// What the server is to do.
///
/// Exhaustive on purpose: a server that ignored an effect would break the protocol.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Effect {
    /// Do nothing.
    Nothing,
    /// Respond with an access token and a new refresh token, which has this number.
    IssueSuccessor {
        /// The number of the refresh token.
        number: u64,
    },
    /// Respond with a fresh access token and, once again, the refresh token with this number.
    RepeatSuccessor {
        /// The number of the refresh token.
        number: u64,
    },
    /// Respond with a fresh access token and another refresh token with this number, the
    /// `sibling`-th. The number is that of the newest token, and stays so.
    IssueSibling {
        /// The number of the refresh token.
        number: u64,
        /// Which of the refresh tokens with this number it is, from 1. The one that the rotation
        /// has issued counts as 0.
        sibling: u32,
    },
    /// Respond with a fresh access token and no refresh token: the client keeps the one that it
    /// presented (RFC 6749, section 6).
    RenewAccess,
    /// Respond with `invalid_grant`. The family is unchanged, and need not be written.
    Refuse(RefusalReason),
    /// Respond with `invalid_grant` and store the revoked family; its access tokens are to be
    /// refused as well. The revocation must be stored although the response is an error.
    RevokeFamily,
}

/// What the server is to do after a refresh token was presented
/// ([`Family::handle_presented`](super::Family::handle_presented)). Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Presented {
    /// As [`Effect::IssueSuccessor`].
    IssueSuccessor {
        /// The number of the refresh token.
        number: u64,
    },
    /// As [`Effect::RepeatSuccessor`].
    RepeatSuccessor {
        /// The number of the refresh token.
        number: u64,
    },
    /// As [`Effect::IssueSibling`].
    IssueSibling {
        /// The number of the refresh token.
        number: u64,
        /// Which of the refresh tokens with this number it is, from 1.
        sibling: u32,
    },
    /// As [`Effect::RenewAccess`].
    RenewAccess,
    /// As [`Effect::Refuse`].
    Refuse(RefusalReason),
    /// As [`Effect::RevokeFamily`].
    RevokeFamily,
}

impl From<Presented> for Effect {
    fn from(presented: Presented) -> Self {
        match presented {
            Presented::IssueSuccessor { number } => Self::IssueSuccessor { number },
            Presented::RepeatSuccessor { number } => Self::RepeatSuccessor { number },
            Presented::IssueSibling { number, sibling } => Self::IssueSibling { number, sibling },
            Presented::RenewAccess => Self::RenewAccess,
            Presented::Refuse(reason) => Self::Refuse(reason),
            Presented::RevokeFamily => Self::RevokeFamily,
        }
    }
}

/// Why a refresh token is refused. For logs: the client sees only `invalid_grant`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The token was never issued.
    Unknown,
    /// The family was revoked.
    Revoked,
    /// The family is past its absolute or its idle lifetime.
    Expired,
    /// The predecessor was presented within its overlap, but more often than the policy allows.
    TooOften,
}
