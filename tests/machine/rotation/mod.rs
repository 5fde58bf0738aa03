//! The server machine: every row of its table, its edges in time, and long histories against a
//! second reading of the rules.

mod edges;
mod exhaustive;
mod model;
mod table;
