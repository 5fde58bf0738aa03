//! What a session was built with.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::received::SetOut;
use super::slot::Dial;
use crate::clock::Timer;
use crate::lifecycle::Policy;
use crate::primitives::{AtomicUsize, Ordering};
use crate::refresh::{AnyRefresh, BoxFuture, ClientBackoff, Home};
use crate::store::AnyStore;
use crate::time::{Draw, Span, Timestamp};
use crate::token::Grant;

/// What any number of sessions can have in common. Never changes.
pub(crate) struct Settings {
    pub(super) policy: Policy,
    pub(super) dial: Dial,
    pub(super) timer: Option<Arc<dyn Timer>>,
    pub(super) spawner: Option<Box<dyn Fn(BoxFuture<()>) + Send + Sync>>,
    pub(super) draw: Box<dyn Fn() -> u32 + Send + Sync>,
    pub(super) jitter: bool,
    pub(super) needs_grant: bool,
    /// For refreshers that bring none of their own.
    pub(super) client_backoff: ClientBackoff,
}

/// What the clocks show, and numbers drawn, for one change of state: had before the lock is taken,
/// since both are the program's code.
#[derive(Copy, Clone)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) wall: Timestamp,
    /// For a delay.
    pub(super) draw: Draw,
    /// For a new token.
    pub(super) jitter: Draw,
}

impl Moment {
    /// For where the clocks cannot be read.
    pub(super) fn of(SetOut { now, wall }: SetOut) -> Self {
        Self { now, wall, draw: Draw::NONE, jitter: Draw::NONE }
    }
}

impl Settings {
    /// A draw for a delay.
    pub(super) fn draw(&self) -> Draw {
        Draw::new((self.draw)())
    }

    /// How long a refresh may take.
    pub(super) fn longest(&self) -> Span {
        self.policy.refresh_deadline().into()
    }

    /// What the clocks show, and numbers drawn, for one change of state.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: self.dial.now(),
            wall: self.dial.wall(),
            draw: self.draw(),
            jitter: if self.jitter { self.draw() } else { Draw::NONE },
        }
    }
}

/// One session's own.
pub(super) struct Ports {
    pub(super) settings: Arc<Settings>,
    /// How many handles there are. A task that only drives what is in the air keeps the session
    /// alive and is none (rule C9).
    handles: AtomicUsize,
    /// The wall clock when the session was built, which its first grant counts from.
    pub(super) built_at: Timestamp,
    pub(super) client_backoff: ClientBackoff,
    pub(super) refresher: Box<dyn AnyRefresh>,
    pub(super) home: Home,
    pub(super) store: Option<Box<dyn AnyStore>>,
    pub(super) hooks: Hooks,
}

/// What the program wants to be told.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(super) on_rotate: Option<Box<OnRotate>>,
    pub(super) on_orphan: Option<Box<OnOrphan>>,
}

type OnRotate = dyn Fn(&Grant) + Send + Sync;
type OnOrphan = dyn Fn(Grant) + Send + Sync;

impl Hooks {
    /// These, and one that is told of each new grant.
    #[cfg(feature = "keyed")]
    pub(crate) fn on_rotate(self, hook: impl Fn(&Grant) + Send + Sync + 'static) -> Self {
        Self { on_rotate: Some(Box::new(hook)), ..self }
    }
}

impl Ports {
    /// The ports of a session with one handle.
    pub(super) fn new(
        settings: Arc<Settings>,
        refresher: Box<dyn AnyRefresh>,
        home: Home,
        store: Option<Box<dyn AnyStore>>,
        hooks: Hooks,
    ) -> Self {
        Self {
            handles: AtomicUsize::new(1),
            built_at: settings.dial.wall(),
            client_backoff: refresher
                .client_backoff()
                .unwrap_or_else(|| settings.client_backoff.clone()),
            settings,
            refresher,
            home,
            store,
            hooks,
        }
    }

    /// Whether the session is still wanted by anybody.
    pub(super) fn is_wanted(&self) -> bool {
        // Relaxed, as is all that counts: only the number matters. What a handle did before it was
        // dropped is under the session's lock, where whoever asks this goes for it.
        self.handles.load(Ordering::Relaxed) > 0
    }

    pub(super) fn handle_made(&self) {
        // Whoever makes a handle has one, so the count cannot be zero meanwhile.
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handle_dropped(&self) {
        self.handles.fetch_sub(1, Ordering::Relaxed);
    }
}
