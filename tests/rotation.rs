//! The server machine: every row of its table, its edges in time, and long histories against a
//! second reading of the rules.

#[path = "rotation/edges.rs"]
mod edges;
#[path = "rotation/exhaustive.rs"]
mod exhaustive;
#[path = "rotation/model.rs"]
mod model;
#[path = "rotation/table.rs"]
mod table;
#[path = "lifecycle/orders/tick.rs"]
mod tick;
