//! Adapters: this crate's ports over other crates, each behind a feature of its own.

#[cfg(feature = "file")]
pub mod file;
