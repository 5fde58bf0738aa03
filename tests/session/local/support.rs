//! What the tests of the local session share: a refresher bound to its thread, and its tasks.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;

use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::{LocalBoxFuture, LocalRefresh, RefreshError, Request};
use perennial::session::{LocalAcquire, LocalBuilder, LocalSession};
use perennial::testing::{Scripted, VirtualTime};
use perennial::token::Grant;

use crate::session_support::{HOUR, Hand, START, first_grant};

/// The scripted refresher, with futures that cannot be sent.
pub(crate) struct Bound {
    pub(crate) script: Scripted,
    pub(crate) polls: Rc<Cell<usize>>,
}

impl Bound {
    pub(crate) fn new(script: &Scripted) -> Self {
        Self { script: script.clone(), polls: Rc::default() }
    }
}

impl LocalRefresh for Bound {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + 'static {
        let polls = Rc::clone(&self.polls);
        let mut answer = Box::pin(self.script.refresh(request));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            answer.as_mut().poll(cx)
        })
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + 'static {
        let polls = Rc::clone(&self.polls);
        let mut revocation = Box::pin(self.script.revoke(grant));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            revocation.as_mut().poll(cx)
        })
    }
}

/// The settings of all tests: virtual time, no jitter, backoff drawn at one half; and a server
/// that does not rotate, so that an unknown outcome may be tried again.
pub(crate) fn standard(builder: LocalBuilder, time: &VirtualTime) -> LocalBuilder {
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("valid");
    let builder = builder.clock(time.clone()).without_jitter().random(|| 1 << 31);
    builder.policy(policy).grant(first_grant())
}

/// A session whose token has just lapsed: the next caller has to wait for a refresh.
pub(crate) fn lapsed_of(builder: LocalBuilder) -> (LocalSession, VirtualTime) {
    let time = VirtualTime::at(START);
    let session = standard(builder, &time).build().expect("sendable");
    time.advance(HOUR);
    (session, time)
}

pub(crate) fn lapsed(script: &Scripted) -> (LocalSession, VirtualTime) {
    lapsed_of(LocalSession::builder_with(Bound::new(script)))
}

/// A caller that has been polled once and waits.
#[track_caller]
pub(crate) fn waiting(session: &LocalSession) -> Hand<LocalAcquire<'_>> {
    let mut caller = Hand::new(session.token());
    caller.pending();
    caller
}

/// Tasks that a local session has spawned, to be polled by the test when it likes.
#[derive(Clone, Default)]
pub(crate) struct LocalTasks(Rc<RefCell<Vec<Hand<LocalBoxFuture<()>>>>>);

impl LocalTasks {
    pub(crate) fn spawner(&self) -> impl Fn(LocalBoxFuture<()>) + use<> {
        let tasks = Rc::clone(&self.0);
        move |task| tasks.borrow_mut().push(Hand::new(task))
    }

    pub(crate) fn run(&self) {
        let mut tasks = self.0.take();
        tasks.retain_mut(|task| task.poll().is_pending());
        self.0.borrow_mut().append(&mut tasks);
    }

    pub(crate) fn woken(&self) -> usize {
        self.0.borrow().iter().map(Hand::woken).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}
