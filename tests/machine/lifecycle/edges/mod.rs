//! The corners of the rules, one at a time: the ends of time, clocks that go back, results that come
//! late, twice, from elsewhere or from nowhere.

mod budget;
mod clock;
mod flights;
mod forms;
mod life;
mod policy;
mod rejections;
mod reuse;
mod superseded;
mod troubles;
