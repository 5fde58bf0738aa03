//! Tools for tests of programs that embed perennial (feature `testing`): virtual time, a scripted
//! refresher, a proxy that loses, delays and garbles, and what a store of families must do. No rule
//! is tested by sleeping.

#[cfg(feature = "issue")]
mod families;
mod fault_proxy;
mod refresher;
mod virtual_time;

#[cfg(feature = "issue")]
pub use families::family_store_conforms;
pub use fault_proxy::{Fault, FaultProxy};
pub use refresher::{Answer, Scripted};
pub use virtual_time::VirtualTime;
