//! Building a local session: a [`Builder`](crate::session::Builder) whose refresher, spawner and hooks
//! stay on their thread.

use core::fmt;
use std::prelude::rust_2024::*;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::{Clock, Timer};
use crate::events::Event;
use crate::lifecycle::Policy;
use crate::refresh::{LocalBoxFuture, LocalRefresh, PollIn, RefreshError, Request};
use crate::session::error::BuildError;
use crate::session::handle::builder::Builder;
use crate::session::handle::local::LocalSession;
use crate::session::handle::local::bound::{Address, Local, LocalPorts, Proxy};
use crate::store::Store;
use crate::token::Grant;

impl LocalSession {
    /// Returns a builder of a session that asks `refresh`, a closure that returns a future, for new
    /// grants.
    pub fn builder<F, Fut>(refresh: F) -> LocalBuilder
    where
        F: Fn(Request) -> Fut + 'static,
        Fut: Future<Output = Result<Grant, RefreshError>> + 'static,
    {
        LocalBuilder::of_fn(refresh)
    }

    /// Returns a builder of a session that asks `refresher` for new grants.
    pub fn builder_with(refresher: impl LocalRefresh) -> LocalBuilder {
        LocalBuilder::of(refresher)
    }
}

/// Builds a [`LocalSession`].
#[must_use]
pub struct LocalBuilder {
    builder: Builder,
    address: Address,
    ports: LocalPorts,
}

impl LocalBuilder {
    pub(crate) fn of_fn<F, Fut>(refresh: F) -> Self
    where
        F: Fn(Request) -> Fut + 'static,
        Fut: Future<Output = Result<Grant, RefreshError>> + 'static,
    {
        Self::new(
            PollIn::Anywhere,
            LocalPorts {
                refresh: Box::new(move |request| Box::pin(refresh(request))),
                revoke: Box::new(|_| Box::pin(async {})),
                spawner: None,
                on_rotate: None,
                on_orphan: None,
                on_event: Vec::new(),
            },
        )
    }

    pub(crate) fn of(refresher: impl LocalRefresh) -> Self {
        let refresher = Rc::new(refresher);
        let revoker = Rc::clone(&refresher);
        Self::new(
            refresher.poll_in(),
            LocalPorts {
                refresh: Box::new(move |request| Box::pin(refresher.refresh(request))),
                revoke: Box::new(move |grant| Box::pin(revoker.revoke(grant))),
                spawner: None,
                on_rotate: None,
                on_orphan: None,
                on_event: Vec::new(),
            },
        )
    }

    fn new(poll_in: PollIn, ports: LocalPorts) -> Self {
        let address = Address::new();
        Self { builder: Builder::of(Proxy { address, poll_in }), address, ports }
    }

    /// As [`Builder::grant`].
    pub fn grant(self, grant: Grant) -> Self {
        self.with(|builder| builder.grant(grant))
    }

    /// As [`Builder::store`].
    pub fn store(self, store: impl Store) -> Self {
        self.with(|builder| builder.store(store))
    }

    /// As [`Builder::without_grant`].
    pub fn without_grant(self) -> Self {
        self.with(Builder::without_grant)
    }

    /// As [`Builder::policy`].
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|builder| builder.policy(policy))
    }

    /// As [`Builder::clock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|builder| builder.clock(clock))
    }

    /// As [`Builder::timer`]; the timer and its sleeps must be `Send`, as there.
    pub fn timer(self, timer: impl Timer) -> Self {
        self.with(|builder| builder.timer(timer))
    }

    /// As [`Builder::spawner`], for tasks of this thread, such as
    /// `|task| { tokio::task::spawn_local(task); }`.
    pub fn spawner(mut self, spawner: impl Fn(LocalBoxFuture<()>) + 'static) -> Self {
        let address = self.address;
        self.ports.spawner = Some(Box::new(spawner));
        self.with(|builder| {
            builder.spawner(move |task| {
                let Some(local) = address.find() else { return };
                if let Some(spawner) = &local.ports.spawner {
                    // This task keeps what is in flight alive after the session's last handle (rule
                    // C9).
                    let kept = Rc::clone(&local);
                    spawner(Box::pin(async move {
                        task.await;
                        drop(kept);
                    }));
                }
            })
        })
    }

    /// As [`Builder::poll_in`].
    pub fn poll_in(self, poll_in: PollIn) -> Self {
        self.with(|builder| builder.poll_in(poll_in))
    }

    /// As [`Builder::without_jitter`].
    pub fn without_jitter(self) -> Self {
        self.with(Builder::without_jitter)
    }

    /// As [`Builder::random`].
    pub fn random(self, draw: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        self.with(|builder| builder.random(draw))
    }

    /// As [`Builder::on_rotate`].
    pub fn on_rotate(mut self, hook: impl Fn(&Grant) + 'static) -> Self {
        let address = self.address;
        self.ports.on_rotate = Some(Box::new(hook));
        self.with(|builder| {
            builder.on_rotate(move |grant| {
                let Some(local) = address.find() else { return };
                if let Some(hook) = &local.ports.on_rotate {
                    hook(grant);
                }
            })
        })
    }

    /// As [`Builder::on_orphan`].
    pub fn on_orphan(mut self, hook: impl Fn(Grant) + 'static) -> Self {
        let address = self.address;
        self.ports.on_orphan = Some(Box::new(hook));
        self.with(|builder| {
            builder.on_orphan(move |grant| {
                let Some(local) = address.find() else { return };
                if let Some(hook) = &local.ports.on_orphan {
                    hook(grant);
                }
            })
        })
    }

    /// As [`Builder::name`].
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        self.with(|builder| builder.name(name))
    }

    /// As [`Builder::on_event`]. An event that another thread causes, such as a store's, is not reported.
    pub fn on_event(mut self, hook: impl Fn(&Event) + 'static) -> Self {
        let (address, number) = (self.address, self.ports.on_event.len());
        self.ports.on_event.push(Box::new(hook));
        self.with(|builder| {
            builder.on_event(move |event| {
                let Some(local) = address.find() else { return };
                if let Some(hook) = local.ports.on_event.get(number) {
                    hook(event);
                }
            })
        })
    }

    /// As [`Builder::traced`].
    #[cfg(feature = "tracing")]
    pub fn traced(self) -> Self {
        self.with(Builder::traced)
    }

    /// Builds the session, to stay on this thread. Nothing is sent or read yet.
    ///
    /// # Errors
    /// If the grant holds a token that could not be sent.
    pub fn build(self) -> Result<LocalSession, BuildError> {
        // First, since the session's first event finds its hook there.
        let local = Local::settle(self.address, self.ports);
        Ok(LocalSession { session: self.builder.build()?, local })
    }

    fn with(self, set: impl FnOnce(Builder) -> Builder) -> Self {
        Self { builder: set(self.builder), ..self }
    }
}

impl fmt::Debug for LocalBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LocalBuilder").field(&self.builder).finish()
    }
}
