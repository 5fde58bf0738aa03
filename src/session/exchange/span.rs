//! A refresh in a span of `tracing`.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::prelude::rust_2024::*;
use std::sync::Arc;

use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::events::cause_name;
use crate::lifecycle::{Cause, Start};
use crate::refresh::BoxFuture;
use crate::session::exchange::received::Report;
use crate::session::ports::Ports;
use crate::time::Timestamp;

/// Returns the refresh in a span, where the session was built to have one.
pub(crate) fn in_span(
    ports: &Arc<Ports>,
    start: Start<Timestamp>,
    future: BoxFuture<Report>,
) -> BoxFuture<Report> {
    if !ports.hooks.spans {
        return future;
    }
    let (refresh, cause) = (start.flight.number(), start.cause);
    Box::pin(Spanned { name: ports.settings.name.clone(), refresh, cause, span: None, future })
}

/// A refresh in a span. It is created at the first poll: a subscriber is the program's code, and the
/// refresh itself is created under the session's lock (rule C6).
struct Spanned {
    name: Option<Arc<str>>,
    refresh: u64,
    cause: Cause,
    span: Option<Span>,
    future: BoxFuture<Report>,
}

impl Future for Spanned {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let this = &mut *self;
        let span = this.span.get_or_insert_with(|| {
            info_span!(
                target: "perennial",
                "refresh",
                "perennial.session.name" = this.name.as_deref(),
                "perennial.refresh" = this.refresh,
                "perennial.refresh.cause" = cause_name(this.cause),
                "error.type" = Empty,
                "http.response.status_code" = Empty,
            )
        });
        let polled = span.in_scope(|| this.future.as_mut().poll(cx));
        if let Poll::Ready(report) = &polled {
            if let Some(error) = report.outcome.error() {
                span.record("error.type", error.name());
                if let Some(status) = error.status() {
                    span.record("http.response.status_code", status);
                }
            }
        }
        polled
    }
}
