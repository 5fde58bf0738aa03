//! Classifying error responses (rule B6).

use core::time::Duration;
use std::prelude::rust_2024::*;

use http::StatusCode;

use super::codes::{CLIENT, meaning};
use super::context::RequestContext;
use super::error_response::ErrorResponse;
use super::places::{is_transient, says_error};
use crate::lifecycle::Failure;
use crate::provider::{Code, Meaning};
use crate::refresh::RefreshError;
use crate::time::{Span, Timestamp};
use crate::token::Secret;

impl ErrorResponse<'_> {
    /// Returns whether the response has a known code.
    pub(super) fn is_known(&self, context: &RequestContext<'_>) -> bool {
        self.known(context).is_some()
    }

    /// Returns whether the response has a code after which a retry by itself is of no use.
    pub(super) fn is_final(&self, context: &RequestContext<'_>) -> bool {
        match self.known(context).map(|code| code.meaning()) {
            Some(Meaning::Declined | Meaning::Misconfigured(_)) => true,
            Some(Meaning::Passing) | None => false,
        }
    }

    fn known(&self, context: &RequestContext<'_>) -> Option<Code> {
        meaning(context.codes(), &self.codes.iter().map(Secret::expose))
    }

    /// Returns the failure. Its text shows nothing of the response but known codes.
    pub(super) fn to_error(&self, context: &RequestContext<'_>) -> RefreshError {
        let own = context.classify().and_then(|classify| classify(self));
        let (kind, code) = match own {
            Some(failure) => (FailureKind::of(failure), None),
            None => self.kind(context),
        };
        let kind = if context.is_clients_own() { kind.without_login(self.status) } else { kind };
        let code = code.map(|code| format!(": {code}")).unwrap_or_default();
        let text =
            format!("the token endpoint{} answered {}{code}", kind.of_host(context), self.status);
        let error = match kind {
            FailureKind::Declined => RefreshError::declined(text),
            FailureKind::Misconfigured(setting) => {
                RefreshError::misconfigured(format!("{text}; check {setting}"))
            }
            FailureKind::Unavailable => RefreshError::unavailable(text),
            FailureKind::Unexplained => RefreshError::unexplained(text),
            FailureKind::Unknown => RefreshError::unknown(text),
        };
        let asked = own.and_then(wait_of).or(self.retry_after);
        match asked {
            Some(delay) => error.retry_after(delay),
            None => error,
        }
    }

    fn kind(&self, context: &RequestContext<'_>) -> (FailureKind, Option<&'static str>) {
        let status = self.status;
        let code = self.known(context);
        let shown = code.map(|code| code.text());
        // These requests took no effect, whatever the code; and such a status makes no code final.
        let busy = status == StatusCode::SERVICE_UNAVAILABLE
            && (says_error(self.members) || self.retry_after.is_some());
        if status == StatusCode::TOO_MANY_REQUESTS || busy || is_transient(self.members) {
            return (FailureKind::Unavailable, shown);
        }
        let kind = match code.map(|code| code.meaning()) {
            Some(Meaning::Passing) => FailureKind::Unavailable,
            Some(Meaning::Declined) => FailureKind::Declined,
            Some(Meaning::Misconfigured(setting)) => FailureKind::Misconfigured(setting),
            None => self.unnamed(context),
        };
        (kind, shown)
    }

    /// Classifies by the status alone.
    fn unnamed(&self, context: &RequestContext<'_>) -> FailureKind {
        match self.status {
            // The request was not processed (RFC 9110, sections 15.5.9 and 15.5.20; RFC 8470,
            // section 5.2), or met a captive portal (RFC 6585, section 6).
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::MISDIRECTED_REQUEST
            | StatusCode::TOO_EARLY
            | StatusCode::NETWORK_AUTHENTICATION_REQUIRED => FailureKind::Unavailable,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                FailureKind::Misconfigured("the credentials for the proxy, in the HTTP client")
            }
            // RFC 6749, section 5.2: the status for a client that authenticated by the header.
            StatusCode::UNAUTHORIZED if self.challenged && context.sends_basic() => {
                FailureKind::Misconfigured(CLIENT)
            }
            status if status.is_client_error() || status.is_success() => FailureKind::Unexplained,
            // Including a status that RFC 9110, section 15, does not define.
            _ => FailureKind::Unknown,
        }
    }
}

#[derive(Copy, Clone)]
enum FailureKind {
    Declined,
    Misconfigured(&'static str),
    Unavailable,
    Unexplained,
    Unknown,
}

impl FailureKind {
    fn of(failure: Failure<Timestamp>) -> Self {
        match failure {
            Failure::Declined => Self::Declined,
            Failure::Misconfigured { .. } => Self::Misconfigured("the settings of this client"),
            Failure::Unavailable { .. } => Self::Unavailable,
            Failure::Unexplained { .. } => Self::Unexplained,
            Failure::Unknown => Self::Unknown,
        }
    }

    /// Returns the kind for a client credentials grant, which has no user to log in: a setting must
    /// be corrected.
    fn without_login(self, status: StatusCode) -> Self {
        let nobody_there =
            status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED;
        match self {
            Self::Unexplained if nobody_there => {
                Self::Misconfigured("the URL of the token endpoint")
            }
            Self::Declined | Self::Unexplained => Self::Misconfigured(CLIENT),
            Self::Misconfigured(_) | Self::Unavailable | Self::Unknown => self,
        }
    }

    /// Returns the host for the error text, if its operator has to correct something.
    fn of_host(self, context: &RequestContext<'_>) -> String {
        match self {
            Self::Misconfigured(_) => context.host().map(|host| format!(" at {host}")),
            Self::Declined | Self::Unavailable | Self::Unexplained | Self::Unknown => None,
        }
        .unwrap_or_default()
    }
}

fn wait_of(failure: Failure<Timestamp>) -> Option<Duration> {
    match failure {
        Failure::Misconfigured { retry_after }
        | Failure::Unavailable { retry_after }
        | Failure::Unexplained { retry_after } => retry_after.map(Span::to_duration),
        Failure::Declined | Failure::Unknown => None,
    }
}
