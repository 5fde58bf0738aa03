//! All orders of `now` against the deadlines, and all that a machine of three-bit instants can do.

#[path = "lifecycle/orders/exhaustive.rs"]
mod exhaustive;
#[path = "lifecycle/orders/orderings.rs"]
mod orderings;
#[path = "lifecycle/seen.rs"]
mod seen;
#[path = "lifecycle/support.rs"]
mod support;
#[path = "lifecycle/orders/tick.rs"]
mod tick;
