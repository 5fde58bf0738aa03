//! A wait, turn by turn: the same whether a thread or an executor makes the turns.

use core::task::{Context, Poll, Waker};

use crate::primitives::Parker;
use crate::session::alarm::Alarm;
use crate::session::shared::Shared;
use crate::time::Timestamp;

/// Who makes the turns.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// An executor, which must not be blocked.
    Task,
    /// A thread that has nothing else to do.
    Thread,
}

/// Whether a wait is over, and if not, when to look again.
pub(crate) enum WaitStep<T> {
    Ready(T),
    Again,
    /// Look again when woken. The alarm of a refresh in flight fires at its deadline, which is the
    /// instant here; only a thread, which needs no timer for that, reads the clock itself.
    Parked(Timestamp),
    /// Look again when woken, or at this instant.
    Pending(Option<Timestamp>),
}

/// Something that waits for a session.
pub(crate) trait Wait {
    type Output;

    /// Looks at the session once, and does what must be done. Where it returns pending, `waker` is
    /// registered.
    fn turn(&mut self, waker: &Waker, caller: Caller, now: Timestamp) -> WaitStep<Self::Output>;

    fn shared(&self) -> &Shared;

    fn alarm(&mut self) -> &mut Alarm;
}

/// How many turns are made within one poll, before others on the executor have theirs. A server that
/// fails at once, or a timer that fires early, could keep a patient caller busy for ever.
const TURNS: u32 = 32;

/// Makes turns until there is nothing to do but wait, on an executor. `now` is the present time.
pub(crate) fn poll<W: Wait>(
    wait: &mut W,
    cx: &mut Context<'_>,
    mut now: Timestamp,
) -> Poll<W::Output> {
    for _ in 0..TURNS {
        match wait.turn(cx.waker(), Caller::Task, now) {
            WaitStep::Ready(output) => return Poll::Ready(output),
            WaitStep::Again => {}
            WaitStep::Parked(_) => return Poll::Pending,
            WaitStep::Pending(until) => {
                let now = wait.shared().now();
                if !until.is_some_and(|until| wait.alarm().is_due(until, now, cx.waker())) {
                    return Poll::Pending;
                }
            }
        }
        now = wait.shared().now();
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Makes turns until the wait is over, on this thread. `now` is the present time.
pub(crate) fn wait<W: Wait>(wait: &mut W, mut now: Timestamp) -> W::Output {
    let parker = Parker::new();
    let waker = parker.waker();
    loop {
        match wait.turn(&waker, Caller::Thread, now) {
            WaitStep::Ready(output) => return output,
            WaitStep::Again => {}
            WaitStep::Parked(until) => park_until(&parker, until, wait.shared()),
            WaitStep::Pending(None) => parker.park(),
            WaitStep::Pending(Some(until)) => {
                let now = wait.shared().now();
                // The timer, which may be a virtual one, is asked as well. It is not relied on, since
                // its runtime may stand still while this thread waits.
                if !wait.alarm().is_due(until, now, &waker) {
                    park_until(&parker, until, wait.shared());
                }
            }
        }
        now = wait.shared().now();
    }
}

fn park_until(parker: &Parker, until: Timestamp, shared: &Shared) {
    parker.park_timeout(until.since(shared.now()).to_duration());
}
