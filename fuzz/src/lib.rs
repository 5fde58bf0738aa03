//! What the fuzz targets share: drawing values from a byte string, extremes first, and reading an
//! HTTP answer from one. Each file in `fuzz_targets/` is a property; `replay` holds all of them to
//! their corpora, without a fuzzer.

extern crate self as perennial_fuzz;

mod answer;
mod draws;
#[cfg(test)]
mod replay;

pub use answer::Answer;
pub use draws::Draws;
