//! What the machine is told, and what the server is to response: past facts in, imperatives out.

/// Something that has happened to a family.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The refresh token with this number was presented by the client that it belongs to.
    Presented {
        /// Its number.
        number: u64,
    },
    /// What was issued under this number reached its holder: a resource server has seen its access
    /// token. The use of the refresh token itself need not be told.
    Confirmed {
        /// Its number.
        number: u64,
    },
    /// The family was revoked: by its client (RFC 7009), its user, or the operator.
    Revoked,
}

/// What the server is to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Answer with an access token and the refresh token of this number, which is new.
    IssueSuccessor {
        /// Its number.
        number: u64,
    },
    /// Answer with a fresh access token and, once again, the refresh token of this number.
    RepeatSuccessor {
        /// Its number.
        number: u64,
    },
    /// Answer with a fresh access token, and no refresh token: the client keeps the one that it
    /// presented (RFC 6749, section 6).
    RenewAccess,
    /// Answer `invalid_grant`, and change nothing.
    Refuse(RefusalReason),
    /// Answer `invalid_grant`, and keep the family revoked: its access tokens are to be refused as
    /// well. The revocation counts although the response is an error (rule D3).
    RevokeFamily,
}

/// What the server is to do after a refresh token was presented
/// ([`Family::handle_presented`](super::Family::handle_presented)).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Presented {
    /// As [`Effect::IssueSuccessor`].
    IssueSuccessor {
        /// Its number.
        number: u64,
    },
    /// As [`Effect::RepeatSuccessor`].
    RepeatSuccessor {
        /// Its number.
        number: u64,
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
            Presented::RenewAccess => Self::RenewAccess,
            Presented::Refuse(reason) => Self::Refuse(reason),
            Presented::RevokeFamily => Self::RevokeFamily,
        }
    }
}

/// Why a refresh token is refused. For logs: the client is told `invalid_grant` and no more.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// It was never issued.
    Unknown,
    /// Its family was revoked.
    Revoked,
    /// Its family has outlived its absolute or its idle lifetime.
    Expired,
    /// Its overlap is open, and it was presented more often than it may be.
    TooOften,
}
