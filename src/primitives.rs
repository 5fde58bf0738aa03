//! The seam to the threading primitives: the standard library's, or those of a checker that
//! explores interleavings.
//!
//! With `--cfg loom` all of this is loom's, with `--cfg shuttle` it is shuttle's; with `--cfg tsan`
//! the mutex is one that `ThreadSanitizer` sees into. Everything that
//! threads of this crate share goes through here, but for reference counts (the checkers have no
//! `Weak`), which are taken to be right.

use core::any::Any;
use core::panic::AssertUnwindSafe;
use core::task::Waker;
use core::time::Duration;
use std::boxed::Box;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::task::Wake;

#[cfg(tsan)]
pub(crate) use instrumented::{Mutex, MutexGuard};
#[cfg(loom)]
pub(crate) use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};
#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};
#[cfg(not(any(loom, shuttle, tsan)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use {
    core::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    std::thread,
};

#[cfg(not(any(loom, shuttle)))]
pub(crate) use arc_swap::ArcSwapOption as Latest;
#[cfg(any(loom, shuttle))]
pub(crate) use modelled::Latest;

/// Calls the program's code and catches its panic (rule C5).
///
/// A checker's own findings are panics, too, and must not be caught: under one, only those that a
/// model has planned are.
pub(crate) fn contained<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let result = catch_unwind(AssertUnwindSafe(call));
    #[cfg(any(loom, shuttle))]
    if let Err(panic) = result {
        if panic.downcast_ref::<&str>() == Some(&"planned") {
            return Err(panic);
        }
        std::panic::resume_unwind(panic);
    }
    result
}

/// Wakes all of `wakers`. Rule C3: "one panicking waker MUST NOT stop the others".
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Option<Waker>>) {
    for waker in wakers.into_iter().flatten() {
        let _ = contained(|| waker.wake());
    }
}

/// Drops all of `things`, whose destructors are the program's code and may panic.
pub(crate) fn discard<T>(things: impl IntoIterator<Item = T>) {
    for thing in things {
        let _ = contained(|| drop(thing));
    }
}

/// Where one thread waits for its waker to be called.
///
/// The same as `std::thread::park`. Loom has that, too, but forgets an `unpark` that happens while
/// the thread waits for a mutex.
pub(crate) struct Parker(Arc<Parked>);

#[cfg(not(loom))]
struct Parked(thread::Thread);

#[cfg(loom)]
struct Parked(Mutex<bool>, loom::sync::Condvar);

#[cfg(not(loom))]
impl Parker {
    /// Creates a parker for the current thread.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Parked(thread::current())))
    }

    /// Waits until the waker is called. Must be called on the thread that created this.
    #[expect(clippy::unused_self, reason = "the thread knows; under loom it does not")]
    pub(crate) fn park(&self) {
        thread::park();
    }

    fn unpark(parked: &Parked) {
        parked.0.unpark();
    }
}

#[cfg(loom)]
impl Parker {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Parked(Mutex::new(false), loom::sync::Condvar::new())))
    }

    pub(crate) fn park(&self) {
        let mut woken = self.0.0.lock().expect("nothing panics under it");
        while !*woken {
            woken = self.0.1.wait(woken).expect("nothing panics under it");
        }
        *woken = false;
    }

    fn unpark(parked: &Parked) {
        *parked.0.lock().expect("nothing panics under it") = true;
        parked.1.notify_one();
    }
}

impl Parker {
    /// Returns the waker that ends the current or the next wait.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// Waits until the waker is called, for `duration` at most.
    #[cfg_attr(not(any(loom, shuttle)), expect(clippy::unused_self, reason = "as for `park`"))]
    pub(crate) fn park_timeout(&self, duration: Duration) {
        #[cfg(not(any(loom, shuttle)))]
        thread::park_timeout(duration);
        // The checkers have no time: whoever advances a model's clock wakes those who wait for it.
        #[cfg(any(loom, shuttle))]
        {
            let _ = duration;
            self.park();
        }
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        Parker::unpark(&self);
    }
}

#[cfg(tsan)]
mod instrumented {
    //! A mutex that `ThreadSanitizer` can see into: the standard library's was compiled without it.

    use std::sync::PoisonError;

    pub(crate) use parking_lot::MutexGuard;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Result<MutexGuard<'_, T>, PoisonError<MutexGuard<'_, T>>> {
            Ok(self.0.lock())
        }
    }
}

#[cfg(any(loom, shuttle))]
mod modelled {
    //! What `arc-swap` promises, and no more than is needed of it, as a checker can see it: a load
    //! acquires, a swap releases. That `arc-swap` keeps the promise is not checked.

    use core::ops::Deref;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::vec::Vec;

    use super::{AtomicBool, AtomicUsize, Ordering};

    /// The latest of a series of values. Old ones are kept until the end.
    pub(crate) struct Latest<T> {
        index: AtomicUsize,
        /// Not seen by the checker; what it sees of a place is whether that was written.
        series: Mutex<Vec<Arc<Place<T>>>>,
    }

    struct Place<T> {
        value: Option<Arc<T>>,
        /// Written before the index, and read after it, with no ordering of its own: so the
        /// index's orderings are what a reader of the value has.
        written: AtomicBool,
    }

    /// What was loaded, as `arc-swap` lends it.
    pub(crate) struct Loaded<T>(Option<Arc<T>>);

    impl<T> Deref for Loaded<T> {
        type Target = Option<Arc<T>>;

        fn deref(&self) -> &Option<Arc<T>> {
            &self.0
        }
    }

    impl<T> Place<T> {
        fn new(value: Option<Arc<T>>) -> Arc<Self> {
            Arc::new(Self { value, written: AtomicBool::new(false) })
        }
    }

    impl<T> Latest<T> {
        pub(crate) fn new(value: Option<Arc<T>>) -> Self {
            let first = Place::new(value);
            first.written.store(true, Ordering::Relaxed);
            Self { index: AtomicUsize::new(0), series: Mutex::new(vec![first]) }
        }

        pub(crate) fn load(&self) -> Loaded<T> {
            Loaded(self.load_full())
        }

        pub(crate) fn load_full(&self) -> Option<Arc<T>> {
            let index = self.index.load(Ordering::Acquire);
            let place = self.series().get(index).cloned()?;
            assert!(place.written.load(Ordering::Relaxed), "a value was read before it was there");
            place.value.clone()
        }

        pub(crate) fn swap(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
            let place = Place::new(value);
            let index = {
                let mut series = self.series();
                series.push(Arc::clone(&place));
                series.len() - 1
            };
            place.written.store(true, Ordering::Relaxed);
            let old = self.index.swap(index, Ordering::Release);
            self.series().get(old).and_then(|place| place.value.clone())
        }

        fn series(&self) -> MutexGuard<'_, Vec<Arc<Place<T>>>> {
            self.series.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
