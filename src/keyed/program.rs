//! The program's settings, hooks and closures for keyed sessions.

use core::hash::Hash;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::{Event, Sink};
use crate::refresh::{BoxFuture, ClientBackoff, PollIn, Refresh, RefreshError, Request};
use crate::session::ports::{Hooks, Settings};
use crate::session::suspend::Prepared;
use crate::store::AnyStore;
use crate::token::Grant;

/// The bounds on a key. Implemented for every type that satisfies them.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Key for K {}

pub(super) type RefreshOf<K> = dyn RefreshKey<K>;
pub(super) type StoreOf<K> = dyn Fn(&K) -> Box<dyn AnyStore> + Send + Sync;
pub(super) type OnEvict<K> = dyn Fn(K, Grant) + Send + Sync;
pub(super) type OnEventOf<K> = dyn Fn(&K, &Event) + Send + Sync;
pub(super) type OnOrphan<K> = dyn Fn(&K, Grant) + Send + Sync;
pub(super) type OnRotate<K> = dyn Fn(&K, &Grant) + Send + Sync;

/// The program's settings, hooks and closures.
pub(super) struct Program<K> {
    pub(super) settings: Arc<Settings>,
    pub(super) refresh: Arc<RefreshOf<K>>,
    pub(super) stores: Option<Box<StoreOf<K>>>,
    pub(super) on_rotate: Option<Arc<OnRotate<K>>>,
    pub(super) on_orphan: Option<Arc<OnOrphan<K>>>,
    pub(super) on_event: Vec<Arc<OnEventOf<K>>>,
    #[cfg(feature = "tracing")]
    pub(super) spans: bool,
    pub(super) on_evict: Option<Box<OnEvict<K>>>,
    pub(super) evict_after: Option<Duration>,
    pub(super) at_once: usize,
}

/// Asks for the grants of all keys.
pub(super) trait RefreshKey<K>: Send + Sync {
    fn refresh(&self, key: &K, request: Request) -> BoxFuture<Result<Grant, RefreshError>>;
    fn revoke(&self, grant: Grant) -> BoxFuture<()>;
    fn poll_in(&self) -> PollIn;
    fn client_backoff(&self) -> Option<ClientBackoff>;
}

/// A closure of key and request.
pub(super) struct OfKey<F>(pub(super) F);

impl<K, F, Fut> RefreshKey<K> for OfKey<F>
where
    F: Fn(&K, Request) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
{
    fn refresh(&self, key: &K, request: Request) -> BoxFuture<Result<Grant, RefreshError>> {
        Box::pin((self.0)(key, request))
    }

    fn revoke(&self, grant: Grant) -> BoxFuture<()> {
        drop(grant);
        Box::pin(async {})
    }

    fn poll_in(&self) -> PollIn {
        PollIn::Anywhere
    }

    fn client_backoff(&self) -> Option<ClientBackoff> {
        None
    }
}

/// One refresher for all keys.
pub(super) struct OfAll<R>(pub(super) R);

impl<K, R: Refresh> RefreshKey<K> for OfAll<R> {
    fn refresh(&self, _: &K, request: Request) -> BoxFuture<Result<Grant, RefreshError>> {
        Box::pin(self.0.refresh(request))
    }

    fn revoke(&self, grant: Grant) -> BoxFuture<()> {
        Box::pin(self.0.revoke(grant))
    }

    fn poll_in(&self) -> PollIn {
        self.0.poll_in()
    }

    fn client_backoff(&self) -> Option<ClientBackoff> {
        self.0.client_backoff()
    }
}

/// The refresher of one key.
pub(super) struct Keyed<K> {
    key: K,
    refresh: Arc<RefreshOf<K>>,
}

impl<K: Key> Refresh for Keyed<K> {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        self.refresh.refresh(&self.key, request)
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        self.refresh.revoke(grant)
    }

    fn poll_in(&self) -> PollIn {
        self.refresh.poll_in()
    }

    fn client_backoff(&self) -> Option<ClientBackoff> {
        self.refresh.client_backoff()
    }
}

impl<K: Key> Program<K> {
    /// Returns what the session of `key` is resumed with.
    pub(super) fn prepare(&self, key: &K) -> Prepared {
        let refresher = Keyed { key: key.clone(), refresh: Arc::clone(&self.refresh) };
        let mut store = self.stores.as_ref().map(|stores| stores(key));
        let mut hooks = Hooks::default();
        if let Some(on_rotate) = &self.on_rotate {
            let (key, on_rotate) = (key.clone(), Arc::clone(on_rotate));
            hooks.on_rotate = Some(Box::new(move |grant| on_rotate(&key, grant)));
        }
        if let Some(on_orphan) = &self.on_orphan {
            let (key, on_orphan) = (key.clone(), Arc::clone(on_orphan));
            hooks.on_orphan = Some(Box::new(move |grant| on_orphan(&key, grant)));
        }
        let mut sink = Sink::default();
        for on_event in &self.on_event {
            let (key, on_event) = (key.clone(), Arc::clone(on_event));
            sink.add(move |event| on_event(&key, event));
        }
        hooks.events = sink.into_hooks();
        #[cfg(feature = "tracing")]
        {
            hooks.spans = self.spans;
        }
        if let Some(sink) = &hooks.events {
            store = store.map(|store| self.settings.observe(store, sink));
        }
        Prepared::new(&self.settings, refresher, store, hooks)
    }
}
