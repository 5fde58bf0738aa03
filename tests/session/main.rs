//! The shared session and the local one: on virtual time and polled by hand, with the timers,
//! spawners and clocks that the crate brings.

#[path = "../session_support/mod.rs"]
mod session_support;

mod alarms;
mod async_callers;
mod blocking;
mod client;
mod clock;
mod epochs;
mod errors_dropped;
mod events;
mod faults;
mod flight;
mod forms;
mod held_back;
mod lease;
mod local;
mod locks;
mod logins;
mod looks;
mod mixed;
mod on_caller;
mod order;
mod overlap;
mod pace;
mod panics;
mod read_path;
mod requests;
mod revocation;
mod store;
mod store_late;
mod store_raced;
mod store_shared;
mod tasks;
mod timers;
mod tokio_adapter;
mod unsent;
