//! A small forking symbolic executor: the shipped source runs on terms, and goes both ways wherever a
//! comparison of two terms is open.
//!
//! - [`term`]: what instants and spans are made of, each made once.
//! - [`value`]: what a term comes to when its variables are numbers, by the arithmetic of `Timestamp`.
//! - [`encode`]: terms in the language of a solver, as integers and as bit vectors.
//! - [`search`]: numbers that show that something can be, without a solver.
//! - [`solver`]: z3 on a pipe.
//! - [`tree`]: the decisions taken so far, so that none is asked about twice.
//! - [`sym`]: the `Time` whose comparisons are decisions.
//! - [`states`]: every state and policy of the client's machine, but for the numbers, which are variables.
//! - [`events`]: every event of it, likewise.
//! - [`together`]: which of them meet.
//! - [`turns`]: the same of the server's.
//! - [`holds`]: the same of the lease machine's.
//! - [`prove`]: all of it, property by property.

pub mod encode;
pub mod events;
pub mod holds;
pub mod prove;
pub mod search;
pub mod solver;
pub mod states;
pub mod sym;
pub mod term;
pub mod together;
pub mod tree;
pub mod turns;
pub mod value;
