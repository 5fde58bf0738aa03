//! Panics of the program's clocks and hooks: kept while a flight continues, and resumed afterwards.

use crate::primitives::contained;
use core::any::Any;
use std::panic::resume_unwind;
use std::prelude::rust_2024::*;
use std::sync::{Mutex, PoisonError};

/// The payload of a panic.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Keeps the first panic of a clock or a hook while a flight continues.
#[derive(Default)]
pub(crate) struct FirstPanic(Mutex<Option<Panic>>);

impl FirstPanic {
    /// Calls `code`, which belongs to the program. Returns `None` where it panics.
    pub(crate) fn call<T>(&self, code: impl FnOnce() -> T) -> Option<T> {
        let panic = match contained(code) {
            Ok(value) => return Some(value),
            Err(panic) => panic,
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(panic);
        }
        None
    }

    /// Resumes the kept panic, if there is one.
    pub(crate) fn resume_unwinding(&self) {
        if let Some(panic) = self.take() {
            resume_unwind(panic);
        }
    }

    pub(crate) fn take(&self) -> Option<Panic> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
