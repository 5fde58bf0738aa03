//! Building keyed sessions.

use core::fmt;
use core::time::Duration;
use std::hash::RandomState;
use std::prelude::rust_2024::*;
use std::sync::{Arc, RwLock};

use super::Sessions;
use super::all::{All, SHARDS};
use super::nudge::Nudge;
use super::program::{
    Key, OfAll, OfKey, OnEventOf, OnEvict, OnOrphan, OnRotate, Program, RefreshKey, RefreshOf,
    StoreOf,
};
use super::shard::Shard;
use crate::clock::{Clock, Timer};
use crate::events::Event;
use crate::lifecycle::Policy;
use crate::refresh::{BoxFuture, Refresh, RefreshError, Request};
use crate::store::Store;
use crate::token::Grant;

impl<K: Key> Sessions<K> {
    /// Returns a builder of sessions that ask `refresh`, a closure of key and request, for new grants.
    pub fn builder<F, Fut>(refresh: F) -> Builder<K>
    where
        F: Fn(&K, Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
    {
        Builder::new(OfKey(refresh))
    }

    /// Returns a builder of sessions that ask `refresher`, one for all keys, such as the `oauth2` adapter's:
    /// the refresh token tells whose grant is wanted.
    pub fn builder_with(refresher: impl Refresh) -> Builder<K> {
        Builder::new(OfAll(refresher))
    }
}

/// Builds [`Sessions`].
#[must_use]
pub struct Builder<K> {
    /// What the sessions have in common.
    common: crate::session::Builder,
    refresh: Arc<RefreshOf<K>>,
    stores: Option<Box<StoreOf<K>>>,
    on_rotate: Option<Arc<OnRotate<K>>>,
    on_orphan: Option<Arc<OnOrphan<K>>>,
    on_event: Vec<Arc<OnEventOf<K>>>,
    #[cfg(feature = "tracing")]
    spans: bool,
    on_evict: Option<Box<OnEvict<K>>>,
    evict_after: Option<Duration>,
    at_once: usize,
}

impl<K: Key> Builder<K> {
    fn new(refresh: impl RefreshKey<K> + 'static) -> Self {
        let nobody = |_: Request| async { Err(RefreshError::declined("no session asks this")) };
        Self {
            common: crate::session::Session::builder(nobody),
            refresh: Arc::new(refresh),
            stores: None,
            on_rotate: None,
            on_orphan: None,
            on_event: Vec::new(),
            #[cfg(feature = "tracing")]
            spans: false,
            on_evict: None,
            evict_after: None,
            at_once: 64,
        }
    }

    /// Sets where each key's grant is kept. A key that is not known is looked up there. Default: none;
    /// the grants are only in memory.
    pub fn stores<S: Store>(mut self, store: impl Fn(&K) -> S + Send + Sync + 'static) -> Self {
        self.stores = Some(Box::new(move |key| Box::new(store(key))));
        self
    }

    /// Sets the refresh windows, the backoff, the budget, and how the server is declared to behave, for
    /// all sessions. Default: [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.common = self.common.policy(policy);
        self
    }

    /// As [`session::Builder::clock`](crate::session::Builder::clock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.common = self.common.clock(clock);
        self
    }

    /// As [`session::Builder::timer`](crate::session::Builder::timer).
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.common = self.common.timer(timer);
        self
    }

    /// As [`session::Builder::spawner`](crate::session::Builder::spawner).
    pub fn spawner(mut self, spawner: impl Fn(BoxFuture<()>) + Send + Sync + 'static) -> Self {
        self.common = self.common.spawner(spawner);
        self
    }

    /// As [`session::Builder::without_jitter`](crate::session::Builder::without_jitter).
    pub fn without_jitter(mut self) -> Self {
        self.common = self.common.without_jitter();
        self
    }

    /// As [`session::Builder::random`](crate::session::Builder::random).
    pub fn random(mut self, draw: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        self.common = self.common.random(draw);
        self
    }

    /// Sets a hook that is called with each new grant and its key, before its access token is handed
    /// out.
    pub fn on_rotate(mut self, hook: impl Fn(&K, &Grant) + Send + Sync + 'static) -> Self {
        self.on_rotate = Some(Arc::new(hook));
        self
    }

    /// Sets a hook that is called with a grant that lands after a logout or a login, and its key. Default: the
    /// refresher revokes such a grant ([B14](crate::spec#b-the-client-machine)); a closure cannot.
    pub fn on_orphan(mut self, hook: impl Fn(&K, Grant) + Send + Sync + 'static) -> Self {
        self.on_orphan = Some(Arc::new(hook));
        self
    }

    /// As [`session::Builder::name`](crate::session::Builder::name), for all sessions.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.common = self.common.name(name);
        self
    }

    /// As [`session::Builder::on_event`](crate::session::Builder::on_event); the hook is called with the
    /// session's key as well. A session that is packed and resumed counts its events from one again, and a
    /// packed one has none.
    pub fn on_event(mut self, hook: impl Fn(&K, &Event) + Send + Sync + 'static) -> Self {
        self.on_event.push(Arc::new(hook));
        self
    }

    /// Has each refresh run in a span.
    #[cfg(feature = "tracing")]
    pub(crate) fn in_spans(mut self) -> Self {
        self.spans = true;
        self
    }

    /// Evicts sessions that nobody has used for this long. Default: never.
    ///
    /// Only a session that holds no grant is evicted, one whose grant is in its store, or one whose
    /// grant [`on_evict`](Builder::on_evict) takes; never one with a refresh in flight, or a grant that
    /// could not be stored.
    pub fn evict_unused_after(mut self, duration: Duration) -> Self {
        self.evict_after = Some(duration);
        self
    }

    /// Sets a hook that takes the grant of each evicted session.
    pub fn on_evict(mut self, hook: impl Fn(K, Grant) + Send + Sync + 'static) -> Self {
        self.on_evict = Some(Box::new(hook));
        self
    }

    /// Sets how many refreshes [`Sessions::keep_fresh`] runs at once, at most. Default: 64.
    pub fn at_once(mut self, refreshes: usize) -> Self {
        self.at_once = refreshes.max(1);
        self
    }

    /// Builds the sessions. Nothing is sent or read yet.
    pub fn build(self) -> Sessions<K> {
        let settings = self.common.into_settings();
        let began = settings.now();
        let program = Program {
            settings: Arc::new(settings),
            refresh: self.refresh,
            stores: self.stores,
            on_rotate: self.on_rotate,
            on_orphan: self.on_orphan,
            on_event: self.on_event,
            #[cfg(feature = "tracing")]
            spans: self.spans,
            on_evict: self.on_evict,
            evict_after: self.evict_after,
            at_once: self.at_once,
        };
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::new())).collect();
        let all = All {
            shards,
            hasher: RandomState::new(),
            program: Arc::new(program),
            began,
            nudge: Nudge::default(),
        };
        Sessions { all: Arc::new(all) }
    }
}

impl<K> fmt::Debug for Builder<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Builder").finish_non_exhaustive()
    }
}
