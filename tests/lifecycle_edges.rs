//! The corners of the rules, one at a time: the ends of time, clocks that go back, results that come
//! late, twice, from elsewhere or from nowhere.

#[path = "lifecycle/edges/budget.rs"]
mod budget;
#[path = "lifecycle/edges/clock.rs"]
mod clock;
#[path = "lifecycle/edges/flights.rs"]
mod flights;
#[path = "lifecycle/edges/forms.rs"]
mod forms;
#[path = "lifecycle/edges/life.rs"]
mod life;
#[path = "lifecycle/edges/policy.rs"]
mod policy;
#[path = "lifecycle/edges/rejections.rs"]
mod rejections;
#[path = "lifecycle/edges/reuse.rs"]
mod reuse;
#[path = "lifecycle/edges/superseded.rs"]
mod superseded;
#[path = "lifecycle/support.rs"]
mod support;
#[path = "lifecycle/edges/troubles.rs"]
mod troubles;
