//! x
#![no_std]
#[cfg(feature = "std")]
extern crate std;
#[cfg(feature = "std")]
pub mod adapters;
#[cfg(feature = "std")]
pub mod clock;
pub mod lifecycle;
#[cfg(feature = "std")]
mod offload;
#[cfg(feature = "std")]
pub mod refresh;
#[cfg(feature = "std")]
pub mod session;
#[cfg(feature = "std")]
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
#[cfg(feature = "std")]
pub mod token;
