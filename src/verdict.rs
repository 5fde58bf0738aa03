//! What to do with a request before it is sent, and with its response. Decided here as pure
//! functions; the adapters carry it out.
//!
//! ```
//! use perennial::verdict::{
//!     Attempt, Body, Challenge, Classification, Feedback, Incoming, ResponseOrigin, Verdict,
//! };
//!
//! let classification = Classification::of(401, Challenge::Bearer);
//! let incoming = Incoming {
//!     classification,
//!     origin: ResponseOrigin::SameOrigin,
//!     body: Body::Replayable,
//!     attempt: Attempt::First,
//! };
//! assert_eq!(incoming.verdict(), Verdict::Replay);
//!
//! // A second 401 goes to the caller as it is.
//! let incoming = Incoming { attempt: Attempt::Second, ..incoming };
//! assert_eq!(incoming.verdict(), Verdict::Deliver(Feedback::Nothing));
//! ```
//!
//! # Invariants
//! - A request is sent at most twice, and a second time only if its body can be sent again
//!   ([E2, E3](crate::spec#e-requests)).
//! - A response from another origin than the one the token was sent to says nothing about the token
//!   ([E5](crate::spec#e-requests)).
//!
//! But for [`Challenge`], the enums here are exhaustive on purpose: an adapter obeys every variant,
//! and a new one must not be missed.
//!
//! # Out of scope
//! HTTP types and the session. `interceptor` reads headers and holds the session.

/// What is known about a request before it is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// The credentials that the request already carries.
    pub credentials: Credentials,
    /// Whether the request goes to one of the origins that the token is for.
    pub destination: Destination,
    /// Whether the request can be read on the way.
    pub transport: Transport,
}

/// The credentials that a request carries before it is intercepted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// No credentials.
    Absent,
    /// The caller's own `Authorization` header.
    Callers,
}

/// The destination of a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An origin that the token is for.
    Known,
    /// Any other origin.
    Foreign,
}

/// Whether a request can be read on the way.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The request goes over TLS, or does not leave this machine, or the program has allowed plain
    /// HTTP.
    Private,
    /// The request goes over plain HTTP.
    Plain,
}

/// What to do with a request before it is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Preparation {
    /// Attach the token, after refreshing it if that is due.
    Attach,
    /// Send the request as it is.
    LeaveAlone,
    /// Do not send the request: the token would go out in the clear.
    Refuse,
}

impl Outgoing {
    /// Rule E1: "the token MUST be attached, refreshed first where it is due". Rule E5: "A token
    /// MUST go to the origins that it was given for and to no other".
    pub const fn preparation(self) -> Preparation {
        match (self.credentials, self.destination) {
            // Rule E1: "A caller's own `Authorization` header MUST be left alone."
            (Credentials::Callers, Destination::Known | Destination::Foreign)
            | (Credentials::Absent, Destination::Foreign) => Preparation::LeaveAlone,
            (Credentials::Absent, Destination::Known) => match self.transport {
                Transport::Private => Preparation::Attach,
                Transport::Plain => Preparation::Refuse,
            },
        }
    }
}

/// The challenges of a response, summed up: the one that says most about the token (RFC 9110,
/// section 11.6.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Challenge {
    /// The response has no challenge.
    Absent,
    /// A bearer token is asked for, possibly among others (RFC 6750, section 3).
    Bearer,
    /// The token is valid, but its scope does not cover the request (`insufficient_scope`; RFC
    /// 6750, section 3.1).
    InsufficientScope,
    /// The token is valid, but the login behind it is not strong or not recent enough
    /// (`insufficient_user_authentication`; RFC 9470, section 3).
    InsufficientUserAuthentication,
    /// The server wants another nonce in the proof of possession (`use_dpop_nonce`; RFC 9449,
    /// section 9).
    DpopNonce,
    /// Only other authentication schemes are asked for.
    OtherScheme,
    /// There is a `WWW-Authenticate` field, but no challenge was found in it.
    Unreadable,
}

/// What a response says about the token that its request carried.
///
/// Exhaustive on purpose: predicates return it, and a new class would change what each means.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Classification {
    /// The server accepted the token.
    Accepted,
    /// The server rejected the token; another one may be accepted.
    Rejected,
    /// The response says nothing about the token.
    Silent,
}

impl Classification {
    /// Classifies a status and its challenges. Rule E4: "An answer MUST be classified before
    /// anything follows from it."
    pub const fn of(status: u16, challenge: Challenge) -> Self {
        match (status, challenge) {
            (
                401,
                Challenge::Absent
                | Challenge::Bearer
                | Challenge::OtherScheme
                | Challenge::Unreadable,
            ) => Self::Rejected,
            (
                401,
                Challenge::InsufficientScope
                | Challenge::InsufficientUserAuthentication
                | Challenge::DpopNonce,
            ) => Self::Silent,
            // Of the others, only a success shows that the token was checked (rule B9).
            (200..=299, _) => Self::Accepted,
            (_, _) => Self::Silent,
        }
    }
}

/// What is known about a response.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incoming {
    /// What the response says about the token.
    pub classification: Classification,
    /// Where the response comes from.
    pub origin: ResponseOrigin,
    /// Whether the body of the request can be sent again.
    pub body: Body,
    /// How often the request has been sent.
    pub attempt: Attempt,
}

/// Where a response comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResponseOrigin {
    /// The origin that the token was sent to.
    SameOrigin,
    /// Another origin, after a redirect on which the token was dropped.
    CrossOrigin,
}

/// Whether the body of a request can be sent again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// The body can be sent again, or there is none.
    Replayable,
    /// The body was a stream, which has been consumed.
    OneShot,
}

/// How often a request has been sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// Once.
    First,
    /// Twice: the response is that of the replay.
    Second,
}

/// What to report to the session.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Feedback {
    /// The token was accepted.
    Accepted,
    /// The replay of a rejected request was accepted, with this token.
    Recovered,
    /// The token was rejected.
    Rejected,
    /// Nothing is reported.
    Nothing,
}

/// What to do with a response.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// Report to the session, and return the response to the caller.
    Deliver(Feedback),
    /// Report to the session that the token was rejected, and follow [`Rejection::verdict`]: if
    /// there is or will be another token, obtain it and send the request again with it.
    Replay,
}

/// What the session did with a rejected token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The token was withdrawn: it is not handed out any more.
    Withdrawn,
    /// The token was not the current one: a newer one has replaced it, or it was withdrawn before.
    Stale,
    /// The token stays in use, since too many refreshes after rejections have not helped. The 401
    /// is returned to the caller. See rule [B9](crate::spec#b-the-client-machine).
    Kept,
}

impl Rejection {
    /// Returns what to do with the response that rejected the token. Rule E2: "Where that
    /// withdrew it, or a newer one is there, that one MUST be obtained and the request replayed
    /// once".
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Withdrawn | Self::Stale => Verdict::Replay,
            Self::Kept => Verdict::Deliver(Feedback::Nothing),
        }
    }
}

impl Incoming {
    /// Rule E2: "After a 401 the token that this request carried MUST be rejected." "A replay's 401
    /// MUST withdraw nothing."
    pub const fn verdict(self) -> Verdict {
        match (self.origin, self.classification, self.attempt) {
            // Rule E5: "no answer to one MUST reject or accept anything".
            (
                ResponseOrigin::CrossOrigin,
                Classification::Accepted | Classification::Rejected | Classification::Silent,
                _,
            )
            | (ResponseOrigin::SameOrigin, Classification::Silent, _) => {
                Verdict::Deliver(Feedback::Nothing)
            }
            (ResponseOrigin::SameOrigin, Classification::Accepted, Attempt::First) => {
                Verdict::Deliver(Feedback::Accepted)
            }
            (ResponseOrigin::SameOrigin, Classification::Accepted, Attempt::Second) => {
                Verdict::Deliver(Feedback::Recovered)
            }
            (ResponseOrigin::SameOrigin, Classification::Rejected, Attempt::First) => {
                match self.body {
                    Body::Replayable => Verdict::Replay,
                    // Rule E3: "the 401 of a one-shot body MUST be returned".
                    Body::OneShot => Verdict::Deliver(Feedback::Rejected),
                }
            }
            (ResponseOrigin::SameOrigin, Classification::Rejected, Attempt::Second) => {
                Verdict::Deliver(Feedback::Nothing)
            }
        }
    }
}
