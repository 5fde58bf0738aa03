//! What is checked of a lease that somebody holds, loses, or has been given without knowing it.

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use std::format;
use std::sync::Arc;

use super::flaw::{LeaseFlaw, LeaseProperty, ensure, flaw};
use super::run::Run;
use super::sample;
use crate::store::{Acquired, Lease, Store, Swap, Version};

pub(super) async fn check<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    run: &Run<'_>,
    term: Duration,
    has_terms: bool,
) -> Result<(), LeaseFlaw> {
    let (first, second) = (open(), open());
    let exists = || flaw(LeaseProperty::Exists, "the store has no lease");
    let two = Two {
        run,
        term,
        has_terms,
        a: first.lease().ok_or_else(exists)?,
        b: second.lease().ok_or_else(exists)?,
        store: &first,
        other: &second,
    };
    two.reads_the_store().await?;
    two.writes_do_not_wait().await?;
    two.releases().await?;
    two.only_the_holder().await?;
    two.renews().await?;
    if has_terms {
        two.expires().await?;
        two.dropped_acquire_ends().await?;
    }
    Ok(())
}

/// Two holders of one store, each with a handle of its own.
struct Two<'a, S> {
    run: &'a Run<'a>,
    term: Duration,
    has_terms: bool,
    a: Arc<dyn Lease>,
    b: Arc<dyn Lease>,
    store: &'a S,
    other: &'a S,
}

impl<S: Store> Two<'_, S> {
    /// Longer than what is done meanwhile.
    fn long(&self) -> Duration {
        self.term.max(self.run.limit)
    }

    async fn free(
        &self,
        lease: &dyn Lease,
        term: Duration,
        property: LeaseProperty,
        when: &str,
    ) -> Result<Version, LeaseFlaw> {
        Ok(self.run.hold(lease, term, property, when).await?.version)
    }

    async fn busy(
        &self,
        lease: &dyn Lease,
        property: LeaseProperty,
        when: &str,
    ) -> Result<Option<Duration>, LeaseFlaw> {
        match self.run.acquire(lease, self.term).await? {
            Acquired::Busy { remaining } => Ok(remaining),
            Acquired::Held(_) => {
                Err(flaw(property, format!("a second holder gets the lease {when}")))
            }
        }
    }

    async fn reads_the_store(&self) -> Result<(), LeaseFlaw> {
        let property = LeaseProperty::ReadsTheStore;
        for next in [Some(sample("at-2")), None] {
            let before = self.run.put(self.other, next.clone()).await?;
            let when = "though nobody holds it";
            let held = self.run.hold(&*self.a, self.long(), LeaseProperty::Releases, when).await?;
            ensure(
                property,
                held.grant == next,
                || "acquiring returns another grant than was stored",
            )?;
            ensure(
                LeaseProperty::FenceGrows,
                held.version > before,
                || "a fencing number is not above the version of the write before",
            )?;
            let found = self.run.load(self.other).await?;
            ensure(
                property,
                found == held,
                || "once the lease is acquired, a load returns something else than acquiring returned",
            )?;
            let remaining =
                self.busy(&*self.b, LeaseProperty::OneHolder, "while it is held").await?;
            let limits = Duration::ZERO..=self.long();
            ensure(
                LeaseProperty::TellsTheRemainingTime,
                remaining.map_or(!self.has_terms, |it| !it.is_zero() && limits.contains(&it)),
                || format!("of a lease for {:?}, {remaining:?} is said to remain", self.long()),
            )?;
            self.run.release(&*self.a, held.version).await?;
        }
        Ok(())
    }

    async fn writes_do_not_wait(&self) -> Result<(), LeaseFlaw> {
        let property = LeaseProperty::WritesDoNotWait;
        let when = "after it was released";
        let fence = self.free(&*self.a, self.long(), LeaseProperty::Releases, when).await?;
        for next in [Some(sample("at-3")), None, Some(sample("at-4"))] {
            let version = self.run.load(self.other).await?.version;
            let swap = self.run.swap(self.other, version, next).await?;
            ensure(
                property,
                matches!(swap, Swap::Done(_)),
                || "a swap of the version that was loaded is a conflict while another holds the lease",
            )?;
        }
        let late = self.run.swap(self.store, fence, None).await?;
        ensure(
            LeaseProperty::LostIsLost,
            matches!(late, Swap::Conflict(_)),
            || "a holder writes over what another has written since it acquired the lease",
        )?;
        let kept = self.run.renew(&*self.a, fence, self.long()).await?;
        ensure(property, kept, || "a write of another takes the lease from its holder")?;
        self.busy(&*self.b, property, "after a write, though it is held").await?;
        self.run.release(&*self.a, fence).await
    }

    async fn releases(&self) -> Result<(), LeaseFlaw> {
        let property = LeaseProperty::Releases;
        for lease in [&*self.a, &*self.b, &*self.a] {
            let fence = self.free(lease, self.long(), property, "after it was released").await?;
            self.run.release(lease, fence).await?;
            self.run.release(lease, fence).await?;
        }
        Ok(())
    }

    async fn only_the_holder(&self) -> Result<(), LeaseFlaw> {
        let property = LeaseProperty::OnlyTheHolder;
        let before = self.free(&*self.b, self.long(), property, "though nobody holds it").await?;
        self.run.release(&*self.b, before).await?;
        let fence = self.free(&*self.a, self.long(), property, "though nobody holds it").await?;
        let others = [before, Version::EMPTY, fence.next(), Version::new(u64::MAX)];
        for other in others {
            self.run.release(&*self.b, other).await?;
            self.busy(&*self.b, property, "after a release by who does not hold it").await?;
            let renewed = self.run.renew(&*self.b, other, self.long()).await?;
            ensure(property, !renewed, || "who does not hold the lease renews it")?;
        }
        let kept = self.run.renew(&*self.a, fence, self.long()).await?;
        ensure(property, kept, || "the holder loses the lease by what others do")?;
        self.run.release(&*self.a, fence).await
    }

    async fn expires(&self) -> Result<(), LeaseFlaw> {
        let (expires, lost) = (LeaseProperty::Expires, LeaseProperty::LostIsLost);
        let old =
            self.free(&*self.a, self.term, LeaseProperty::Releases, "after a release").await?;
        self.run.outwait(self.term).await;
        let when = "after its term";
        let new = self.run.hold(&*self.b, self.long(), expires, when).await?;
        ensure(
            LeaseProperty::FenceGrows,
            new.version > old,
            || "a lease after one that has expired has no higher number",
        )?;
        let renewed = self.run.renew(&*self.a, old, self.long()).await?;
        ensure(lost, !renewed, || "a holder renews a lease that another holds by now")?;
        let late = self.run.swap(self.store, old, Some(sample("at-5"))).await?;
        ensure(
            lost,
            late == Swap::Conflict(new.clone()),
            || "a holder whose lease was lost writes over what its successor has read",
        )?;
        self.run.release(&*self.a, old).await?;
        self.busy(&*self.a, LeaseProperty::OnlyTheHolder, "after a release of the lost one")
            .await?;
        let kept = self.run.renew(&*self.b, new.version, self.term).await?;
        ensure(lost, kept, || "the successor loses the lease by what its predecessor does")?;
        let done = self.run.swap(self.other, new.version, Some(sample("at-6"))).await?;
        ensure(lost, matches!(done, Swap::Done(_)), || "a holder cannot write what it has got")?;
        self.run.outwait(self.term).await;
        let fence =
            self.free(&*self.a, self.long(), expires, "after its last renewal's term").await?;
        self.run.release(&*self.a, fence).await
    }

    async fn renews(&self) -> Result<(), LeaseFlaw> {
        let property = LeaseProperty::Renews;
        let fence =
            self.free(&*self.a, self.term, LeaseProperty::Releases, "after a release").await?;
        for _ in 0..3 {
            self.run.timer.sleep(self.term / 2).await;
            let kept = self.run.renew(&*self.a, fence, self.term).await?;
            ensure(property, kept, || "a lease cannot be renewed halfway through its term")?;
        }
        self.busy(&*self.b, property, "though it was renewed").await?;
        self.run.release(&*self.a, fence).await
    }

    /// What a dropped future has acquired nobody knows, so that it can be neither renewed nor released.
    async fn dropped_acquire_ends(&self) -> Result<(), LeaseFlaw> {
        let property = LeaseProperty::DroppedAcquireEnds;
        let mut dropped = self.a.acquire(self.term);
        let polled = poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_ready()));
        self.run.within(polled).await?;
        drop(dropped);
        self.run.outwait(self.term).await;
        let when = "after the term of an acquire that was dropped";
        let fence = self.free(&*self.b, self.long(), property, when).await?;
        self.run.release(&*self.b, fence).await
    }
}
