//! What the stores on servers have in common: what this process has seen of each key, and how its
//! waiters hear of changes (features `redis` and `postgres`).

use core::hash::BuildHasher;
use core::time::Duration;
use std::collections::HashMap;
use std::hash::RandomState;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError};

use tokio::sync::broadcast::{self, error::RecvError};

use super::Version;
use crate::primitives::{Mutex, MutexGuard};

/// How often a waiter looks for a change that it was not notified of.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// The highest version that this process has seen of each key: 16 bytes a key. A server that has a
/// lower one, or none, has lost its content.
///
/// Keys are known by their hash. If two had the same, a store that is intact might be treated as
/// one that has lost its content: once in about 10^7 programs of a million keys each.
#[derive(Default)]
pub(crate) struct Seen {
    hasher: RandomState,
    versions: Mutex<HashMap<u64, u64>>,
}

impl Seen {
    pub(crate) fn of(&self, key: &str) -> Version {
        let found = self.lock().get(&self.hasher.hash_one(key)).copied();
        found.map_or(Version::EMPTY, Version::new)
    }

    pub(crate) fn note(&self, key: &str, version: Version) {
        if version > Version::EMPTY {
            let hash = self.hasher.hash_one(key);
            let mut versions = self.lock();
            let highest = versions.entry(hash).or_default();
            *highest = version.number().max(*highest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on which keys have changed.
pub(crate) struct Hints(broadcast::Sender<Hint>);

/// A hint that one key has changed, or that any may have: hints may have been missed.
#[derive(Clone)]
pub(crate) enum Hint {
    Key(Arc<str>),
    Any,
}

impl Hints {
    pub(crate) fn new() -> Self {
        // A waiter that lags behind by more takes what it missed for a hint.
        Self(broadcast::Sender::new(256))
    }

    pub(crate) fn sender(&self) -> broadcast::Sender<Hint> {
        self.0.clone()
    }

    /// Starts to listen, from now on.
    pub(crate) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

pub(crate) struct Listener(broadcast::Receiver<Hint>);

impl Listener {
    /// Completes with the next hint that `key` may have changed.
    pub(crate) async fn hear(&mut self, key: &str) {
        loop {
            match self.0.recv().await {
                Ok(Hint::Key(changed)) if *changed != *key => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // The connection is dropped, and nothing is heard any more.
                Err(RecvError::Closed) => core::future::pending().await,
            }
        }
    }
}

/// A lease as a waiter has last seen it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    pub(crate) version: Version,
    /// The fencing number of the lease; `None` while nobody holds it.
    pub(crate) fence: Option<Version>,
}

impl Glance {
    /// Returns whether somebody has written or released the lease between `earlier` and this.
    pub(crate) fn differs(self, earlier: Self) -> bool {
        self.version > earlier.version || (earlier.fence.is_some() && self.fence != earlier.fence)
    }
}
