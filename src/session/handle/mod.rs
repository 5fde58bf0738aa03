//! The handles: what a program holds and calls.

pub(super) mod acquire;
pub(super) mod builder;
pub(super) mod changed;
pub(super) mod drive;
pub(super) mod keep_fresh;
pub(super) mod local;
mod login;
mod options;
pub(super) mod reader;
pub(super) mod session;
#[cfg(feature = "keyed")]
pub(crate) mod suspend;
mod timed;
mod turn;
