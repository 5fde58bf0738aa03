//! Waiting for a future on a plain thread.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};

use crate::primitives::Parker;

/// Polls `future` on this thread until it ends.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let parker = Parker::new();
    let waker = parker.waker();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => parker.park(),
        }
    }
}
