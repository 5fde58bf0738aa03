//! Classifying responses: what each says about the token that its request carried.

use http::header::AGE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::challenge::read as read_challenges;
use crate::verdict::{Challenge, Classification};

/// The status and headers of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl ResponseHead<'_> {
    /// Classifies the response by status, challenges and `Age`: a 401 rejects the token unless a
    /// challenge says otherwise, and a 2xx that no cache generated accepts it. See rule
    /// [E4](crate::spec#e-requests).
    pub fn classify(&self) -> Classification {
        if self.status == StatusCode::UNAUTHORIZED {
            return Classification::of(401, read_challenges(self.headers));
        }
        if self.headers.contains_key(AGE) {
            // Rule E4: "Only a success whose headers say all, and that no cache gave, accepts" (RFC
            // 9111, section 5.1: `Age` says that it was not generated for this request).
            return Classification::Silent;
        }
        Classification::of(self.status.as_u16(), Challenge::Absent)
    }
}

/// Classifies a gRPC response: `UNAUTHENTICATED` in its headers is a rejection, whatever the HTTP
/// status. For [`InterceptorBuilder::classify`](super::InterceptorBuilder::classify).
pub fn classify_grpc(response: ResponseHead<'_>) -> Classification {
    match response.headers.get("grpc-status").map(HeaderValue::as_bytes) {
        Some(b"16") => Classification::Rejected,
        Some(b"0") => response.classify(),
        Some(_) => Classification::Silent,
        // The status is in the trailers, behind the body: a 200 accepts nothing yet.
        None if is_grpc(response.headers) && response.status == StatusCode::OK => {
            Classification::Silent
        }
        None => response.classify(),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}
