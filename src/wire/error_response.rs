//! Error responses of a token endpoint (RFC 6749, section 5.2).

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use http::StatusCode;

use super::members::Members;
use super::places::codes;
use crate::lifecycle::Failure;
use crate::provider::Dialect;
use crate::time::Timestamp;
use crate::token::Secret;

/// An error response of a token endpoint (RFC 6749, section 5.2), for
/// [`ClientBuilder::classify`](super::ClientBuilder::classify).
///
/// Its texts come from the server and may repeat secrets of the request. Do not log them.
pub struct ErrorResponse<'a> {
    pub(super) status: StatusCode,
    pub(super) members: &'a Members,
    pub(super) codes: Vec<Secret>,
    error: Option<Secret>,
    description: Option<Secret>,
    uri: Option<Secret>,
    pub(super) retry_after: Option<Duration>,
    pub(super) challenged: bool,
}

/// A program's own classification of error responses.
pub(super) type Classify =
    Arc<dyn Fn(&ErrorResponse<'_>) -> Option<Failure<Timestamp>> + Send + Sync + 'static>;

impl<'a> ErrorResponse<'a> {
    pub(super) fn new(
        status: StatusCode,
        members: &'a Members,
        dialect: Dialect,
        retry_after: Option<Duration>,
        challenged: bool,
    ) -> Self {
        let codes = codes(status, members, dialect);
        Self {
            status,
            members,
            error: codes.first().cloned(),
            codes,
            description: members.text("error_description"),
            uri: members.text("error_uri"),
            retry_after,
            challenged,
        }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns the error code: `error`, or the member in its place in the dialect.
    pub fn error(&self) -> Option<&str> {
        self.error.as_ref().map(Secret::expose)
    }

    /// Returns `error_description`.
    pub fn error_description(&self) -> Option<&str> {
        self.description.as_ref().map(Secret::expose)
    }

    /// Returns `error_uri`.
    pub fn error_uri(&self) -> Option<&str> {
        self.uri.as_ref().map(Secret::expose)
    }

    /// Returns how long to wait before a retry, if the server says so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Leaves out the texts, which may hold secrets.
impl fmt::Debug for ErrorResponse<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ErrorResponse")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}
