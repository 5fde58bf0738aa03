//! The client machine: its table, its corners, every order of now against its deadlines, and long
//! histories against a second reading of the rules.

mod abstraction;
mod conformance;
mod edges;
mod model;
mod ops;
mod orders;
mod seen;
mod support;
mod table;
mod told;
