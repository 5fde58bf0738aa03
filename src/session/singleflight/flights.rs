//! The flights of one session: what is in flight, who polls it, and who is woken for it.
//!
//! A refresh belongs to its session and not to the caller that started it. To poll it, a caller takes
//! what has been woken out of the flights, polls it outside the lock, and puts back what is still
//! pending. Each job is polled with a waker of its own, which marks the job as woken and wakes the
//! last driver and one more waiter; a caller that finds a job woken and attended by nobody takes over.
//! Nothing here knows what a refresh returns.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Weak};
use std::task::Wake;

use crate::lifecycle::FlightId;
use crate::primitives::thread::{self, ThreadId};
use crate::primitives::{AtomicBool, Ordering, contained, discard, wake_all};
use crate::refresh::{BoxFuture, PollIn};
use crate::session::alarm::EARLY_RINGS;
use crate::session::panics::Panic;
use crate::session::ports::Ports;
use crate::session::singleflight::waiters::{WaiterKey, Waiters};
use crate::time::Timestamp;

/// The most refreshes beyond their deadline that are still polled. Older ones are dropped.
const STRAGGLERS: usize = 4;

/// The owner of the flights, which keeps them behind its lock.
pub(crate) trait Host<R>: Send + Sync {
    /// Calls `change` with the lock held; `change` calls none of the program's code.
    fn with_flights(&self, change: &mut dyn FnMut(&mut Flights<R>));
}

/// Something that is polled until it is ready. `R` is what a refresh returns.
pub(crate) enum Job<R> {
    Refresh(RefreshJob<R>),
    /// What brings no report: the revocation of a grant that belongs to nobody, or another look at the
    /// store.
    Unreported(BoxFuture<()>),
}

/// A refresh in flight, and the alarm that is set for its deadline, once for all waiters.
pub(crate) struct RefreshJob<R> {
    pub(crate) id: FlightId,
    pub(crate) future: BoxFuture<R>,
    pub(crate) deadline: Timestamp,
    /// Returns the report of a refresh that panicked.
    pub(crate) on_panic: Box<dyn Fn(&Panic) -> R + Send>,
    pub(crate) alarm: Option<BoxFuture<()>>,
}

impl<R: 'static> Job<R> {
    /// Polls once, within the refresher's runtime. Returns ready with `None` where there is no report.
    fn poll(&mut self, ports: &Ports, waker: &Arc<FlightWaker<R>>) -> Poll<Option<(FlightId, R)>> {
        let as_waker = Waker::from(Arc::clone(waker));
        let mut cx = Context::from_waker(&as_waker);
        let mut polled = Poll::Pending;
        let mut poll = || {
            polled = match self {
                Self::Refresh(RefreshJob { id, future, .. }) => {
                    future.as_mut().poll(&mut cx).map(|report| Some((*id, report)))
                }
                Self::Unreported(job) => Pin::new(job).as_mut().poll(&mut cx).map(|()| None),
            };
        };
        let caught = contained(|| {
            // Rule C2: "one that needs its runtime MUST be spawned there or polled within it".
            match &ports.poll_in {
                PollIn::Anywhere => poll(),
                PollIn::Runtime(runtime) => runtime.enter(&mut poll),
            }
        });
        if polled.is_ready() {
            // A result is not lost to a panic that follows it.
            return polled;
        }
        match (caught, self) {
            (Ok(()), Self::Unreported(_)) => Poll::Pending,
            (Ok(()), Self::Refresh(refresh)) => {
                // A timer that panics wakes nobody, and does no other harm.
                let _ = contained(|| refresh.set_alarm(ports, waker));
                Poll::Pending
            }
            (Err(_), Self::Unreported(_)) => Poll::Ready(None),
            // Rule C5: "A panicking refresher MUST harm only its own flight."
            (Err(panic), Self::Refresh(refresh)) => {
                Poll::Ready(Some((refresh.id, (refresh.on_panic)(&panic))))
            }
        }
    }
}

impl<R: 'static> RefreshJob<R> {
    /// Sets the alarm that wakes all waiters at the deadline, where there is a timer (rule B13).
    fn set_alarm(&mut self, ports: &Ports, waker: &Arc<FlightWaker<R>>) {
        let Some(timer) = &ports.settings.timer else { return };
        let deadline_waker = Waker::from(Arc::new(DeadlineWaker(Arc::clone(waker))));
        for _ in 0..EARLY_RINGS {
            let now = ports.settings.clock.now();
            if now >= self.deadline {
                self.alarm = None;
                return;
            }
            // A deadline further ahead than a refresh may take means that the clock went back: those
            // who are woken at the alarm pull in the deadline (rule A5), and the alarm is set again.
            let left = self.deadline.since(now).to_duration();
            let alarm = self.alarm.get_or_insert_with(|| {
                timer.sleep(left.min(ports.settings.policy.refresh_deadline()))
            });
            if alarm.as_mut().poll(&mut Context::from_waker(&deadline_waker)).is_pending() {
                return;
            }
            // It fired early: the timer's clock is ahead of the session's.
            self.alarm = None;
        }
        // Yields to others on the executor.
        Waker::from(Arc::clone(waker)).wake();
    }
}

/// A job, when it should be ready, and its waker, which says whether it wants to be polled.
pub(crate) struct InFlight<R> {
    job: Job<R>,
    deadline: Timestamp,
    waker: Arc<FlightWaker<R>>,
}

impl<R> InFlight<R> {
    /// Returns the number of the refresh, if it is one.
    fn id(&self) -> Option<FlightId> {
        match &self.job {
            Job::Refresh(refresh) => Some(refresh.id),
            Job::Unreported(_) => None,
        }
    }
}

/// The waker of one job.
struct FlightWaker<R> {
    /// Written and read under the host's lock, hence relaxed.
    woken: AtomicBool,
    host: Weak<dyn Host<R>>,
}

impl<R: 'static> Wake for FlightWaker<R> {
    fn wake(self: Arc<Self>) {
        if let Some(host) = self.host.upgrade() {
            let mut wakers = [None, None];
            host.with_flights(&mut |flights| {
                self.woken.store(true, Ordering::Relaxed);
                wakers = flights.take_wakers();
            });
            wake_all(wakers);
        }
    }
}

/// Called at a refresh's deadline: marks the job as woken, and wakes everybody, since the last driver
/// may not be polled any more (rule C3).
struct DeadlineWaker<R>(Arc<FlightWaker<R>>);

impl<R: 'static> Wake for DeadlineWaker<R> {
    fn wake(self: Arc<Self>) {
        if let Some(host) = self.0.host.upgrade() {
            let mut wakers = Vec::new();
            host.with_flights(&mut |flights| {
                self.0.woken.store(true, Ordering::Relaxed);
                wakers = flights.waiters.take_all();
            });
            wake_all(wakers);
        }
    }
}

/// Polls all of `jobs` and keeps those that are pending. Returns the results of the others: `None`
/// for one without a report.
pub(crate) fn poll_all<R: 'static>(
    jobs: &mut Vec<InFlight<R>>,
    ports: &Ports,
) -> Vec<Option<(FlightId, R)>> {
    let mut ready = Vec::new();
    let mut index = 0;
    while let Some(InFlight { job, waker, deadline }) = jobs.get_mut(index) {
        match job.poll(ports, waker) {
            // One without a report is dropped at its deadline.
            Poll::Pending
                if matches!(job, Job::Unreported(_))
                    && contained(|| ports.settings.clock.now())
                        .is_ok_and(|now| now >= *deadline) =>
            {
                ready.push(None);
                discard([jobs.remove(index)]);
            }
            Poll::Pending => index += 1,
            Poll::Ready(report) => {
                ready.push(report);
                discard([jobs.remove(index)]);
            }
        }
    }
    ready
}

/// What is in flight, and who waits for it. Kept under the host's lock; calls none of the program's
/// code.
pub(crate) struct Flights<R> {
    host: Weak<dyn Host<R>>,
    /// What nobody polls at this moment.
    parked: Vec<InFlight<R>>,
    /// The threads that poll at this moment, each with the newest refresh that it took out, if any.
    attending: Vec<(ThreadId, Option<FlightId>)>,
    /// When what was launched last should be ready.
    last: Option<Timestamp>,
    /// Who polled last.
    driver: Option<WaiterKey>,
    pub(crate) waiters: Waiters,
}

impl<R> Flights<R> {
    pub(crate) fn new(host: Weak<dyn Host<R>>) -> Self {
        Self {
            host,
            parked: Vec::new(),
            attending: Vec::new(),
            last: None,
            driver: None,
            waiters: Waiters::default(),
        }
    }

    /// Adds a job that should be ready by `deadline`. Returns the oldest refresh where there are too
    /// many, to be dropped outside the lock.
    pub(crate) fn launch(&mut self, job: Job<R>, deadline: Timestamp) -> Option<InFlight<R>> {
        // One without a report whose time has run out ends with its next poll.
        for job in self.parked.iter().filter(|it| matches!(it.job, Job::Unreported(_))) {
            job.waker.woken.store(true, Ordering::Relaxed);
        }
        let waker = FlightWaker { woken: AtomicBool::new(true), host: Weak::clone(&self.host) };
        self.parked.push(InFlight { job, deadline, waker: Arc::new(waker) });
        self.last = Some(deadline);
        let refreshes = self.parked.iter().enumerate();
        let refreshes = refreshes.filter_map(|(index, job)| Some((job.id()?, index)));
        match (refreshes.clone().count() > STRAGGLERS + 1, refreshes.min()) {
            (true, Some((_, oldest))) => Some(self.parked.remove(oldest)),
            _ => None,
        }
    }

    /// Returns whether nothing is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.parked.is_empty() && self.attending.is_empty()
    }

    /// Returns whether `newest`, the newest refresh of all, is still in flight.
    pub(crate) fn has_in_flight(&self, newest: FlightId) -> bool {
        let attended = self.attending.iter().filter_map(|(_, refresh)| *refresh);
        self.parked.iter().filter_map(InFlight::id).chain(attended).any(|id| id == newest)
    }

    /// Returns whether all that is left in flight at `now` brings no report and has no time left, which
    /// keeps nobody waiting. None has time beyond `longest` (rule A5).
    pub(crate) fn is_over(&mut self, now: Timestamp, longest: Timestamp) -> bool {
        if self.is_empty() {
            return true;
        }
        let _ = self.deadline(longest);
        let over = |it: &InFlight<R>| match it.job {
            Job::Unreported(_) => it.deadline <= now,
            Job::Refresh(_) => false,
        };
        self.attending.is_empty() && self.parked.iter().all(over)
    }

    /// Returns the deadline of the refresh `id`, where it is in flight and nobody polls it at this
    /// moment.
    pub(crate) fn deadline_of(&self, id: FlightId) -> Option<Timestamp> {
        self.parked.iter().find(|it| it.id() == Some(id)).map(|it| it.deadline)
    }

    /// Returns when all that is in flight should be ready, at most `longest`: a later deadline means
    /// that the clock went back (rule A5). Jobs that were launched and completed meanwhile do not defer
    /// it, since somebody may be waiting for this (rule C3).
    pub(crate) fn deadline(&mut self, longest: Timestamp) -> Option<Timestamp> {
        for job in &mut self.parked {
            job.deadline = job.deadline.min(longest);
        }
        self.last = self.last.map(|last| last.min(longest));
        let parked = self.parked.iter().map(|job| job.deadline).max();
        // What somebody polls at this moment may be what was launched last.
        if self.attending.is_empty() { parked } else { parked.max(self.last) }
    }

    /// Returns whether this thread is inside a poll of a flight: the refresher asks its own session.
    pub(crate) fn is_reentrant(&self) -> bool {
        let present = thread::current().id();
        self.attending.iter().any(|(thread, _)| *thread == present)
    }

    /// Marks all that nobody polls at this moment as woken, so that it is polled once more.
    pub(crate) fn mark_all_woken(&mut self) {
        for job in &self.parked {
            job.waker.woken.store(true, Ordering::Relaxed);
        }
    }

    /// Takes out what is woken and attended by nobody.
    pub(crate) fn take_woken(&mut self, driver: Option<WaiterKey>) -> Option<Vec<InFlight<R>>> {
        if !self.has_woken() {
            return None;
        }
        let parked = core::mem::take(&mut self.parked).into_iter();
        let (woken, rest) = parked.partition(|job| job.waker.woken.swap(false, Ordering::Relaxed));
        self.parked = rest;
        let newest = woken.iter().filter_map(InFlight::id).max();
        self.attending.push((thread::current().id(), newest));
        self.driver = driver;
        Some(woken)
    }

    /// Puts back what is still pending.
    pub(crate) fn put_back(&mut self, mut jobs: Vec<InFlight<R>>) {
        jobs.append(&mut self.parked);
        self.parked = jobs;
        let present = thread::current().id();
        if let Some(index) = self.attending.iter().position(|(thread, _)| *thread == present) {
            self.attending.remove(index);
        }
    }

    /// Returns whether something is woken that nobody polls at this moment.
    pub(crate) fn has_woken(&self) -> bool {
        self.parked.iter().any(|job| job.waker.woken.load(Ordering::Relaxed))
    }

    /// Returns a waiter to wake where something is woken and unattended, and nobody may know.
    pub(crate) fn hand_over(&mut self) -> Option<Waker> {
        if self.has_woken() { self.take_deputy() } else { None }
    }

    /// Returns the wakers of the driver and of one other waiter. Rule C4: "A caller that drives the
    /// flight and is no longer polled MUST NOT block the others."
    fn take_wakers(&mut self) -> [Option<Waker>; 2] {
        let driver = self.driver.and_then(|driver| self.waiters.take(driver));
        [driver, self.take_deputy()]
    }

    fn take_deputy(&mut self) -> Option<Waker> {
        self.waiters.take_another(self.driver)
    }

    /// Forgets a waiter. Returns its waker, to be dropped outside the lock.
    pub(crate) fn leave(&mut self, key: WaiterKey) -> Option<Waker> {
        if self.driver == Some(key) {
            self.driver = None;
        }
        self.waiters.leave(key)
    }
}
