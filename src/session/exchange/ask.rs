//! The request to the authorization server.

use core::any::Any;
use core::future::poll_fn;
use core::task::Poll;
use std::prelude::rust_2024::*;

use crate::primitives::{contained, discard};
use crate::refresh::{RefreshError, Request};
use crate::session::exchange::params::ExchangeParams;
use crate::session::exchange::received::Received;
use crate::session::panics::FirstPanic;
use crate::session::ports::Ports;
use crate::store::StoredGrant;
use crate::token::Grant;

/// Rule B6: "What was never sent is never unknown."
pub(crate) fn not_sent(why: &str) -> RefreshError {
    RefreshError::unavailable(format!("the refresh was not sent: {why}"))
}

pub(crate) fn outrun() -> RefreshError {
    RefreshError::unavailable("an earlier refresh was answered meanwhile")
}

const TOO_LATE: &str = "too little time was left before its deadline";

/// Asks the authorization server for a grant. Values that the response leaves out are kept from
/// `grant`.
pub(super) async fn ask(
    ports: &Ports,
    params: &ExchangeParams,
    grant: Option<Grant>,
    panic: &FirstPanic,
) -> Result<Received, RefreshError> {
    let sent = ports.settings.clock.now();
    let wall = ports.settings.clock.wall();
    if params.is_outrun() {
        return Err(outrun());
    }
    // Rule C9: "Dropping the last handle MUST stop all that is not yet sent."
    if params.epoch_fence.includes(params.flight) || !ports.is_wanted() {
        return Err(not_sent("it was called off"));
    }
    if params.is_too_late(sent) {
        return Err(not_sent(TOO_LATE));
    }
    if let Some(left) = ports.client_backoff.left(params.refused, sent, &ports.settings.policy) {
        let text = "not sent: the authorization server has just refused this client, \
             for this session or for another";
        return Err(RefreshError::misconfigured(text).retry_after(left));
    }
    let presented = grant.as_ref().and_then(Grant::refresh_token).cloned();
    if !params.stage.send(presented) {
        return Err(not_sent("it was called off"));
    }
    // If the clock went back since the launch, the time left is at most what a refresh may take (rule
    // A5).
    let longest = ports.settings.policy.refresh_deadline();
    let time_left = params.deadline.since(sent).to_duration().min(longest);
    let request = Request { grant: grant.clone(), cause: params.cause, time_left };
    // What this flight has seen of the store is reported all the same (rule C5).
    let panicked = |panic: &(dyn Any + Send)| RefreshError::unknown(describe_panic(panic));
    let refresh = contained(|| ports.refresher.refresh(request));
    let mut refresh = refresh.map_err(|panic| panicked(&*panic))?;
    let answer = poll_fn(|cx| match contained(|| refresh.as_mut().poll(cx)) {
        Ok(polled) => polled,
        Err(panic) => Poll::Ready(Err(panicked(&*panic))),
    })
    .await;
    // The response is not lost to a destructor that panics (rule B14).
    discard([refresh]);
    let answer = answer?.sendable();
    let complete = match &grant {
        Some(previous) => answer.renewing(previous),
        None => answer,
    };
    if complete.access_token().or(complete.refresh_token()).is_none() {
        // No part of the response could be used or stored.
        return Err(RefreshError::unknown("the response holds no usable token"));
    }
    match &ports.hooks.on_rotate {
        // A panicking hook must not cost the grant that it was called with.
        Some(on_rotate) if !params.epoch_fence.includes(params.flight) => {
            let _ = panic.call(|| on_rotate(&complete));
        }
        Some(_) | None => {}
    }
    Ok(Received { record: StoredGrant::new(complete, wall), sent, renewed: grant })
}

/// Returns the error text for a panic. The panic's own message is left out, since it may hold a secret
/// (rule G1); but where it is tokio's, outside its runtime, the text names the fix (rule C2).
pub(super) fn describe_panic(panic: &(dyn Any + Send)) -> &'static str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    let message = owned.or_else(|| panic.downcast_ref::<&str>().copied());
    match message {
        Some(message) if message.contains("Tokio 1.x") => {
            "the refresher panicked, as it needs tokio and was polled outside it: \
             name its runtime, in `Refresh::poll_in` or by `Builder::poll_in`"
        }
        Some(_) | None => "the refresher panicked",
    }
}
