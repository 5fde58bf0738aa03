//! A wait, turn by turn: the same whether a thread or an executor makes the turns.

use core::task::{Context, Poll, Waker};

use super::alarm::Alarm;
use super::block_on::thread_waker;
use super::core::Shared;
use crate::time::Timestamp;

/// Whether a wait is over, and if not, when to look again.
pub(super) enum Step<T> {
    Ready(T),
    Again,
    Pending(Option<Timestamp>),
}

/// Something that waits for a session.
pub(super) trait Turns {
    type Output;

    /// Looks at the session once, and does what must be done. Where it is pending, `waker` is
    /// registered.
    fn turn(&mut self, waker: &Waker) -> Step<Self::Output>;

    fn parts(&mut self) -> (&Shared, &mut Alarm);
}

/// Turns until there is nothing to do but wait, on an executor.
pub(super) fn poll<W: Turns>(wait: &mut W, cx: &mut Context<'_>) -> Poll<W::Output> {
    loop {
        match wait.turn(cx.waker()) {
            Step::Ready(output) => return Poll::Ready(output),
            Step::Again => {}
            Step::Pending(until) => {
                let (shared, alarm) = wait.parts();
                let now = shared.ports.clock.now();
                if !until.is_some_and(|until| alarm.is_due(until, now, cx.waker())) {
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Turns until the end, on this thread.
pub(super) fn wait<W: Turns>(wait: &mut W) -> W::Output {
    let waker = thread_waker();
    loop {
        match wait.turn(&waker) {
            Step::Ready(output) => return output,
            Step::Again => {}
            Step::Pending(until) => {
                let (shared, alarm) = wait.parts();
                let now = shared.ports.clock.now();
                alarm.park(until, now, &waker);
            }
        }
    }
}
