//! The conformance test for leases: a good one passes, and each bad one is noticed by the property
//! that it lacks.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use perennial::clock::Clock;
use perennial::refresh::BoxFuture;
use perennial::store::{
    Acquired, Lease, MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned,
};
use perennial::testing::{LeaseConformance, LeaseFlaw, LeaseProperty, VirtualTime};
use perennial::time::Timestamp;

/// What a lease may do wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wrong {
    LooksThenTakes,
    FenceStandsStill,
    FenceIsACounterOfItsOwn,
    ReleasedByAnyone,
    RenewedByAnyone,
    NeverExpires,
    RenewsWhatIsLost,
    RenewalDoesNothing,
    SwallowsErrors,
    ForgetsTheRemainingTime,
    TellsTheTermOfTheNext,
    AWriteEndsIt,
    WritesWait,
    ReleasedNever,
    LosesTheContent,
    NoLease,
    Fails,
}

/// A store in memory with a lease, on virtual time.
#[derive(Clone)]
struct Leased {
    time: VirtualTime,
    state: Arc<Mutex<State>>,
    wrong: Option<Wrong>,
    reachable: bool,
}

struct State {
    content: Versioned,
    counter: u64,
    lease: Option<(Version, Timestamp)>,
}

impl Leased {
    fn new(wrong: Option<Wrong>) -> Self {
        let state = State { content: Versioned::EMPTY, counter: 0, lease: None };
        let time = VirtualTime::at(Timestamp::from_secs(1_700_000_000));
        Self { time, state: Arc::new(Mutex::new(state)), wrong, reachable: true }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn unreachable(&self) -> Self {
        Self { reachable: self.is(Wrong::SwallowsErrors), ..self.clone() }
    }

    fn answer<T>(&self, step: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        if !self.reachable || self.is(Wrong::Fails) {
            return Err(StoreError::unreachable("nobody listens"));
        }
        Ok(step(&mut self.state.lock().expect("no step panics")))
    }

    fn take(&self, state: &mut State, term: Duration) -> Acquired {
        if !self.is(Wrong::FenceStandsStill) && !self.is(Wrong::FenceIsACounterOfItsOwn) {
            state.content.version = state.content.version.next();
        }
        state.counter += 1;
        let mut content = state.content.clone();
        if self.is(Wrong::FenceIsACounterOfItsOwn) {
            content.version = Version::new(1_000_000 + state.counter);
        }
        state.lease = Some((content.version, self.until(term)));
        if self.is(Wrong::LosesTheContent) {
            content.grant = None;
        }
        Acquired::Held(content)
    }

    fn until(&self, term: Duration) -> Timestamp {
        self.time.now().saturating_add(term.into())
    }

    fn remaining(&self, state: &State) -> Option<Duration> {
        let (_, until) = state.lease?;
        let over = until <= self.time.now() && !self.is(Wrong::NeverExpires);
        (!over).then(|| until.since(self.time.now()).to_duration())
    }
}

impl Lease for Leased {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let this = self.clone();
        if self.is(Wrong::LooksThenTakes) {
            let looked = this.answer(|state| this.remaining(state));
            return Box::pin(async move {
                std::thread::sleep(Duration::from_millis(2));
                match looked? {
                    None => this.answer(|state| this.take(state, term)),
                    remaining => Ok(Acquired::Busy { remaining }),
                }
            });
        }
        let acquired = this.answer(|state| match this.remaining(state) {
            None => this.take(state, term),
            Some(_) if this.is(Wrong::ForgetsTheRemainingTime) => {
                Acquired::Busy { remaining: None }
            }
            Some(_) if this.is(Wrong::TellsTheTermOfTheNext) => {
                Acquired::Busy { remaining: Some(Duration::MAX) }
            }
            remaining => Acquired::Busy { remaining },
        });
        Box::pin(ready(acquired))
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        Box::pin(ready(self.answer(|state| {
            let held = state.lease.filter(|(_, until)| *until > self.time.now());
            let own = held.is_some_and(|(holder, _)| holder == fence);
            let may = own || (self.is(Wrong::RenewedByAnyone) && held.is_some());
            if may && !self.is(Wrong::RenewalDoesNothing) {
                state.lease = held.map(|(holder, _)| (holder, self.until(term)));
            }
            may || (self.is(Wrong::RenewsWhatIsLost)
                && fence > Version::EMPTY
                && fence < state.content.version)
                || (self.is(Wrong::RenewalDoesNothing)
                    && state.lease.is_some_and(|it| it.0 == fence))
        })))
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        Box::pin(ready(self.answer(|state| {
            let own = state.lease.is_some_and(|(holder, _)| holder == fence);
            if (own && !self.is(Wrong::ReleasedNever)) || self.is(Wrong::ReleasedByAnyone) {
                state.lease = None;
            }
        })))
    }
}

impl Store for Leased {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        ready(self.answer(|state| state.content.clone()))
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let swap = self.answer(|state| {
            if state.content.version != expected {
                return Swap::Conflict(state.content.clone());
            }
            if self.is(Wrong::AWriteEndsIt) {
                state.lease = None;
            }
            if self.is(Wrong::WritesWait) && self.remaining(state).is_some() {
                return Swap::Conflict(state.content.clone());
            }
            state.content = Versioned { version: expected.next(), grant: next };
            Swap::Done(state.content.version)
        });
        ready(swap)
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        (!self.is(Wrong::NoLease)).then(|| Arc::new(self.clone()) as Arc<dyn Lease>)
    }
}

fn check(wrong: Option<Wrong>) -> Result<(), LeaseFlaw> {
    let leased = Leased::new(wrong);
    let (unreachable, time) = (leased.unreachable(), leased.time.clone());
    let checked = LeaseConformance::new(move || leased.clone())
        .unreachable(move || unreachable.clone())
        .timer(move |duration| {
            time.advance(duration);
            ready(())
        })
        .term(Duration::from_secs(60));
    block_on(checked.check())
}

#[test]
fn a_lease_on_a_stores_own_clock_passes() {
    assert_eq!(check(None), Ok(()));
}

#[test]
fn each_bad_lease_is_noticed_by_the_property_that_it_lacks() {
    use LeaseProperty as Property;
    let bad = [
        (Wrong::LooksThenTakes, Property::OneHolder),
        (Wrong::FenceStandsStill, Property::FenceGrows),
        (Wrong::FenceIsACounterOfItsOwn, Property::ReadsTheStore),
        (Wrong::ReleasedByAnyone, Property::OnlyTheHolder),
        (Wrong::RenewedByAnyone, Property::OnlyTheHolder),
        (Wrong::NeverExpires, Property::Expires),
        (Wrong::RenewsWhatIsLost, Property::OnlyTheHolder),
        (Wrong::RenewalDoesNothing, Property::Renews),
        (Wrong::SwallowsErrors, Property::ReportsErrors),
        (Wrong::ForgetsTheRemainingTime, Property::TellsTheRemainingTime),
        (Wrong::TellsTheTermOfTheNext, Property::TellsTheRemainingTime),
        (Wrong::AWriteEndsIt, Property::WritesDoNotWait),
        (Wrong::WritesWait, Property::WritesDoNotWait),
        (Wrong::ReleasedNever, Property::OneHolder),
        (Wrong::LosesTheContent, Property::ReadsTheStore),
        (Wrong::NoLease, Property::Exists),
        (Wrong::Fails, Property::Completes),
    ];
    println!("bad stores: {}", bad.len());
    for (wrong, property) in bad {
        let flaw = check(Some(wrong)).expect_err(&format!("{wrong:?} is noticed"));
        assert_eq!(flaw.property(), property, "{wrong:?}: {flaw}");
        assert!(flaw.to_string().starts_with(&format!("the lease does not conform: {property}: ")));
        println!("noticed: 1, {wrong:?}");
    }
}

#[test]
fn a_store_without_a_lease_does_not_pass_as_one() {
    let store = MemoryStore::new();
    let flaw = block_on(LeaseConformance::new(move || store.clone()).check());
    assert_eq!(flaw.map_err(|flaw| flaw.property()), Err(LeaseProperty::Exists));
}
