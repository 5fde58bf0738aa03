//! The program's settings, hooks and closures for keyed sessions.

use core::hash::Hash;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::{Event, Sink};
use crate::refresh::{BoxFuture, Refresh, RefreshError, Request};
use crate::session::ports::{Hooks, Settings};
use crate::session::suspend::Prepared;
use crate::store::AnyStore;
use crate::token::Grant;

/// The bounds on a key. Implemented for every type that satisfies them.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Key for K {}

pub(super) type RefreshOf<K> =
    dyn Fn(&K, Request) -> BoxFuture<Result<Grant, RefreshError>> + Send + Sync;
pub(super) type StoreOf<K> = dyn Fn(&K) -> Box<dyn AnyStore> + Send + Sync;
pub(super) type OnEvict<K> = dyn Fn(K, Grant) + Send + Sync;
pub(super) type OnEventOf<K> = dyn Fn(&K, &Event) + Send + Sync;
pub(super) type OnRotate<K> = dyn Fn(&K, &Grant) + Send + Sync;

/// The program's settings, hooks and closures.
pub(super) struct Program<K> {
    pub(super) settings: Arc<Settings>,
    pub(super) refresh: Arc<RefreshOf<K>>,
    pub(super) stores: Option<Box<StoreOf<K>>>,
    pub(super) on_rotate: Option<Arc<OnRotate<K>>>,
    pub(super) on_event: Vec<Arc<OnEventOf<K>>>,
    #[cfg(feature = "tracing")]
    pub(super) spans: bool,
    pub(super) on_evict: Option<Box<OnEvict<K>>>,
    pub(super) evict_after: Option<Duration>,
    pub(super) at_once: usize,
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
        (self.refresh)(&self.key, request)
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
