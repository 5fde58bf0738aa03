//! The house rules: what the source looks like, which rule is cited where, and that the pages that say so
//! are true.

mod auto_traits;
mod imports;
mod tidy;
mod traceability;
mod verification;
mod words;
