//! Suspending a session and resuming it, for programs that keep very many (`keyed`).

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::{Lifecycle, Policy};
use crate::refresh::{BoxFuture, PollIn, Refresh, Refused};
pub(crate) use crate::session::alarm::Alarm;
use crate::session::error::{Error, Kind, check_sendable};
use crate::session::handle::builder::next_session;
use crate::session::handle::drive::{Drive, DriveUntil, change_and_start};
use crate::session::handle::session::Session;
use crate::session::ports::{Hooks, Ports, Settings};
use crate::session::shared::Shared;
use crate::store::{AnyStore, Version};
use crate::time::Timestamp;
use crate::token::{AccessToken, Grant};

/// The state that is kept of a session that nobody uses.
pub(crate) struct Suspended {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) grant: Option<Grant>,
    pub(crate) version: Option<Version>,
    pub(crate) refused: Refused,
}

impl Suspended {
    /// Returns the state of a new session, which has its first grant, or a store to read it from.
    pub(crate) fn first(settings: &Settings, store: bool, grant: Option<Grant>) -> Self {
        let (lifecycle, _) = Shared::begin(settings, store, next_session(), grant.as_ref());
        Self { lifecycle, grant, version: None, refused: Refused::Never }
    }
}

/// What a session is resumed with. Created outside of any lock, since it is the program's code.
pub(crate) struct Prepared {
    ports: Ports,
    now: Timestamp,
}

impl Prepared {
    pub(crate) fn new(
        settings: &Arc<Settings>,
        refresher: impl Refresh,
        store: Option<Box<dyn AnyStore>>,
        hooks: Hooks,
    ) -> Self {
        let poll_in: PollIn = Refresh::poll_in(&refresher);
        let ports = Ports::new(Arc::clone(settings), Box::new(refresher), poll_in, store, hooks);
        let now = settings.clock.now();
        Self { ports, now }
    }
}

impl Session {
    /// Resumes a session from its suspended state. Calls none of the program's code.
    pub(crate) fn resume(prepared: Prepared, rest: Suspended) -> Self {
        let Suspended { lifecycle, grant, version, refused } = rest;
        let secret = grant.as_ref().and_then(Grant::access_token);
        let token = match (secret, lifecycle.generation(), lifecycle.schedule()) {
            (Some(secret), Some(generation), Some(schedule)) => {
                let token = AccessToken::new(secret.clone(), generation, schedule);
                if lifecycle.is_accepted() {
                    token.set_accepted();
                }
                Some(token)
            }
            _ => None,
        };
        let Prepared { ports, now } = prepared;
        Self { shared: Shared::resume(ports, &lifecycle, token, grant, version, refused, now) }
    }

    /// Suspends this session, and returns its state, where nobody else has a handle, nobody waits,
    /// everything is saved, and nothing is in flight at `now` but what has no time left. The session
    /// must not be used afterwards; dropping it calls the program's code.
    pub(crate) fn suspend(&self, now: Timestamp) -> Option<Suspended> {
        if Arc::strong_count(&self.shared) > 1 {
            return None;
        }
        let mut inner = self.shared.lock();
        let at_rest = inner.flights.is_over(now, self.shared.longest(now))
            && inner.flights.waiters.is_empty()
            && inner.watchers.wakers.is_empty()
            && inner.unsaved.is_none();
        if at_rest {
            inner.note_packed(&self.shared.ports.settings, now);
        }
        at_rest.then(|| Suspended {
            // Whoever still refers to it, such as its keeper, starts nothing any more.
            lifecycle: core::mem::replace(&mut inner.lifecycle, Lifecycle::new(0)),
            grant: inner.grant.take(),
            version: inner.version,
            refused: inner.refused,
        })
    }

    /// Returns when the session next changes without an event, and whether its token is to be renewed now,
    /// or a grant stored that could not be stored before.
    pub(crate) fn outlook(&self, now: Timestamp) -> (Option<Timestamp>, bool) {
        let settings = &self.shared.ports.settings;
        let inner = self.shared.lock();
        let save = inner.next_save(settings, now);
        let (at, is_due) = outlook(&inner.lifecycle, &settings.policy, now);
        (at.into_iter().chain(save).min(), is_due || save.is_some_and(|save| save <= now))
    }

    /// Returns whether the store could not be read so far.
    pub(crate) fn is_unread(&self) -> bool {
        let inner = self.shared.lock();
        inner.grant.is_none() && inner.version.is_none() && inner.lifecycle.failures() > 0
    }

    /// Renews the token where it is due, or stores what could not be stored before, and drives that until it
    /// has landed or failed.
    pub(crate) fn renew(&self) -> BoxFuture<()> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let now = shared.now();
            let (started, ()) = change_and_start(&shared, now, |inner, _| {
                (inner.lifecycle.handle_requested(shared.policy(), now).start(), ())
            });
            // A store that hangs is asked again by then.
            let given_up = shared.longest(now);
            let mut drive = Drive::new(Arc::clone(&shared), DriveUntil::Landing);
            poll_fn(|cx| match Pin::new(&mut drive).poll(cx) {
                Poll::Pending if !started && shared.now() >= given_up => Poll::Ready(()),
                polled @ (Poll::Pending | Poll::Ready(_)) => polled.map(drop),
            })
            .await;
        })
    }
}

/// Returns the error for a key that has no session.
pub(crate) fn no_such_session() -> Error {
    Error::new(Kind::NoGrant)
}

/// Checks that the tokens of `grant` can be sent.
pub(crate) fn check_grant(grant: &Grant) -> Result<(), Error> {
    Ok(check_sendable(grant)?)
}

/// Returns when `lifecycle` next changes without an event, and whether a caller that comes now would
/// start a refresh.
pub(crate) fn outlook(
    lifecycle: &Lifecycle,
    policy: &Policy,
    now: Timestamp,
) -> (Option<Timestamp>, bool) {
    let mut next = *lifecycle;
    let due = next.handle_requested(policy, now).start().is_some();
    (lifecycle.poll_timeout(policy, now).map(|timeout| timeout.at), due)
}

impl Settings {
    /// Returns the time on the sessions' clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }
}
