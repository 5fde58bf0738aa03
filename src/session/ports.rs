//! The ports: what a session was built with.

use core::hash::{BuildHasher, Hasher};
use std::hash::RandomState;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::clock::{Clock, SharedClock, Timer};
use crate::events::Sink;
use crate::lifecycle::Policy;
use crate::primitives::{AtomicUsize, Ordering};
use crate::refresh::{AnyRefresh, BoxFuture, ClientBackoff, PollIn};
use crate::store::{AnyStore, observed};
use crate::thread_timer::ThreadTimer;
use crate::time::{Draw, Span, Timestamp};
use crate::token::Grant;

/// The settings that any number of sessions can share. They never change.
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    pub(crate) clock: SessionClock,
    pub(crate) timer: Option<Arc<dyn Timer>>,
    pub(crate) spawner: Option<Box<dyn Fn(BoxFuture<()>) + Send + Sync>>,
    pub(crate) draw: Box<dyn Fn() -> u32 + Send + Sync>,
    pub(crate) jitter: bool,
    pub(crate) needs_grant: bool,
    /// The name that the program gave the session, for events.
    pub(crate) name: Option<Arc<str>>,
    /// Used for refreshers that bring no backoff of their own.
    pub(crate) client_backoff: ClientBackoff,
}

/// The clock that a session reads. The standard one is called without indirection.
#[derive(Clone)]
pub(crate) enum SessionClock {
    Standard,
    Other(Arc<dyn Clock>),
}

impl SessionClock {
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::Standard => SharedClock.now(),
            Self::Other(clock) => clock.now(),
        }
    }

    pub(crate) fn wall(&self) -> Timestamp {
        match self {
            Self::Standard => SharedClock.wall(),
            Self::Other(clock) => clock.wall(),
        }
    }
}

/// The numbers of holders: those that every JSON parser reads exactly.
const HOLDERS: u64 = (1 << 53) - 1;

/// When a flight was launched.
#[derive(Copy, Clone)]
pub(crate) struct Launched {
    pub(crate) now: Timestamp,
    pub(crate) wall: Timestamp,
}

/// The clock readings and random numbers for one change of state. They are taken before the lock, since
/// both come from the program's code.
#[derive(Copy, Clone)]
pub(crate) struct Sample {
    pub(crate) now: Timestamp,
    pub(crate) wall: Timestamp,
    /// For a delay.
    pub(crate) draw: Draw,
    /// For a new token.
    pub(crate) jitter: Draw,
}

impl Sample {
    /// Returns the sample to use where the clocks cannot be read.
    pub(crate) fn of(Launched { now, wall }: Launched) -> Self {
        Self { now, wall, draw: Draw::NONE, jitter: Draw::NONE }
    }
}

impl Settings {
    /// Returns a session's store, whose operations are reported to `sink`.
    pub(crate) fn observe(&self, store: Box<dyn AnyStore>, sink: &Arc<Sink>) -> Box<dyn AnyStore> {
        let clock: Arc<dyn Clock> = match &self.clock {
            SessionClock::Standard => Arc::new(SharedClock),
            SessionClock::Other(clock) => Arc::clone(clock),
        };
        observed(store, sink, self.name.clone(), clock)
    }

    /// Draws a number for a delay.
    pub(crate) fn draw(&self) -> Draw {
        Draw::new((self.draw)())
    }

    /// Returns how long a refresh may take.
    pub(crate) fn longest(&self) -> Span {
        self.policy.refresh_deadline().into()
    }

    /// Returns the timer for waits that have nothing else to wake them: the session's, or where it has
    /// none one of its own. One that sleeps in real time is of no use where the clock is another.
    pub(crate) fn waiting_timer(&self) -> Option<Arc<dyn Timer>> {
        let own = || match &self.clock {
            SessionClock::Standard => Some(Arc::new(ThreadTimer::new()) as Arc<dyn Timer>),
            SessionClock::Other(_) => None,
        };
        self.timer.clone().or_else(own)
    }

    /// Reads the clocks and draws numbers, for one change of state.
    pub(crate) fn sample(&self) -> Sample {
        Sample {
            now: self.clock.now(),
            wall: self.clock.wall(),
            draw: self.draw(),
            jitter: if self.jitter { self.draw() } else { Draw::NONE },
        }
    }
}

/// The ports of one session.
pub(crate) struct Ports {
    pub(crate) settings: Arc<Settings>,
    /// How many handles there are. A task that only drives what is in flight keeps the session alive
    /// and does not count (rule C9).
    handles: AtomicUsize,
    /// The wall clock when the session was built: the time that its first grant counts from.
    pub(crate) built_at: Timestamp,
    pub(crate) client_backoff: ClientBackoff,
    pub(crate) refresher: Box<dyn AnyRefresh>,
    pub(crate) poll_in: PollIn,
    pub(crate) store: Option<Box<dyn AnyStore>>,
    /// A random number, by which the session recognizes its own notes of intent in the store.
    pub(crate) holder: u64,
    pub(crate) hooks: Hooks,
}

/// The hooks by which the program is notified.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_rotate: Option<Box<OnRotate>>,
    pub(crate) on_orphan: Option<Box<OnOrphan>>,
    /// The hooks for events, if there are any.
    pub(crate) events: Option<Arc<Sink>>,
    /// Wraps each refresh in a span.
    #[cfg(feature = "tracing")]
    pub(crate) spans: bool,
}

type OnRotate = dyn Fn(&Grant) + Send + Sync;
type OnOrphan = dyn Fn(Grant) + Send + Sync;

impl Ports {
    /// Creates the ports of a session with one handle.
    pub(crate) fn new(
        settings: Arc<Settings>,
        refresher: Box<dyn AnyRefresh>,
        poll_in: PollIn,
        store: Option<Box<dyn AnyStore>>,
        hooks: Hooks,
    ) -> Self {
        Self {
            handles: AtomicUsize::new(1),
            built_at: settings.clock.wall(),
            client_backoff: refresher
                .client_backoff()
                .unwrap_or_else(|| settings.client_backoff.clone()),
            settings,
            refresher,
            poll_in,
            store,
            holder: RandomState::new().build_hasher().finish() & HOLDERS,
            hooks,
        }
    }

    /// Returns when a refresh with this `deadline` was launched, as far as is known without a clock.
    pub(crate) fn launched_for(&self, deadline: Timestamp) -> Launched {
        let now = deadline.saturating_sub(self.settings.longest());
        Launched { now, wall: self.built_at }
    }

    /// Returns whether there is a handle left.
    pub(crate) fn is_wanted(&self) -> bool {
        // Relaxed, as for all of these counters: only the number matters. What a handle did before it
        // was dropped is under the session's lock, which the caller of this takes next.
        self.handles.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn handle_cloned(&self) {
        // Whoever clones a handle holds one, so the count cannot be zero meanwhile.
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn handle_dropped(&self) {
        self.handles.fetch_sub(1, Ordering::Relaxed);
    }
}
