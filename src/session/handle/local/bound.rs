//! What is bound to one thread, and how a session that knows nothing of threads reaches it.
//!
//! The `!Send` parts of a local session stay in a [`Local`] on their thread. The inner session gets
//! [`Address`]es and [`Away`]s, which may be sent anywhere, and find those parts only on the thread
//! that keeps them. No other thread ever looks them up, since whatever polls the inner session is
//! `!Send` itself; at most an `Away` is dropped elsewhere, by a waker that outlived the session.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;
use std::rc::{Rc, Weak};
use std::sync::mpsc::{self, Receiver, TryRecvError};

use crate::events::Event;
use crate::primitives::discard;
use crate::refresh::{LocalBoxFuture, PollIn, Refresh, RefreshError, Request};
use crate::token::Grant;

std::thread_local! {
    /// What is kept on this thread.
    static HERE: RefCell<BTreeMap<Address, Weak<Local>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The key under which one local session's parts are found on their thread.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(u64);

impl Address {
    /// Returns an address that is not in use.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only that no two get the same number matters.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns what is kept at this address; `None` on another thread, and once it is gone.
    pub(crate) fn find(self) -> Option<Rc<Local>> {
        let found = HERE.try_with(|here| here.borrow().get(&self).and_then(Weak::upgrade));
        found.ok().flatten()
    }
}

/// The program's parts that need not be `Send`.
pub(crate) struct LocalPorts {
    pub(crate) refresh: Box<dyn Fn(Request) -> LocalBoxFuture<Result<Grant, RefreshError>>>,
    pub(crate) revoke: Box<dyn Fn(Grant) -> LocalBoxFuture<()>>,
    pub(crate) spawner: Option<Box<dyn Fn(LocalBoxFuture<()>)>>,
    pub(crate) on_rotate: Option<Box<OnRotate>>,
    pub(crate) on_orphan: Option<Box<OnOrphan>>,
    pub(crate) on_event: Vec<Box<OnEvent>>,
}

type OnRotate = dyn Fn(&Grant);
type OnOrphan = dyn Fn(Grant);
type OnEvent = dyn Fn(&Event);

/// The parts of one local session that stay on their thread.
pub(crate) struct Local {
    address: Address,
    pub(crate) ports: LocalPorts,
    /// The futures that are still pending, by number. No user code runs while this is borrowed.
    out: RefCell<BTreeMap<u64, LocalBoxFuture<()>>>,
    next: Cell<u64>,
}

impl Local {
    /// Keeps `ports` at `address`, on this thread.
    pub(crate) fn settle(address: Address, ports: LocalPorts) -> Rc<Self> {
        let (out, next) = (RefCell::default(), Cell::new(0));
        let local = Rc::new(Self { address, ports, out, next });
        let weak = Rc::downgrade(&local);
        // Fails only where the thread is ending; then nothing is found, and nothing is asked.
        let _ = HERE.try_with(|here| here.borrow_mut().insert(address, weak));
        local
    }

    /// Keeps `future` here, and returns its `Send` proxy.
    fn keep<T: 'static>(&self, mut future: LocalBoxFuture<T>) -> Away<T> {
        let (said, heard) = mpsc::channel();
        let number = self.next.get();
        self.next.set(number + 1);
        let kept = Box::pin(async move {
            let answer = poll_fn(|cx| future.as_mut().poll(cx)).await;
            // The result is not lost to a destructor that panics (rule B14).
            discard([future]);
            drop(said.send(answer));
        });
        self.out.borrow_mut().insert(number, kept);
        Away { address: self.address, number, heard }
    }

    fn take(&self, number: u64) -> Option<LocalBoxFuture<()>> {
        self.out.borrow_mut().remove(&number)
    }

    /// Polls a future after taking it out; one that panics is not put back.
    fn poll(&self, number: u64, cx: &mut Context<'_>) {
        if let Some(mut future) = self.take(number) {
            if future.as_mut().poll(cx).is_pending() {
                self.out.borrow_mut().insert(number, future);
            }
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.borrow_mut().remove(&self.address));
    }
}

/// The `Send` proxy of a future that stays on its thread. Returns `None` where it is polled on another
/// thread, or the future is gone.
struct Away<T> {
    address: Address,
    number: u64,
    heard: Receiver<T>,
}

impl<T> Future for Away<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(local) = self.address.find() else {
            return Poll::Ready(None);
        };
        local.poll(self.number, cx);
        match self.heard.try_recv() {
            Ok(answer) => Poll::Ready(Some(answer)),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
        }
    }
}

impl<T> Drop for Away<T> {
    /// On another thread the future stays where it is, until its session's last handle is dropped.
    fn drop(&mut self) {
        let future = self.address.find().and_then(|local| local.take(self.number));
        drop(future);
    }
}

/// The refresher of the inner session.
pub(crate) struct Proxy {
    pub(crate) address: Address,
    pub(crate) poll_in: PollIn,
}

impl Refresh for Proxy {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let local = self.address.find();
        let answer = local.map(|local| local.keep((local.ports.refresh)(request)));
        async {
            match answer {
                Some(answer) => answer.await.unwrap_or_else(|| {
                    Err(RefreshError::unknown("the refresh was polled away from its thread"))
                }),
                None => Err(RefreshError::unavailable("the refresher is bound to another thread")),
            }
        }
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        let local = self.address.find();
        let revocation = local.map(|local| local.keep((local.ports.revoke)(grant)));
        async {
            if let Some(revocation) = revocation {
                revocation.await;
            }
        }
    }

    fn poll_in(&self) -> PollIn {
        self.poll_in.clone()
    }
}
