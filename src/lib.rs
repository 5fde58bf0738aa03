//! x
#![no_std]
#[cfg(feature = "std")]
extern crate std;
pub mod lifecycle;
pub mod time;
