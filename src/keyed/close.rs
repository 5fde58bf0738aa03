//! Closing all sessions at once.

use core::future::poll_fn;
use core::task::Poll;
use std::prelude::rust_2024::*;

use super::Sessions;
use super::all::lock_for_reading;
use super::program::Key;
use crate::refresh::BoxFuture;
use crate::session::Error;

impl<K: Key> Sessions<K> {
    /// Waits until nothing is in flight, and stores what could not be stored before.
    ///
    /// It does what [`Session::close`](crate::session::Session::close) does, for all sessions in use,
    /// concurrently.
    ///
    /// # Errors
    /// One of the errors, if there are any; the other sessions are closed all the same.
    ///
    /// # Cancellation
    /// If the future is dropped before it completes, nothing is lost: what is in flight stays in
    /// flight.
    pub async fn close(&self) -> Result<(), Error> {
        let mut closing: Vec<BoxFuture<Result<(), Error>>> = Vec::new();
        for shard in &self.all.shards {
            let sessions = lock_for_reading(shard).sessions();
            closing.extend(
                sessions.into_iter().map(|session| -> BoxFuture<_> {
                    Box::pin(async move { session.close().await })
                }),
            );
        }
        let mut result = Ok(());
        poll_fn(|cx| {
            closing.retain_mut(|close| match close.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(closed) => {
                    if result.is_ok() {
                        result = closed;
                    }
                    false
                }
            });
            if closing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        result
    }
}
