//! A byte string drives a whole small world: one process with a session or two, an authorization
//! server, a store, a network that fails, a clock that jumps, crashes, and callers who come and go.
//! After each step every rule is checked, and in the end everybody is answered: the simulation of
//! `tests/simulation`. Rules A2, A5, F1, F2 and all of B and C but what needs threads.
#![cfg_attr(not(test), no_main)]

#[allow(dead_code, unused_imports, reason = "the counts are for the test of many seeds")]
#[path = "../../tests/simulation/mod.rs"]
mod simulation;

use simulation::choices::Bytes;
use simulation::{Size, simulate};

#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    let report = simulate(Bytes::new(bytes), Size::Small, false);
    assert!(report.violation.is_none(), "{}", report.told());
}
