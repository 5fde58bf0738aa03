//! Every interleaving of two or three threads, within a stated number of preemptions: each model is
//! a claim about the shared session.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release --test loom`. Each model prints how many
//! executions it took to be exhausted.
//!
//! What loom does not see: reference counts (`std::sync::Arc`), and the inside of `arc-swap`, for
//! which a cell stands that promises no more than an acquiring load and a releasing swap.
#![cfg(loom)]

mod clock;
mod ends;
mod exhaust;
mod flight;
mod landing;
mod logins;
mod reading;
mod world;
