//! The flight deck: what is in the air, who polls it, and who is to be woken.
//!
//! The refresh in progress belongs to the session. To poll it, a caller takes all that is in the
//! air out of the deck, polls it outside the lock with the session's own waker, and puts back what
//! has not landed. That waker marks the deck as woken and wakes the last driver and one deputy; a
//! caller that is polled while the deck is woken and unattended takes over (rule C4).

use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::prelude::rust_2024::*;
use std::thread::{self, ThreadId};

use super::exchange::{Outcome, Report};
use crate::lifecycle::FlightId;
use crate::refresh::{BoxFuture, Home, RefreshError, with_leave_to_block};

/// How many refreshes beyond their deadline are still listened to. Older ones are dropped.
const STRAGGLERS: usize = 4;

/// Something in the air.
pub(super) enum Craft {
    /// A refresh, until it lands.
    Flight(FlightId, BoxFuture<Report>),
    /// The revocation of a grant that belongs to nobody.
    Revocation(BoxFuture<()>),
}

impl Craft {
    /// Polls once, within the refresher's home; a panic becomes an unknown outcome (rule C5).
    fn poll(
        &mut self,
        home: &Home,
        waker: &Waker,
        blocking: bool,
    ) -> Poll<Option<(FlightId, Report)>> {
        let mut cx = Context::from_waker(waker);
        let mut polled = Poll::Pending;
        let mut poll = || {
            polled = match self {
                Self::Flight(id, flight) => {
                    flight.as_mut().poll(&mut cx).map(|report| Some((*id, report)))
                }
                Self::Revocation(revocation) => {
                    Pin::new(revocation).as_mut().poll(&mut cx).map(|()| None)
                }
            };
        };
        let caught = catch_unwind(AssertUnwindSafe(|| {
            with_leave_to_block(blocking, || match home {
                Home::Anywhere => poll(),
                Home::Runtime(runtime) => runtime.enter(&mut poll),
            });
        }));
        match (caught, self) {
            (Ok(()), _) => polled,
            (Err(_), Self::Revocation(_)) => Poll::Ready(None),
            (Err(_), Self::Flight(id, _)) => {
                let outcome = Outcome::Failed(RefreshError::unknown("the refresher panicked"));
                Poll::Ready(Some((*id, Report { outcome, version: None, saved: false })))
            }
        }
    }
}

/// Polls all of `crafts`; gives those that landed and keeps the others.
pub(super) fn poll_all(
    crafts: &mut Vec<Craft>,
    home: &Home,
    waker: &Waker,
    blocking: bool,
) -> Vec<(FlightId, Report)> {
    let mut landed = Vec::new();
    let mut index = 0;
    while let Some(craft) = crafts.get_mut(index) {
        match craft.poll(home, waker, blocking) {
            Poll::Pending => index += 1,
            Poll::Ready(report) => {
                landed.extend(report);
                let craft = crafts.remove(index);
                // Its destructor is the user's code as well.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(craft)));
            }
        }
    }
    landed
}

/// A caller that waits, or a task that keeps watch.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterId(u64);

/// What is in the air, and who waits for it. Lives under the session's lock; nothing here calls
/// the user's code.
#[derive(Default)]
pub(super) struct Deck {
    air: Vec<Craft>,
    /// The waker of the air has been called, or something new is in it, since it was last polled.
    woken: bool,
    /// The thread that polls the air at this moment.
    attended: Option<ThreadId>,
    driver: Option<WaiterId>,
    waiters: BTreeMap<WaiterId, Option<Waker>>,
    next_waiter: u64,
}

impl Deck {
    /// Puts something into the air. Gives back stragglers beyond count, to be dropped outside.
    pub(super) fn launch(&mut self, craft: Craft) -> Option<Craft> {
        self.air.push(craft);
        self.woken = true;
        let is_flight = |craft: &Craft| matches!(craft, Craft::Flight(..));
        if self.air.iter().filter(|craft| is_flight(craft)).count() > STRAGGLERS + 1 {
            return self.air.iter().position(is_flight).map(|oldest| self.air.remove(oldest));
        }
        None
    }

    /// Whether nothing is in the air.
    pub(super) fn is_clear(&self) -> bool {
        self.air.is_empty() && self.attended.is_none()
    }

    /// Whether the present thread is inside a poll of the air: the refresher asks its own session.
    pub(super) fn is_reentrant(&self) -> bool {
        self.attended == Some(thread::current().id())
    }

    /// Takes out what is in the air, where it is woken and nobody attends to it.
    pub(super) fn take_off(&mut self, driver: Option<WaiterId>) -> Option<Vec<Craft>> {
        if !self.woken || self.attended.is_some() || self.air.is_empty() {
            return None;
        }
        self.woken = false;
        self.attended = Some(thread::current().id());
        self.driver = driver;
        Some(core::mem::take(&mut self.air))
    }

    /// Puts back what has not landed. Gives a waker to call where the air was woken meanwhile.
    pub(super) fn put_back(&mut self, mut crafts: Vec<Craft>) -> Option<Waker> {
        crafts.append(&mut self.air);
        self.air = crafts;
        self.attended = None;
        self.hand_over()
    }

    /// A waiter to wake where the air is woken, unattended, and nobody may know.
    pub(super) fn hand_over(&mut self) -> Option<Waker> {
        if self.woken && self.attended.is_none() && !self.air.is_empty() {
            self.deputy()
        } else {
            None
        }
    }

    /// The air's waker was called. Gives the wakers of the driver and of one deputy.
    pub(super) fn wake(&mut self) -> [Option<Waker>; 2] {
        self.woken = true;
        let driver = self.driver.and_then(|driver| self.waiters.get_mut(&driver)?.take());
        [driver, self.deputy()]
    }

    fn deputy(&mut self) -> Option<Waker> {
        let driver = self.driver;
        self.waiters
            .iter_mut()
            .filter(|(id, _)| Some(**id) != driver)
            .find_map(|(_, waker)| waker.take())
    }

    /// Registers a waiter, or its waker anew. Gives the waker that it replaces.
    pub(super) fn wait(&mut self, id: &mut Option<WaiterId>, waker: Waker) -> Option<Waker> {
        let id = *id.get_or_insert_with(|| {
            self.next_waiter += 1;
            WaiterId(self.next_waiter)
        });
        self.waiters.insert(id, Some(waker)).flatten()
    }

    /// Forgets a waiter. Gives its waker, to be dropped outside.
    pub(super) fn leave(&mut self, id: WaiterId) -> Option<Waker> {
        if self.driver == Some(id) {
            self.driver = None;
        }
        self.waiters.remove(&id).flatten()
    }

    /// All wakers, once something has landed (rule C3).
    pub(super) fn everybody(&mut self) -> Vec<Waker> {
        self.waiters.values_mut().filter_map(Option::take).collect()
    }
}

/// Wakes all of `wakers`; one that panics does not stop the others (rule C3).
pub(super) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}
