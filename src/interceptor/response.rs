//! What a response says of the token that its request carried.

use http::header::AGE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::challenge::read as read_challenges;
use crate::verdict::{Challenge, Finding};

/// What an answer says, for a predicate of the program's own.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl Answer<'_> {
    /// What rule E4 makes of it.
    pub fn finding(&self) -> Finding {
        if self.status == StatusCode::UNAUTHORIZED {
            return Finding::of(401, read_challenges(self.headers));
        }
        if self.headers.contains_key(AGE) {
            // Rule E4: "Only a success whose headers say all, and that no cache gave, accepts" (RFC 9111,
            // section 5.1: `Age` says that it was not generated for this request).
            return Finding::Silent;
        }
        Finding::of(self.status.as_u16(), Challenge::Absent)
    }
}

/// What a gRPC answer says of the token: `UNAUTHENTICATED` in its headers is a rejection, whatever
/// the HTTP status. For [`InterceptorBuilder::finding`].
pub fn grpc_finding(answer: Answer<'_>) -> Finding {
    match answer.headers.get("grpc-status").map(HeaderValue::as_bytes) {
        Some(b"16") => Finding::Rejected,
        Some(b"0") => answer.finding(),
        Some(_) => Finding::Silent,
        // It is told in the trailers, once the body has been read: a 200 accepts nothing yet.
        None if is_grpc(answer.headers) && answer.status == StatusCode::OK => Finding::Silent,
        None => answer.finding(),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}
