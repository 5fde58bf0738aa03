//! A session put away, and taken up again: for programs that keep very many (`keyed`).

use std::prelude::rust_2024::*;
use std::sync::Arc;

pub(crate) use super::alarm::Alarm;
use super::core::Shared;
use super::error::{Error, Kind};
use super::keep::{Drive, Extent, spawn};
use super::ports::{Hooks, Ports, Settings};
use super::{Session, builder};
use crate::lifecycle::{Lifecycle, Policy};
use crate::refresh::{BoxFuture, Home, Refresh, Refused};
use crate::store::{AnyStore, Version};
use crate::time::Timestamp;
use crate::token::{AccessToken, Grant};

/// What is left of a session that nobody uses.
pub(crate) struct Rest {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) grant: Option<Grant>,
    pub(crate) version: Option<Version>,
    pub(crate) refused: Refused,
}

impl Rest {
    /// Of a session that never was: it has its first grant, or its store will tell.
    pub(crate) fn first(settings: &Settings, store: bool, grant: Option<Grant>) -> Self {
        let (lifecycle, _) =
            Shared::begin(settings, store, builder::next_session(), grant.as_ref());
        Self { lifecycle, grant, version: None, refused: Refused::Never }
    }
}

/// What a session is taken up again with. Made outside of any lock: it is the program's code.
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
        let home: Home = Refresh::home(&refresher);
        let ports = Ports::new(Arc::clone(settings), Box::new(refresher), home, store, hooks);
        let now = settings.dial.now();
        Self { ports, now }
    }
}

impl Session {
    /// The session that `rest` is left of. Calls none of the program's code.
    pub(crate) fn take_up(prepared: Prepared, rest: Rest) -> Self {
        let Rest { lifecycle, grant, version, refused } = rest;
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

    /// What is left of this session, where nobody else has it, nothing is in the air at `now` but what
    /// has had its time, nobody waits
    /// and everything is saved. It is not to be used afterwards; dropping it calls the program's
    /// code.
    pub(crate) fn put_away(&self, now: Timestamp) -> Option<Rest> {
        if Arc::strong_count(&self.shared) > 1 {
            return None;
        }
        let mut inner = self.shared.lock();
        let at_rest = inner.deck.is_over(now, self.shared.longest(now))
            && inner.deck.waiters.is_empty()
            && inner.watchers.wakers.is_empty()
            && inner.unsaved.is_none();
        at_rest.then(|| Rest {
            // Whoever has not heard of it yet, as its keeper, begins nothing any more.
            lifecycle: core::mem::replace(&mut inner.lifecycle, Lifecycle::new(0)),
            grant: inner.grant.take(),
            version: inner.version,
            refused: inner.refused,
        })
    }

    /// When the session next changes by itself, and whether it wants a refresh now.
    pub(crate) fn outlook(&self, now: Timestamp) -> (Option<Timestamp>, bool) {
        let policy = &self.shared.ports.settings.policy;
        let inner = self.shared.lock();
        outlook(&inner.lifecycle, policy, now)
    }

    /// Renews the token where it is due, and drives that until it has landed or failed.
    pub(crate) fn renew(&self) -> BoxFuture<()> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let now = shared.slot.dial.now();
            let started = shared.change(now, |inner, afterwards| {
                let policy = &shared.ports.settings.policy;
                let start = inner.lifecycle.handle_requested(policy, now).start();
                if let Some(start) = start {
                    inner.launch(&shared.ports, start, afterwards);
                }
                start.is_some()
            });
            if started {
                spawn(&shared);
            }
            let _ = Drive::new(shared, Extent::Landing).await;
        })
    }
}

/// There is no session to ask.
pub(crate) fn no_such_session() -> Error {
    Error::new(Kind::NoGrant)
}

/// Whether the tokens of `grant` can be sent.
pub(crate) fn check_grant(grant: &Grant) -> Result<(), Error> {
    Ok(builder::check(grant)?)
}

/// When `lifecycle` next changes by itself, and whether a caller that comes now would start a
/// refresh.
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
    /// What the session's clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.dial.now()
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }
}
