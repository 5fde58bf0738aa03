//! Tools for tests of programs that embed perennial (feature `testing`): virtual time, a scripted
//! refresher, and a proxy that loses, delays and garbles. No rule is tested by sleeping.

mod fault_proxy;
mod refresher;
mod virtual_time;

pub use fault_proxy::{Fault, FaultProxy};
pub use refresher::{Answer, Scripted};
pub use virtual_time::VirtualTime;
