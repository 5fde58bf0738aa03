//! Running a model to exhaustion.

use std::prelude::rust_2024::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Within which bound a model is exhausted.
#[derive(Copy, Clone)]
pub(crate) enum Bound {
    /// None: every execution there is.
    Unbounded,
    /// At most so many times a thread is interrupted that could have gone on.
    Preemptions(usize),
}

/// Explores every execution of `model` within `bound`, and says how many there were.
pub(crate) fn exhaust(bound: Bound, model: impl Fn() + Send + Sync + 'static) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 50_000;
    let (preemptions, shown) = match bound {
        Bound::Unbounded => (None, "null".to_owned()),
        Bound::Preemptions(at_most) => (Some(at_most), at_most.to_string()),
    };
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let executions = executions.load(Ordering::Relaxed);
    assert!(executions > 1, "one execution is no choice: this models nothing");
    println!("MODEL {{\"model\":\"{name}\",\"preemptions\":{shown},\"executions\":{executions}}}");
}
