//! What may become of a request on its way to the authorization server and back.

/// What becomes of a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// It arrives late, its answer comes at once.
    SlowThere,
    /// Its answer comes late.
    SlowBack,
    Lost,
    AnswerLost,
    ResetBefore,
    ResetAfter,
    Refused,
    Busy,
    Garbage,
    /// The answer's access token cannot be read.
    Half,
    /// It arrives twice; the first answer is heard.
    Doubled,
    /// It arrives twice; the second answer is heard.
    DoubledBack,
    PanicsBefore,
    PanicsAfter,
    /// A gateway answers 502, and the server never sees the request.
    GatewayBefore,
    /// A gateway answers 504, after the server has done its part.
    GatewayAfter,
    /// This one request is refused with `invalid_client`.
    Misconfigured,
    /// This one request is refused without an OAuth error.
    Unexplained,
}

pub(crate) const FATES: [Fate; 19] = [
    Fate::Fine,
    Fate::SlowThere,
    Fate::SlowBack,
    Fate::Lost,
    Fate::AnswerLost,
    Fate::ResetBefore,
    Fate::ResetAfter,
    Fate::Refused,
    Fate::Busy,
    Fate::Garbage,
    Fate::Half,
    Fate::Doubled,
    Fate::DoubledBack,
    Fate::PanicsBefore,
    Fate::PanicsAfter,
    Fate::GatewayBefore,
    Fate::GatewayAfter,
    Fate::Misconfigured,
    Fate::Unexplained,
];
