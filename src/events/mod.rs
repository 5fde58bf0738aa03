//! What has happened, as one stream of events: for logs, metrics, and pages that show it.
//!
//! Sessions, keyed sessions, stores and their leases, interceptors and issuers each take hooks by
//! `on_event`, and call them with the same [`Event`]. A session's hook also receives the events of its
//! store, of its lease, and of the interceptors that attach its token.
//!
//! ```
//! use core::time::Duration;
//! use perennial::events::EventKind;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! let refresh = |_: Request| async { Err::<Grant, _>(RefreshError::unavailable("no answer")) };
//! let session = Session::builder(refresh)
//!     .name("billing API")
//!     .grant(Grant::of_refresh_token("rt-1"))
//!     .on_event(|event| {
//!         // refresh.failed: session billing API, …, error.type unavailable, …
//!         println!("{event}");
//!         if let EventKind::RefreshFailed { error, .. } = &event.kind {
//!             assert_eq!(error.name(), "unavailable");
//!         }
//!     })
//!     .build()?;
//! assert!(session.token_blocking().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The features `tracing` and `metrics` bring ready hooks: `adapters::tracing::record` and
//! `adapters::metrics::record`.
//!
//! # Names
//! [`EventKind::name`] returns the name of an event, and [`Event::attributes`] its attributes, by name.
//! Names are kept from version to version. Where OpenTelemetry's semantic conventions name an
//! attribute (`error.type`, `error.message`, `http.response.status_code`, `server.address`), that name is
//! used; all others start with `perennial.`. Durations are in seconds.
//!
//! | attribute | value |
//! |---|---|
//! | `perennial.session` | the number of the session, unique within the process |
//! | `perennial.session.name` | the name that the program gave it |
//! | `perennial.session.state` | its state after the event: `valid`, `expiring`, `refreshing`, `expired`, or `login_required`, `misconfigured` or `login_may_help` |
//! | `perennial.session.retry_in` | in how many seconds the next refresh may start, during backoff |
//! | `perennial.session.budget` | how many refreshes the budget for early ones still pays for |
//! | `perennial.token.generation` | the number of the access token within its session |
//! | `perennial.token.due_in`, `.usable_for`, `.expires_in` | in how long it is due for refresh, for how long it is handed out, and in how long it expires |
//! | `perennial.refresh` | the number of the refresh within its session |
//! | `perennial.refresh.cause` | why it was needed: `no_token`, `due`, `lapsed`, `rejected`, `too_brief` |
//! | `perennial.refresh.limit` | how long it may take |
//! | `perennial.refresh.duration` | how long it took |
//! | `perennial.refresh.failures` | how many refreshes have failed in a row, this one included; after a success, before it |
//! | `perennial.refresh.outage` | after a success, how long ago the first of these failed |
//! | `perennial.grant.origin` | where the grant comes from: `response`, `store`, `login` |
//! | `perennial.grant.stored` | whether a grant that could not be stored, or a newer one, is in the store now |
//! | `perennial.grant.unsaved` | whether a session that ended held a grant that could not be stored |
//! | `perennial.rejection` | what a rejection led to: `withdrawn`, `kept`, `stale` |
//! | `perennial.wait.duration` | how long a caller waited |
//! | `perennial.store.operation` | `load`, `swap`, `replace_damaged`, `acquire`, `renew`, `release` |
//! | `perennial.store.outcome` | `done`, `conflict`, `busy`, `lost`, `failed` |
//! | `perennial.store.duration` | how long the store took |
//! | `perennial.request.replayed` | whether a request is sent again |
//! | `perennial.issuer.outcome` | what an issuer did: `login`, `client credentials`, `refresh`, `refresh repeated`, `access renewed`, `revoked`; `reuse`, `refused`, `client refused`, `throttled`, `unavailable` |
//! | `perennial.issuer.client`, `.subject`, `.family`, `.number`, `.successor` | for which client, for whom, by which refresh token, and which one was issued |
//! | `client.address` | the address of a request that was denied before its family was known; of IPv6 the first 64 bits |
//! | `error.type` | the kind of an error, in a word; for a refresh and a wait see [`Error::name`](crate::session::Error::name) |
//! | `error.message` | its text, with its sources |
//! | `http.response.status_code` | the status of the token endpoint's response, or of the response that rejected a token |
//! | `server.address` | the origin that a refused request was for |
//!
//! # Invariants
//! - No event holds a token, a client secret or a key ([G1](crate::spec#g-secrets-and-text)).
//! - Each started refresh ends once: it succeeds, fails, or is superseded
//!   ([H1](crate::spec#h-events)).
//! - A hook is called outside of any lock ([C6](crate::spec#c-the-shared-session)), and one that panics
//!   changes nothing ([H2](crate::spec#h-events)).
//! - Without a hook, nothing is collected. (With the feature `testing`, an environment variable sets one: see
//!   `testing`.)
//!
//! # Shown live
//! `cargo run --example live_page` serves a page that shows the sessions of a program from these events: here
//! during an outage of one token endpoint. [`Event`] serialises as one flat map (feature `serde`), so that a page
//! or a log can take it as it is.
//!
#![doc = include_str!("../live_page.md")]
//!
//! # Order
//! Hooks run on whichever thread caused the event, before it goes on: a hook should return quickly. Two
//! threads may report two events of a session at once; [`SessionView::sequence`] tells their order.

mod attributes;
mod error;
mod issuer;
mod kind;
mod sink;
mod value;

#[cfg(feature = "tracing")]
pub(crate) use attributes::cause_name;
pub use error::ErrorView;
pub use issuer::{IssuerEvent, IssuerOutcome};
pub use kind::{EventKind, GrantOrigin, StoreOperation, StoreOutcome, TokenView};
pub(crate) use sink::Sink;
pub use value::Value;

use std::sync::Arc;

use crate::lifecycle::State;
use crate::time::{Span, Timestamp};

/// Something that has happened. It is displayed as one line, and holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When it happened, on the clock of the session, the store or the issuer. On the standard clock,
    /// [`Timestamp::to_system_time`] converts it.
    pub at: Timestamp,
    /// The name that the program gave the session or the store.
    pub name: Option<Arc<str>>,
    /// The session after the event; `None` for an event of a store or an issuer.
    pub session: Option<SessionView>,
    /// What has happened.
    pub kind: EventKind,
}

/// A session as it was after an event.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionView {
    /// The number of the session, unique within the process.
    pub number: u64,
    /// Counts the events of the session, from one; from one again where `keyed` has packed and resumed it,
    /// which another thread may report before the end of the packed one.
    pub sequence: u64,
    /// The state that a caller would meet.
    pub state: State,
    /// The number of the token that was published last.
    pub generation: Option<u64>,
    /// For how long no refresh may start, during backoff.
    pub retry_in: Option<Span>,
    /// How many refreshes the budget for early ones still pays for (rule
    /// [B9](crate::spec#b-the-client-machine)). Rejections of a token that had been accepted have an allowance
    /// of their own, which it does not show.
    pub budget: u32,
}
