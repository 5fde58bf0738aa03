//! What the fuzz targets share: drawing values from a byte string, extremes first, reading an HTTP
//! message from one, and an issuer that has issued something. Each file in `fuzz_targets/` is a property; `replay` holds all of them to
//! their corpora, without a fuzzer.

extern crate self as perennial_fuzz;

mod answer;
mod counted;
mod draws;
mod endpoint;
mod held;
mod issued;
#[cfg(test)]
mod replay;

pub use answer::Answer;
pub use counted::Counted;
pub use draws::Draws;
pub use held::held;
pub use issued::{Issued, at_once};
