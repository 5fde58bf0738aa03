//! When which caller makes which request.

use std::time::{Duration, Instant};

use crate::arguments::Arguments;

#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    requests: u64,
    callers: u64,
    apart: Duration,
    start: Instant,
}

impl Schedule {
    /// One that starts now.
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let requests = u32::try_from(arguments.requests.max(1)).unwrap_or(u32::MAX);
        #[expect(clippy::disallowed_methods, reason = "requests are spread over real time")]
        let start = Instant::now();
        Self {
            requests: arguments.requests,
            callers: arguments.concurrency.min(arguments.requests),
            apart: arguments.seconds / requests,
            start,
        }
    }

    /// How long it is until `due` after the start.
    pub(crate) fn left(self, due: Duration) -> Duration {
        due.saturating_sub(self.start.elapsed())
    }

    /// The requests of each caller: its numbers, and when after the start they are due.
    pub(crate) fn shares(
        self,
    ) -> impl Iterator<Item = impl Iterator<Item = (u64, Duration)> + Send + 'static> {
        (0..self.callers).map(move |caller| {
            let numbers = (caller..self.requests)
                .step_by(usize::try_from(self.callers).unwrap_or(usize::MAX));
            numbers.map(move |number| {
                (number, self.apart.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX)))
            })
        })
    }
}
