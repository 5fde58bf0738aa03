//! Building a session.

use core::fmt;
use core::future::Future;
use core::hash::BuildHasher;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::hash::RandomState;
use std::io;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::clock::{Clock, Timer};
use crate::events::{Event, Sink};
use crate::lifecycle::Policy;
use crate::offload::{Hook, Job, on_a_thread};
use crate::refresh::{
    AnyRefresh, BlockingRefresh, BoxFuture, ClientBackoff, FnRefresh, PollIn, Refresh,
    RefreshError, Request,
};
use crate::session::error::{BuildError, check_sendable};
use crate::session::handle::session::Session;
use crate::session::ports::{Hooks, Ports, SessionClock, Settings};
use crate::session::shared::Shared;
use crate::store::{AnyStore, Store};
use crate::token::Grant;

impl Session {
    /// Returns a builder of a session that asks `refresh`, a closure that returns a future, for new
    /// grants.
    pub fn builder<F, Fut>(refresh: F) -> Builder
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
    {
        Builder::of_fn(refresh)
    }

    /// Returns a builder of a session that asks `refresher` for new grants.
    pub fn builder_with(refresher: impl Refresh) -> Builder {
        Builder::of(refresher)
    }

    /// Returns a builder of a session that asks `refresh`, a closure that blocks, for new grants.
    ///
    /// The closure runs on a short-lived thread of its own, unless [`Builder::spawn_blocking`] says
    /// otherwise. So a server that hangs keeps no caller beyond the deadline of the refresh, and a
    /// response that comes later is still used.
    pub fn builder_blocking<F>(refresh: F) -> Builder
    where
        F: Fn(Request) -> Result<Grant, RefreshError> + Send + Sync + 'static,
    {
        Builder::of_blocking(refresh)
    }
}

/// Creates a refresher, given where blocking work runs and after how long it ends by itself.
type Making = dyn FnOnce(Arc<Hook>, Option<Duration>) -> Box<dyn AnyRefresh> + Send;

/// Builds a [`Session`].
#[must_use]
pub struct Builder {
    refresher: Box<Making>,
    hook: Arc<Hook>,
    ends_within: Option<Duration>,
    poll_in: Option<PollIn>,
    grant: Option<Grant>,
    store: Option<Box<dyn AnyStore>>,
    settings: Settings,
    hooks: Hooks,
    sink: Sink,
}

impl Builder {
    pub(crate) fn of(refresher: impl Refresh) -> Self {
        Self::making(|_, _| Box::new(refresher))
    }

    pub(crate) fn of_fn<F, Fut>(refresh: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
    {
        Self::of(FnRefresh(refresh))
    }

    pub(crate) fn of_blocking<F>(refresh: F) -> Self
    where
        F: Fn(Request) -> Result<Grant, RefreshError> + Send + Sync + 'static,
    {
        let refresh = Arc::new(refresh);
        Self::making(move |hook, ends_within| {
            Box::new(BlockingRefresh { refresh, hook, ends_within })
        })
    }

    fn making(
        refresher: impl FnOnce(Arc<Hook>, Option<Duration>) -> Box<dyn AnyRefresh> + Send + 'static,
    ) -> Self {
        Self {
            refresher: Box::new(refresher),
            hook: Arc::new(on_a_thread),
            ends_within: None,
            poll_in: None,
            grant: None,
            store: None,
            settings: Settings {
                policy: Policy::default(),
                clock: SessionClock::Standard,
                timer: None,
                spawner: None,
                draw: Box::new(any_number),
                jitter: true,
                needs_grant: true,
                client_backoff: ClientBackoff::default(),
                name: None,
            },
            hooks: Hooks::default(),
            sink: Sink::default(),
        }
    }

    /// Sets the grant to start from, as of now. Default: none.
    ///
    /// With a [`store`](Builder::store) it is used, and written there, only where the store is empty. On
    /// each later start it is ignored, also if it has changed: to replace what the store holds, as after a
    /// new login, call [`Session::install`].
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grant = Some(grant);
        self
    }

    /// Sets where the grant is kept. The first caller reads it; what it holds takes precedence over
    /// [`grant`](Builder::grant). Default: none; the grant is only in memory.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Declares that the refresher needs no grant to start from, as with client credentials, or where
    /// it asks the program.
    pub fn without_grant(mut self) -> Self {
        self.settings.needs_grant = false;
        self
    }

    /// Sets the refresh windows, the backoff, the budget, and how the server is declared to behave.
    /// Default: [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets another clock than the standard one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = SessionClock::Other(Arc::new(clock));
        self
    }

    /// Sets a timer, which wakes async callers at deadlines and after backoff. Default: none; then a
    /// deadline is noticed when a caller is next polled, and an async caller gets an error instead of
    /// waiting through backoff ([B13](crate::spec#b-the-client-machine)).
    ///
    /// Any waiting caller polls its sleeps, plain threads included. A closure over `tokio::time::sleep`
    /// would panic there; the `tokio` adapter does not.
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.settings.timer = Some(Arc::new(timer));
        self
    }

    /// Has refreshes driven by a spawned task, such as `|task| { tokio::spawn(task); }`, so that they
    /// complete, and their grants are stored, also when no caller is waiting. Default: none; then the next
    /// caller, [`Session::keep_fresh`] or [`Session::close`] takes in a response that has come.
    pub fn spawner(mut self, spawner: impl Fn(BoxFuture<()>) + Send + Sync + 'static) -> Self {
        self.settings.spawner = Some(Box::new(spawner));
        self
    }

    /// Declares that a blocking refresher ends by itself within `limit`, for example by its HTTP
    /// client's timeout.
    ///
    /// A plain thread that waits for a token at least that long, and has no usable token meanwhile,
    /// then runs the refresher itself; for all others it runs where
    /// [`spawn_blocking`](Builder::spawn_blocking) says. Default: not declared.
    pub fn ends_within(mut self, limit: Duration) -> Self {
        self.ends_within = Some(limit);
        self
    }

    /// Sets where a blocking refresher runs. Default: a short-lived thread.
    pub fn spawn_blocking(
        mut self,
        hook: impl Fn(Job) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.hook = Arc::new(hook);
        self
    }

    /// Sets where the refresher is polled, for closures that need a runtime and cannot declare it
    /// themselves: `.poll_in(PollIn::Runtime(Arc::new(Tokio::current()?)))`. It takes precedence over
    /// [`Refresh::poll_in`], which is the default.
    pub fn poll_in(mut self, poll_in: PollIn) -> Self {
        self.poll_in = Some(poll_in);
        self
    }

    /// Sets the backoff that all sessions of one client share while its server does not accept the
    /// client ([B6](crate::spec#b-the-client-machine)). Adapters bring one with their client; for
    /// closures, pass a clone of the same one to each session.
    pub fn client_backoff(mut self, shared: ClientBackoff) -> Self {
        self.settings.client_backoff = shared;
        self
    }

    /// Turns off the jitter that spreads early refreshes. Backoff stays random.
    pub fn without_jitter(mut self) -> Self {
        self.settings.jitter = false;
        self
    }

    /// Sets another source of uniformly distributed numbers, for reproducible runs.
    pub fn random(mut self, draw: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        self.settings.draw = Box::new(draw);
        self
    }

    /// Sets a hook that is called with each new grant before its access token is handed out, for
    /// programs that keep grants elsewhere than in a [`Store`].
    pub fn on_rotate(mut self, hook: impl Fn(&Grant) + Send + Sync + 'static) -> Self {
        self.hooks.on_rotate = Some(Box::new(hook));
        self
    }

    /// Sets a hook that is called with a grant that lands after a logout or a login. Default: the
    /// refresher revokes such a grant ([B14](crate::spec#b-the-client-machine)).
    pub fn on_orphan(mut self, hook: impl Fn(Grant) + Send + Sync + 'static) -> Self {
        self.hooks.on_orphan = Some(Box::new(hook));
        self
    }

    /// Names the session in its events. Default: none.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Sets a hook that is called with each [`Event`] of the session, its store, its lease, and the
    /// interceptors that attach its token. Several hooks are called in the order in which they were set.
    ///
    /// A hook runs on the thread that caused the event, outside of any lock, and should return quickly. Its
    /// panics are caught. Without a hook, nothing is collected.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.sink.add(hook);
        self
    }

    /// Has each refresh run in a span.
    #[cfg(feature = "tracing")]
    pub(crate) fn in_spans(mut self) -> Self {
        self.hooks.spans = true;
        self
    }

    /// Returns the settings that any number of sessions can share.
    #[cfg(feature = "keyed")]
    pub(crate) fn into_settings(self) -> Settings {
        self.settings
    }

    /// Builds the session. Nothing is sent or read yet.
    ///
    /// # Errors
    /// If the grant holds a token that could not be sent.
    pub fn build(self) -> Result<Session, BuildError> {
        self.grant.as_ref().map_or(Ok(()), check_sendable)?;
        let (refresher, poll_in) = ((self.refresher)(self.hook, self.ends_within), self.poll_in);
        let (mut store, mut hooks, grant) = (self.store, self.hooks, self.grant);
        hooks.events = self.sink.into_hooks();
        if let Some(sink) = &hooks.events {
            store = store.map(|store| self.settings.observe(store, sink));
        }
        let poll_in = poll_in.unwrap_or_else(|| refresher.poll_in());
        let ports = Ports::new(Arc::new(self.settings), refresher, poll_in, store, hooks);
        Ok(Session { shared: Shared::new(ports, next_session(), grant) })
    }
}

/// Returns an unpredictable, uniformly distributed number. The standard library keys each hasher at
/// random; jitter needs no more, and no other crate.
fn any_number() -> u32 {
    let [_, _, _, _, high @ ..] = RandomState::new().hash_one(()).to_be_bytes();
    u32::from_be_bytes(high)
}

/// Returns a number for the next session of this process, so that no token is taken for another
/// session's.
pub(crate) fn next_session() -> u64 {
    // Not of `primitives`: nothing but the numbers differs between interleavings.
    static SESSIONS: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only that no two get the same number matters.
    SESSIONS.fetch_add(1, Ordering::Relaxed)
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("policy", &self.settings.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::any_number;

    #[test]
    fn numbers_are_drawn_from_all_over() {
        let mut drawn = [0_usize; 16];
        for _ in 0..4096 {
            drawn[any_number() as usize >> 28] += 1;
        }
        // 256 in each on average; fewer than 100 would be ten standard deviations away.
        assert!(drawn.iter().all(|count| (100..=500).contains(count)), "{drawn:?}");
    }
}
