//! A conformance test for stores.
//!
//! Invariants: each check works on handles of its own, and leaves the store usable for the next.
//! Grants that are written hold made-up secrets, which the errors of the store must not show.

mod alone;
mod crowd;
mod drive;
mod failing;
mod flaw;
mod lease;
mod samples;

pub use flaw::{StoreFlaw, StoreProperty};

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use self::drive::{Drive, on_a_thread};
use crate::refresh::BoxFuture;
use crate::store::Store;

/// Tests that a store does what a [`Session`](crate::session::Session) relies on, with the default
/// settings of [`StoreConformance`].
///
/// `open` returns another handle of one store, which is empty at first.
///
/// ```
/// use perennial::store::MemoryStore;
/// use perennial::testing::store_conforms;
///
/// let store = MemoryStore::new();
/// futures::executor::block_on(store_conforms(move || store.clone()));
/// ```
///
/// # Panics
/// If the store does otherwise; the message names the [`StoreProperty`] and says what it did.
pub async fn store_conforms<S: Store>(open: impl Fn() -> S + Send + Sync + 'static) {
    if let Err(flaw) = StoreConformance::new(open).check().await {
        std::panic!("{flaw}");
    }
}

/// A conformance test for a [`Store`], and its settings. Each [`StoreProperty`] is checked, on real
/// threads where it is about several writers.
///
/// ```
/// use perennial::adapters::file::FileStore;
/// use perennial::testing::StoreConformance;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("grant.json");
/// let file = path.clone();
/// let checked = StoreConformance::new(move || FileStore::open(&path).expect("a store"))
///     .damaged(move || std::fs::write(&file, "not a grant").expect("written"))
///     .check();
/// futures::executor::block_on(checked)?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct StoreConformance<S> {
    open: Opener<S>,
    unreachable: Option<Opener<S>>,
    damage: Option<Box<dyn Fn() + Send + Sync>>,
    spawner: Arc<dyn Fn(BoxFuture<()>) + Send + Sync>,
    limit: Duration,
    longest_token: usize,
    writers: usize,
    rounds: usize,
}

/// Opens another handle of one store.
type Opener<S> = Box<dyn Fn() -> S + Send + Sync>;

impl<S: Store> StoreConformance<S> {
    /// Creates a test of the store of which `open` returns another handle: of one file, one row or
    /// one key, which is empty at first.
    pub fn new(open: impl Fn() -> S + Send + Sync + 'static) -> Self {
        Self {
            open: Box::new(open),
            unreachable: None,
            damage: None,
            spawner: Arc::new(on_a_thread),
            limit: Duration::from_secs(30),
            longest_token: 16 * 1024,
            writers: 8,
            rounds: 16,
        }
    }

    /// Sets what opens a store that cannot be reached, such as one on a port where nobody listens;
    /// its errors are tested. Default: none, and [`StoreProperty::ReportsErrors`] is not checked.
    pub fn unreachable(mut self, open: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.unreachable = Some(Box::new(open));
        self
    }

    /// Sets what replaces the stored content by something that is no grant, behind the store's back.
    /// Default: none, and [`StoreProperty::ReportsDamage`] is not checked.
    pub fn damaged(mut self, damage: impl Fn() + Send + Sync + 'static) -> Self {
        self.damage = Some(Box::new(damage));
        self
    }

    /// Sets what runs a future to its end, concurrently with others. Default: a thread for each,
    /// without a runtime. A store that needs one is given `|future| drop(tokio::spawn(future))`.
    pub fn spawner(mut self, spawner: impl Fn(BoxFuture<()>) + Send + Sync + 'static) -> Self {
        self.spawner = Arc::new(spawner);
        self
    }

    /// Sets how long one operation may take. Default: 30 s.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the length of the longest access token, in bytes. Default: 16 KiB. A store on a medium
    /// that takes less is given less.
    pub fn longest_token(mut self, bytes: usize) -> Self {
        self.longest_token = bytes;
        self
    }

    /// Sets how many writers compete, and how often. Default: 8 writers, 16 times.
    pub fn writers(mut self, writers: usize, rounds: usize) -> Self {
        self.writers = writers.max(2);
        self.rounds = rounds.max(1);
        self
    }

    /// Runs the test. Afterwards the store holds no grant, or damage that only a hand can repair.
    ///
    /// # Errors
    /// The first property that the store does not have.
    pub async fn check(self) -> Result<(), StoreFlaw> {
        let drive = Drive::new(self.limit);
        alone::check(&self.open, &drive, self.longest_token).await?;
        let crowd = crowd::Crowd {
            open: &self.open,
            drive: &drive,
            spawner: &*self.spawner,
            writers: self.writers,
            rounds: self.rounds,
        };
        crowd.check().await?;
        lease::check(&crowd).await?;
        failing::drops(&self.open, &drive).await?;
        if let Some(unreachable) = &self.unreachable {
            failing::unreachable(unreachable, &drive).await?;
        }
        if let Some(damage) = &self.damage {
            if !failing::damaged(&self.open, damage, &drive).await? {
                return Ok(());
            }
        }
        alone::empties(&self.open, &drive).await
    }
}

impl<S> fmt::Debug for StoreConformance<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoreConformance").finish_non_exhaustive()
    }
}
