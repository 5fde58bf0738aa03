//! All orders of `now` against the deadlines, and all that a machine of three-bit instants can do.

mod exhaustive;
mod orderings;
