//! Events, and what the adapters for `tracing` and `metrics` make of them.

#[path = "../session_support/mod.rs"]
mod session_support;

mod interceptors;
mod keyed;
mod metrics;
mod minutes;
mod names;
mod outage;
mod secrets;
mod traces;
