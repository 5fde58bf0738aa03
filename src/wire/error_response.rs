//! A response that holds no grant.

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

/// A response by which a token endpoint refuses: what a hook of
/// [`ClientBuilder::classify`](super::ClientBuilder::classify) judges by.
///
/// What it holds came off the wire, and may repeat what was sent: it is not to be logged.
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

/// A program's own judgement of a refusal.
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

    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Its error code: `error` (RFC 6749, section 5.2), or what stands for it in another dialect.
    pub fn error(&self) -> Option<&str> {
        self.error.as_ref().map(Secret::expose)
    }

    /// Its `error_description`.
    pub fn error_description(&self) -> Option<&str> {
        self.description.as_ref().map(Secret::expose)
    }

    /// Its `error_uri`.
    pub fn error_uri(&self) -> Option<&str> {
        self.uri.as_ref().map(Secret::expose)
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// What it says may hold secrets.
impl fmt::Debug for ErrorResponse<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ErrorResponse")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}
