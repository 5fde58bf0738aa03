//! Proofs about the three machines of `perennial`, by running their shipped source on other times.
//!
//! The rules are stated once, in [`rules`], over any [`Time`](perennial::time::Time). Two engines
//! check them: [`symbolic`] runs a machine on terms, forks where it compares two of them, and asks
//! a solver which ways are open, so that what holds, holds for all 64-bit instants; [`small`] runs it
//! on three-bit integers, one after the other. See `README.md`.

#[cfg(not(formal))]
compile_error!("build with RUSTFLAGS=\"--cfg formal\"");

pub mod hold;
pub mod rules;
pub mod small;
pub mod step;
pub mod symbolic;
pub mod turn;
