//! The lease machine: every row of its table, its edges in time, every order of its deadlines, and
//! long histories against a second reading of the rules.

mod edges;
mod exhaustive;
mod model;
mod orders;
mod support;
mod table;
