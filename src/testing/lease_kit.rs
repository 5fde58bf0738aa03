//! A conformance test for leases.
//!
//! Invariants: no check waits longer than a few terms; each leaves the lease free, or a lease that
//! ends by itself.

mod flaw;
mod held;
mod run;

pub use flaw::{LeaseFlaw, LeaseProperty};

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::sync::Arc;
use std::vec::Vec;

use self::flaw::{ensure, flaw};
use self::run::{Run, at_once};
use crate::clock::Timer;
use crate::store::{Acquired, Store, StoredGrant};
use crate::thread_timer::ThreadTimer;
use crate::time::{Span, Timestamp};
use crate::token::Grant;

/// Tests that the lease of a store does what sessions that share the store rely on, with the default
/// settings of [`LeaseConformance`].
///
/// `open` returns another handle of one store, as another process would have it.
///
/// # Panics
/// If the lease does otherwise; the message names the [`LeaseProperty`] and says what it did.
pub async fn lease_conforms<S: Store>(open: impl Fn() -> S + Send + Sync + 'static) {
    if let Err(flaw) = LeaseConformance::new(open).check().await {
        std::panic!("{flaw}");
    }
}

/// A conformance test for the [`Lease`](crate::store::Lease) of a store, and its settings.
///
/// ```no_run
/// use core::time::Duration;
/// # use perennial::store::MemoryStore as YourStore;
/// use perennial::testing::LeaseConformance;
///
/// let store = YourStore::new();
/// let checked = LeaseConformance::new(move || store.clone()).term(Duration::from_millis(500)).check();
/// futures::executor::block_on(checked)?;
/// # Ok::<(), perennial::testing::LeaseFlaw>(())
/// ```
#[must_use]
pub struct LeaseConformance<S> {
    open: Opener<S>,
    unreachable: Option<Opener<S>>,
    timer: Box<dyn Timer>,
    term: Duration,
    has_terms: bool,
    limit: Duration,
    holders: usize,
    rounds: usize,
}

/// Opens another handle of one store.
type Opener<S> = Arc<dyn Fn() -> S + Send + Sync>;

impl<S: Store> LeaseConformance<S> {
    /// Creates a test of the lease of the store of which `open` returns another handle, as another
    /// process would have it.
    pub fn new(open: impl Fn() -> S + Send + Sync + 'static) -> Self {
        Self {
            open: Arc::new(open),
            unreachable: None,
            timer: Box::new(ThreadTimer::new()),
            term: Duration::from_millis(400),
            has_terms: true,
            limit: Duration::from_secs(30),
            holders: 8,
            rounds: 8,
        }
    }

    /// Sets what opens a store that cannot be reached, such as one on a port where nobody listens.
    /// Default: none, and [`LeaseProperty::ReportsErrors`] is not checked.
    pub fn unreachable(mut self, open: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.unreachable = Some(Arc::new(open));
        self
    }

    /// Sets the term of the leases, which must be much longer than an operation takes: those that
    /// must be held are used within half of it. Default: 400 ms.
    pub fn term(mut self, term: Duration) -> Self {
        self.term = term;
        self
    }

    /// Declares that a lease ends by itself only with its holder, as a lock of the operating system
    /// does. Default: it ends with its term.
    ///
    /// [`LeaseProperty::Expires`], `LostIsLost`, `DroppedAcquireEnds` and `TellsTheRemainingTime` are
    /// not checked then.
    pub fn without_terms(mut self) -> Self {
        self.has_terms = false;
        self
    }

    /// Sets how the test waits for a term to end, by the store's own clock. Default: on a thread.
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.timer = Box::new(timer);
        self
    }

    /// Sets how long one operation may take. Default: 30 s.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how many holders compete, and how often. Default: 8 holders, 8 times.
    pub fn holders(mut self, holders: usize, rounds: usize) -> Self {
        self.holders = holders.max(2);
        self.rounds = rounds.max(1);
        self
    }

    /// Runs the test. Afterwards the store holds no grant, and nobody the lease.
    ///
    /// # Errors
    /// The first property that the lease does not have.
    pub async fn check(self) -> Result<(), LeaseFlaw> {
        let run = Run { timer: &*self.timer, watch: ThreadTimer::new(), limit: self.limit };
        self.one_holder(&run).await?;
        held::check(&*self.open, &run, self.term, self.has_terms).await?;
        if let Some(unreachable) = &self.unreachable {
            reports_errors(&unreachable(), &run, self.term).await?;
        }
        let store = (self.open)();
        run.put(&store, None).await.map(drop)
    }

    /// Of several that acquire at once, one holds the lease, and each later one has a higher number.
    async fn one_holder(&self, run: &Run<'_>) -> Result<(), LeaseFlaw> {
        let store = (self.open)();
        let lease =
            store.lease().ok_or_else(|| flaw(LeaseProperty::Exists, "the store has no lease"))?;
        let mut last = run.put(&store, Some(sample("at-1"))).await?;
        for _ in 0..self.rounds {
            let term = self.term.max(self.limit);
            let leases = (0..self.holders).map(|_| (self.open)().lease());
            let attempts = leases.flatten().map(|lease| lease.acquire(term)).collect();
            let mut holders = Vec::new();
            for attempt in at_once(attempts).await {
                match attempt {
                    Some(Ok(Acquired::Held(content))) => holders.push(content.version),
                    Some(Ok(Acquired::Busy { .. })) => {}
                    Some(Err(error)) => {
                        return Err(flaw(
                            LeaseProperty::Completes,
                            format!("an acquire fails: {error}"),
                        ));
                    }
                    None => return Err(flaw(LeaseProperty::Completes, "an acquire panicked")),
                }
            }
            let (all, count) = (self.holders, holders.len());
            let &[fence] = &*holders else {
                let found = format!("of {all} that acquire at once, {count} hold the lease");
                return Err(flaw(LeaseProperty::OneHolder, found));
            };
            ensure(LeaseProperty::FenceGrows, fence > last, || {
                format!("after version {} a lease has number {}", last.number(), fence.number())
            })?;
            last = fence;
            run.release(&*lease, fence).await?;
        }
        Ok(())
    }
}

async fn reports_errors(
    store: &impl Store,
    run: &Run<'_>,
    term: Duration,
) -> Result<(), LeaseFlaw> {
    let lease =
        store.lease().ok_or_else(|| flaw(LeaseProperty::Exists, "the store has no lease"))?;
    let version = crate::store::Version::new(1);
    let tried = [
        ("an acquire", run.within(lease.acquire(term)).await?.map(drop)),
        ("a renewal", run.within(lease.renew(version, term)).await?.map(drop)),
        ("a release", run.within(lease.release(version)).await?),
    ];
    for (what, result) in tried {
        let reported = result.is_err_and(|error| !error.is_damaged());
        ensure(LeaseProperty::ReportsErrors, reported, || {
            format!("{what} of a store that cannot be reached is no error that says so")
        })?;
    }
    Ok(())
}

/// A grant to be stored.
fn sample(access: &str) -> StoredGrant {
    let grant = Grant::new(access, "rt-of-a-test", Span::from_secs(3600));
    StoredGrant::new(grant, Timestamp::from_secs(1_700_000_000))
}

impl<S> fmt::Debug for LeaseConformance<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LeaseConformance").field("term", &self.term).finish_non_exhaustive()
    }
}
