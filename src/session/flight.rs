//! The flight deck: what is in the air, who polls it, and who is to be woken.
//!
//! The refresh in progress belongs to the session. To poll it, a caller takes what is woken out of
//! the deck, polls it outside the lock, and puts back what has not landed. Each craft has a beacon,
//! the waker that it is polled with: it marks the craft as woken, and wakes the last driver and one
//! deputy; a caller that is polled while a craft is woken and unattended takes over (rule C4).

use core::any::Any;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Weak};
use std::task::Wake;

use super::core::Shared;
use super::ports::Ports;
use super::received::{Outcome, Report, SetOut};
use super::stage::Stage;
use super::waiters::{Ticket, Waiters};
use crate::lifecycle::FlightId;
use crate::primitives::thread::{self, ThreadId};
use crate::primitives::{AtomicBool, Ordering, contained};
use crate::refresh::{BoxFuture, Home, RefreshError};
use crate::time::Timestamp;

/// How many refreshes beyond their deadline are still listened to. Older ones are dropped.
const STRAGGLERS: usize = 4;

/// Something in the air.
pub(super) enum Craft {
    /// A refresh, until it lands.
    Flight(Flight),
    /// The revocation of a grant that belongs to nobody.
    Revocation(BoxFuture<()>),
}

/// A refresh in the air, and the alarm that is set for its deadline, once for all who wait.
pub(super) struct Flight {
    id: FlightId,
    answer: BoxFuture<Report>,
    deadline: Timestamp,
    stage: Arc<Stage>,
    alarm: Option<BoxFuture<()>>,
}

impl Craft {
    pub(super) fn flight(
        id: FlightId,
        answer: BoxFuture<Report>,
        deadline: Timestamp,
        stage: Arc<Stage>,
    ) -> Self {
        Self::Flight(Flight { id, answer, deadline, stage, alarm: None })
    }

    /// Polls once, within the refresher's home; a panic becomes an unknown outcome (rule C5).
    fn poll(&mut self, ports: &Ports, beacon: &Arc<Beacon>) -> Poll<Option<(FlightId, Report)>> {
        let waker = Waker::from(Arc::clone(beacon));
        let mut cx = Context::from_waker(&waker);
        let mut polled = Poll::Pending;
        let mut poll = || {
            polled = match self {
                Self::Flight(Flight { id, answer, .. }) => {
                    answer.as_mut().poll(&mut cx).map(|report| Some((*id, report)))
                }
                Self::Revocation(revocation) => {
                    Pin::new(revocation).as_mut().poll(&mut cx).map(|()| None)
                }
            };
        };
        let caught = contained(|| {
            // Rule C2: "one that needs its runtime MUST be spawned there or polled within it".
            match &ports.home {
                Home::Anywhere => poll(),
                Home::Runtime(runtime) => runtime.enter(&mut poll),
            }
        });
        if polled.is_ready() {
            // What came is not lost to a panic that came after it.
            return polled;
        }
        match (caught, self) {
            (Ok(()), Self::Revocation(_)) => Poll::Pending,
            (Ok(()), Self::Flight(flight)) => {
                // A timer that panics rings for nobody, and harms nobody.
                let _ = contained(|| flight.set_alarm(ports, beacon));
                Poll::Pending
            }
            (Err(_), Self::Revocation(_)) => Poll::Ready(None),
            // Rule C5: "A panicking refresher MUST harm only its own flight."
            (Err(panic), Self::Flight(flight)) => {
                // The refresher is not called before it is sent.
                let error = if flight.stage.call_off() {
                    RefreshError::unavailable(
                        "the refresh was not sent: the store or the clock panicked",
                    )
                } else {
                    RefreshError::unknown(told_of(&*panic))
                };
                let outcome = Outcome::Failed(error);
                let now = flight.deadline.saturating_sub(ports.settings.longest());
                let set_out = SetOut { now, wall: ports.built_at };
                Poll::Ready(Some((flight.id, Report::new(outcome, None, set_out))))
            }
        }
    }
}

/// What is told of a panic. Its own message is not, since it may hold a secret (rule G1); but where
/// it is tokio's, outside its runtime, the fix is named (rule C2).
fn told_of(panic: &(dyn Any + Send)) -> &'static str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    let message = owned.or_else(|| panic.downcast_ref::<&str>().copied());
    match message {
        Some(message) if message.contains("Tokio 1.x") => {
            "the refresher panicked, as it needs tokio and was polled outside it: \
             name its runtime, in `Refresh::home` or by `Builder::home`"
        }
        Some(_) | None => "the refresher panicked",
    }
}

impl Flight {
    /// Has all who wait woken at the deadline, where there is a timer (rule B13).
    fn set_alarm(&mut self, ports: &Ports, beacon: &Arc<Beacon>) {
        let Some(timer) = &ports.settings.timer else { return };
        let bell = Waker::from(Arc::new(Bell(Arc::clone(beacon))));
        for _ in 0..EARLY_RINGS {
            let now = ports.settings.dial.now();
            if now >= self.deadline {
                self.alarm = None;
                return;
            }
            // Further ahead than a refresh may take, and the clock went back: those who are woken by
            // then pull in the deadline (rule A5), and it is set again.
            let left = self.deadline.since(now).to_duration();
            let alarm = self.alarm.get_or_insert_with(|| {
                timer.sleep(left.min(ports.settings.policy.refresh_deadline()))
            });
            if alarm.as_mut().poll(&mut Context::from_waker(&bell)).is_pending() {
                return;
            }
            // It rang early: the timer's clock is ahead of the session's.
            self.alarm = None;
        }
        // Others on the executor have a turn.
        Waker::from(Arc::clone(beacon)).wake();
    }
}

/// How often a timer may ring early within one poll.
pub(super) const EARLY_RINGS: usize = 32;

/// Something in the air, when it should have landed, and the beacon that says whether it wants to
/// be polled.
pub(super) struct Aloft {
    craft: Craft,
    deadline: Timestamp,
    beacon: Arc<Beacon>,
}

impl Aloft {
    /// Which refresh it is, if it is one.
    fn flight(&self) -> Option<FlightId> {
        match &self.craft {
            Craft::Flight(flight) => Some(flight.id),
            Craft::Revocation(_) => None,
        }
    }
}

/// The waker of one craft.
struct Beacon {
    /// Written and read under the session's lock, hence relaxed.
    lit: AtomicBool,
    shared: Weak<Shared>,
}

impl Wake for Beacon {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            let wakers = {
                let mut inner = shared.lock();
                self.lit.store(true, Ordering::Relaxed);
                inner.deck.call()
            };
            wake_all(wakers);
        }
    }
}

/// Rings at a flight's deadline: the beacon is lit, and everybody is woken, since who drove until
/// then may not be polled any more (rule C3).
struct Bell(Arc<Beacon>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.shared.upgrade() {
            let wakers = {
                let mut inner = shared.lock();
                self.0.lit.store(true, Ordering::Relaxed);
                inner.deck.waiters.call_all()
            };
            wake_all(wakers);
        }
    }
}

/// Polls all of `crafts` and keeps those that have not landed. Gives what the others brought:
/// nothing, where it was a revocation.
pub(super) fn poll_all(crafts: &mut Vec<Aloft>, ports: &Ports) -> Vec<Option<(FlightId, Report)>> {
    let mut landed = Vec::new();
    let mut index = 0;
    while let Some(Aloft { craft, beacon, deadline }) = crafts.get_mut(index) {
        match craft.poll(ports, beacon) {
            // A revocation has a refresh's time, and is let go of then.
            Poll::Pending
                if matches!(craft, Craft::Revocation(_))
                    && contained(|| ports.settings.dial.now())
                        .is_ok_and(|now| now >= *deadline) =>
            {
                landed.push(None);
                discard([crafts.remove(index)]);
            }
            Poll::Pending => index += 1,
            Poll::Ready(report) => {
                landed.push(report);
                discard([crafts.remove(index)]);
            }
        }
    }
    landed
}

/// What is in the air, and who waits for it. Lives under the session's lock; nothing here calls
/// the user's code.
#[derive(Default)]
pub(super) struct Deck {
    shared: Weak<Shared>,
    /// What nobody polls at this moment.
    air: Vec<Aloft>,
    /// The threads that poll at this moment, each with the newest refresh that it took out, if any.
    attending: Vec<(ThreadId, Option<FlightId>)>,
    /// When what was launched last should have landed.
    last: Option<Timestamp>,
    /// Who polled last.
    driver: Option<Ticket>,
    pub(super) waiters: Waiters,
}

impl Deck {
    pub(super) fn new(shared: Weak<Shared>) -> Self {
        Self { shared, ..Self::default() }
    }

    /// Puts something into the air, which should land by `deadline`. Gives back the oldest
    /// straggler where there are too many, to be dropped outside.
    pub(super) fn launch(&mut self, craft: Craft, deadline: Timestamp) -> Option<Aloft> {
        // A revocation whose time is over ends with its next poll.
        for aloft in self.air.iter().filter(|it| matches!(it.craft, Craft::Revocation(_))) {
            aloft.beacon.lit.store(true, Ordering::Relaxed);
        }
        let beacon = Beacon { lit: AtomicBool::new(true), shared: Weak::clone(&self.shared) };
        self.air.push(Aloft { craft, deadline, beacon: Arc::new(beacon) });
        self.last = Some(deadline);
        let flights = self.air.iter().enumerate();
        let flights = flights.filter_map(|(index, aloft)| Some((aloft.flight()?, index)));
        match (flights.clone().count() > STRAGGLERS + 1, flights.min()) {
            (true, Some((_, oldest))) => Some(self.air.remove(oldest)),
            _ => None,
        }
    }

    /// Whether nothing is in the air.
    pub(super) fn is_clear(&self) -> bool {
        self.air.is_empty() && self.attending.is_empty()
    }

    /// Whether `newest`, the newest refresh of all, has not landed.
    pub(super) fn has_aloft(&self, newest: FlightId) -> bool {
        let attended = self.attending.iter().filter_map(|(_, flight)| *flight);
        self.air.iter().filter_map(Aloft::flight).chain(attended).any(|flight| flight == newest)
    }

    /// Whether what is left in the air at `now` has no time any more, and keeps nobody waiting: these
    /// are revocations that have not ended. None has time beyond `longest` (rule A5).
    pub(super) fn is_over(&mut self, now: Timestamp, longest: Timestamp) -> bool {
        if self.is_clear() {
            return true;
        }
        let _ = self.deadline(longest);
        let over = |aloft: &Aloft| match aloft.craft {
            Craft::Revocation(_) => aloft.deadline <= now,
            Craft::Flight(_) => false,
        };
        self.attending.is_empty() && self.air.iter().all(over)
    }

    /// The deadline of `flight`, where it is in the air.
    pub(super) fn deadline_of(&self, flight: FlightId) -> Option<Timestamp> {
        let mut air = self.air.iter();
        air.find(|aloft| aloft.flight() == Some(flight)).map(|aloft| aloft.deadline)
    }

    /// When all that is in the air should have landed, which is `longest` from now at most: else the
    /// clock went back (rule A5). What came and went meanwhile does not defer it: somebody may be
    /// waiting for this (rule C3).
    pub(super) fn deadline(&mut self, longest: Timestamp) -> Option<Timestamp> {
        for aloft in &mut self.air {
            aloft.deadline = aloft.deadline.min(longest);
        }
        self.last = self.last.map(|last| last.min(longest));
        let air = self.air.iter().map(|aloft| aloft.deadline).max();
        // What somebody polls at this moment may be what was launched last.
        if self.attending.is_empty() { air } else { air.max(self.last) }
    }

    /// Whether the present thread is inside a poll of the air: the refresher asks its own session.
    pub(super) fn is_reentrant(&self) -> bool {
        let present = thread::current().id();
        self.attending.iter().any(|(thread, _)| *thread == present)
    }

    /// Has all that nobody polls at this moment polled once more, woken or not.
    pub(super) fn arouse(&mut self) {
        for aloft in &self.air {
            aloft.beacon.lit.store(true, Ordering::Relaxed);
        }
    }

    /// Takes out what is woken and nobody attends to.
    pub(super) fn take_off(&mut self, driver: Option<Ticket>) -> Option<Vec<Aloft>> {
        if !self.is_called() {
            return None;
        }
        let air = core::mem::take(&mut self.air).into_iter();
        let (woken, rest) = air.partition(|aloft| aloft.beacon.lit.swap(false, Ordering::Relaxed));
        self.air = rest;
        let newest = woken.iter().filter_map(Aloft::flight).max();
        self.attending.push((thread::current().id(), newest));
        self.driver = driver;
        Some(woken)
    }

    /// Puts back what has not landed.
    pub(super) fn put_back(&mut self, mut crafts: Vec<Aloft>) {
        crafts.append(&mut self.air);
        self.air = crafts;
        let present = thread::current().id();
        if let Some(index) = self.attending.iter().position(|(thread, _)| *thread == present) {
            self.attending.remove(index);
        }
    }

    /// Whether something is woken that nobody polls at this moment.
    pub(super) fn is_called(&self) -> bool {
        self.air.iter().any(|aloft| aloft.beacon.lit.load(Ordering::Relaxed))
    }

    /// A waiter to wake where something is woken, unattended, and nobody may know.
    pub(super) fn hand_over(&mut self) -> Option<Waker> {
        if self.is_called() { self.deputy() } else { None }
    }

    /// A beacon was lit. Gives the wakers of the driver and of one deputy. Rule C4: "A caller that
    /// drives the flight and is no longer polled MUST NOT block the others."
    fn call(&mut self) -> [Option<Waker>; 2] {
        let driver = self.driver.and_then(|driver| self.waiters.call(driver));
        [driver, self.deputy()]
    }

    fn deputy(&mut self) -> Option<Waker> {
        self.waiters.call_another(self.driver)
    }

    /// Forgets a waiter. Gives its waker, to be dropped outside.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        if self.driver == Some(ticket) {
            self.driver = None;
        }
        self.waiters.leave(ticket)
    }
}

/// Wakes all of `wakers`. Rule C3: "one panicking waker MUST NOT stop the others".
pub(super) fn wake_all(wakers: impl IntoIterator<Item = Option<Waker>>) {
    for waker in wakers.into_iter().flatten() {
        let _ = contained(|| waker.wake());
    }
}

/// Drops all of `things`, whose destructors are the program's code and may panic.
pub(super) fn discard<T>(things: impl IntoIterator<Item = T>) {
    for thing in things {
        let _ = contained(|| drop(thing));
    }
}
