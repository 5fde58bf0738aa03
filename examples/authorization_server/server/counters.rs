//! What happened, counted: per family, and summed for the whole server.

use std::ops::AddAssign;

use serde_json::{Value, json};

/// Counters of one family, of the requests that belong to no family, or of everything.
///
/// Every token request ends in exactly one of four ways, so that `token_requests == granted +
/// invalid_grant + refused + unavailable` whenever no request is underway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests to the token endpoint, faulted ones included.
    pub(crate) token_requests: u64,
    /// Token requests answered with tokens, including answers that were then lost.
    pub(crate) granted: u64,
    /// Grants that put a new generation of refresh token in place; the other grants were repeats in
    /// the overlap.
    pub(crate) rotations: u64,
    /// Token requests answered with `invalid_grant`.
    pub(crate) invalid_grant: u64,
    /// Token requests answered with any other error of RFC 6749.
    pub(crate) refused: u64,
    /// Token requests answered with an injected 503, without having been handled.
    pub(crate) unavailable: u64,
    /// Token requests that were handled and whose answer was then lost on purpose.
    pub(crate) answers_lost: u64,
    /// Access tokens issued, by seeding and by refreshing.
    pub(crate) access_tokens_issued: u64,
    /// Times the access tokens were made to stop working early while at least one was still valid.
    pub(crate) access_revocations: u64,
    /// Families revoked because a refresh token was seen again when it should not have been.
    pub(crate) family_revocations: u64,
    /// Requests to the resource server that passed.
    pub(crate) api_ok: u64,
    /// Requests to the resource server answered with 401.
    pub(crate) api_unauthorized: u64,
}

impl Counters {
    /// The counters as the JSON object that `GET /stats` shows.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "token_requests": self.token_requests,
            "granted": self.granted,
            "rotations": self.rotations,
            "invalid_grant": self.invalid_grant,
            "refused": self.refused,
            "unavailable": self.unavailable,
            "answers_lost": self.answers_lost,
            "access_tokens_issued": self.access_tokens_issued,
            "access_revocations": self.access_revocations,
            "family_revocations": self.family_revocations,
            "api_ok": self.api_ok,
            "api_unauthorized": self.api_unauthorized,
        })
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.token_requests += other.token_requests;
        self.granted += other.granted;
        self.rotations += other.rotations;
        self.invalid_grant += other.invalid_grant;
        self.refused += other.refused;
        self.unavailable += other.unavailable;
        self.answers_lost += other.answers_lost;
        self.access_tokens_issued += other.access_tokens_issued;
        self.access_revocations += other.access_revocations;
        self.family_revocations += other.family_revocations;
        self.api_ok += other.api_ok;
        self.api_unauthorized += other.api_unauthorized;
    }
}
