//! What to do with a request before it is sent, and with its response: decided here, obeyed by the
//! adapters.
//!
//! ```
//! use perennial::verdict::{Incoming, Attempt, Body, Challenge, Classification, ResponseOrigin, Feedback, Verdict};
//!
//! let classification = Classification::of(401, Challenge::Bearer);
//! let incoming = Incoming { classification, origin: ResponseOrigin::SameOrigin, body: Body::Replayable, attempt: Attempt::First };
//! assert_eq!(incoming.verdict(), Verdict::Replay);
//!
//! // A second 401 goes to the caller as it is.
//! let incoming = Incoming { attempt: Attempt::Second, ..incoming };
//! assert_eq!(incoming.verdict(), Verdict::Deliver(Feedback::Nothing));
//! ```
//!
//! # Invariants
//! - A request is sent twice at most (rule E2), and a second time only where its body can be
//!   (rule E3).
//! - Nothing that was answered elsewhere than where the token was sent says anything of the token
//!   (rule E5).
//!
//! # Deliberately absent
//! HTTP types, of any client, and the session. What reads headers and knows a session is
//! `interceptor`.

/// What is known of a request before it is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// Whose credentials it carries already.
    pub credentials: Credentials,
    /// Whether it goes to one of the origins that the token is for.
    pub destination: Destination,
    /// Who could listen on the way.
    pub transport: Transport,
}

/// Whose credentials a request carries before it is intercepted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// None.
    Absent,
    /// The caller's own: an `Authorization` header.
    Callers,
}

/// Where a request goes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// To an origin that the token was given for.
    Known,
    /// To any other.
    Foreign,
}

/// Who could listen to a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Nobody: TLS, or it does not leave this machine, or the program has said that it does not
    /// mind.
    Private,
    /// Everybody on the way.
    Plain,
}

/// What is to be done with a request before it is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Preparation {
    /// Attach the token, refreshed first where it is due (rule E1).
    Attach,
    /// Send it as it is.
    LeaveAlone,
    /// Do not send it: the token would go out in the clear (rule E5).
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

/// What the challenges of a response come to, all of them together (RFC 9110, section 11.6.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Challenge {
    /// There is none.
    Absent,
    /// There is one for a bearer token, whatever others there are (RFC 6750, section 3).
    Bearer,
    /// The token is good, but not for that (`insufficient_scope`; RFC 6750, section 3.1).
    InsufficientScope,
    /// The token is good, but its login was not strong or not recent enough
    /// (`insufficient_user_authentication`; RFC 9470, section 3).
    InsufficientUserAuthentication,
    /// The server wants another nonce in the proof of possession (`use_dpop_nonce`; RFC 9449,
    /// section 9).
    DpopNonce,
    /// Only other schemes are asked for.
    OtherScheme,
    /// There is a field, and no challenge was found in it.
    Unreadable,
}

/// What a response says of the token that its request carried.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Classification {
    /// It was looked at and liked.
    Accepted,
    /// It was not liked: another one might be.
    Rejected,
    /// Nothing.
    Silent,
}

impl Classification {
    /// Of a status and its challenges. Rule E4: "An answer MUST be classified before anything follows
    /// from it."
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
            // Of the others, only a success shows that the token was looked at (rule B9).
            (200..=299, _) => Self::Accepted,
            (_, _) => Self::Silent,
        }
    }
}

/// What is known of a response.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incoming {
    /// What it says of the token.
    pub classification: Classification,
    /// Where it comes from.
    pub origin: ResponseOrigin,
    /// Whether its request's body can be sent again.
    pub body: Body,
    /// How often the request was sent.
    pub attempt: Attempt,
}

/// Where a response comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResponseOrigin {
    /// From the origin that the token was sent to.
    SameOrigin,
    /// From another one, after a redirect on which the token was dropped.
    CrossOrigin,
}

/// Whether a request's body can be sent again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// There is another one just like it, or none is needed.
    Replayable,
    /// It was a stream, and is spent.
    OneShot,
}

/// How often a request was sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// Once.
    First,
    /// Twice: this is the replay's response.
    Second,
}

/// What the session is to be told.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Feedback {
    /// That the token was accepted.
    Accepted,
    /// That the replay of a rejected request was accepted with this token.
    Recovered,
    /// That the token was rejected.
    Rejected,
    /// Nothing.
    Nothing,
}

/// What is to be done with a response.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// Tell the session, and give the response to the caller.
    Deliver(Feedback),
    /// Tell the session that the token was rejected. Where its response, a [`Rejection`], is that there
    /// is or will be another one, obtain that and send the request again with it.
    Replay,
}

/// What became of a rejected token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It is not handed out any more.
    Withdrawn,
    /// It was not the present one: a newer one has come, or it was withdrawn before.
    Stale,
    /// It stays in use, as another one cannot be paid for (rule B9): too many refreshes have not
    /// helped. The 401 is the caller's.
    Kept,
}

impl Rejection {
    /// What is to be done with the response that the token was rejected in. Rule E2: "Where that
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
