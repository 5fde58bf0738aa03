//! The lease: the port by which processes that share a store take turns to refresh.

use core::future::pending;
use core::time::Duration;
use std::boxed::Box;

use super::{StoreError, Version, Versioned};
use crate::refresh::BoxFuture;

/// A lock with a term, beside a stored grant: its holder alone may send the refresh token.
///
/// The fencing number of a lease is the version of the store when the lease was acquired. It only
/// grows, and it names the lease in [`renew`](Self::renew) and [`release`](Self::release). As each
/// write to a store names the version that it follows, a holder that has lost its lease cannot
/// overwrite what its successor has written.
///
/// A login, a logout and a plain write never wait for a lease.
///
/// # Cancellation
/// A session drops a future of this trait that has not completed by the refresh's deadline. A lease
/// that was acquired by such a future must end by itself once its term is over.
pub trait Lease: Send + Sync + 'static {
    /// Tries once to acquire the lease for `term`, and reads the store. Does not wait for another
    /// holder.
    ///
    /// # Errors
    /// As for [`Store::load`](super::Store::load). After an error nobody, or nobody for longer than
    /// `term`, holds the lease by this call.
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>>;

    /// Extends the lease with this fencing number: it ends `term` from now. Returns false if the
    /// lease has been lost.
    ///
    /// # Errors
    /// If the store cannot be reached. Whether the lease was extended is not known then.
    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>>;

    /// Releases the lease with this fencing number. Releasing a lease that was lost is a no-op.
    ///
    /// # Errors
    /// If the store cannot be reached; the lease then ends with its term.
    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>>;

    /// Releases the lease with this fencing number without waiting, where its holder was dropped. Must
    /// not block; where the lease cannot be released like that, it ends with its term.
    ///
    /// Default: nothing is done.
    fn abandon(&self, fence: Version) {
        let _ = fence;
    }

    /// Returns whether this is a lock that ends with its process: it is never lost while the process
    /// lives, and a note of intent that is found under it is of a holder that has died or has ended
    /// its turn. It is acquired for what is left of the refresh's time, and never renewed.
    ///
    /// Default: false.
    fn is_lock(&self) -> bool {
        false
    }

    /// Completes when another holder may have released the lease or written to the store since this
    /// was called. A hint: it may come late, too often, or never.
    ///
    /// Default: never.
    fn changed(&self) -> BoxFuture<()> {
        Box::pin(pending())
    }
}

/// The result of an attempt to acquire a [`Lease`].
///
/// Exhaustive on purpose: every lease returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The lease is held. This is what the store holds; its version is the fencing number.
    Held(Versioned),
    /// Another holder has the lease.
    Busy {
        /// How long the other holder may keep it at most, if that is known.
        remaining: Option<Duration>,
    },
}
